"""Acks, gaps, lost sockets and users at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.model import Outcome
from reports.samples import Samples, Times
from reports.sockets import Acks, busiest_window, gaps, is_lost, session_times, users_at_once
from reports.thresholds import Selector
from tests.reports.conftest import MS, S, Write, packet, session, socket


def asked(number: int, at_ms: float, ack_id: int = 0, **changes: object) -> object:
    return packet(number, 1, at_ms, sender="client", event="client:ping", ack_id=ack_id, **changes)


def ack(number: int, at_ms: float, answers: int) -> object:
    return packet(number, 1, at_ms, type="ack", event=None, ack_id=0, answers=answers)


def test_acks_in_any_order_are_measured_from_their_question(written: Write) -> None:
    rows = [socket(1, closed_ns=9 * S), asked(1, 100), asked(2, 110, 1), ack(3, 125, 2), ack(4, 150, 1)]
    samples = Samples.read(written(rows))
    acks = Acks(samples)
    assert (acks.latency / MS).tolist() == [50, 15]
    assert not acks.missing.any()
    assert acks.times(samples.select_packets(Selector(event=("client:*",)))).ordered.tolist() == [15 * MS, 50 * MS]
    assert acks.times(samples.select_packets(Selector(event=("other",)))).ordered.tolist() == []


def test_acks_with_an_intended_time_are_measured_from_it(written: Write) -> None:
    samples = Samples.read(written([socket(1), asked(1, 100, intended_ns=90 * MS), ack(2, 125, 1)]))
    assert (Acks(samples).latency / MS).tolist() == [35]


def test_acks_that_never_came_are_missing_unless_the_socket_ended(written: Write) -> None:
    rows = [socket(1, closed_ns=9 * S), asked(1, 100), asked(2, 8_500, 1), ack(3, 200, 77)]
    acks = Acks(Samples.read(written(rows)))
    assert np.isnan(acks.latency).all()
    assert acks.missing.tolist() == [True, False]


def test_acks_of_no_packets_are_none(written: Write) -> None:
    samples = Samples.read(written([]))
    assert len(Acks(samples).asked) == 0
    assert Acks(samples).times(samples.select_packets(Selector())).failed == 0


def gaps_of(written: Write, rows: list[Any], event: str) -> Times:
    samples = Samples.read(written(rows))
    return gaps(samples, event, samples.select_packets(Selector()))


def test_gaps_are_counted_per_socket(written: Write) -> None:
    rows = [socket(1, closed_ns=4 * S), socket(2, closed_ns=4 * S),
            packet(1, 1, 0), packet(2, 2, 500), packet(3, 1, 2000), packet(4, 2, 3500)]  # fmt: skip
    assert gaps_of(written, rows, "service:status").ordered.tolist() == [2 * S, 3 * S]


def test_gaps_include_the_silence_at_the_end_where_it_is_the_longest(written: Write) -> None:
    rows = [socket(1, closed_ns=90 * S), packet(1, 1, 0), packet(2, 1, 1000)]
    assert gaps_of(written, rows, "service:*").ordered.tolist() == [1 * S, 89 * S]


def test_gaps_of_an_event_that_never_came_are_none(written: Write) -> None:
    assert gaps_of(written, [socket(1, closed_ns=90 * S)], "service:status").ordered.tolist() == []


LOST = [
    ("closed by the browser", {"closed_by": "client"}, False),
    ("closed by the server", {"closed_by": "server"}, False),
    ("still open", {}, False),
    ("cut", {"closed_by": "cut"}, True),
    ("never connected", {"outcome": Outcome.CONNECT_ERROR, "connected_ns": None}, True),
    ("open when the run ended", {"outcome": Outcome.UNFINISHED}, False),
]


@pytest.mark.parametrize(("changes", "lost"), [case[1:] for case in LOST], ids=[case[0] for case in LOST])
def test_is_lost_of_a_socket_by_its_end(changes: dict[str, object], lost: bool) -> None:
    assert is_lost(socket(1, **changes)) is lost


def test_users_at_once_counts_overlaps_and_not_handovers() -> None:
    spans = [(0, 10), (10, 20), (5, 15), (30, None)]
    sessions = [session(number, started_ns=begin, ended_ns=end) for number, (begin, end) in enumerate(spans)]
    # A session that ends the moment another begins: both are there at that moment.
    assert users_at_once(sessions) == 3
    assert users_at_once([]) == 0


@pytest.mark.parametrize(
    ("stamps", "window", "expected"),
    [([], 10, 0), ([5], 10, 1), ([0, 9, 10], 10, 2), ([0, 1, 2, 50, 51, 52, 53], 10, 4), ([3, 1, 2], 10, 3)],
)
def test_busiest_window_of_a_table_is_exact(stamps: list[float], window: int, expected: int) -> None:
    assert busiest_window(np.array(stamps, dtype=np.float64), window) == expected


@given(st.lists(st.integers(0, 200), max_size=40), st.integers(1, 80))
def test_busiest_window_of_any_moments_is_what_counting_gives(stamps: list[int], window: int) -> None:
    expected = max((sum(begin <= other < begin + window for other in stamps) for begin in stamps), default=0)
    assert busiest_window(np.array(stamps, dtype=np.float64), window) == expected


def test_session_times_run_from_the_arrival_that_was_due() -> None:
    sessions = [
        session(1, intended_ns=0, started_ns=1 * S, ended_ns=4 * S),
        session(2, intended_ns=None, started_ns=1 * S, ended_ns=2 * S),
        session(3, state="cut"),
        session(4, state="failed"),
    ]
    times = session_times(sessions)
    assert (times.ordered.tolist(), times.failed) == ([1 * S, 4 * S], 1)
