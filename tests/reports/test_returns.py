"""Connections that ended abnormally, and how their clients came back."""

from __future__ import annotations

from typing import Any

from nestperf.capture.model import NESTPERF, Outcome, Row, Socket
from reports.returns import Return, find_returns
from reports.samples import Samples
from tests.reports.conftest import MS, S, Write, exchange, packet, socket


def opened(number: int, at_ms: float, **changes: Any) -> list[Row]:
    """A connection that joined /media and subscribed, 30 ms after it was opened."""
    base = number * 1000
    one = socket(number, client_id=1, opened_ns=round(at_ms * MS), connected_ns=round((at_ms + 10) * MS), **changes)
    return [
        one,
        packet(base, number, at_ms + 20, type="connect", event=None, namespace="/media"),
        packet(base + 1, number, at_ms + 30, sender="client", event="subscribe", namespace="/media"),
    ]


def cut(at_ms: float, **changes: Any) -> dict[str, Any]:
    return {"closed_ns": round(at_ms * MS), "closed_by": "cut", "outcome": Outcome.RESET, **changes}


def found(written: Write, rows: list[Row], ended_s: float = 100) -> tuple[Return, ...]:
    return find_returns(Samples.read(written(rows, ended_ns=round(ended_s * S))))


def test_return_is_measured_from_the_cut_until_joined_and_subscribed(written: Write) -> None:
    (one,) = found(written, [*opened(1, 0, **cut(5000)), *opened(2, 6000)])
    assert (one.socket, one.again, one.how, one.by_nestperf, one.missed) == (1, 2, "cut", False, False)
    assert (one.tried_ns, one.back_ns, one.subscribed_ns) == (1000 * MS, 1020 * MS, 1030 * MS)


def test_cut_of_nestperfs_own_is_told_apart(written: Write) -> None:
    (one,) = found(written, [*opened(1, 0, **cut(5000, closed_by=NESTPERF)), *opened(2, 6000)])
    assert one.by_nestperf


def test_close_with_an_abnormal_code_counts_and_one_as_agreed_does_not(written: Write) -> None:
    for code, count in ((1011, 1), (1001, 0), (None, 0)):
        ended = cut(5000, closed_by="server", close_code=code, outcome=Outcome.OK)
        rows = [*opened(1, 0, **ended), *opened(2, 6000)]
        returns = find_returns(Samples.read(written(rows, name=f"{code}.db")))
        assert [one.how for one in returns] == ["code 1011"] * count


def test_client_that_does_not_come_back_is_missed_where_it_was_there(written: Write) -> None:
    (one,) = found(written, [*opened(1, 0, **cut(5000)), exchange(9, sent_ns=20 * S, client_id=1)], ended_s=21)
    assert (one.again, one.missed) == (None, True)


def test_client_that_closed_its_browser_is_not_missed(written: Write) -> None:
    gone = cut(5000, outcome=Outcome.ABORTED)
    (one,) = found(written, [*opened(1, 0, **gone), exchange(9, sent_ns=20 * S, client_id=2)])
    assert not one.missed


def test_nobody_is_missed_right_before_the_recording_ended(written: Write) -> None:
    (one,) = found(written, opened(1, 0, **cut(5000)), ended_s=10)
    assert not one.missed


def test_return_that_does_not_join_again_is_none(written: Write) -> None:
    rows = [*opened(1, 0, **cut(5000)), socket(2, client_id=1, opened_ns=6 * S, connected_ns=6 * S + 5)]
    (one,) = found(written, rows)
    assert (one.again, one.back_ns, one.missed) == (2, None, True)


def test_return_that_does_not_say_again_what_it_said_is_not_subscribed(written: Write) -> None:
    (one,) = found(written, [*opened(1, 0, **cut(5000)), *opened(2, 6000)[:2]])
    assert (one.back_ns, one.subscribed_ns) == (1020 * MS, None)


def test_each_of_two_tabs_comes_back_with_a_connection_of_its_own(written: Write) -> None:
    rows = [*opened(1, 0, **cut(5000)), *opened(2, 10, **cut(5000)), *opened(3, 5500), *opened(4, 5600)]
    assert [(one.socket, one.again) for one in found(written, rows)] == [(1, 3), (2, 4)]


def test_other_clients_and_later_visits_are_no_return(written: Write) -> None:
    other = [row._replace(client_id=2) if isinstance(row, Socket) else row for row in opened(2, 5500)]
    rows = [*opened(1, 0, **cut(5000)), *other, *opened(3, 70_000)]
    (one,) = found(written, rows)
    assert one.again is None
