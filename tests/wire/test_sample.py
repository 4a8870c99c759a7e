"""A browser's session with the real MediaNest, as its bytes crossed the wire, through all decoders at once.

`tests/samples/medianest-browser-session.jsonl`: one JSON object a line; `t` milliseconds, `c` connection, `d` direction
(`>` to the server, `<` to the client, `>end` and `<end`), `b` the chunk as a latin-1 string. Throw-away credentials.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from nestperf.wire.http1 import Http1Connection
from nestperf.wire.observations import (
    FrameSeen,
    HttpObservation,
    MessageSeen,
    Opaque,
    PacketSeen,
    RequestBody,
    RequestEnd,
    RequestHead,
    ResponseBody,
    ResponseEnd,
    ResponseHead,
    Sender,
    Switched,
    WebSocketObservation,
)
from nestperf.wire.socketio import SocketIoDecoder, is_socket_io
from nestperf.wire.websocket import WebSocketDecoder, negotiated_deflate, parse_close

SAMPLE = Path(__file__).parents[1] / "samples" / "medianest-browser-session.jsonl"


class Chunk(NamedTuple):
    connection: int
    sender: Sender
    data: bytes | None
    """None: the sender's end."""
    stamp_ns: int


def chunks() -> Iterator[Chunk]:
    with SAMPLE.open() as lines:
        for row in map(json.loads, lines):
            sender: Sender = "client" if row["d"][0] == ">" else "server"
            data = None if row["d"].endswith("end") else row["b"].encode("latin-1")
            yield Chunk(row["c"], sender, data, round(row["t"] * 1e6))


class Stack:
    """The decoders of one connection, one on top of the other."""

    def __init__(self) -> None:
        self.http: list[HttpObservation] = []
        self.frames: list[tuple[Sender, FrameSeen]] = []
        self.packets: list[PacketSeen] = []
        self.opaque: list[Opaque] = []
        self.target = ""
        self._http = Http1Connection()
        self._headers: tuple[tuple[str, str], ...] = ()
        self._sockets: dict[Sender, WebSocketDecoder] = {}
        self._socketio = SocketIoDecoder()

    def receive(self, sender: Sender, data: bytes, stamp_ns: int) -> None:
        if self._sockets:
            for one in self._sockets[sender].receive(data, stamp_ns):
                self._take(sender, one)
            return
        for seen in self._http.receive(sender, data, stamp_ns):
            self.http.append(seen)
            if isinstance(seen, RequestHead):
                self.target = seen.target
            elif isinstance(seen, ResponseHead):
                self._headers = seen.headers
            elif isinstance(seen, Switched):
                self._switch(seen)

    def end(self, sender: Sender, stamp_ns: int) -> None:
        if self._sockets:
            self.opaque += [one for one in self._sockets[sender].end(stamp_ns) if isinstance(one, Opaque)]
        self.http += self._http.end(sender, stamp_ns)

    def _switch(self, switched: Switched) -> None:
        self._socketio = SocketIoDecoder(is_socket_io(self.target) or 0)
        for side in ("client", "server"):
            self._sockets[side] = WebSocketDecoder(side, deflate=negotiated_deflate(side, self._headers))
        for sender, data, stamp_ns in switched.leftover:
            self.receive(sender, data, stamp_ns)

    def _take(self, sender: Sender, one: WebSocketObservation) -> None:
        if isinstance(one, Opaque):
            self.opaque.append(one)
        elif isinstance(one, FrameSeen):
            self.frames.append((sender, one))
        elif isinstance(one, MessageSeen):
            binary = one.opcode == "binary"
            for packet in self._socketio.receive(sender, one.payload, binary, one.stamp_ns, one.done_ns):
                if isinstance(packet, PacketSeen):
                    self.packets.append(packet)
                else:
                    self.opaque.append(packet)


def decoded(cut: Callable[[bytes], Iterator[bytes]]) -> dict[int, Stack]:
    stacks: dict[int, Stack] = {}
    for chunk in chunks():
        stack = stacks.setdefault(chunk.connection, Stack())
        if chunk.data is None:
            stack.end(chunk.sender, chunk.stamp_ns)
        else:
            for piece in cut(chunk.data):
                stack.receive(chunk.sender, piece, chunk.stamp_ns)
    return stacks


def whole(data: bytes) -> Iterator[bytes]:
    yield data


def bytewise(data: bytes) -> Iterator[bytes]:
    return (data[index : index + 1] for index in range(len(data)))


def in_random_pieces(data: bytes) -> Iterator[bytes]:
    dice = random.Random(len(data))
    start = 0
    while start < len(data):
        end = start + dice.randint(1, 200)
        yield data[start:end]
        start = end


@pytest.fixture(scope="module")
def session() -> dict[int, Stack]:
    return decoded(whole)


def http_of(stacks: dict[int, Stack]) -> list[HttpObservation]:
    return [one for stack in stacks.values() for one in stack.http]


