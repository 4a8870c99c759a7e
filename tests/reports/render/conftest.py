"""One small recording and one small replay, as every rendering shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nestperf.capture.model import HeaderSet, Kind, Mark, Outcome, Row, Upstream
from nestperf.capture.reader import Capture
from reports.broadcasts import find_broadcasts
from reports.compare.compare import Named, compare
from reports.samples import Samples
from reports.summary import Summary, summarize
from reports.thresholds import parse_thresholds
from reports.verdict import Judgement, explained, judge_samples
from tests.reports.conftest import MS, S, Write, exchange, packet, session, socket

THRESHOLDS = """
[[threshold]]
name = "API answers within 1 s"
source = "PRD 4.2"
expression = "p95(latency) < 1s"
kind = "call"

[[threshold]]
name = "Sign-in within 50 ms"
source = "PRD 4.2"
expression = "p95(latency) < 50ms"
route = "/api/v1/auth/*"

[[threshold]]
name = "Pages within 2 s"
expression = "p95(latency) < 2s"
kind = "page"
required = false

[[threshold]]
expression = "rate(failed) < 1%"

[[threshold]]
name = "50 users at once"
source = "PRD 3.2"
expression = "count(users) >= 50"
required_if = "load"

[[threshold]]
name = "Status reaches everybody"
source = "test plan"
expression = "reach(service:status) == 100%"
required_if = "broadcasts"

[[threshold]]
name = "Queries within 100 ms"
expression = "max(query_time) < 100ms"
required_if = "queries"

