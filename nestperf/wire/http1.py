"""Decodes HTTP/1 in both directions of one connection and pairs each answer with its request.

The rule of this file: a reader takes bytes as they come, gives every fact at the first byte that settles it, and
keeps only what is not settled yet (a head, a chunk-size line; bounded). It reads a *copy* of traffic that others
parse, so it forgives what real peers forgive; what it cannot follow becomes one `Opaque`, and the rest of that
direction is swallowed. It never raises for any bytes, and never judges them.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from nestperf.capture.model import Pairs
from nestperf.wire import heads
from nestperf.wire.heads import CHUNKED, UNKNOWN, UNTIL_END, Body, Fields, Framing
from nestperf.wire.observations import (
    HttpObservation,
    Interim,
    Opaque,
    RequestBody,
    RequestEnd,
    RequestHead,
    ResponseBody,
    ResponseEnd,
    ResponseHead,
    Sender,
    Switched,
)

__all__ = [
    "Http1Connection",
    "HttpObservation",
    "Interim",
    "Opaque",
    "RequestBody",
    "RequestEnd",
    "RequestHead",
    "ResponseBody",
    "ResponseEnd",
    "ResponseHead",
    "ResponseReader",
    "Sender",
    "Switched",
]

MAX_CHUNK_LINE = 16 << 10
"""Bytes of a chunk-size line with its extensions: what common servers allow at most."""
MAX_HELD = 1 << 20
"""Bytes a client may send after it asked for another protocol and before the answer decides."""

_CHUNK_LINE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")

_CR, _LF = 13, 10
_BODYLESS = frozenset({204, 304})
_TOO_LONG = "a head or chunk line longer than anybody sends"
_NO_FIELD = "a header line that is none"
_NO_LENGTH = "a body whose length contradicts itself"

Out: TypeAlias = list[HttpObservation]
"""Where observations are collected, in order."""
Step: TypeAlias = Callable[[bytes, int, int, Out], int]
"""Reads on: (data, position, stamp, out) to the position after what it took, which is always further on."""


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


class _Reader:
    """One direction: finds the messages in it; what a head means is left to the two kinds of reader."""

    sender: Sender
    _body_type: type[RequestBody] | type[ResponseBody]
    _end_type: type[RequestEnd] | type[ResponseEnd]

    def __init__(self) -> None:
        self.opaque = False
        """Something could not be followed: nothing more comes from this direction."""
        self._step: Step = self._read_head
        self._partial = bytearray()
        """The beginning of a head, of a chunk-size line or of a trailer section."""
        self._awaits_line = False
        """The partial piece is whole with its line, else with a blank line."""
        self._checked = False
        """The partial head's first line is good."""
        self._exchange = 0
        self._began_ns: int | None = None
        """Arrival of the current message's first byte; None between messages."""
        self._body: Body | None = None
        """None until the current message's head is complete."""
        self._wire = 0
        """Bytes of the current message taken so far."""
        self._left = 0
        """Bytes still to come of the body, or of the chunk."""
        self._gap = b""
        """What ends a chunk's data and has not come yet."""

    def receive(self, data: bytes, stamp_ns: int) -> Out:
        """Take bytes as they arrived; what they settled."""
        out: Out = []
        self._feed(data, stamp_ns, out)
        return out

    def end(self, stamp_ns: int) -> Out:
        """Take the end of this direction: the message under way is over, complete only if this is how it ends."""
        out: Out = []
        if self._began_ns is not None:
            if self._body is None:
                self._give_up("ended inside a head", bytes(self._partial), stamp_ns, out)
            else:
                self._wire += len(self._partial)
                self._finish((), self._body == UNTIL_END, stamp_ns, out)
        self._partial.clear()
        self._step = self._swallow
        return out

    def _may_begin(self, beginning: bytearray) -> bool:
        """Whether bytes without a line end can become a first line."""
        raise NotImplementedError

    def _is_first_line(self, line: bytes) -> bool:
        raise NotImplementedError

    def _take_head(
        self, line: bytes, fields: Fields | None, data: bytes, start: int, end: int, stamp_ns: int, out: Out
    ) -> int:
        """Report the head in `data[start:end]` and set what reads on; the position after what was taken."""
        raise NotImplementedError

    def _end_message(self) -> None:
        """A message is over: set what reads on."""
        raise NotImplementedError

    def _feed(self, data: bytes, stamp_ns: int, out: Out) -> None:
        if self._partial:
            searched = len(self._partial)
            self._partial += data
            if not self._is_whole(searched, stamp_ns, out):
                return
            data = bytes(self._partial)
            self._partial.clear()
        position, end = 0, len(data)
        while position < end:
            position = self._step(data, position, stamp_ns, out)

    def _wait(self, data: bytes, position: int, stamp_ns: int, out: Out, *, for_line: bool) -> int:
        """Keep the rest until its line, or the blank line after it, has come."""
        self._partial += data[position:]
        self._awaits_line = for_line
        self._is_whole(0, stamp_ns, out)
        return len(data)

    def _is_whole(self, searched: int, stamp_ns: int, out: Out) -> bool:
        """Whether the partial piece has become whole; gives it up where it never will."""
        partial = self._partial
        if self._awaits_line:
            if partial.find(b"\n", searched) >= 0:
                return True
        elif heads.blank_line(partial, max(0, searched - 2)) >= 0:
            return True
        elif self._body is None and not self._checked and not self._check_beginning():
            self._give_up(self._not_http, bytes(partial), stamp_ns, out)
            return False
        if len(partial) > (MAX_CHUNK_LINE if self._awaits_line else heads.MAX_HEAD):
            self._give_up(_TOO_LONG, bytes(partial), stamp_ns, out)
        return False

    def _check_beginning(self) -> bool:
        """Whether the partial head can still become one: garbage is not worth waiting for a blank line."""
        line_end = self._partial.find(b"\n")
        if line_end < 0:
            return self._may_begin(self._partial)
        self._checked = self._is_first_line(bytes(self._partial[:line_end]))
        return self._checked

    @property
    def _not_http(self) -> str:
        return f"no HTTP/1 message from the {self.sender}"

    def _give_up(self, reason: str, data: bytes, stamp_ns: int, out: Out) -> None:
        out.append(Opaque(self.sender, stamp_ns, reason, data))
        self.opaque = True
        self._began_ns = None
        self._partial.clear()
        self._step = self._swallow

    def _swallow(self, data: bytes, position: int, stamp_ns: int, out: Out) -> int:
        return len(data)

    def _leave_http(self, data: bytes, position: int, stamp_ns: int, out: Out) -> int:
        self._give_up("no longer HTTP", data[position:], stamp_ns, out)
        return len(data)

    def _read_head(self, data: bytes, position: int, stamp_ns: int, out: Out) -> int:
        if self._began_ns is None:
            while data[position] in b"\r\n":  # RFC 9112, 2.2: empty lines before a message mean nothing
                position += 1
                if position == len(data):
                    return position
            self._began_ns = stamp_ns
            self._checked = False
        end = data.find(b"\r\n\r\n", position) + 4
        fields = None
        if end > 3:
            lines = data[position : end - 4].splitlines()
            fields = heads.parse_fields(lines[1:])
        if fields is None:
            # Not all of it has come, or an empty line with other line ends was taken for a bad field: look closer.
            end = heads.blank_line(data, position)
            if end < 0:
                return self._wait(data, position, stamp_ns, out, for_line=False)
            lines = data[position:end].splitlines()[:-1]
            fields = heads.parse_fields(lines[1:])
        if end - position > heads.MAX_HEAD:
            self._give_up(_TOO_LONG, data[position:], stamp_ns, out)
            return len(data)
        return self._take_head(lines[0], fields, data, position, end, stamp_ns, out)

    def _start_body(self, body: Body, size: int, stamp_ns: int, out: Out) -> None:
        """The head of `size` bytes has been reported: read its body."""
        self._wire = size
        self._body = body
        if body == 0:
            self._finish((), True, stamp_ns, out)
        elif body > 0:
            self._left = body
            self._step = self._read_length
        elif body == CHUNKED:
            self._left = 0
            self._gap = b""
            self._step = self._read_chunks
        else:
            self._step = self._read_until_end

    def _finish(self, trailers: Pairs, complete: bool, stamp_ns: int, out: Out) -> None:
        out.append(self._end_type(self._exchange, stamp_ns, trailers, self._wire, self._body == CHUNKED, complete))
        self._began_ns = None
        self._body = None
        self._end_message()

    def _read_length(self, data: bytes, position: int, stamp_ns: int, out: Out) -> int:
        piece = data[position : position + self._left]
        out.append(self._body_type(self._exchange, stamp_ns, piece))
        self._wire += len(piece)
        self._left -= len(piece)
        if not self._left:
            self._finish((), True, stamp_ns, out)
        return position + len(piece)

    def _read_until_end(self, data: bytes, position: int, stamp_ns: int, out: Out) -> int:
        out.append(self._body_type(self._exchange, stamp_ns, data[position:]))
        self._wire += len(data) - position
        return len(data)

    def _read_chunks(self, data: bytes, position: int, stamp_ns: int, out: Out) -> int:
        """All chunks at hand become one piece: their boundaries mean nothing (RFC 9112, 7.1)."""
        pieces: list[bytes] = []
        start, end = position, len(data)
        fault = ""
        last = False
        while position < end:
            if self._left:
                piece = data[position : position + self._left]
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
                self._gap = b"" if self._left else b"\r\n"
            elif self._gap:
                if data.startswith(self._gap, position):
                    position += len(self._gap)
                    self._gap = b""
                else:
                    position, fault = self._cross_gap(data, position)
                    if fault:
                        break
            else:
                match = _CHUNK_LINE.match(data, position)
                if match is None or match.end() - position > MAX_CHUNK_LINE:
                    break
                self._left = int(match[1], 16)
                position = match.end()
                if not self._left:
                    last = True
                    break
        if pieces:
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            out.append(self._body_type(self._exchange, stamp_ns, body))
        self._wire += position - start
        if last:
            return self._read_last_chunk(data, position, stamp_ns, out)
        if fault or (position < end and data.find(b"\n", position) >= 0):
            self._give_up(fault or "a chunk size that is none", data[position:], stamp_ns, out)
            return end
        if position < end:
            return self._wait(data, position, stamp_ns, out, for_line=True)
        return position

    def _read_last_chunk(self, data: bytes, position: int, stamp_ns: int, out: Out) -> int:
        if data.startswith(b"\r\n", position):
            self._wire += 2
            self._finish((), True, stamp_ns, out)
            return position + 2
        # One byte back: with the line end before it, an empty trailer section is a blank line like any other.
        self._wire -= 1
        self._step = self._read_trailers
        return position - 1

    def _cross_gap(self, data: bytes, position: int) -> tuple[int, str]:
        """Take one byte of the line end after a chunk's data, which may be a bare LF."""
        byte = data[position]
        if byte == _LF:
            self._gap = b""
        elif byte == _CR and len(self._gap) == 2:
            self._gap = b"\n"
        else:
            return position, "a chunk that is longer than its size"
        return position + 1, ""

    def _read_trailers(self, data: bytes, position: int, stamp_ns: int, out: Out) -> int:
        """Read from the line end of the last chunk-size line to the blank line."""
        end = heads.blank_line(data, position)
        if end < 0:
            return self._wait(data, position, stamp_ns, out, for_line=False)
        lines = data[position + 1 : end].splitlines()[:-1]
        fields = heads.parse_fields(lines) if end - position <= heads.MAX_HEAD else None
        if fields is None:
            self._give_up("a trailer line that is none", data[position:], stamp_ns, out)
            return len(data)
        self._wire += end - position
        self._finish(fields[0], True, stamp_ns, out)
        return end