def test_session_has_58_requests_with_their_answers(session: dict[int, Stack]) -> None:
    seen = http_of(session)
    assert Counter(type(one).__name__ for one in seen) == {
        "RequestHead": 58,
        "RequestBody": 1,
        "RequestEnd": 58,
        "ResponseHead": 58,
        "ResponseBody": 31,
        "ResponseEnd": 58,
        "Switched": 7,
    }
    assert Counter(one.status for one in seen if isinstance(one, ResponseHead)) == {200: 47, 401: 4, 101: 7}
    assert all(one.complete for one in seen if isinstance(one, RequestEnd | ResponseEnd))
    for stack in session.values():
        asked = [one.exchange for one in stack.http if isinstance(one, RequestEnd)]
        answered = [one.exchange for one in stack.http if isinstance(one, ResponseEnd)]
        assert asked == answered == list(range(1, len(asked) + 1))


def test_session_is_understood_to_the_last_byte(session: dict[int, Stack]) -> None:
    assert [one for stack in session.values() for one in stack.opaque] == []
    sent = sum(len(chunk.data or b"") for chunk in chunks())
    messages = sum(one.wire_size for one in http_of(session) if isinstance(one, RequestEnd | ResponseEnd))
    frames = sum(frame.wire_size for stack in session.values() for _, frame in stack.frames)
    assert messages + frames == sent


def test_session_methods_and_callers_are_those_of_the_browser(session: dict[int, Stack]) -> None:
    heads = [one for one in http_of(session) if isinstance(one, RequestHead)]
    assert Counter(one.method for one in heads) == {"GET": 36, "OPTIONS": 21, "POST": 1}
    agents = [{name.lower(): value for name, value in one.headers}.get("user-agent", "") for one in heads]
    assert sum(agent in ("node", "next-auth") for agent in agents) == 5


def test_session_login_is_posted_and_answered_in_json(session: dict[int, Stack]) -> None:
    (login,) = [stack for stack in session.values() if any(isinstance(one, RequestBody) for one in stack.http)]
    posted = b"".join(one.data for one in login.http if isinstance(one, RequestBody))
    assert set(json.loads(posted)) == {"pinId"}
    answer = b"".join(one.data for one in login.http if isinstance(one, ResponseBody))
    assert json.loads(answer)["success"] is True


CONNECTED = [("server", "connection:established"), ("client", "connection:status")]
STATUS = [*CONNECTED, ("client", "subscribe:status"), ("server", "status:current")]
EVENTS = {
    5: CONNECTED,
    6: STATUS,
    7: CONNECTED,
    8: STATUS,
    9: CONNECTED[:1],
    11: [*CONNECTED, *[("client", "subscribe:request")] * 20],
    12: CONNECTED,
}
"""Connection to events; counted apart with wsproto and python-socketio."""


def test_session_has_seven_socketio_sockets_with_every_event(session: dict[int, Stack]) -> None:
    sockets = {number: stack for number, stack in session.items() if stack.frames}
    assert {
        number: [(one.sender, one.event) for one in stack.packets if one.type == "event"]
        for number, stack in sockets.items()
    } == EVENTS
    for stack in sockets.values():
        assert is_socket_io(stack.target) == 4
        assert [(one.sender, one.engine_type, one.type, one.namespace) for one in stack.packets[:3]] == [
            ("server", "open", None, None),
            ("client", "message", "connect", "/"),
            ("server", "message", "connect", "/"),
        ]
        assert json.loads(stack.packets[1].payload or "")["token"].count(".") == 2
        closes = [(sender, parse_close(one.payload)) for sender, one in stack.frames if one.opcode == "close"]
        assert closes == [("client", (1001, "")), ("server", (1001, ""))]


def test_session_events_carry_their_arguments_as_sent(session: dict[int, Stack]) -> None:
    wanted = [one.payload for one in session[11].packets if one.event == "subscribe:request"]
    assert wanted == [f'["b0000000-0000-4000-8000-{number:012d}"]' for number in range(230, 0, -12)]
    (status,) = [one.payload for one in session[6].packets if one.event == "status:current"]
    (services,) = json.loads(status or "")
    assert [service["name"] for service in services] == ["plex", "overseerr", "medianest"]


def rows(stacks: dict[int, Stack]) -> dict[int, list[object]]:
    """What a capture would store of each connection: all but the boundaries of pieces."""
    found: dict[int, list[object]] = {}
    for number, stack in stacks.items():
        bodies: dict[tuple[str, int], bytes] = {}
        plain: list[object] = []
        for one in stack.http:
            if isinstance(one, RequestBody | ResponseBody):
                key = type(one).__name__, one.exchange
                bodies[key] = bodies.get(key, b"") + one.data
            elif not isinstance(one, Switched):
                plain.append(one)
        found[number] = [*plain, bodies, *stack.frames, *stack.packets, *stack.opaque]
    return found


@pytest.mark.parametrize("cut", [bytewise, in_random_pieces])
def test_session_in_pieces_gives_the_same_rows(
    session: dict[int, Stack], cut: Callable[[bytes], Iterator[bytes]]
) -> None:
    assert rows(decoded(cut)) == rows(session)
