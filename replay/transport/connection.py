"""One HTTP/1.1 connection of a virtual user: writes one request, reads and stamps its answer, and is free again.

Never retries, never pipelines, never adds a field. A request that fits goes to the kernel in the same call that
stamps it, past the transport's buffer, so that `sent_ns` is when it was sent and not when it was handed over.
"""

from __future__ import annotations

import asyncio
import dataclasses
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, cast

from nestperf.capture.clock import Clock
from nestperf.capture.model import Outcome
from nestperf.wire.heads import CHUNKED
from nestperf.wire.http1 import ResponseReader
from nestperf.wire.observations import (
    Interim,
    Opaque,
    ResponseBody,
    ResponseEnd,
    ResponseHead,
    Switched,
)
from replay.transport.answer import SLICE, Answer, EarlyAnswer, chunk
from replay.transport.outbox import Outbox
from replay.transport.response import LONGEST, Head, read_chunks, read_head

CONTINUE_S = 1.0
"""How long `Expect: 100-continue` is waited for before the body is sent anyway (RFC 9110, 10.1.1)."""
IDLE_NS = 100_000_000
"""After a pause this long a connection is looked at before it is used: the server's close may have come unread."""

_NO_BLOCK = b"\0"
"""What no answer begins with."""


class Owner(Protocol):
    """Whoever a connection belongs to."""

    clock: Clock
    outbox: Outbox
    queues: dict[int, deque[Answer]]
    """Exchanges that wait for a connection, by upstream; empty where none ever had to."""

    def freed(self, connection: Connection) -> None:
        """It has nothing to do."""

    def lost(self, connection: Connection) -> None:
        """It is closed."""


