from __future__ import annotations

import pytest

from nestperf.demo import counts as module
from nestperf.demo.counts import Counts, ReceivedEvent, ReceivedRequest, body_digest


def row(target: str, port: int = 1, peer: str = "127.0.0.1") -> ReceivedRequest:
    return ReceivedRequest(peer=peer, port=port, method="GET", target=target)


def test_requests_are_counted_by_route_address_and_connection() -> None:
    counts = Counts()
    counts.request_arrived(row("/posters/1"), "a")
    counts.request_arrived(row("/posters/2?x=1"), "a")
    counts.request_arrived(row("/health", port=2, peer="127.0.0.2"), "b")
    assert counts.requests == {"GET /posters/{id}": 2, "GET /health": 1}
    assert counts.peers == {"127.0.0.1", "127.0.0.2"}
    assert counts.connections == {("127.0.0.1", 1), ("127.0.0.2", 2)}
    assert [each.target for each in counts.request_order] == ["/posters/1", "/posters/2?x=1", "/health"]


def test_socket_is_counted_once_and_not_for_its_polls() -> None:
    counts = Counts()
    counts.request_arrived(row("/socket.io/?EIO=4&transport=polling"), "a")
    counts.request_arrived(row("/socket.io/?EIO=4&transport=polling&sid=x"), "a")
    assert counts.sockets == 1


def test_lists_stay_within_their_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 2)
    counts = Counts()
    for _ in range(3):
        counts.request_arrived(row("/health"), "a")
        counts.event_arrived(ReceivedEvent(socket="s", namespace="/", event="e"))
    assert (len(counts.request_order), len(counts.event_order), counts.rows_dropped) == (2, 2, 2)
    assert (counts.requests["GET /health"], counts.events["e"]) == (3, 3)


def test_clear_begins_again() -> None:
    counts = Counts()
    counts.request_arrived(row("/health"), "a")
    counts.clear()
    assert counts == Counts()


def test_digest_of_no_body_is_empty() -> None:
    assert body_digest(b"") == ""
    assert body_digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
