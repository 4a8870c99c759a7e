"""What expressions measure: every key selects what it says, and what cannot be measured says why."""

from __future__ import annotations

from typing import Any

import pytest

from nestperf.capture.model import Client, Kind, Outcome, Row, Upstream
from reports.measures import Measures, estimate_of
from reports.rules import Absent, Unmatched
from reports.samples import Samples
from reports.thresholds import Threshold, parse_thresholds
from tests.reports.conftest import MS, S, Write, exchange, packet, session, socket

UPSTREAMS = (Upstream("http://localhost:3000"), Upstream("http://localhost:4000"))
ROWS: list[Row] = [
    Client(1, "127.0.0.1", "Firefox", "admin"),
    Client(2, "127.0.0.1", "Firefox", "friend"),
    exchange(1, 10, client_id=1, upstream=0, kind=Kind.PAGE, route="/dashboard"),
    exchange(2, 10, client_id=1, upstream=1, status=404, outcome=Outcome.REFUSED, method="post"),
    exchange(3, 10, client_id=2, upstream=1, status=429, outcome=Outcome.LIMITED),
    exchange(4, 10, client_id=2, upstream=1, kind=Kind.PREFLIGHT, method="OPTIONS"),
    socket(1, client_id=1, upstream=0, closed_by="cut", closed_ns=9 * S),
    socket(2, client_id=2, upstream=1, closed_by="client", closed_ns=9 * S),
    packet(1, 1, 1000, namespace="/media", event="a", sender="client", ack_id=1),
    packet(2, 1, 1007, namespace="/media", event=None, type="ack", answers=1),
    packet(3, 2, 2000, namespace="/", event="b"),
    packet(4, 2, 5000, namespace="/", event="b"),
    packet(5, 1, 5005, namespace="/", event="b"),
]


def threshold(expression: str, keys: str = "") -> Threshold:
    return parse_thresholds(f"[[threshold]]\nexpression = '{expression}'\n{keys}", "t.toml").thresholds[0]


@pytest.fixture
def measures(written: Write) -> Measures:
    return Measures(Samples.read(written(ROWS, upstreams=UPSTREAMS)))


COUNTS = [
    ("count(exchanges) >= 0", "", 3),
    ("count(exchanges) >= 0", "route = '*'", 2),
    ("count(exchanges) >= 0", "kind = 'page'", 1),
    ("count(exchanges) >= 0", "kind = 'preflight'", 1),
    ("count(exchanges) >= 0", "upstream = 'localhost:4000'", 2),
    ("count(exchanges) >= 0", "upstream = 'http://localhost:*'", 3),
    ("count(exchanges) >= 0", "method = 'POST'", 1),
    ("count(exchanges) >= 0", "status = '4xx'", 1),
    ("count(exchanges) >= 0", "identity = 'adm*'", 2),
    ("count(exchanges) >= 0", "identity = 'friend'", 1),
    ("count(exchanges) >= 0", "mark = 'request'", 0),
    ("count(limited) >= 0", "", 1),
    ("count(refused) >= 0", "upstream = 'localhost:3000'", 0),
    ("count(sockets) >= 0", "", 2),
    ("count(sockets) >= 0", "identity = 'friend'", 1),
    ("count(lost) >= 0", "upstream = 'localhost:3000'", 1),
    ("count(lost) >= 0", "upstream = 'localhost:4000'", 0),
    ("count(events) >= 0", "", 4),
    ("count(events) >= 0", "namespace = '/'", 3),
    ("count(events) >= 0", "namespace = '/me*'", 1),
    ("count(events) >= 0", "event = 'b'\nidentity = 'admin'", 1),
    ("count(events) >= 0", "event = 'b'\nupstream = '*:4000'", 2),
]


@pytest.mark.parametrize(("expression", "keys", "number"), COUNTS)
def test_count_of_what_keys_select(measures: Measures, expression: str, keys: str, number: int) -> None:
    assert measures.count(threshold(expression, keys)).number == number


TIMES: list[tuple[str, str, list[float]]] = [
    ("p95(latency) < 1s", "", [10, 10]),
    ("p95(latency) < 1s", "namespace = '/media'", [7]),
    ("p95(latency) < 1s", "namespace = '/'", []),
    ("p95(latency) < 1s", "event = 'a'\nidentity = 'friend'", []),
    ("max(gap(b)) < 1s", "", [3000, 3995, 4000]),
    ("max(gap(b)) < 1s", "identity = 'admin'", [3995]),
    ("max(gap(b)) < 1s", "namespace = '/media'", []),
    ("max(delivery(b)) < 1s", "", [0, 5]),
    ("max(delivery(b)) < 1s", "namespace = '/media'", []),
]


