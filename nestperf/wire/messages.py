"""Finds the messages of HTTP/1 in one direction: heads, bodies by length, by chunks or by the end, trailers.

The rule of this file: take bytes as they come, give every fact at the first byte that settles it, and keep only what
is not settled yet (a head, a chunk-size line; bounded). What a head means is left to the two readers in `http1`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias

from nestperf.capture.model import Pairs
from nestperf.wire import heads
from nestperf.wire.heads import CHUNKED, UNTIL_END, Body, Fields
from nestperf.wire.observations import (
    HttpObservation,
    Opaque,
    RequestBody,
    RequestEnd,
    ResponseBody,
    ResponseEnd,
    Sender,
)

MAX_CHUNK_LINE = 16 << 10
"""Bytes of a chunk-size line with its extensions: what common servers allow at most."""

_CHUNK_LINE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")

_CR, _LF = 13, 10
_TOO_LONG = "a head or chunk line longer than anybody sends"

Out: TypeAlias = list[HttpObservation]
"""Where observations are collected, in order."""
Step: TypeAlias = Callable[[bytes, int, int, Out], int]
"""Reads on: (data, position, stamp, out) to the position after what it took, which is always further on."""


class MessageReader:
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
        self._checked = self._is_first_line(bytes(self._partial[:line_end]).splitlines()[0])
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
        line, fields = heads.parse_head(data[position : end - 4]) if end > 3 else (b"", None)
        if fields is None:
            # Not all of it has come, or an empty line with other line ends was taken for a bad field: look closer.
            end = heads.blank_line(data, position)
            if end < 0:
                return self._wait(data, position, stamp_ns, out, for_line=False)
            lines = data[position:end].splitlines()[:-1]
            line, fields = lines[0], heads.parse_fields(lines[1:])
        if end - position > heads.MAX_HEAD:
            self._give_up(_TOO_LONG, data[position:], stamp_ns, out)
            return len(data)
        return self._take_head(line, fields, data, position, end, stamp_ns, out)

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