[[unchecked]]
name = "99.9 % uptime"
reason = "a capture is minutes long"
"""


class Report(NamedTuple):
    """What renderers get."""

    judgement: Judgement
    summary: Summary


Reported = Callable[..., Report]


@pytest.fixture
def reported(written: Write) -> Reported:
    """Judges and summarizes rows: `reported(rows, thresholds=..., purpose="replay", ...)`."""

    def report(rows: list[Row], thresholds: str = THRESHOLDS, **run: Any) -> Report:
        capture = written(rows, **run)
        samples = Samples.read(capture)
        broadcasts = find_broadcasts(samples)
        judgement = judge_samples(samples, broadcasts, parse_thresholds(thresholds, "promises.toml"), capture.path.name)
        judgement = replace(explained(judgement, samples, capture), capture_path=capture.path.name)
        return Report(judgement, summarize(samples, broadcasts))

    return report


@pytest.fixture
def recording(reported: Reported) -> Report:
    """Somebody signs in and looks around: 24 calls, a page, a 401, a preflight, a socket with an ack."""
    rows: list[Row] = [
        exchange(1, 30.4, kind=Kind.PAGE, route="/dashboard", relay_ns=81_000),
        exchange(2, 4, kind=Kind.PREFLIGHT, method="OPTIONS", route="/api/v1/auth/session"),
        exchange(3, 21, route="/api/v1/auth/session", outcome=Outcome.REFUSED, status=401, request_headers=1),
        HeaderSet(1, '[["x-nestperf-test", "signs in"]]'),
        Mark(None, 240 * MS, None, "now requesting The Matrix", "key"),
        Mark(None, 3 * S, None, "afterwards", "command"),
        exchange(4, 38.25, route="/api/v1/auth/session", server_call=True),
        exchange(5, 60_000, kind=Kind.UPGRADE, route="/socket.io/"),
    ]
    rows += [
        exchange(10 + number, 5 + number, sent_ns=number * 250 * MS, route="/api/v1/media/requests/{id}")
        for number in range(22)
    ]
    rows += [
        socket(1, closed_by="client", closed_ns=9 * S),
        packet(1, 1, 900, sender="client", event="client:ping", ack_id=0),
        packet(2, 1, 901.5, type="ack", event=None, answers=1),
        packet(3, 1, 2000),
    ]
    relay = {"added_p50_ns": 80_100, "added_p99_ns": 412_000, "loop_lag_p99_ns": 1_200_000, "samples": 27}
    return reported(rows, name="recording.db", relay=relay)


@pytest.fixture
def followed(reported: Reported) -> Report:
    """Three people: what one requests comes to the others; one is cut off and comes back, one does not."""
    rows: list[Row] = [exchange(1, 10, sent_ns=119 * S, client_id=3)]
    for number in (1, 2, 3, 4):
        opened_ms = 30_500 if number == 4 else 0
        ends = {"closed_by": "cut", "closed_ns": 30 * S, "outcome": Outcome.RESET} if number in (2, 3) else {}
        client = 2 if number == 4 else number
        rows.append(
            socket(number, client_id=client, opened_ns=opened_ms * MS, connected_ns=(opened_ms + 5) * MS, **ends)
        )
        rows.append(packet(number, number, opened_ms + 6, type="connect", event=None, namespace="/media"))
        rows.append(packet(10 + number, number, opened_ms + 8, sender="client", event="subscribe", namespace="/media"))
    for number, at in enumerate((10_000, 20_000)):
        rows.append(
            exchange(10 + number, 40, sent_ns=at * MS, method="POST", route="/api/request", status=201, client_id=1)
        )
        rows += [
            packet(100 + number * 10 + who, who, at + 12 + who, event="created", namespace="/media", payload=str(at))
            for who in (2, 3)
        ]
    return reported(rows, name="followed.db", ended_ns=120 * S)


@pytest.fixture
def replay(reported: Reported) -> Report:
    """Three users, of whom one never gets the status; sign-in is slow, a few requests fail."""
    rows: list[Row] = [session(number, started_ns=number * S, ended_ns=(8 + number) * S) for number in (1, 2, 3)]
    for number in range(400):
        sign_in = number % 4 == 0
        outcome = Outcome.RESET if number in (7, 99) else Outcome.LIMITED if number == 50 else Outcome.OK
        sent_ns = number * 25 * MS
        rows.append(
            exchange(
                100 + number, 60 + number % 7 if sign_in else 12.5 + number % 5, sent_ns=sent_ns,
                intended_ns=sent_ns - (number % 3) * MS, outcome=outcome, method="POST" if sign_in else "GET",
                route="/api/v1/auth/plex/verify" if sign_in else "/api/v1/dashboard/notifications",
            )
        )  # fmt: skip
    for number in (1, 2, 3):
        rows.append(socket(number, closed_by="client", closed_ns=10 * S))
        rows.append(packet(number, number, 5, type="connect", event=None))
    rows += [packet(10, 1, 5000), packet(11, 2, 5012)]
    certificate = {
        "planned": 410, "sent": 400, "dropped": 0, "not_reached": 10, "requests_per_minute": 2399.6,
        "send_lag_p50_ns": 1, "visits": {"finished": 3}, "cpu_share": 0.061,
        "source_addresses": "127.1.0.1 to 127.1.0.3",
    }  # fmt: skip
    return reported(
        rows,
        name="replay.db",
        purpose="replay",
        vantage="client",
        settings={"users": 3},
        certificate=certificate,
        source_path="recording.db",
        upstreams=(Upstream("http://127.0.0.1:4000"),),
    )


@pytest.fixture
def broken(reported: Reported) -> Report:
    """A search that is slow for everybody, a token that runs out, and sockets that are cut."""
    rows: list[Row] = [
        exchange(
            number, 30 + number % 9, sent_ns=number * 60 * MS, session_id=number % 4,
            route=f"/api/v1/dashboard/{number % 5}", intended_ns=number * 60 * MS,
        )
        for number in range(1, 200)
    ]  # fmt: skip
    for number in range(40):
        sent_ns = (500 + number * 250) * MS
        search = exchange(
            1000 + number, 1200 + number, sent_ns=sent_ns, session_id=number % 4, route="/api/v1/media/search",
            intended_ns=sent_ns - 3 * MS, connect_ns=2 * MS, request_done_ns=sent_ns + MS,
        )  # fmt: skip
        rows.append(search._replace(first_byte_ns=sent_ns + 900 * MS))
    rows += [
        exchange(
            2000 + number, 4, sent_ns=(12_000 + number * 30) * MS, session_id=number % 4, status=401,
            outcome=Outcome.MISMATCH, route=f"/api/v1/dashboard/{number % 5}",
            detail="answered 401 where the recording has 200",
        )
        for number in range(60)
    ]  # fmt: skip
    rows += [socket(number, closed_by="cut", closed_ns=(9 + number) * S) for number in range(1, 25)]
    lost = THRESHOLDS + "[[threshold]]\nname = 'Sockets stay up'\nexpression = 'rate(lost) < 1%'\nrequired = false\n"
    return reported(rows, lost, purpose="replay", vantage="client", name="broken.db", settings={"users": 4})


@pytest.fixture
def compared(replay: Report, written: Write, tmp_path: Path) -> Report:
    """The replay, held against three like it in which half of the routes were faster."""
    baselines = []
    for run in range(3):
        rows = [
            exchange(
                100 + number, (40 if number % 4 == 0 else 12.5) + number * (run + 3) % 7, sent_ns=number * 25 * MS,
                intended_ns=number * 25 * MS, method="POST" if number % 4 == 0 else "GET",
                route="/api/v1/auth/plex/verify" if number % 4 == 0 else "/api/v1/dashboard/notifications",
            )
            for number in range(400)
        ]  # fmt: skip
        capture = written(rows, name=f"old{run}.db", uid=f"old{run}", purpose="replay", vantage="client")
        baselines.append(Named(capture.path.name, Samples.read(capture)))
    with Capture.open(tmp_path / "replay.db") as capture:
        new = Named("replay.db", Samples.read(capture))
    return Report(replace(replay.judgement, comparison=compare(new, baselines)), replay.summary)
