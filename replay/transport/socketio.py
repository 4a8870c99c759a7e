"""Socket.IO as one virtual user speaks it: Engine.IO session, heartbeat, packets out and in, stamped; over WebSocket,
over long-polling, or over polling until the probe of a WebSocket has succeeded, as Engine.IO's own client does.

Never reconnects and hides no drop. What is sent and when namespaces are joined is decided elsewhere; on its own this
answers pings and takes the upgrade.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from nestperf.capture.clock import Clock
from nestperf.capture.model import Kind, Outcome, Pairs
from nestperf.wire.observations import FrameSeen, MessageSeen, PacketSeen, Sender
from nestperf.wire.socketio import PROBE_PING, SocketIoDecoder, decode_payload, encode_event, encode_packet
from replay.transport.answer import Answer
from replay.transport.dial import Target
from replay.transport.polling import Asked, Line, Polling, encode_binary
from replay.transport.websocket import CLOSE_S, WebSocket

_LET_GO = "let go of: the connection was closed"


class Way(NamedTuple):
    """How a user reaches the server."""

    target: Target
    source: str | None
    """Its own address."""
    timeout_s: float
    numbers: Callable[[], int]
    """Gives connections their numbers."""
    line: Line | None = None
    """Its HTTP connections; needed for polling."""


class Owner(Protocol):
    """Whoever a connection belongs to."""

    def ask(self, sid: str | None, body: bytes | None) -> Asked:
        """The next poll: a GET without a body, else a POST."""

    def handshake(self, sid: str | None) -> tuple[str, Pairs]:
        """Target and fields of the WebSocket's handshake."""

    def exchanged(self, answer: Answer, exchange: int, kind: Kind, target: str) -> None:
        """A poll or a handshake is over, well or badly."""

    def opened(self) -> None:
        """Engine.IO is open."""

    def received(self, seen: PacketSeen, exchange: int | None) -> None:
        """A packet came, by a poll where `exchange` says which."""

    def sent(self, seen: PacketSeen, exchange: int | None, tag: Any) -> None:
        """A packet went out; `tag` as it was given with it, None for what this sends on its own."""

    def closed(self) -> None:
        """Once, at the end, also when it never opened."""


class _Outgoing(NamedTuple):
    packet: PacketSeen
    text: bytes
    tag: Any

    def polled(self) -> list[bytes]:
        """As packets of a payload."""
        return [self.text, *map(encode_binary, self.packet.attachments)]

    def framed(self) -> list[tuple[str, bytes]]:
        """As messages of a WebSocket."""
        return [("text", self.text), *(("binary", content) for content in self.packet.attachments)]


