from __future__ import annotations

from typing import Any

from nestperf.capture.model import Outcome, Row
from reports.broadcasts import Broadcast
from reports.samples import Samples
from reports.traffic import COLUMNS, MOST_BROADCASTS, MOST_EVENTS, MOST_USERS, Traffic, end_of, traffic
from tests.reports.conftest import S, Write, packet, session, socket


def read(written: Write, rows: list[Any], broadcasts: tuple[Broadcast, ...] = ()) -> Traffic:
    return traffic(Samples.read(written(rows, purpose="replay")), broadcasts)


def test_every_event_is_counted_in_one_mark(written: Write) -> None:
    rows = [socket(1), *(packet(number, 1, number) for number in range(1, 2_001)), packet(3_000, 1, 5, sender="client")]
    found = read(written, rows)
    assert [(row.event, row.from_server, row.n) for row in found.events] == [
        ("service:status", True, 2_000),
        ("service:status", False, 1),
    ]
    marks = found.events[0].marks
    assert sum(n for _, n in marks) == 2_000
    assert len(marks) <= COLUMNS + 1


def test_the_rarest_of_very_many_events_are_left_out_and_counted(written: Write) -> None:
    rows: list[Row] = [socket(1)]
    rows += [packet(number, 1, number, event=f"e{number % 50}") for number in range(1, 200)]
    found = read(written, rows)
    assert len(found.events) == MOST_EVENTS
    assert found.events_left_out == 10


def test_a_socket_after_one_that_ended_is_a_reconnect(written: Write) -> None:
    rows = [
        session(1),
        socket(1, session_id=1, opened_ns=0, closed_ns=2 * S, closed_by="cut"),
        socket(2, session_id=1, opened_ns=3 * S, closed_ns=4 * S, closed_by="client"),
        socket(3, session_id=1, opened_ns=3 * S, closed_ns=None),
    ]
    (user,) = read(written, rows).users
    assert (len(user.lives), user.reconnects) == (3, 1)
    assert [life.end for life in user.lives] == ["cut", "closed by client", "open at the end"]


def test_socket_of_the_next_page_is_no_reconnect(written: Write) -> None:
    rows = [
        socket(1, session_id=1, opened_ns=0, closed_ns=S, closed_by="client"),
        socket(2, session_id=1, opened_ns=2 * S, closed_ns=3 * S, closed_by="server"),
        socket(3, session_id=1, opened_ns=4 * S),
    ]
    assert read(written, rows).reconnects == 1


def test_sockets_of_other_addresses_and_other_users_are_no_reconnects(written: Write) -> None:
    rows = [
        socket(1, session_id=1, opened_ns=0, closed_ns=S, closed_by="client"),
        socket(2, session_id=1, opened_ns=2 * S, target="/other"),
        socket(3, session_id=2, opened_ns=2 * S),
    ]
    found = read(written, rows)
    assert (found.sockets, found.lost, found.reconnects) == (3, 0, 0)


def test_users_that_lost_sockets_are_drawn_first_and_all_are_counted(written: Write) -> None:
    rows = [socket(number, session_id=number, closed_ns=S, closed_by="client") for number in range(1, MOST_USERS + 6)]
    rows.append(socket(500, session_id=500, closed_ns=S, closed_by="cut"))
    found = read(written, rows)
    assert found.users[0].lives[0].ref == "socket:500"
    assert (len(found.users), found.users_left_out) == (MOST_USERS, 6)
    assert (found.sockets, found.lost) == (MOST_USERS + 6, 1)


def test_broadcasts_that_missed_somebody_are_never_left_out(written: Write) -> None:
    many = [Broadcast("/", "news", number, (0, 5), 2) for number in range(MOST_BROADCASTS + 10)]
    missed = Broadcast("/", "news", 10**9, (0, 1), 3)
    found = read(written, [socket(1)], (*many, missed))
    assert len(found.broadcasts) == MOST_BROADCASTS
    assert found.broadcasts_total == MOST_BROADCASTS + 11
    assert missed in found.broadcasts


def test_how_a_socket_ended_in_words() -> None:
    assert end_of(socket(1, outcome=Outcome.CONNECT_ERROR)) == "connect error"
    assert end_of(socket(1)) == "open at the end"
    assert end_of(socket(1, closed_ns=5, closed_by="server")) == "closed by server"
