"""The facts of a capture: routes, events, broadcasts, sockets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nestperf.capture.model import Kind, Mark, Outcome, Row
from reports.broadcasts import find_broadcasts
from reports.samples import Samples
from reports.spread import Percentiles, percentiles_of
from reports.summary import Summary, summarize
from tests.reports.conftest import MS, S, Write, exchange, exchanges, packet, session, socket


def summary_of(written: Write, rows: Sequence[Row], **run: object) -> Summary:
    samples = Samples.read(written(rows, **run))
    return summarize(samples, find_broadcasts(samples))


def test_percentiles_of_a_hundred_are_nearest_ranks() -> None:
    times = percentiles_of(np.arange(1, 101, dtype=np.int64))
    assert times == Percentiles(100, 50, 95, 99, 100, 90, 100)
    assert percentiles_of(np.zeros(0, dtype=np.int64)) == Percentiles()


def test_summarize_of_nothing_is_empty(written: Write) -> None:
    summary = summary_of(written, [])
    assert (summary.exchanges, summary.routes, summary.events, summary.broadcasts, summary.sockets) == (
        0,
        (),
        (),
        (),
        (),
    )


def test_summarize_routes_count_each_outcome_in_its_own_column(written: Write) -> None:
    outcomes = [Outcome.OK, Outcome.OK, Outcome.REFUSED, Outcome.LIMITED, Outcome.HTTP_ERROR, Outcome.RESET,
                Outcome.ABORTED, Outcome.UNFINISHED, Outcome.DROPPED]  # fmt: skip
    rows = [exchange(number, number * 10, outcome=outcome) for number, outcome in enumerate(outcomes, 1)]
    (row,) = summary_of(written, rows).routes
    assert (row.n, row.refused, row.limited, row.failed, row.aborted, row.unfinished) == (8, 1, 1, 2, 1, 1)
    assert (row.latency.n, row.latency.p50_ns, row.latency.max_ns, row.slowest_id) == (3, 20 * MS, 30 * MS, 3)


def test_summarize_routes_tell_kinds_methods_and_server_calls_apart(written: Write) -> None:
    rows: list[Row] = [
        exchange(1, 10),
        exchange(2, 20, method="POST"),
        exchange(3, 30, server_call=True),
        exchange(4, 40, kind=Kind.PAGE, route="/dashboard"),
        exchange(5, 99, kind=Kind.UPGRADE, route="/socket.io/"),
        exchange(6, 15, kind=Kind.PREFLIGHT, method="OPTIONS"),
    ]
    routes = summary_of(written, rows).routes
    assert [(row.kind, row.server_call, row.method, row.latency.max_ns) for row in routes] == [
        ("call", False, "POST", 20 * MS),
        ("call", False, "GET", 10 * MS),
        ("call", True, "GET", 30 * MS),
        ("page", False, "GET", 40 * MS),
        ("preflight", False, "OPTIONS", 15 * MS),
        ("upgrade", False, "GET", None),
    ]


def test_summarize_rates_are_per_minute_of_the_whole_capture(written: Write) -> None:
    rows = [*exchanges([10] * 30), exchange(31, 0, sent_ns=30 * S, route="/late")]
    rates = {row.route: row.per_minute for row in summary_of(written, rows).routes}
    assert rates["/late"] is not None
    assert rates["/api/health"] is not None
    assert (round(rates["/late"], 1), round(rates["/api/health"])) == (2.0, 60)


def test_summarize_rates_of_a_moment_are_none(written: Write) -> None:
    assert summary_of(written, list(exchanges([10] * 3))).routes[0].per_minute is None


def test_summarize_events_tell_senders_apart_and_measure_acks(written: Write) -> None:
    rows: list[Row] = [
        socket(1, closed_ns=60 * S),
        packet(1, 1, 100, sender="client", event="client:ping", ack_id=0),
        packet(2, 1, 130, type="ack", event=None, ack_id=0, answers=1),
        packet(3, 1, 200, sender="client", event="client:ping", ack_id=1),
        packet(4, 1, 300, event="client:ping"),
    ]
    first, second = summary_of(written, rows).events
    assert (first.event, first.sender, first.n, first.acks_asked, first.acks_missing) == (
        "client:ping",
        "client",
        2,
        2,
        1,
    )
    assert (first.ack_latency.n, first.ack_latency.p50_ns) == (1, 30 * MS)
    assert (second.sender, second.n, second.acks_asked, second.ack_latency.n) == ("server", 1, 0, 0)


def test_summarize_broadcasts_of_one_event_are_one_row(written: Write) -> None:
    rows: list[Row] = [socket(1), socket(2), socket(3)]
    rows += [packet(number, number, 5000 + number) for number in (1, 2, 3)]
    rows += [packet(number + 10, number, 20_000 + number * 10) for number in (1, 2)]
    (row,) = summary_of(written, rows).broadcasts
    assert (row.event, row.n, row.fewest_receivers, row.most_receivers) == ("service:status", 2, 2, 3)
    assert (row.received, row.expected, row.skew.max_ns) == (5, 5, 10 * MS)


def test_summarize_sockets_count_how_they_ended(written: Write) -> None:
    rows: list[Row] = [
        socket(1, closed_by="client", closed_ns=S),
        socket(2, closed_by="server", closed_ns=S),
        socket(3, closed_by="cut", closed_ns=S),
        socket(4),
        socket(5, connected_ns=None, outcome=Outcome.CONNECT_ERROR),
        socket(6, protocol="websocket", target="/live/17?x=1"),
    ]
    socket_io, websocket = summary_of(written, rows).sockets
    assert (socket_io.path, socket_io.opened, socket_io.connected, socket_io.failed) == ("/socket.io/", 5, 4, 1)
    assert (socket_io.closed_by_client, socket_io.closed_by_server, socket_io.cut, socket_io.still_open) == (1, 1, 1, 1)
    assert (socket_io.connect.n, socket_io.connect.p50_ns) == (4, 5 * MS)
    assert (websocket.protocol, websocket.path) == ("websocket", "/live/{id}")


def test_summarize_of_a_replay_holds_both_times_and_the_load(written: Write) -> None:
    rows: list[Row] = [session(1), session(2), *exchanges([10, 20], sent_ns=40 * MS, intended_ns=35 * MS)]
    summary = summary_of(written, rows, purpose="replay")
    both, _ = summary.both_times
    assert (both.kind, both.service.max_ns, both.response.max_ns) == ("call", 20 * MS, 25 * MS)
    assert (summary.send_lag.n, summary.send_lag.max_ns, summary.users_at_once) == (2, 5 * MS, 2)


def test_summarize_of_a_recording_holds_what_the_recorder_added(written: Write) -> None:
    summary = summary_of(written, list(exchanges([10, 20], relay_ns=80_000)))
    assert (summary.added.n, summary.added.p50_ns, summary.both_times) == (2, 80_000, ())


def test_summarize_a_replay_holds_its_sessions_beside_each_other(written: Write) -> None:
    """Each begins two seconds after it was due: what a user felt is longer than what the visit took."""
    sessions = [session(n, intended_ns=n * S, started_ns=(n + 2) * S, ended_ns=(n + 10) * S) for n in range(5)]
    cut = session(9, intended_ns=0, started_ns=0, ended_ns=99 * S, state="cut")
    samples = Samples.read(written([*sessions, cut, exchange(1, 5, intended_ns=0)], purpose="replay"))
    last = summarize(samples, ()).both_times[-1]
    assert (last.kind, last.service.n, last.service.max_ns, last.response.max_ns) == ("session", 5, 8 * S, 10 * S)


def test_summarize_marks_in_the_order_they_were_set(written: Write) -> None:
    rows: list[Row] = [
        Mark(None, 20 * MS, None, "search", "key"),
        Mark(None, 10 * MS, None, "sign in", "command"),
        Mark(None, 30 * MS, None, "sign in", "command"),
        exchange(9, 500),
        exchange(11, 4, outcome=Outcome.REFUSED),
        exchange(12, 6, kind=Kind.PREFLIGHT),
        exchange(21, 8, outcome=Outcome.RESET),
        exchange(31, 2),
    ]
    sign_in, search = summary_of(written, rows).marks
    assert (sign_in.text, sign_in.source, sign_in.times, sign_in.begin_ns) == ("sign in", "command", 2, 10 * MS)
    assert (sign_in.n, sign_in.refused, sign_in.failed, sign_in.latency.max_ns) == (2, 1, 0, 4 * MS)
    assert (search.n, search.failed, search.latency.n, search.slowest_id) == (1, 1, 0, None)