class _RequestReader(_Reader):
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
        held, self._held = self._held, []
        if self._step == self._hold:
            self._step = self._read_head
        for _, data, stamp_ns in held:
            self._feed(data, stamp_ns, out)
        if self._ended_ns is not None and not self._held:
            out += super().end(self._ended_ns)

    def leave(self, stamp_ns: int, out: Out) -> tuple[tuple[Sender, bytes, int], ...]:
        """The answer leaves HTTP: a request under way is over; the bytes that are no HTTP."""
        held, self._held = self._held, []
        if self._began_ns is not None and self._body is not None:
            self._wire += len(self._partial)
            self._finish((), False, stamp_ns, out)
        elif self._began_ns is not None:
            held = [(self.sender, bytes(self._partial), self._began_ns)]
        self._partial.clear()
        self._step = self._leave_http
        return tuple(held)

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
        if sum(len(held) for _, held, _ in self._held) > MAX_HELD:
            held = b"".join(held for _, held, _ in self._held)
            self._held.clear()
            self._give_up("too much before the answer to an upgrade", held, stamp_ns, out)
        return len(data)


class ResponseReader(_Reader):
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

    @property
    def outstanding(self) -> int:
        """Requests whose answer is not complete."""
        return len(self._asked)

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
        return _Reader._read_head(self, data, position, stamp_ns, out)

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
