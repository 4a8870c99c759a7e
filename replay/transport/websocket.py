"""One WebSocket as a virtual user speaks it (RFC 6455): handshake, frames out and in, pings answered, close, cut.

Never reconnects, offers no extension, and knows nothing of what its messages mean.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
from collections.abc import Callable, Iterable
from typing import Protocol, cast

from nestperf.capture.clock import Clock
from nestperf.capture.kinds import field
from nestperf.capture.model import Outcome, Pairs
from nestperf.wire.http1 import ResponseReader
from nestperf.wire.observations import (
    FrameSeen,
    MessageSeen,
    Opaque,
    ResponseBody,
    ResponseEnd,
    ResponseHead,
    Sender,
    Switched,
)
from nestperf.wire.websocket import WebSocketDecoder, encode_frame, parse_close
from replay.transport.answer import Answer, Request, head_bytes
from replay.transport.dial import Target, describe_refusal, dial
from replay.transport.response import Head

CLOSE_S = 1.0
"""How long the other side may take to answer a close frame."""
_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_NO_CODE = frozenset({1005, 1006})
"""What stands for a close frame without a code, and for none at all (RFC 6455, 7.4.1): never sent."""


class Owner(Protocol):
    """Whoever a WebSocket belongs to."""

    def switched(self, stamp_ns: int) -> None:
        """The handshake is done: frames may be sent."""

    def message(self, seen: MessageSeen) -> None:
        """A whole text or binary message came."""

    def frame(self, sender: Sender, seen: FrameSeen) -> None:
        """A frame was sent or came; of a message, before the message is told."""

    def over(self) -> None:
        """The connection is closed; once, also when it never opened."""


class WebSocket(asyncio.Protocol):
    """One connection. `answer` is the handshake's exchange, which ends at the 101 (or at what came instead)."""

    def __init__(self, owner: Owner, *, number: int, upstream: int, clock: Clock) -> None:
        self.number = number
        self.answer: Answer | None = None
        self.closed_ns: int | None = None
        self.closed_by: str | None = None
        """`client`, `server`, `cut`."""
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self._owner = owner
        self._upstream = upstream
        self._clock = clock
        self._reader: ResponseReader | None = ResponseReader()
        self._frames = WebSocketDecoder("server")
        self._transport: asyncio.Transport | None = None
        self._dialing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._accept = ""

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._reader is None and self.closed_ns is None and self.closed_by is None

    def open(
        self,
        target: Target,
        source: str | None,
        path: str,
        headers: Pairs,
        timeout_s: float,
        on_answer: Callable[[Answer], None],
    ) -> None:
        """Connect and shake hands, with a key of this connection's own."""
        key = base64.b64encode(os.urandom(16)).decode()
        self._accept = base64.b64encode(hashlib.sha1(key.encode() + _ACCEPT, usedforsecurity=False).digest()).decode()
        request = Request(method="GET", head=head_bytes("GET", path, "HTTP/1.1", _with_key(headers, key)))
        self.answer = Answer(request, self._upstream, None, on_answer)
        self.answer.connection = self.number
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(timeout_s, self._timed_out, timeout_s)
        self._dialing = loop.create_task(self._connect(target, source))

    def send(self, messages: Iterable[tuple[str, bytes]]) -> int:
        """Send whole messages, or pings, (opcode, payload) in one piece; when."""
        sent = [(opcode, payload, encode_frame(opcode, payload, mask=os.urandom(4))) for opcode, payload in messages]
        now_ns = self._clock.now_ns()
        self._write(b"".join(frame for _, _, frame in sent))
        for opcode, payload, frame in sent:
            self._tell_sent(opcode, payload, len(frame), now_ns)
        return now_ns

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Close with a handshake; the other side gets a second for its half. Before the 101 simply let go."""
        if self.closed_ns is not None or self.closed_by is not None:
            return
        if self._reader is not None or self._transport is None:
            self.cut()
            return
        self.closed_by, self.close_code, self.close_reason = "client", code, reason or None
        told = b"" if code is None or code in _NO_CODE else code.to_bytes(2, "big") + reason.encode()[:123]
        self._control("close", told)
        self._close_soon()

    def dismiss(self) -> None:
        """The other side took its leave in words of its own protocol: close, as its doing."""
        if self.closed_by is None:
            self.closed_by = "server"
            self._control("close", b"")
            self._close_soon()

    def cut(self) -> None:
        """Close without a handshake."""
        if self.closed_by is None:
            self.closed_by = "cut"
        if self._dialing is not None:
            self._dialing.cancel()
        self._abort()
        if self._transport is None:
            self._over()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast(asyncio.Transport, transport)  # uvloop's do not inherit from it
        assert self.answer is not None
        if self.closed_ns is not None:
            transport.abort()
            return
        self._transport = transport
        assert self._reader is not None
        self._reader.expect("GET", "websocket")
        self.answer.sent_ns = self._clock.now_ns()
        self.answer.request_bytes = len(self.answer.request.head)
        self._write(self.answer.request.head)
        self.answer.request_done_ns = self._clock.now_ns()

    def data_received(self, data: bytes) -> None:
        stamp_ns = self._clock.now_ns()
        if self._reader is None:
            self._receive(data, stamp_ns)
            return
        assert self.answer is not None
        for seen in self._reader.receive(data, stamp_ns):
            if isinstance(seen, ResponseHead):
                self.answer.first_byte_ns = seen.stamp_ns
                self.answer.head = Head(seen.status, seen.reason, seen.version, seen.headers)
                self.answer.response_bytes = seen.size
            elif isinstance(seen, ResponseBody):
                self.answer.take(seen.data)
            elif isinstance(seen, ResponseEnd) and self.answer.status != 101:
                self.answer.whole, self.answer.response_bytes = seen.complete, seen.wire_size
                self._refused(seen.stamp_ns)
            elif isinstance(seen, Opaque):
                self._refused(seen.stamp_ns, Outcome.RESET, f"the answer is no HTTP/1.1: {seen.reason}")
            elif isinstance(seen, Switched):
                self._switched(seen)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._reader is not None and self.answer is not None and not self.answer.over:
            for seen in self._reader.end(self._clock.now_ns()):
                if isinstance(seen, ResponseEnd):
                    self.answer.whole = seen.complete
            if self.answer.whole:
                self._refused(self._clock.now_ns())
            else:
                self._refused(self._clock.now_ns(), Outcome.RESET, "the connection ended before the answer came")
        self._over()

    # inside

    async def _connect(self, target: Target, source: str | None) -> None:
        assert self.answer is not None
        began_ns = self._clock.now_ns()
        try:
            await dial(target, source, lambda: self)
            self.answer.connect_ns = (self.answer.sent_ns or began_ns) - began_ns
        except OSError as error:
            self._refused(self._clock.now_ns(), Outcome.CONNECT_ERROR, describe_refusal(target, error))
        finally:
            self._dialing = None

    def _switched(self, seen: Switched) -> None:
        assert self.answer is not None
        self._reader = None
        if seen.protocol != "websocket" or field(self.answer.headers, "sec-websocket-accept").strip() != self._accept:
            self._refused(seen.stamp_ns, Outcome.RESET, "the server's handshake answers another question")
            return
        if self._timer is not None:
            self._timer.cancel()
        self.answer.whole = True
        self.answer.finish(seen.stamp_ns)
        self._owner.switched(seen.stamp_ns)
        for _, data, stamp_ns in seen.leftover:
            self._receive(data, stamp_ns)

    def _receive(self, data: bytes, stamp_ns: int) -> None:
        for seen in self._frames.receive(data, stamp_ns):
            if isinstance(seen, MessageSeen):
                self._owner.message(seen)
            elif isinstance(seen, FrameSeen):
                self._owner.frame("server", seen)
                if seen.opcode == "ping":
                    self._control("pong", seen.payload)
                elif seen.opcode == "close":
                    self._closing(seen)
            else:
                self.close_reason = seen.reason
                self.cut()

    def _closing(self, seen: FrameSeen) -> None:
        if self.closed_by is None:
            self.closed_by = "server"
            code, reason = parse_close(seen.payload)
            self.close_code, self.close_reason = code, reason or None
            self._control("close", seen.payload[:2])
        if self._transport is not None:
            self._transport.close()

    def _control(self, opcode: str, payload: bytes) -> None:
        frame = encode_frame(opcode, payload, mask=os.urandom(4))
        now_ns = self._clock.now_ns()
        self._write(frame)
        self._tell_sent(opcode, payload, len(frame), now_ns)

    def _tell_sent(self, opcode: str, payload: bytes, size: int, now_ns: int) -> None:
        seen = FrameSeen(now_ns, now_ns, opcode, True, False, size, len(payload), payload, False)
        self._owner.frame("client", seen)

    def _refused(self, stamp_ns: int, failure: Outcome | None = None, detail: str | None = None) -> None:
        """The handshake did not lead to a WebSocket."""
        assert self.answer is not None
        self.answer.finish(stamp_ns, failure, detail)
        self._abort()
        if self._transport is None:
            self._over()

    def _timed_out(self, timeout_s: float) -> None:
        assert self.answer is not None
        connecting = self.answer.sent_ns is None
        failure = Outcome.CONNECT_ERROR if connecting else Outcome.TIMEOUT
        self.close_reason = f"no {'connection' if connecting else 'answer'} within {timeout_s:g} s"
        self.answer.finish(self._clock.now_ns(), failure, self.close_reason)
        self.cut()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _close_soon(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(CLOSE_S, self._abort)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _over(self) -> None:
        if self.closed_ns is not None:
            return
        self.closed_ns = self._clock.now_ns()
        if self.closed_by is None:
            self.closed_by = "cut"
        if self._timer is not None:
            self._timer.cancel()
        if self.answer is not None and not self.answer.over:
            self.answer.finish(self.closed_ns, Outcome.UNFINISHED, "the run ended")
        self._owner.over()


def _with_key(headers: Pairs, key: str) -> Pairs:
    fields = tuple((name, key if name.lower() == "sec-websocket-key" else value) for name, value in headers)
    if fields == headers:
        return (*headers, ("Sec-WebSocket-Key", key))
    return fields