@pytest.mark.parametrize(("expression", "keys", "expected"), TIMES)
def test_times_of_what_keys_select(measures: Measures, expression: str, keys: str, expected: list[float]) -> None:
    assert (measures.times(threshold(expression, keys)).ordered / MS).tolist() == expected


def test_share_leaves_limited_out_of_failures(measures: Measures) -> None:
    assert measures.share(threshold("rate(failed) < 1%")) == (0, 3)
    assert measures.share(threshold("rate(limited) < 1%")) == (1, 3)
    assert measures.share(threshold("rate(lost) < 1%", "identity = 'admin'")) == (1, 1)


UNMATCHED: list[tuple[str, str, Unmatched | None]] = [
    ("p95(latency) < 1s", "route = '/dashbord'", Unmatched("route", ("/dashbord",), "/dashboard")),
    ("p95(latency) < 1s", "method = 'PUT'", Unmatched("method", ("PUT",), None)),
    ("p95(latency) < 1s", "status = '5xx'", Unmatched("status", ("5xx",), None)),
    ("p95(latency) < 1s", "status = '4xx'", None),
    ("p95(latency) < 1s", "identity = 'amin'", Unmatched("identity", ("amin",), "admin")),
    ("p95(latency) < 1s", "upstream = 'localhost:5000'", Unmatched("upstream", ("localhost:5000",), "localhost:4000")),
    ("count(events) > 9", "namespace = '/status'", Unmatched("namespace", ("/status",), None)),
    ("reach(c) == 100%", "", Unmatched("event", ("c",), None)),
    ("p95(latency) < 1s", "kind = 'page'\nstatus = 404", None),
]


@pytest.mark.parametrize(("expression", "keys", "expected"), UNMATCHED)
def test_unmatched_names_the_key_to_blame(
    measures: Measures, expression: str, keys: str, expected: Unmatched | None
) -> None:
    assert measures.unmatched(threshold(expression, keys)) == expected


ABSENT: list[tuple[str, str, list[Row], Absent | None]] = [
    ("max(query_time) < 1s", "", ROWS, Absent.QUERIES),
    ("p95(latency) < 1s", "mark = 'x'", ROWS, Absent.MARKS),
    ("p95(response_time) < 1s", "", ROWS, Absent.INTENDED_TIMES),
    ("p95(response_time) < 1s", "", [exchange(1, 5, intended_ns=0)], None),
    ("max(session_time) < 1s", "", ROWS, Absent.SESSIONS),
    ("max(session_time) < 1s", "", [session(1)], None),
    ("rate(lost) < 1%", "", [exchange(1, 5)], Absent.SOCKETS),
    ("reach(b) == 100%", "", [exchange(1, 5)], Absent.SOCKETS),
    ("p95(latency) < 1s", "event = 'a'", [exchange(1, 5)], Absent.SOCKETS),
    ("reach(b) == 100%", "", [socket(1), packet(1, 1, 5)], Absent.BROADCASTS),
    ("p95(latency) < 1s", "", ROWS, None),
]


@pytest.mark.parametrize(("expression", "keys", "rows", "expected"), ABSENT)
def test_absent_names_what_was_not_recorded(
    written: Write, expression: str, keys: str, rows: list[Row], expected: Absent | None
) -> None:
    assert Measures(Samples.read(written(rows))).absent(threshold(expression, keys)) is expected


POOLED: list[tuple[str, Any, int]] = [
    ("max(latency) < 1s", 30 * MS, 2),
    ("rate(failed) < 1%", 0.5, 2),
    ("count(exchanges) >= 1", 0.5, 0),
    ("count(users) >= 1", 0.5, 0),
]


@pytest.mark.parametrize(("expression", "value", "n"), POOLED)
def test_estimate_over_several_captures_takes_them_together(
    written: Write, expression: str, value: float, n: int
) -> None:
    rows: list[list[Row]] = [[exchange(1, 30)], [exchange(1, 5, outcome=Outcome.RESET), session(1)]]
    if expression.startswith("max"):
        rows[1] = [exchange(1, 5)]
    all_measures = [Measures(Samples.read(written(some, name=f"{place}.db"))) for place, some in enumerate(rows)]
    estimate = estimate_of(all_measures, threshold(expression))
    assert estimate is not None
    assert (estimate.value, estimate.n) == (value, n)
    assert estimate_of([], threshold(expression)) is None