class SocketIo:
    """One connection, whatever transports it uses."""

    def __init__(self, owner: Owner, way: Way, *, upstream: int, clock: Clock, ids: Callable[[], int]) -> None:
        """`ids` gives exchanges their numbers."""
        self.connected_ns: int | None = None
        self.closed_ns: int | None = None
        self.closed_by: str | None = None
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self.sid: str | None = None
        self.transports: tuple[str, ...] = ()
        """In the order used."""
        self._owner = owner
        self._way = way
        self._upstream = upstream
        self._clock = clock
        self._ids = ids
        self._packets = SocketIoDecoder(4)
        self._socket: WebSocket | None = None
        """The WebSocket that carries the packets, or is about to."""
        self._polling: Polling | None = None
        """The other transport, until a WebSocket has taken over."""
        self._upgrades = False
        self._upgrading = False
        """The probe was answered: polls come to their end, and nothing is sent meanwhile."""
        self._outgoing: deque[_Outgoing] = deque()
        self._posted: list[_Outgoing] = []
        self._most = 0
        """Bytes of a payload that the server takes; 0: it did not say."""
        self._timer: asyncio.TimerHandle | None = None
        self._heartbeat: asyncio.TimerHandle | None = None
        self._heartbeat_s = 0.0

    @property
    def is_open(self) -> bool:
        """Whether packets can be sent."""
        if self.connected_ns is None or self.closed_ns is not None or self.closed_by is not None:
            return False
        return self._polling is not None or (self._socket is not None and self._socket.is_open)

    @property
    def upgrades(self) -> bool:
        """Whether a WebSocket was, or is about to be, probed."""
        return self._upgrades

    @property
    def connection(self) -> int | None:
        """Number of the WebSocket's connection; None where it began with polling."""
        return self._socket.number if self._socket is not None and self.transports[:1] != ("polling",) else None

    def open(self) -> None:
        """Connect with a WebSocket."""
        self.transports = ("websocket",)
        self._open_socket()

    def open_polling(self, *, upgrade: bool) -> None:
        """Connect with polling; `upgrade`: probe a WebSocket once that stands, and go over to it."""
        assert self._way.line is not None
        self.transports = ("polling",)
        self._upgrades = upgrade
        self._polling = Polling(self, self._way.line, upstream=self._upstream, clock=self._clock, ids=self._ids)
        self._polling.poll()

    def send(self, packet: PacketSeen, tag: Any = None) -> None:
        """Send a packet with its attachments, now or as soon as the transport takes it."""
        text = _encode(packet).encode()
        self._send(_Outgoing(packet._replace(size=len(text)), text, tag))

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Close as clients do; the other side gets a second for its part. Before it is open simply let go."""
        if self.closed_ns is not None or self.closed_by is not None:
            return
        if self._polling is None and self._socket is not None:
            self._socket.close(code, reason)
            if self._socket.closed_by == "client":
                self.closed_by, self.close_code, self.close_reason = "client", code, reason or None
        elif self.connected_ns is None:
            self.cut()
        else:
            self.closed_by = "client"
            if not self._upgrading:
                self._leave_by_post()
            self._timer = asyncio.get_running_loop().call_later(CLOSE_S, self._end)

    def cut(self, outcome: Outcome = Outcome.ABORTED) -> None:
        """Close without a word; what is under way ends with that outcome."""
        if self.closed_by is None:
            self.closed_by = "cut"
        self._end(outcome)

    # of polling

    def ask(self, sid: str | None, body: bytes | None) -> Asked:
        return self._owner.ask(sid, body)

    def exchanged(self, answer: Answer, exchange: int, target: str) -> None:
        self._owner.exchanged(answer, exchange, Kind.POLL, target)

    def polled(self, answer: Answer, exchange: int, content: bytes) -> None:
        stamp_ns, done_ns = answer.first_byte_ns or 0, answer.done_ns or 0
        for payload, is_binary in decode_payload(content):
            for seen in self._packets.receive("server", payload, is_binary, stamp_ns, done_ns):
                if isinstance(seen, PacketSeen) and self.closed_ns is None:
                    self._received(seen, exchange)
        if self.closed_ns is not None or self._polling is None:
            return
        if self.connected_ns is None:
            self.broke("the first poll brought no Engine.IO open packet")
        elif self.closed_by is None:
            self._polling.poll()
        else:
            self._end_if_said()

    def posted(self, answer: Answer, exchange: int) -> None:
        posted, self._posted = self._posted, []
        sent_ns = answer.sent_ns or 0
        for one in posted:
            seen = one.packet._replace(stamp_ns=sent_ns, done_ns=answer.request_done_ns or sent_ns)
            self._owner.sent(seen, exchange, one.tag)
        self._flush()
        if self.closed_by is not None:
            self._end_if_said()

    def broke(self, reason: str) -> None:
        self.close_reason = self.close_reason or reason
        self.cut()

    # of the WebSocket

    def switched(self, stamp_ns: int) -> None:
        assert self._socket is not None
        if self._polling is None:
            self._timer = asyncio.get_running_loop().call_later(self._way.timeout_s, self._not_opened)
            return
        sent_ns = self._socket.send([("text", PROBE_PING.encode())])
        self._owner.sent(_engine("ping", '"probe"', sent_ns, len(PROBE_PING)), None, None)

    def message(self, message: MessageSeen) -> None:
        binary = message.opcode == "binary"
        for seen in self._packets.receive("server", message.payload, binary, message.stamp_ns, message.done_ns):
            if isinstance(seen, PacketSeen) and self.closed_ns is None:
                self._received(seen, None)

    def frame(self, sender: Sender, seen: FrameSeen) -> None:
        """Frames are the transport's: packets are what is told."""

    def over(self) -> None:
        if self._socket is None or self.closed_ns is not None:
            return
        if self._polling is None:
            if self.closed_by is None or self._socket.closed_by == self.closed_by:
                self.closed_by, self.close_code = self._socket.closed_by, self._socket.close_code
            self.close_reason = self._socket.close_reason or self.close_reason
            self._end()
            return
        # The probe led nowhere: polling goes on.
        self._socket = None
        if self._upgrading:
            self._upgrading = False
            if self.closed_by is not None:
                self._leave_by_post()
            else:
                self._polling.resume()
                self._flush()

    # inside

    def _open_socket(self) -> None:
        path, headers = self._owner.handshake(self.sid)
        self._socket = WebSocket(self, number=self._way.numbers(), upstream=self._upstream, clock=self._clock)

        def answered(answer: Answer) -> None:
            self._owner.exchanged(answer, self._ids(), Kind.UPGRADE, path)

        self._socket.open(self._way.target, self._way.source, path, headers, self._way.timeout_s, answered)

    def _received(self, seen: PacketSeen, exchange: int | None) -> None:
        self._beat(seen)
        self._owner.received(seen, exchange)
        if seen.engine_type == "open" and self.connected_ns is None:
            self._opened(seen)
        elif seen.engine_type == "ping":
            told = "" if seen.payload is None else json.loads(seen.payload)
            self._send(_Outgoing(_engine("pong", seen.payload, 0, seen.size), f"3{told}".encode(), None))
        elif seen.engine_type == "pong" and self._polling is not None and self._socket is not None:
            self._upgrading = True
            self._polling.pause(self._upgrade)
        elif seen.engine_type == "close":
            self._dismissed()

    def _opened(self, seen: PacketSeen) -> None:
        self.connected_ns = seen.done_ns
        if self._timer is not None:
            self._timer.cancel()
        if self._polling is not None:
            self._polling.sid = self.sid
        self._owner.opened()
        if self._upgrades and self._polling is not None and self.closed_by is None:
            self._open_socket()

    def _beat(self, seen: PacketSeen) -> None:
        """Every ping proves life; silence for interval and timeout ends the connection, as clients do."""
        if seen.engine_type == "open":
            try:
                told = json.loads(seen.payload or "")
                self.sid = str(told["sid"])
                self._heartbeat_s = (float(told["pingInterval"]) + float(told["pingTimeout"])) / 1000
                self._most = int(told.get("maxPayload", 0))
                self._upgrades = self._upgrades and "websocket" in told.get("upgrades", ())
            except (ValueError, TypeError, KeyError, AttributeError):
                self._heartbeat_s = 0.0
        if seen.engine_type in ("open", "ping") and self._heartbeat_s > 0:
            if self._heartbeat is not None:
                self._heartbeat.cancel()
            self._heartbeat = asyncio.get_running_loop().call_later(self._heartbeat_s, self._silent)

    def _silent(self) -> None:
        self.close_reason = f"no ping from the server for {self._heartbeat_s:g} s"
        self.cut()

    def _not_opened(self) -> None:
        self.close_reason = f"no Engine.IO open packet within {self._way.timeout_s:g} s"
        self.cut()

    def _send(self, one: _Outgoing) -> None:
        if self._polling is None and self._socket is not None:
            sent_ns = self._socket.send(one.framed())
            self._owner.sent(one.packet._replace(stamp_ns=sent_ns, done_ns=sent_ns), None, one.tag)
        else:
            self._outgoing.append(one)
            self._flush()

    def _flush(self) -> None:
        """Post what waits, as much as the server takes at once."""
        polling = self._polling
        if polling is None or polling.is_posting or self._upgrading or self.closed_ns is not None:
            return
        size = 0
        payload: list[Sequence[bytes]] = []
        while self._outgoing:
            pieces = self._outgoing[0].polled()
            size += sum(map(len, pieces)) + len(pieces)
            if payload and self._most and size > self._most:
                break
            payload.append(pieces)
            self._posted.append(self._outgoing.popleft())
        if payload:
            polling.post(payload)

    def _upgrade(self) -> None:
        """Polls are over: from here on the WebSocket is the transport."""
        assert self._socket is not None
        if not self._socket.is_open:
            return  # its end is told, and polling goes on
        sent_ns = self._socket.send([("text", b"5")])
        self._owner.sent(_engine("upgrade", None, sent_ns, 1), None, None)
        self._polling, self._upgrading = None, False
        self.transports = ("polling", "websocket")
        while self._outgoing:
            self._send(self._outgoing.popleft())
        if self.closed_by is not None:
            self._socket.close(None)

    def _dismissed(self) -> None:
        """The server's Engine.IO takes its leave: the connection is closed, as clients do."""
        if self.closed_by is None:
            self.closed_by = "server"
        if self._polling is None and self._socket is not None:
            self._socket.dismiss()
        else:
            self._end()

    def _leave_by_post(self) -> None:
        probe, self._socket = self._socket, None
        if probe is not None:
            probe.cut()
        self._send(_Outgoing(_engine("close", None, 0, 1), b"1", None))

    def _end_if_said(self) -> None:
        """Closed from this side: over when the server has taken the close packet and ended the poll."""
        polling = self._polling
        if polling is not None and not self._outgoing and not polling.is_posting and not polling.is_polling:
            self._end()

    def _end(self, outcome: Outcome = Outcome.ABORTED) -> None:
        if self.closed_ns is not None:
            return
        if self._socket is not None and self._polling is None and self._socket.closed_ns is None:
            self._socket.cut()  # which tells its end
            if self._socket.closed_ns is None:
                return
        self.closed_ns = self._clock.now_ns()
        if self.closed_by is None:
            self.closed_by = "cut"
        for timer in (self._timer, self._heartbeat):
            if timer is not None:
                timer.cancel()
        if self._polling is not None:
            if self._socket is not None:
                self._socket.cut()
            self._polling.stop(outcome, _LET_GO)
        self._owner.closed()


def _engine(kind: str, payload: str | None, stamp_ns: int, size: int) -> PacketSeen:
    """A packet of Engine.IO itself that is sent."""
    return PacketSeen("client", stamp_ns, stamp_ns, kind, None, None, None, None, payload, (), size)


def _encode(packet: PacketSeen) -> str:
    namespace, attachments = packet.namespace or "/", len(packet.attachments)
    if packet.type == "event":
        return encode_event(namespace, packet.event or "", packet.payload, packet.ack_id, attachments)
    return encode_packet(packet.type or "event", namespace, packet.payload, packet.ack_id, attachments)
