from __future__ import annotations

from typing import Any

import numpy as np

from nestperf.capture.model import Client, Kind, Outcome
from reports.samples import Samples
from reports.timeline import STRETCHES, Timeline, present, timeline
from tests.reports.conftest import MS, S, Write, exchange, exchanges, session


def read(written: Write, rows: list[Any], **run: Any) -> Timeline:
    found = timeline(Samples.read(written(rows, **run)))
    assert found is not None
    return found


def test_nothing_has_no_timeline(written: Write) -> None:
    assert timeline(Samples.read(written([exchange(1, kind=Kind.POLL)]))) is None


def test_every_exchange_is_a_point_of_its_kind(written: Write) -> None:
    line = read(written, [*exchanges([5, 6, 7]), exchange(10, 80, kind=Kind.PAGE)])
    assert [(cloud.name, cloud.total) for cloud in line.clouds] == [("call", 3), ("page", 1)]
    assert line.clouds[0].took.tolist() == [5 * MS, 6 * MS, 7 * MS]
    assert line.clouds[0].when.tolist() == [1 * MS, 2 * MS, 3 * MS]


def test_a_replay_s_points_are_response_times_from_when_they_were_due(written: Write) -> None:
    rows = [exchange(number, 10, intended_ns=(number - 4) * MS) for number in (5, 6)]
    (cloud,) = read(written, rows, purpose="replay").clouds
    assert cloud.when.tolist() == [1 * MS, 2 * MS]
    assert cloud.took.tolist() == [14 * MS, 14 * MS]


def test_failures_are_points_by_outcome_also_those_that_never_ended(written: Write) -> None:
    rows = [
        exchange(1, 5),
        exchange(2, None, outcome=Outcome.TIMEOUT),
        exchange(3, 9, outcome=Outcome.HTTP_ERROR, status=500),
    ]
    line = read(written, rows)
    assert [(cloud.name, cloud.total) for cloud in line.failures] == [("http_error", 1), ("timeout", 1)]
    assert np.isnan(line.failures[1].took[0])
    assert sum(span.failed for span in line.spans) == 2


def test_the_spans_hold_every_exchange_once(written: Write) -> None:
    rows = [exchange(number, 5 + number % 7, sent_ns=number * 11 * MS) for number in range(1, 500)]
    line = read(written, rows)
    assert len(line.spans) == STRETCHES
    assert sum(span.asked for span in line.spans) == 499
    assert all(one.end_ns == other.begin_ns for one, other in zip(line.spans, line.spans[1:], strict=False))


def test_percentiles_of_a_span_are_of_calls_where_there_are_calls(written: Write) -> None:
    rows = [exchange(1, 10, sent_ns=0), exchange(2, 900, sent_ns=0, kind=Kind.PAGE), exchange(3, 30, sent_ns=S)]
    line = read(written, rows)
    assert line.of_kinds == (Kind.CALL,)
    assert line.spans[0].service == (10 * MS, 10 * MS)
    assert line.spans[0].response == (None, None)
    assert line.spans[1].service == (None, None)


def test_users_of_a_replay_are_its_sessions(written: Write) -> None:
    rows = [session(1, started_ns=0, ended_ns=3 * S), session(2, started_ns=S, ended_ns=2 * S), exchange(1)]
    assert present(Samples.read(written(rows, purpose="replay"))) == ((0, 1), (S, 2), (2 * S, 1), (3 * S, 0))


def test_users_of_a_recording_are_its_clients(written: Write) -> None:
    rows = [
        Client(1, "127.0.0.1", "Firefox"),
        exchange(1, 10, client_id=1, sent_ns=0),
        exchange(2, 10, client_id=1, sent_ns=S),
        exchange(3, 10, client_id=None, server_call=True, sent_ns=0),
    ]
    assert present(Samples.read(written(rows))) == ((0, 1), (S + 10 * MS, 0))
