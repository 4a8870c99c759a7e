"""Decodes HTTP/1 in both directions of one connection and pairs each answer with its request.

It reads a *copy* of traffic that others parse, so it forgives what real peers forgive; what it cannot follow becomes
one `Opaque`, and the rest of that direction is swallowed. It never raises for any bytes, and never judges them.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from nestperf.wire import heads
from nestperf.wire.heads import UNKNOWN, UNTIL_END, Fields, Framing
from nestperf.wire.messages import MessageReader, Out
from nestperf.wire.observations import (
    Interim,
    RequestBody,
    RequestEnd,
    RequestHead,
    ResponseBody,
    ResponseEnd,
    ResponseHead,
    Sender,
    Switched,
)

MAX_HELD = 1 << 20
"""Bytes a client may send after it asked for another protocol and before the answer decides."""

_BODYLESS = frozenset({204, 304})
_NO_FIELD = "a header line that is none"
_NO_LENGTH = "a body whose length contradicts itself"


class _Asked(NamedTuple):
    """A request that waits for its answer."""

    exchange: int
    method: str
    upgrade: str
    """The protocol it asks for; empty where it asks for none."""

    @property
    def may_leave_http(self) -> bool:
        """Whether the answer decides in which protocol the client goes on."""
        return bool(self.upgrade) or self.method == "CONNECT"


class _RequestReader(MessageReader):
    """The client's direction: counts the exchanges, and stops where the answer decides how it goes on."""

    sender: Sender = "client"
    _body_type = RequestBody
    _end_type = RequestEnd

    def __init__(self, asked: deque[_Asked]) -> None:
        super().__init__()
        self._asked = asked
        self._undecided = False
        """The last request may leave HTTP, and its answer has not come."""
        self._held: list[tuple[Sender, bytes, int]] = []
        self._held_size = 0
        self._ended_ns: int | None = None
        """The end came while bytes were held."""

    def end(self, stamp_ns: int) -> Out:
        if self._held:
            self._ended_ns = stamp_ns
            return []
        return super().end(stamp_ns)

    def stay(self, out: Out) -> None:
        """The answer is an ordinary one: what was held is HTTP."""
        self._undecided = False
        held = self._take_held()
        if self._step == self._hold:
            self._step = self._read_head
        for _, data, stamp_ns in held:
            self._feed(data, stamp_ns, out)
        if self._ended_ns is not None and not self._held:
            out += super().end(self._ended_ns)

    def leave(self, stamp_ns: int, out: Out) -> tuple[tuple[Sender, bytes, int], ...]:
        """The answer leaves HTTP: a request under way is over; the bytes that are no HTTP."""
        held = self._take_held()
        if self._began_ns is not None and self._body is not None:
            self._wire += len(self._partial)
            self._finish((), False, stamp_ns, out)
        elif self._began_ns is not None:
            held = [(self.sender, bytes(self._partial), self._began_ns)]
        self._partial.clear()
        if not self.opaque:
            self._step = self._leave_http
        return tuple(held)

    def _take_held(self) -> list[tuple[Sender, bytes, int]]:
        held, self._held, self._held_size = self._held, [], 0
        return held

    def tunnel(self, stamp_ns: int, out: Out) -> None:
        """A CONNECT was granted: what follows is somebody else's."""
        for _, data, held_ns in self.leave(stamp_ns, out):
            self._feed(data, held_ns, out)

    def _may_begin(self, beginning: bytearray) -> bool:
        return heads.may_begin_request(beginning)

    def _is_first_line(self, line: bytes) -> bool:
        return heads.request_line(line) is not None

    def _take_head(
        self, line: bytes, fields: Fields | None, data: bytes, start: int, end: int, stamp_ns: int, out: Out
    ) -> int:
        first = heads.request_line(line)
        if first is None or fields is None:
            self._give_up(self._not_http if first is None else _NO_FIELD, data[start:], stamp_ns, out)
            return len(data)
        method, target, version = first
        pairs, framing = fields
        self._exchange += 1
        asked = _Asked(self._exchange, method, framing.get("upgrade", ""))
        self._asked.append(asked)
        self._undecided = asked.may_leave_http
        out.append(RequestHead(self._exchange, self._began_ns or 0, method, target, version, pairs, end - start))
        body = heads.body_of(framing, otherwise=0)
        if body == UNKNOWN:
            self._give_up(_NO_LENGTH, data[end:], stamp_ns, out)
            return len(data)
        self._start_body(body, end - start, stamp_ns, out)
        return end

    def _end_message(self) -> None:
        self._step = self._hold if self._undecided else self._read_head

    def _hold(self, data: bytes, position: int, stamp_ns: int, out: Out) -> int:
        self._held.append((self.sender, data[position:], stamp_ns))
        self._held_size += len(data) - position
        if self._held_size > MAX_HELD:
            held = b"".join(held for _, held, _ in self._held)
            self._held.clear()
            self._give_up("too much before the answer to an upgrade", held, stamp_ns, out)
        return len(data)


