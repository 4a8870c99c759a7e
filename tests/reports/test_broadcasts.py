"""What is a broadcast, who should have had it, and what only looks like one."""

from __future__ import annotations

from nestperf.capture.model import Packet, Row
from reports.broadcasts import Broadcast, find_broadcasts
from reports.samples import Samples
from tests.reports.conftest import MS, S, Write, packet, socket


def joined(*sockets: int, at_ms: float = 0, namespace: str = "/status") -> list[Row]:
    """Sockets that the server let into a namespace."""
    rows: list[Row] = []
    for number in sockets:
        first = number * 1000 + round(at_ms)
        rows.append(socket(number))
        for place, sender in enumerate(("client", "server")):
            rows.append(packet(first + place, number, at_ms, sender=sender, type="connect", event=None,
                               namespace=namespace, payload=None))  # fmt: skip
    return rows


def received(number: int, socket_id: int, at_ms: float, payload: str = '[{"up":true}]', **changes: object) -> Packet:
    return packet(10_000 + number, socket_id, at_ms, namespace="/status", payload=payload, **changes)


def emitted(number: int, socket_id: int, at_ms: float, event: str = "subscribe:status") -> Packet:
    return packet(20_000 + number, socket_id, at_ms, sender="client", event=event, namespace="/status")


def found(written: Write, rows: list[Row]) -> tuple[Broadcast, ...]:
    return find_broadcasts(Samples.read(written(rows)))


def test_find_broadcasts_at_three_sockets_measures_reach_and_skew(written: Write) -> None:
    rows = [*joined(1, 2, 3, 4), received(1, 1, 5000), received(2, 2, 5010), received(3, 3, 5025)]
    (broadcast,) = found(written, rows)
    assert (broadcast.namespace, broadcast.event, broadcast.first_ns) == ("/status", "service:status", 5 * S)
    assert broadcast.deliveries_ns == (0, 10 * MS, 25 * MS)
    assert (broadcast.skew_ns, broadcast.expected) == (25 * MS, 4)


def test_find_broadcasts_in_an_empty_capture_finds_none(written: Write) -> None:
    assert found(written, []) == ()


def test_find_broadcasts_among_events_of_clients_finds_none(written: Write) -> None:
    assert found(written, [*joined(1, 2), emitted(1, 1, 5000)]) == ()


def test_find_broadcasts_at_a_single_socket_finds_none(written: Write) -> None:
    assert found(written, [*joined(1, 2), received(1, 1, 5000), received(2, 1, 9000)]) == ()


def test_find_broadcasts_with_other_payloads_finds_none(written: Write) -> None:
    rows = [*joined(1, 2), received(1, 1, 5000, '["a"]'), received(2, 2, 5000, '["b"]')]
    assert found(written, rows) == ()


def test_find_broadcasts_of_two_equal_ones_tells_them_apart(written: Write) -> None:
    rows = [*joined(1, 2), received(1, 1, 5000), received(2, 2, 5010), received(3, 1, 5500), received(4, 2, 5590)]
    assert [broadcast.skew_ns for broadcast in found(written, rows)] == [10 * MS, 90 * MS]


def test_find_broadcasts_half_a_minute_apart_does_not_join_them(written: Write) -> None:
    rows = [*joined(1, 2, 3, 4), received(1, 1, 5000), received(2, 2, 5000), received(3, 3, 35_000),
            received(4, 4, 35_000)]  # fmt: skip
    assert [len(broadcast.deliveries_ns) for broadcast in found(written, rows)] == [2, 2]


def test_find_broadcasts_that_come_two_seconds_late_still_belong_to_theirs(written: Write) -> None:
    (broadcast,) = found(written, [*joined(1, 2), received(1, 1, 5000), received(2, 2, 7000)])
    assert broadcast.skew_ns == 2 * S


def test_find_broadcasts_takes_an_answer_to_each_for_no_broadcast(written: Write) -> None:
    rows = [*joined(1, 2), emitted(1, 1, 5000), received(1, 1, 5003), emitted(2, 2, 5001), received(2, 2, 5004)]
    assert found(written, rows) == ()


def test_find_broadcasts_caused_by_one_of_the_receivers_finds_it(written: Write) -> None:
    rows = [*joined(1, 2, 3), emitted(1, 1, 5000, "request:refresh"), received(1, 1, 5003), received(2, 2, 5004),
            received(3, 3, 5004)]  # fmt: skip
    assert [len(broadcast.deliveries_ns) for broadcast in found(written, rows)] == [3]


def test_find_broadcasts_takes_greetings_on_joining_for_none(written: Write) -> None:
    assert found(written, [*joined(1, 2, at_ms=4990), received(1, 1, 5000), received(2, 2, 5000)]) == ()


def test_find_broadcasts_expects_only_who_is_there(written: Write) -> None:
    rows = [
        *joined(1, 2, 3),
        *joined(4, at_ms=6000),  # after it
        *joined(5, at_ms=4500),  # just before it: perhaps not yet in the room
        *joined(6, namespace="/admin"),
        *joined(7),  # gone by then
        packet(30_000, 7, 4000, sender="client", type="disconnect", event=None, namespace="/status"),
        received(1, 1, 5000),
        received(2, 2, 5001),
    ]
    rows[rows.index(socket(3))] = socket(3, closed_ns=5 * S + 50 * MS, closed_by="client")  # leaving during it
    (broadcast,) = found(written, rows)
    assert broadcast.expected == 2


def test_find_broadcasts_at_sockets_that_joined_before_the_recording_began_expects_them(written: Write) -> None:
    (broadcast,) = found(written, [socket(1), socket(2), received(1, 1, 5000), received(2, 2, 5001)])
    assert broadcast.expected == 2