class Connection(asyncio.Protocol):
    """One TCP (or TLS) connection. It carries one exchange at a time."""

    def __init__(self, owner: Owner, upstream: int, number: int) -> None:
        self.upstream = upstream
        self.number = number
        self.answer: Answer | None = None
        """The exchange under way, also while connecting for it."""
        self.closed = False
        self.sock: socket.socket | None = None
        """Given by `dial` where what is written there is what goes out: not under TLS."""
        self._owner = owner
        self._outbox = owner.outbox
        self._anchor_ns = owner.clock.anchor_ns
        self._transport: asyncio.Transport | None = None
        self._block = _NO_BLOCK
        self._block_head: Head | None = None
        """The last head that was read here, as it came and as it is."""
        self._half = False
        """The head of a plain answer has come, and not all of its body."""
        self._left = 0
        """Bytes of it still to come."""
        self._reader: ResponseReader | None = None
        """Reads an answer that is not plain."""
        self._used = False
        """An exchange went well on it before."""
        self._idle_since_ns = 0
        self._unsent: memoryview | None = None
        self._paused = False
        self._buffered = False
        """The transport was given something, and may still have some of it."""
        self._continue_timer: asyncio.TimerHandle | None = None

    def is_idle(self) -> bool:
        """Whether another request may be sent on it now."""
        if self.answer is not None or self.closed or self._transport is None:
            return False
        return self._idle_since_ns == self._outbox.reading_ns or not self._is_stale()

    def begin(self, answer: Answer) -> None:
        """Send a request; its answer will be told."""
        self.answer = answer
        answer.carrier = self
        answer.connection = self.number
        outbox = self._outbox
        if outbox.reading_ns is None:
            self.send(answer)
            return
        begun = outbox.begun
        if not begun:
            asyncio.get_running_loop().call_soon(outbox.send)
        begun.append(self)

    def send(self, answer: Answer) -> None:
        """Send its request now."""
        whole = answer.request.whole
        if whole is None:
            self._begin_large(answer)
            return
        sock = None if self._buffered and self._is_buffering() else self.sock
        answer.request_bytes = len(whole)
        answer.sent_ns = answer.progress_ns = time.perf_counter_ns() - self._anchor_ns
        sent = 0
        if sock is not None:
            try:
                sent = sock.send(whole)
            except OSError:
                # Full or broken: the transport knows what to do in either case.
                sent = 0
        if sent < len(whole):
            assert self._transport is not None
            self._buffered = True
            self._transport.write(whole[sent:])
        answer.request_done_ns = time.perf_counter_ns() - self._anchor_ns

    def abort(self) -> None:
        """Close at once."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close after what was written."""
        self.closed = True
        if self._transport is not None:
            self._transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's do not inherit from it
        self._transport = transport
        if self.closed:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        stamp_ns = time.perf_counter_ns() - self._anchor_ns
        answer = self.answer
        if answer is None:
            # Nobody asked: most often a 408 before the server closes an idle connection. Empty lines mean nothing.
            if data.strip(b"\r\n"):
                self.abort()
            return
        self._outbox.reading_ns = stamp_ns
        if self._reader is not None:
            self._read(answer, data, stamp_ns)
            whole = False
        elif self._half:
            whole = self._more(answer, data, stamp_ns)
        else:
            if data.startswith(self._block):
                # The same as before, byte for byte: nothing to look for.
                head, end = self._block_head, len(self._block)
            else:
                end = data.find(b"\r\n\r\n") + 4
                head = read_head(data[:end]) if 3 < end <= LONGEST else None
                if head is not None:
                    self._block, self._block_head = data[:end], head
            if head is None or answer.request.is_odd:
                whole = self._begin_odd(answer, head, data, end, stamp_ns)
            elif head.body != len(data) - end:
                whole = self._begin_body(answer, head, data, end, stamp_ns)
            else:
                # Nearly all answers of a large run are this one.
                answer.head = head
                if head.body:
                    answer.body = (data[end:],)
                answer.first_byte_ns = stamp_ns
                answer.response_bytes = len(data)
                whole = True
        if whole:
            answer.plain = answer.whole = True
            # An answer that came before the request was complete leaves the connection in the middle of a message.
            if self._unsent is not None or not answer.head.reusable:  # type: ignore[union-attr]
                self._over(stamp_ns, reusable=False)
            else:
                self.answer = None
                self._used = True
                self._idle_since_ns = answer.done_ns = stamp_ns
                on_done = answer.on_done  # as an attribute it is found quicker than as a method
                on_done(answer)
                if self._owner.queues and self.answer is None:
                    self._owner.freed(self)
        self._outbox.reading_ns = None

    def eof_received(self) -> bool:
        self._ended(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(exc)
        self._transport = self.sock = None
        self._owner.lost(self)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._unsent is not None and self._continue_timer is None:
            self._send_body()

    # plain answers: each of these says whether the answer is whole now

    def _begin_odd(self, answer: Answer, head: Head | None, data: bytes, end: int, stamp_ns: int) -> bool:
        """What cannot be read in one look; an answer to HEAD can, if nothing follows its head."""
        if head is None or answer.request.method != "HEAD" or end < len(data):
            self._read_closely(answer, data, stamp_ns)
            return False
        answer.head = head
        answer.first_byte_ns = stamp_ns
        answer.response_bytes = end
        return True

    def _begin_body(self, answer: Answer, head: Head, data: bytes, end: int, stamp_ns: int) -> bool:
        """A head with another part of its body than all of it."""
        here = len(data) - end
        if head.body == CHUNKED:
            pieces = read_chunks(data, end)
            if pieces is None:
                self._read_closely(answer, data, stamp_ns)
                return False
            answer.body = pieces
        elif here > head.body:
            self._read_closely(answer, data, stamp_ns)
            return False
        elif here:
            answer.take(data[end:])
        answer.head = head
        answer.first_byte_ns = answer.progress_ns = stamp_ns
        answer.response_bytes = len(data)
        if head.body == CHUNKED:
            return True
        self._half = True
        self._left = head.body - here
        return False

    def _more(self, answer: Answer, data: bytes, stamp_ns: int) -> bool:
        """More of a plain answer's body."""
        size = len(data)
        if size > self._left:
            # What follows is no part of this answer, and the connection cannot be trusted any more.
            assert answer.head is not None
            answer.head = dataclasses.replace(answer.head, reusable=False)
            data = data[: self._left]
            size = self._left
        answer.take(data)
        answer.progress_ns = stamp_ns
        answer.response_bytes += size
        self._left -= size
        self._half = self._left > 0
        return not self._half

    # all others

    def _read_closely(self, answer: Answer, data: bytes, stamp_ns: int) -> None:
        self._reader = ResponseReader()
        self._reader.expect(answer.request.method)
        self._read(answer, data, stamp_ns)

    def _read(self, answer: Answer, data: bytes, stamp_ns: int) -> None:
        assert self._reader is not None
        answer.progress_ns = stamp_ns
        answer.response_bytes += len(data)
        for seen in self._reader.receive(data, stamp_ns):
            _SEEN[type(seen)](self, answer, seen)

    def _saw_interim(self, answer: Answer, seen: Interim) -> None:
        answer.interim = (*answer.interim, EarlyAnswer(seen.status, seen.headers, seen.stamp_ns))
        if seen.status == 100 and self._continue_timer is not None:
            self._continue_timer.cancel()
            self._send_body()

    def _saw_head(self, answer: Answer, seen: ResponseHead) -> None:
        answer.first_byte_ns = seen.stamp_ns
        answer.head = Head(seen.status, seen.reason, seen.version, seen.headers)

    def _saw_body(self, answer: Answer, seen: ResponseBody) -> None:
        answer.take(seen.data)

    def _saw_end(self, answer: Answer, seen: ResponseEnd) -> None:
        answer.trailers = seen.trailers
        answer.whole = seen.complete
        answer.response_bytes = seen.wire_size
        if not seen.complete:
            self._over(seen.stamp_ns, Outcome.RESET, "the connection ended before the answer did")
        else:
            assert self._reader is not None
            self._over(seen.stamp_ns, reusable=self._reader.reusable and self._unsent is None)

    def _saw_opaque(self, answer: Answer, seen: Opaque) -> None:
        self._over(seen.stamp_ns, Outcome.RESET, f"the answer is no HTTP/1.1: {seen.reason}")

    def _saw_switch(self, answer: Answer, seen: Switched) -> None:
        """The answer is over already (its `ResponseEnd` came before); what follows is nobody's."""

    # large requests, and those that wait for a 100

    def _begin_large(self, answer: Answer) -> None:
        request = answer.request
        self._unsent = memoryview(request.body)
        answer.sent_ns = time.perf_counter_ns() - self._anchor_ns
        self._write(answer, request.head)
        if request.expects_continue:
            self._continue_timer = asyncio.get_running_loop().call_later(CONTINUE_S, self._send_body)
        else:
            self._send_body()

    def _write(self, answer: Answer, data: bytes | memoryview) -> None:
        assert self._transport is not None
        answer.request_bytes += len(data)
        answer.progress_ns = time.perf_counter_ns() - self._anchor_ns
        self._buffered = True
        self._transport.write(data)

    def _is_buffering(self) -> bool:
        """Whether the transport has bytes to send before any others."""
        assert self._transport is not None
        self._buffered = self._transport.get_write_buffer_size() > 0
        return self._buffered

    def _send_body(self) -> None:
        """Hand over slices until the transport has enough; `resume_writing` goes on."""
        self._continue_timer = None
        answer = self.answer
        if answer is None or self._unsent is None or self._transport is None:
            return
        request = answer.request
        while len(self._unsent):
            if self._paused:
                return
            piece = self._unsent[:SLICE]
            self._unsent = self._unsent[SLICE:]
            self._write(answer, chunk(bytes(piece)) if request.chunked else piece)
        if request.chunked:
            self._write(answer, request.last_chunk())
        self._unsent = None
        answer.request_done_ns = time.perf_counter_ns() - self._anchor_ns

    # endings

    def _is_stale(self) -> bool:
        """Whether the server closed it, or sent what nobody asked for, and the loop has not come to read it."""
        if self.sock is None or time.perf_counter_ns() - self._anchor_ns - self._idle_since_ns < IDLE_NS:
            return False
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            pass
        self.abort()
        return True

    def _ended(self, error: Exception | None) -> None:
        """The server closed, or the connection broke."""
        if self.closed and self.answer is None:
            return
        self.closed = True
        stamp_ns = time.perf_counter_ns() - self._anchor_ns
        answer = self.answer
        if answer is None:
            return
        if self._reader is not None:
            for seen in self._reader.end(stamp_ns):
                _SEEN[type(seen)](self, answer, seen)
        if self.answer is not None:
            self._over(stamp_ns, Outcome.RESET, self._how_it_ended(error))

    def _how_it_ended(self, error: Exception | None) -> str:
        if self._half:
            return "the connection ended before the answer did"
        how = "was reset" if isinstance(error, ConnectionError) else "ended"
        # A browser would send the request again (RFC 9112, 9.3.1); a load generator that did would hide the drop.
        kept = ", which was kept open from the exchange before," if self._used else ""
        return f"the connection{kept} {how} before the answer came"

    def _over(
        self, stamp_ns: int, failure: Outcome | None = None, detail: str | None = None, *, reusable: bool = False
    ) -> None:
        answer, self.answer = self.answer, None
        if answer is None:
            return
        if self._continue_timer is not None:
            self._continue_timer.cancel()
            self._continue_timer = None
        self._reader = None
        self._half = False
        self._used = True
        self._idle_since_ns = stamp_ns
        if not reusable:
            self._unsent = None
            self.closed = True
            if self._transport is not None:
                self._transport.close() if failure is None else self._transport.abort()
        answer.finish(stamp_ns, failure, detail)
        if not self.closed and self.answer is None:
            self._owner.freed(self)


_SEEN: dict[type, Callable[[Connection, Answer, Any], None]] = {
    Interim: Connection._saw_interim,
    ResponseHead: Connection._saw_head,
    ResponseBody: Connection._saw_body,
    ResponseEnd: Connection._saw_end,
    Opaque: Connection._saw_opaque,
    Switched: Connection._saw_switch,
}