class ResponseReader(MessageReader):
    """The server's direction. Alone it serves a client, which says with `expect` what it asked for."""

    sender: Sender = "server"
    _body_type = ResponseBody
    _end_type = ResponseEnd

    def __init__(self, requests: _RequestReader | None = None, asked: deque[_Asked] | None = None) -> None:
        super().__init__()
        self.reusable = True
        """Another request may be sent on this connection once the answers are here: nothing has said or shown
        otherwise (Connection: close, HTTP/1.0, a body that ends with the connection, an upgrade, Opaque, the end)."""
        self.switched = False
        """A 101 was answered: the connection speaks another protocol, `receive` and `end` give nothing more."""
        self._requests = requests
        self._asked: deque[_Asked] = deque() if asked is None else asked
        self._expected = 0

    def expect(self, method: str, upgrade: str = "") -> int:
        """A request was sent; the number its answer's observations carry, counted from 1."""
        self._expected += 1
        self._asked.append(_Asked(self._expected, method, upgrade))
        return self._expected

    def end(self, stamp_ns: int) -> Out:
        self.reusable = False
        return super().end(stamp_ns)

    def _may_begin(self, beginning: bytearray) -> bool:
        return heads.may_begin_response(beginning)

    def _is_first_line(self, line: bytes) -> bool:
        return heads.status_line(line) is not None

    def _read_head(self, data: bytes, position: int, stamp_ns: int, out: Out) -> int:
        if not self._asked:
            if data[position:].strip(b"\r\n"):
                self._give_up("an answer that nobody asked for", data[position:], stamp_ns, out)
            return len(data)
        return MessageReader._read_head(self, data, position, stamp_ns, out)

    def _give_up(self, reason: str, data: bytes, stamp_ns: int, out: Out) -> None:
        self.reusable = False
        super()._give_up(reason, data, stamp_ns, out)

    def _take_head(
        self, line: bytes, fields: Fields | None, data: bytes, start: int, end: int, stamp_ns: int, out: Out
    ) -> int:
        first = heads.status_line(line)
        if first is None or fields is None:
            self._give_up(self._not_http if first is None else _NO_FIELD, data[start:], stamp_ns, out)
            return len(data)
        pairs, framing = fields
        version, status, reason = first
        asked = self._asked[0]
        self._exchange = asked.exchange
        began_ns = self._began_ns or 0
        if status < 200 and status != 101:
            out.append(Interim(asked.exchange, began_ns, status, reason, pairs))
            self._began_ns = None
            return end
        out.append(ResponseHead(asked.exchange, began_ns, status, reason, version, pairs, end - start))
        if status == 101:
            return self._switch(framing.get("upgrade") or asked.upgrade, data, start, end, stamp_ns, out)
        self._note_persistence(version, framing)
        granted = asked.method == "CONNECT" and status < 300
        if self._requests is not None and asked.may_leave_http and not granted:
            self._requests.stay(out)
        if granted or status in _BODYLESS or asked.method == "HEAD":
            self._start_body(0, end - start, stamp_ns, out)
            if granted:
                self._tunnel(stamp_ns, out)
            return end
        body = heads.body_of(framing, otherwise=UNTIL_END)
        if body == UNKNOWN:
            self._give_up(_NO_LENGTH, data[end:], stamp_ns, out)
            return len(data)
        if body == UNTIL_END:
            self.reusable = False
        self._start_body(body, end - start, stamp_ns, out)
        return end

    def _note_persistence(self, version: str, framing: Framing) -> None:
        """RFC 9112, 9.3."""
        if version == "HTTP/1.0":
            self.reusable = self.reusable and heads.has_token(framing, "keep-alive")
        elif heads.has_token(framing, "close"):
            self.reusable = False

    def _switch(self, protocol: str, data: bytes, start: int, end: int, stamp_ns: int, out: Out) -> int:
        self.reusable = False
        self._start_body(0, end - start, stamp_ns, out)
        if self._requests is not None and self._requests.opaque:
            # The client's part of the new protocol is lost already; nobody could follow one half of it.
            self._step = self._leave_http
            return end
        leftover = self._requests.leave(stamp_ns, out) if self._requests is not None else ()
        if end < len(data):
            leftover += (("server", data[end:], stamp_ns),)
        out.append(Switched(self._exchange, stamp_ns, protocol.lower(), leftover))
        self.switched = True
        self._step = self._swallow
        return len(data)

    def _tunnel(self, stamp_ns: int, out: Out) -> None:
        self.reusable = False
        self._step = self._leave_http
        if self._requests is not None:
            self._requests.tunnel(stamp_ns, out)

    def _end_message(self) -> None:
        self._asked.popleft()
        self._step = self._read_head


class Http1Connection:
    """Both directions of one connection."""

    def __init__(self) -> None:
        asked: deque[_Asked] = deque()
        self._requests = _RequestReader(asked)
        self._responses = ResponseReader(self._requests, asked)

    def receive(self, sender: Sender, data: bytes, stamp_ns: int) -> Out:
        """Take bytes as they arrived; what they settled, in order. After `Switched`: nothing."""
        if self._responses.switched:
            return []
        return (self._requests if sender == "client" else self._responses).receive(data, stamp_ns)

    def end(self, sender: Sender, stamp_ns: int) -> Out:
        """Take the end of that side's stream. Requests without an answer stay without; after `Switched`: nothing."""
        if self._responses.switched:
            return []
        return (self._requests if sender == "client" else self._responses).end(stamp_ns)
