"""Socket.IO over WebSocket as one virtual user speaks it: handshake, Engine.IO heartbeat, packets out and in, stamped.

Never reconnects and hides no drop. What is sent and when namespaces are joined is decided elsewhere; on its own this
answers pings only.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import Callable
from typing import cast

from nestperf.capture.clock import Clock
from nestperf.capture.model import Outcome, Pairs
from nestperf.wire.http1 import Opaque, ResponseBody, ResponseEnd, ResponseHead, ResponseReader, Switched
from nestperf.wire.observations import FrameSeen, MessageSeen, PacketSeen
from nestperf.wire.socketio import SocketIoDecoder, encode_event, encode_packet
from nestperf.wire.websocket import WebSocketDecoder, encode_frame, parse_close
from replay.transport.answer import Answer, Request, head_bytes
from replay.transport.dial import Target, describe_refusal, dial

CLOSE_S = 1.0
"""How long the other side may take to answer a close frame."""
_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


class SocketIo(asyncio.Protocol):
    """One connection. `answer` is the handshake's exchange, which ends at the 101 (or at what came instead)."""

    def __init__(
        self,
        *,
        number: int,
        upstream: int,
        clock: Clock,
        on_opened: Callable[[], None],
        on_packet: Callable[[PacketSeen], None],
        on_closed: Callable[[], None],
    ) -> None:
        """`on_opened`: Engine.IO is open. `on_packet`: each packet, sent or received. `on_closed`: once, at the end,
        also when it never opened."""
        self.number = number
        self.upstream = upstream
        self.answer: Answer | None = None
        self.connected_ns: int | None = None
        self.closed_ns: int | None = None
        self.closed_by: str | None = None
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self.sid: str | None = None
        self._clock = clock
        self._on_opened = on_opened
        self._on_packet = on_packet
        self._on_closed = on_closed
        self._reader: ResponseReader | None = ResponseReader()
        self._frames = WebSocketDecoder("server")
        self._packets = SocketIoDecoder(4)
        self._transport: asyncio.Transport | None = None
        self._dialing: asyncio.Task[None] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._heartbeat: asyncio.TimerHandle | None = None
        self._heartbeat_s = 0.0
        self._accept = ""

    @property
    def is_open(self) -> bool:
        """Whether packets can be sent."""
        return self.connected_ns is not None and self.closed_ns is None and self.closed_by is None

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
        fields = _with_key(headers, key)
        request = Request(method="GET", head=head_bytes("GET", path, "HTTP/1.1", fields))
        self.answer = Answer(request, self.upstream, None, on_answer)
        self.answer.connection = self.number
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(timeout_s, self._timed_out, timeout_s))
        self._dialing = loop.create_task(self._connect(target, source))

    def send(self, packet: PacketSeen) -> PacketSeen:
        """Send a packet with its attachments; the same packet with the stamp of its sending."""
        text = _encode(packet)
        frames = [_frame("text", text.encode()), *(_frame("binary", content) for content in packet.attachments)]
        now_ns = self._clock.now_ns()
        self._write(b"".join(frames))
        sent = packet._replace(stamp_ns=now_ns, done_ns=now_ns, size=len(text))
        self._on_packet(sent)
        return sent

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Close with a handshake; the other side gets a second for its half. Before the 101 simply let go."""
        if self.closed_ns is not None or self.closed_by is not None:
            return
        if self._reader is not None or self._transport is None:
            self.cut()
            return
        self.closed_by, self.close_code, self.close_reason = "client", code, reason or None
        payload = b"" if code in (None, 1005, 1006) else int(code or 1000).to_bytes(2, "big") + reason.encode()[:123]
        self._write(_frame("close", payload))
        self._timers.append(asyncio.get_running_loop().call_later(CLOSE_S, self._abort))

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
                self.answer.status, self.answer.reason = seen.status, seen.reason
                self.answer.headers, self.answer.version = seen.headers, seen.version
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
        accepted = next((v for name, v in self.answer.headers if name.lower() == "sec-websocket-accept"), "")
        if seen.protocol != "websocket" or accepted.strip() != self._accept:
            self._refused(seen.stamp_ns, Outcome.RESET, "the server's handshake answers another question")
            return
        self.answer.whole = True
        self.answer.finish(seen.stamp_ns)
        for _, data, stamp_ns in seen.leftover:
            self._receive(data, stamp_ns)

    def _receive(self, data: bytes, stamp_ns: int) -> None:
        for seen in self._frames.receive(data, stamp_ns):
            if isinstance(seen, MessageSeen):
                self._message(seen)
            elif isinstance(seen, FrameSeen):
                if seen.opcode == "ping":
                    self._write(_frame("pong", seen.payload))
                elif seen.opcode == "close":
                    self._closing(seen)
            else:
                self.close_reason = seen.reason
                self.cut()

    def _message(self, message: MessageSeen) -> None:
        binary = message.opcode == "binary"
        for seen in self._packets.receive("server", message.payload, binary, message.stamp_ns, message.done_ns):
            if isinstance(seen, PacketSeen):
                self._beat(seen)
                self._on_packet(seen)
                if seen.engine_type == "open" and self.connected_ns is None:
                    self.connected_ns = seen.done_ns
                    self._timers.pop(0).cancel()
                    self._on_opened()
                elif seen.engine_type == "ping":
                    self._pong(seen)
                elif seen.engine_type == "close":
                    self._dismissed()

    def _beat(self, seen: PacketSeen) -> None:
        """Every packet proves life; silence for interval and timeout ends the connection, as clients do."""
        if seen.engine_type == "open":
            try:
                told = json.loads(seen.payload or "")
                self.sid = str(told["sid"])
                self._heartbeat_s = (float(told["pingInterval"]) + float(told["pingTimeout"])) / 1000
            except (ValueError, TypeError, KeyError):
                self._heartbeat_s = 0.0
        if seen.engine_type in ("open", "ping") and self._heartbeat_s > 0:
            if self._heartbeat is not None:
                self._heartbeat.cancel()
            self._heartbeat = asyncio.get_running_loop().call_later(self._heartbeat_s, self._silent)

    def _silent(self) -> None:
        self.close_reason = f"no ping from the server for {self._heartbeat_s:g} s"
        self.cut()

    def _pong(self, ping: PacketSeen) -> None:
        told = "" if ping.payload is None else json.loads(ping.payload)
        now_ns = self._clock.now_ns()
        self._write(_frame("text", f"3{told}".encode()))
        self._on_packet(ping._replace(sender="client", stamp_ns=now_ns, done_ns=now_ns, engine_type="pong"))

    def _closing(self, seen: FrameSeen) -> None:
        if self.closed_by is None:
            self.closed_by = "server"
            code, reason = parse_close(seen.payload)
            self.close_code, self.close_reason = code, reason or None
            self._write(_frame("close", seen.payload[:2]))
        if self._transport is not None:
            self._transport.close()

    def _dismissed(self) -> None:
        """The server's Engine.IO takes its leave: the connection is closed, as clients do."""
        if self.closed_by is None:
            self.closed_by = "server"
            self._write(_frame("close", b""))
            self._timers.append(asyncio.get_running_loop().call_later(CLOSE_S, self._abort))

    def _refused(self, stamp_ns: int, failure: Outcome | None = None, detail: str | None = None) -> None:
        """The handshake did not lead to a WebSocket."""
        assert self.answer is not None
        self.answer.finish(stamp_ns, failure, detail)
        self._abort()
        if self._transport is None:
            self._over()

    def _timed_out(self, timeout_s: float) -> None:
        if self.connected_ns is not None or self.closed_ns is not None or self.answer is None:
            return
        connecting = self.answer.sent_ns is None
        failure = Outcome.CONNECT_ERROR if connecting else Outcome.TIMEOUT
        missing = "connection" if connecting else "answer" if self.answer.status is None else "Engine.IO open packet"
        self.close_reason = f"no {missing} within {timeout_s:g} s"
        self.answer.finish(self._clock.now_ns(), failure, self.close_reason)
        self.cut()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _over(self) -> None:
        if self.closed_ns is not None:
            return
        self.closed_ns = self._clock.now_ns()
        if self.closed_by is None:
            self.closed_by = "cut"
        for timer in (*self._timers, self._heartbeat):
            if timer is not None:
                timer.cancel()
        if self.answer is not None and not self.answer.over:
            self.answer.finish(self.closed_ns, Outcome.UNFINISHED, "the run ended")
        self._on_closed()


def _frame(opcode: str, payload: bytes) -> bytes:
    return encode_frame(opcode, payload, mask=os.urandom(4))


def _encode(packet: PacketSeen) -> str:
    namespace, attachments = packet.namespace or "/", len(packet.attachments)
    if packet.type == "event":
        return encode_event(namespace, packet.event or "", packet.payload, packet.ack_id, attachments)
    return encode_packet(packet.type or "event", namespace, packet.payload, packet.ack_id, attachments)


def _with_key(headers: Pairs, key: str) -> Pairs:
    fields = tuple((name, key if name.lower() == "sec-websocket-key" else value) for name, value in headers)
    if fields == headers:
        return (*headers, ("Sec-WebSocket-Key", key))
    return fields
