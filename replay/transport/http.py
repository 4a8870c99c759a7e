"""HTTP/1.1 as one virtual user speaks it: its own connections, requests written as given, answers read and stamped.

Never retries, never follows a redirect, never adds or reorders a field. A connection carries one exchange at a time;
what comes back is an `Answer`, also when nothing does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from nestperf.capture.clock import Clock
from nestperf.capture.model import Outcome, Pairs
from nestperf.wire.http1 import Interim, Opaque, ResponseBody, ResponseEnd, ResponseHead, ResponseReader, Switched
from replay.transport.dial import Target, describe_refusal, dial

SLICE = 64 * 1024
"""Bytes of a body handed over at once, and the size of the chunks a chunked one is sent in."""
CONTINUE_S = 1.0
"""How long `Expect: 100-continue` is waited for before the body is sent anyway (RFC 9110, 10.1.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as bytes."""

    method: str
    head: bytes
    """Request line, fields and the blank line."""
    body: bytes = b""
    """Content-coded, without chunk framing."""
    chunked: bool = False
    trailers: bytes = b""
    """Field lines, each with its line end."""
    expects_continue: bool = False


class EarlyAnswer(NamedTuple):
    """A 1xx answer."""

    status: int
    headers: Pairs
    stamp_ns: int


class Answer:
    """What became of one request. Stamps are the run's; None: it did not happen."""

    __slots__ = (
        "_on_done",
        "_timer",
        "body",
        "carrier",
        "connect_ns",
        "connection",
        "detail",
        "done_ns",
        "failure",
        "first_byte_ns",
        "headers",
        "interim",
        "keep",
        "patient",
        "progress_ns",
        "queued_ns",
        "reason",
        "request",
        "request_bytes",
        "request_done_ns",
        "response_bytes",
        "sent_ns",
        "status",
        "trailers",
        "upstream",
        "version",
        "wanted",
        "whole",
    )

    def __init__(
        self,
        request: Request,
        upstream: int,
        wanted: int | None,
        keep: Callable[[int], bool],
        on_done: Callable[[Answer], None],
        *,
        patient: bool = False,
    ) -> None:
        self.request = request
        self.upstream = upstream
        self.wanted = wanted
        """The recorded connection it would like to share."""
        self.keep = keep
        """Asked with the status whether the body is wanted."""
        self.patient = patient
        """Once it has begun, it may be silent for as long as it likes: a stream."""
        self.progress_ns = 0
        """When something last happened."""
        self.connection: int | None = None
        """Number of the connection it used, counted from 1 in this run."""
        self.queued_ns = 0
        """How long it waited for a connection to be free."""
        self.connect_ns: int | None = None
        self.sent_ns: int | None = None
        self.request_done_ns: int | None = None
        self.first_byte_ns: int | None = None
        self.done_ns: int | None = None
        self.status: int | None = None
        self.reason = ""
        self.version = ""
        self.headers: Pairs = ()
        self.trailers: Pairs = ()
        self.interim: list[EarlyAnswer] = []
        self.body: list[bytes] | None = None
        """Pieces, still content-coded; None where they were not wanted."""
        self.whole = False
        self.request_bytes = 0
        self.response_bytes = 0
        self.failure: Outcome | None = None
        self.detail: str | None = None
        self.carrier: Connection | None = None
        self._on_done = on_done
        self._timer: asyncio.TimerHandle | None = None

    @property
    def over(self) -> bool:
        """Whether it has ended, well or badly."""
        return self.done_ns is not None

    def arm(self, timer: asyncio.TimerHandle) -> None:
        """Let that timer end with the exchange."""
        self._timer = timer

    def finish(self, stamp_ns: int, failure: Outcome | None = None, detail: str | None = None) -> None:
        """It is over; tell whoever waits for it, once."""
        if self.done_ns is not None:
            return
        self.done_ns = stamp_ns
        self.failure = failure
        self.detail = detail
        if self._timer is not None:
            self._timer.cancel()
        self._on_done(self)


class Connection(asyncio.Protocol):
    """One TCP connection of a `Connections`."""

    def __init__(self, owner: Connections, upstream: int, number: int) -> None:
        self.upstream = upstream
        self.number = number
        self.answer: Answer | None = None
        """The exchange under way, also while connecting for it."""
        self.dialing: asyncio.Task[None] | None = None
        self.closed = False
        self._owner = owner
        self._clock = owner.clock
        self._reader = ResponseReader()
        self._transport: asyncio.Transport | None = None
        self._unsent: memoryview | None = None
        self._paused = False
        self._continue_timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether another request may be sent on it now."""
        return self.answer is None and not self.closed and self._transport is not None

    def begin(self, answer: Answer) -> None:
        """Send a request; its answer will be told."""
        assert self._transport is not None
        request = answer.request
        self.answer = answer
        answer.carrier = self
        answer.connection = self.number
        self._reader.expect(request.method)
        body = request.body
        if request.expects_continue and (body or request.chunked):
            answer.sent_ns = self._clock.now_ns()
            self._write(request.head)
            self._unsent = memoryview(body)
            loop = asyncio.get_running_loop()
            self._continue_timer = loop.call_later(CONTINUE_S, self._send_body)
            return
        small = len(body) <= SLICE
        whole = request.head
        if small:
            whole += _chunk(body) + _last_chunk(request) if request.chunked else body
        answer.sent_ns = self._clock.now_ns()
        self._write(whole)
        if small:
            answer.request_done_ns = self._clock.now_ns()
        else:
            self._unsent = memoryview(body)
            self._send_body()

    def abort(self) -> None:
        """Close at once."""
        self.closed = True
        if self.dialing is not None:
            self.dialing.cancel()
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
        stamp_ns = self._clock.now_ns()
        answer = self.answer
        if answer is None:
            # Nobody asked: most often a 408 before the server closes an idle connection.
            self.abort()
            return
        answer.response_bytes += len(data)
        answer.progress_ns = stamp_ns
        for seen in self._reader.receive(data, stamp_ns):
            _SEEN[type(seen)](self, answer, seen)

    def eof_received(self) -> bool:
        self._ended(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(exc)
        self._transport = None
        self._owner.lost(self)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        if self._unsent is not None and self._continue_timer is None:
            self._send_body()

    # what the reader saw

    def _saw_interim(self, answer: Answer, seen: Interim) -> None:
        answer.interim.append(EarlyAnswer(seen.status, seen.headers, seen.stamp_ns))
        if seen.status == 100 and self._continue_timer is not None:
            self._continue_timer.cancel()
            self._send_body()

    def _saw_head(self, answer: Answer, seen: ResponseHead) -> None:
        answer.first_byte_ns = seen.stamp_ns
        answer.status = seen.status
        answer.reason = seen.reason
        answer.version = seen.version
        answer.headers = seen.headers
        if answer.keep(seen.status):
            answer.body = []

    def _saw_body(self, answer: Answer, seen: ResponseBody) -> None:
        if answer.body is not None:
            answer.body.append(seen.data)

    def _saw_end(self, answer: Answer, seen: ResponseEnd) -> None:
        answer.trailers = seen.trailers
        answer.whole = seen.complete
        answer.response_bytes = seen.wire_size
        if not seen.complete:
            self._over(seen.stamp_ns, Outcome.RESET, "the connection ended before the answer did")
        else:
            self._over(seen.stamp_ns)

    def _saw_opaque(self, answer: Answer, seen: Opaque) -> None:
        self._over(seen.stamp_ns, Outcome.RESET, f"the answer is no HTTP/1.1: {seen.reason}")

    def _saw_switch(self, answer: Answer, seen: Switched) -> None:
        """The answer is over already (its `ResponseEnd` came before); what follows is nobody's."""

    # sending

    def _write(self, data: bytes | memoryview) -> None:
        assert self._transport is not None
        assert self.answer is not None
        self.answer.request_bytes += len(data)
        self.answer.progress_ns = self._clock.now_ns()
        self._transport.write(data)

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
            self._write(_chunk(bytes(piece)) if request.chunked else piece)
        if request.chunked:
            self._write(_last_chunk(request))
        self._unsent = None
        answer.request_done_ns = self._clock.now_ns()

    # endings

    def _ended(self, error: Exception | None) -> None:
        """The server closed, or the connection broke."""
        if self.closed and self.answer is None:
            return
        self.closed = True
        stamp_ns = self._clock.now_ns()
        answer = self.answer
        if answer is None:
            return
        for seen in self._reader.end(stamp_ns):
            _SEEN[type(seen)](self, answer, seen)
        if self.answer is not None:
            how = "was reset" if isinstance(error, ConnectionResetError) else "ended"
            self._over(stamp_ns, Outcome.RESET, f"the connection {how} before the answer came")

    def _over(self, stamp_ns: int, failure: Outcome | None = None, detail: str | None = None) -> None:
        answer, self.answer = self.answer, None
        if answer is None:
            return
        if self._continue_timer is not None:
            self._continue_timer.cancel()
            self._continue_timer = None
        # An answer that came before the request was complete leaves the connection in the middle of a message.
        if failure is not None or self._unsent is not None or not self._reader.reusable:
            self._unsent = None
            self.closed = True
            if self._transport is not None:
                self._transport.close() if failure is None else self._transport.abort()
        answer.finish(stamp_ns, failure, detail)
        if not self.closed:
            self._owner.freed(self)


_SEEN: dict[type, Callable[[Connection, Answer, Any], None]] = {
    Interim: Connection._saw_interim,
    ResponseHead: Connection._saw_head,
    ResponseBody: Connection._saw_body,
    ResponseEnd: Connection._saw_end,
    Opaque: Connection._saw_opaque,
    Switched: Connection._saw_switch,
}


class Connections:
    """The HTTP connections of one virtual user during one visit, as a browser keeps them."""

    def __init__(
        self,
        targets: tuple[Target, ...],
        *,
        source: str | None,
        limits: dict[int, int],
        clock: Clock,
        timeout_s: float,
        numbers: Callable[[], int],
    ) -> None:
        """`limits`: upstream to how many may be open at once; `numbers` gives each connection its number."""
        self.clock = clock
        self._targets = targets
        self._source = source
        self._limits = limits
        self._timeout_s = timeout_s
        self._numbers = numbers
        self._open: dict[int, list[Connection]] = {}
        self._by_recorded: dict[int, Connection] = {}
        self._queues: dict[int, deque[Answer]] = {}
        self._over = False

    def exchange(
        self,
        request: Request,
        upstream: int,
        *,
        recorded_connection: int | None,
        keep: Callable[[int], bool],
        on_done: Callable[[Answer], None],
        patient: bool = False,
    ) -> Answer:
        """Send a request now, or as soon as a connection is free; `on_done` gets the answer, maybe before this
        returns. It is over when nothing happens for the time limit; a `patient` one may pause once it has begun."""
        answer = Answer(request, upstream, recorded_connection, keep, on_done, patient=patient)
        answer.progress_ns = self.clock.now_ns()
        answer.queued_ns = -answer.progress_ns
        answer.arm(asyncio.get_running_loop().call_later(self._timeout_s, self._timed_out, answer))
        if not self._place(answer):
            self._queues.setdefault(upstream, deque()).append(answer)
        return answer

    def cancel(self, answer: Answer, outcome: Outcome, detail: str | None = None) -> None:
        """End an exchange from this side, its connection with it."""
        if answer.over:
            return
        carrier = answer.carrier
        if carrier is not None:
            carrier.answer = None
            carrier.abort()
        else:
            self._queues[answer.upstream].remove(answer)
        answer.finish(self.clock.now_ns(), outcome, detail)
        if carrier is not None:
            self._forget(carrier)

    def close(self) -> None:
        """The visit is over: close all connections. Exchanges under way must have been cancelled."""
        self._over = True
        for connections in self._open.values():
            for connection in tuple(connections):
                connection.close() if connection.answer is None else connection.abort()
        self._open.clear()

    def freed(self, connection: Connection) -> None:
        """A connection has nothing to do."""
        self._serve_queue(connection.upstream)

    def lost(self, connection: Connection) -> None:
        """A connection is closed."""
        self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        connections = self._open.get(connection.upstream, [])
        if connection in connections:
            connections.remove(connection)
            self._serve_queue(connection.upstream)

    def _serve_queue(self, upstream: int) -> None:
        queue = self._queues.get(upstream)
        while queue and not self._over:
            answer = queue.popleft()
            if not self._place(answer):
                queue.appendleft(answer)
                return

    def _place(self, answer: Answer) -> bool:
        """Give it a connection: the one its recorded neighbours used, else a new one, else any idle one."""
        live = [connection for connection in self._open.get(answer.upstream, ()) if not connection.closed]
        wanted = self._by_recorded.get(answer.wanted) if answer.wanted is not None else None
        if wanted is not None and wanted.idle:
            self._start(answer, wanted)
            return True
        idle = [connection for connection in live if connection.idle]
        is_new = wanted is None and answer.wanted is not None
        room = len(live) < self._limits.get(answer.upstream, 6)
        if room and (is_new or not idle):
            self._dial(answer)
        elif idle:
            self._remember(answer, idle[0])
            self._start(answer, idle[0])
        else:
            return False
        return True

    def _remember(self, answer: Answer, connection: Connection) -> None:
        if answer.wanted is not None:
            self._by_recorded[answer.wanted] = connection

    def _start(self, answer: Answer, connection: Connection) -> None:
        answer.queued_ns += self.clock.now_ns()
        connection.begin(answer)

    def _dial(self, answer: Answer) -> None:
        connection = Connection(self, answer.upstream, self._numbers())
        connection.answer = answer
        answer.carrier = connection
        self._remember(answer, connection)
        self._open.setdefault(answer.upstream, []).append(connection)
        answer.queued_ns += self.clock.now_ns()
        connection.dialing = asyncio.get_running_loop().create_task(self._connect(connection, answer))

    async def _connect(self, connection: Connection, answer: Answer) -> None:
        began_ns = self.clock.now_ns()
        target = self._targets[answer.upstream]
        try:
            await dial(target, self._source, lambda: connection)
        except OSError as error:
            connection.closed = True
            connection.answer = None
            answer.finish(self.clock.now_ns(), Outcome.CONNECT_ERROR, describe_refusal(target, error))
            self._forget(connection)
            return
        finally:
            connection.dialing = None
        answer.connect_ns = self.clock.now_ns() - began_ns
        if not connection.closed and not answer.over:
            connection.begin(answer)

    def _timed_out(self, answer: Answer) -> None:
        if answer.patient and answer.status is not None:
            return
        idle_s = (self.clock.now_ns() - answer.progress_ns) / 1e9
        if idle_s < self._timeout_s - 0.001:
            left_s = self._timeout_s - idle_s
            answer.arm(asyncio.get_running_loop().call_later(left_s, self._timed_out, answer))
            return
        limit = f"{self._timeout_s:g} s"
        if answer.carrier is None:
            self.cancel(answer, Outcome.TIMEOUT, f"no connection was free within {limit}")
        elif answer.sent_ns is None:
            self.cancel(answer, Outcome.CONNECT_ERROR, f"no connection within {limit}")
        elif answer.status is None:
            self.cancel(answer, Outcome.TIMEOUT, f"no answer within {limit}")
        else:
            self.cancel(answer, Outcome.TIMEOUT, f"nothing more of the answer for {limit}")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""


def _last_chunk(request: Request) -> bytes:
    return b"0\r\n" + request.trailers + b"\r\n"


def head_bytes(method: str, target: str, version: str, headers: Pairs) -> bytes:
    """Request line and fields as bytes, the blank line included."""
    lines = [f"{method} {target} {version}", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1", "replace")


def trailer_bytes(trailers: Pairs) -> bytes:
    """Trailer fields as bytes."""
    return "".join(f"{name}: {value}\r\n" for name, value in trailers).encode("latin-1", "replace")
