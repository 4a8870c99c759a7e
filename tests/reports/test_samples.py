"""Columns of a capture, and which exchanges have a latency."""

from __future__ import annotations

import numpy as np
import pytest

from nestperf.capture.model import Client, HeaderSet, Kind, Mark, Outcome
from reports.samples import Samples
from reports.thresholds import Selector
from tests.reports.conftest import MS, Write, exchange, packet, session, socket

ALL = Selector()


def latencies_ms(samples: Samples, quantity: str = "latency", selector: Selector = ALL) -> list[float]:
    return [ns / MS for ns in samples.times(quantity, selector).ordered.tolist()]


def test_read_of_nothing_is_empty_and_has_no_span(written: Write) -> None:
    samples = Samples.read(written([]))
    assert samples.is_empty
    assert samples.span_ns is None
    assert latencies_ms(samples) == []


def test_read_of_exchanges_keeps_stamps_exact_and_null_apart_from_zero(written: Write) -> None:
    late_ns = 2**53 - 1
    samples = Samples.read(written([exchange(1, None, sent_ns=0), exchange(2, None, sent_ns=late_ns)]))
    assert samples.exchanges.sent.astype(np.int64).tolist() == [0, late_ns]
    assert np.isnan(samples.exchanges.done).all()
    assert samples.span_ns == (0, late_ns)


def test_latency_without_intended_times_is_service_time(written: Write) -> None:
    samples = Samples.read(written([exchange(1, 30), exchange(2, 10)]))
    assert samples.latency_name == "service_time"
    assert latencies_ms(samples) == [10, 30]
    assert latencies_ms(samples, "response_time") == []


def test_latency_with_intended_times_is_response_time(written: Write) -> None:
    rows = [exchange(1, 30, sent_ns=25 * MS, intended_ns=5 * MS), exchange(2, 10, sent_ns=50 * MS, intended_ns=50 * MS)]
    samples = Samples.read(written(rows, purpose="replay"))
    assert samples.latency_name == "response_time"
    assert latencies_ms(samples) == [10, 50]
    assert latencies_ms(samples, "service_time") == [10, 30]
    assert latencies_ms(samples, "send_lag") == [0, 20]


OUTCOMES = [
    (Outcome.OK, True, 0),
    (Outcome.REFUSED, True, 0),
    (Outcome.LIMITED, False, 0),
    (Outcome.HTTP_ERROR, False, 1),
    (Outcome.MISMATCH, False, 1),
    (Outcome.TIMEOUT, False, 1),
    (Outcome.CONNECT_ERROR, False, 1),
    (Outcome.RESET, False, 1),
    (Outcome.ABORTED, False, 0),
    (Outcome.UNFINISHED, False, 0),
    (Outcome.DROPPED, False, 0),
]


@pytest.mark.parametrize(("outcome", "timed", "failed"), OUTCOMES, ids=[str(outcome) for outcome, _, _ in OUTCOMES])
def test_times_of_an_outcome_count_as_latency_failure_or_neither(
    written: Write, outcome: Outcome, timed: bool, failed: int
) -> None:
    times = Samples.read(written([exchange(1, 10, outcome=outcome)])).times("latency", ALL)
    assert (len(times.ordered) == 1, times.failed) == (timed, failed)


KINDS = [
    (Kind.CALL, 10.0), (Kind.PAGE, 10.0), (Kind.ASSET, 10.0), (Kind.STREAM, 4.0), (Kind.PREFLIGHT, None),
    (Kind.POLL, None), (Kind.UPGRADE, None),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "expected"), KINDS, ids=[str(kind) for kind, _ in KINDS])
def test_latency_of_a_kind_is_its_own(written: Write, kind: Kind, expected: float | None) -> None:
    samples = Samples.read(written([exchange(1, 10, kind=kind, first_byte_ns=5 * MS)]))
    assert latencies_ms(samples) == ([] if expected is None else [expected])


def test_latency_of_preflights_is_there_where_they_are_named(written: Write) -> None:
    samples = Samples.read(written([exchange(1, 7, kind=Kind.PREFLIGHT), exchange(2, 9)]))
    assert latencies_ms(samples, selector=Selector(kind=(Kind.PREFLIGHT,))) == [7]


def test_times_to_first_byte_end_there(written: Write) -> None:
    samples = Samples.read(written([exchange(1, 10, first_byte_ns=3 * MS), exchange(2, 10, first_byte_ns=None)]))
    assert latencies_ms(samples, "ttfb") == [2]


def test_send_lag_of_what_was_never_sent_is_none(written: Write) -> None:
    rows = [exchange(1, None, intended_ns=0, outcome=Outcome.DROPPED), exchange(2, 1, intended_ns=0)]
    assert latencies_ms(Samples.read(written(rows)), "send_lag") == [2]


SELECTORS = [
    ("everything but preflights", ALL, [1, 2, 3, 5]),
    ("a kind", Selector(kind=(Kind.PAGE, Kind.ASSET)), [2]),
    ("a route as a pattern", Selector(route=("/api/v1/auth/*",)), [1, 3]),
    ("a route with an id", Selector(route=("/media/{id}",)), [5]),
    ("a method", Selector(method=("POST",)), [3]),
    ("a status", Selector(status=("404",)), [3]),
    ("a class of status", Selector(status=("2xx",)), [1, 2]),
    ("an identity of a session", Selector(identity=("admin*",)), [1]),
    ("an identity of a client", Selector(identity=("friend",)), [2]),
    ("a mark", Selector(mark=("searching",)), [3, 5]),
    ("a test", Selector(mark=("signs *",)), [2]),
    ("several marks", Selector(mark=("searching", "signs in")), [2, 3, 5]),
    ("a mark that nobody set", Selector(mark=("never",)), []),
    ("several at once", Selector(route=("/api/*",), status=("2xx",)), [1]),
    ("nobody", Selector(identity=("nobody",)), []),
]


@pytest.mark.parametrize(("selector", "expected"), [c[1:] for c in SELECTORS], ids=[c[0] for c in SELECTORS])
def test_select_by_a_table_keeps_those_exchanges(written: Write, selector: Selector, expected: list[int]) -> None:
    rows = [
        session(7, identity="admin@example.org"),
        Client(8, "127.0.0.1", "Firefox", "friend"),
        exchange(1, route="/api/v1/auth/session", session_id=7),
        exchange(2, route="/dashboard", kind=Kind.PAGE, client_id=8, request_headers=9),
        exchange(3, route="/api/v1/auth/plex/verify", method="POST", status=404, outcome=Outcome.REFUSED),
        exchange(4, route="/api/v1/auth/session", kind=Kind.PREFLIGHT, method="OPTIONS"),
        exchange(5, route="/media/{id}", status=None, outcome=Outcome.RESET),
        Mark(None, 3 * MS, None, "searching", "key"),
        HeaderSet(9, '[["X-Nestperf-Test", "signs in"]]'),
    ]
    samples = Samples.read(written(rows))
    assert samples.exchanges.id[samples.select(selector)].tolist() == expected


def test_packets_read_leave_bare_engine_packets_out(written: Write) -> None:
    rows = [socket(1), packet(1, 1, 5, engine_type="ping", type=None, event=None), packet(2, 1, 6)]
    packets = Samples.read(written(rows)).packets
    assert packets.id.tolist() == [2]
    assert packets.from_server.tolist() == [True]
