"""One WebSocket or Socket.IO connection of a recording: its frames and packets become rows.

Pure, like the recorder that owns it. Frames are stored with their content; what a Socket.IO frame means is stored
beside it as packets.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from nestperf.capture.kinds import field as head_field
from nestperf.capture.model import NESTPERF, Frame, Outcome, Packet, Socket
from nestperf.wire.observations import (
    FrameSeen,
    MessageSeen,
    PacketSeen,
    RequestHead,
    ResponseHead,
    Sender,
    WebSocketObservation,
)
from nestperf.wire.socketio import SocketIoDecoder, decode_payload, is_socket_io
from nestperf.wire.websocket import WebSocketDecoder, negotiated_deflate, parse_close
from proxy_addon.opaque import opaque_frame
from proxy_addon.sink import Sink

_MOST_AWAITED = 10_000
"""Emits of one connection that wait for an ack; the oldest are given up."""
_DATA = frozenset({"text", "binary", "continuation"})
_SENDERS: tuple[Sender, ...] = ("client", "server")


class SocketTrack:
    """The state of one connection after its upgrade."""

    def __init__(self, row: Socket, sink: Sink) -> None:
        self.row = row
        self._decoders: dict[Sender, WebSocketDecoder] = {}
        self._packets = SocketIoDecoder(row.version) if row.version is not None else None
        self._sink = sink
        self._contents, self._add, self._stamp, self._tally = sink
        self._first_frame: dict[Sender, int] = {}
        """The frame that began the packet whose attachments are still coming."""
        self._awaited: dict[tuple[str, str | None, int], int] = {}
        """Emits that asked for an ack: (who will answer, namespace, ack id) to packet id."""
        self._opaque_size = 0
        self._gone = False
        self._tally.sockets_open += 1
        self._add(row)

    def upgrade(self, response: ResponseHead) -> None:
        """The connection speaks WebSocket from here on."""
        for sender in _SENDERS:
            self._decoders[sender] = WebSocketDecoder(sender, deflate=negotiated_deflate(sender, response.headers))
        if self.row.transports == "polling":
            self._change(transports="polling,websocket")

    def receive_poll(self, sender: Sender, body: bytes, exchange_id: int, stamp_ns: int, done_ns: int) -> bool:
        """What one long-polling request or answer carried; whether all of it was understood."""
        assert self._packets is not None
        packets = decode_payload(body)
        undecodable = bool(body) and not packets
        for content, is_binary in packets:
            for seen in self._packets.receive(sender, content, is_binary, stamp_ns, done_ns):
                if isinstance(seen, PacketSeen):
                    self._packet(seen, None, exchange_id)
                else:
                    undecodable = True
        if undecodable:
            self._tally.lose("undecodable")
        return not undecodable

    def receive(self, sender: Sender, data: bytes, stamp_ns: int) -> None:
        """The next chunk of either side."""
        if self._decoders[sender].opaque:
            self._keep(sender, data, stamp_ns)
        else:
            self.see(sender, self._decoders[sender].receive(data, stamp_ns), stamp_ns)

    def see(self, sender: Sender, observed: Iterable[WebSocketObservation], stamp_ns: int) -> None:
        """What was decoded of either side's bytes, here or by another program."""
        waiting: FrameSeen | None = None
        for seen in observed:
            if isinstance(seen, FrameSeen):
                if seen.opcode in _DATA and seen.fin:
                    waiting = seen  # its content is the message's, which follows
                else:
                    self._frame(sender, seen, seen.payload if seen.opcode not in _DATA else None)
            elif isinstance(seen, MessageSeen):
                assert waiting is not None
                self._message(sender, waiting, seen)
            else:
                self._tally.lose("undecodable")
                self._change(detail=f"not understood from here on: {seen.reason}")
                self._keep(sender, seen.data, stamp_ns)

    def _keep(self, sender: Sender, data: bytes, stamp_ns: int) -> None:
        """Store what cannot be decoded as it came."""
        room = self._contents.max_response - self._opaque_size
        self._opaque_size += len(data)
        self._add(opaque_frame(sender, data, stamp_ns, self._sink, socket_id=self.row.id, room=room))

    def end(self, sender: Sender, stamp_ns: int) -> None:
        """That side will send no more: without a close frame the connection was cut."""
        if self.row.closed_by is None:
            outcome = Outcome.ABORTED if sender == "client" else Outcome.RESET
            self._change(closed_by="cut", outcome=outcome, closed_ns=self._stamp(stamp_ns))

    def cut_by_us(self, stamp_ns: int) -> None:
        """The recorder itself cuts it, as asked."""
        if self.row.closed_by is None:
            self._tally.sockets_cut += 1
            stamp = self._stamp(stamp_ns)
            self._change(
                closed_by=NESTPERF, outcome=Outcome.ABORTED, closed_ns=stamp, detail="cut by nestperf, as asked"
            )

    def closed(self, stamp_ns: int) -> None:
        """Both sides are done."""
        if self.row.closed_by == NESTPERF:
            self._leave()
            return
        if self.row.closed_by in (None, "cut"):
            self._change(closed_by="cut", closed_ns=self.row.closed_ns or self._stamp(stamp_ns))
        else:
            self._change(closed_ns=self._stamp(stamp_ns), outcome=Outcome.OK)
        self._leave()

    def closed_somehow(self, stamp_ns: int, by: str | None, code: int | None, reason: str) -> None:
        """Another program tells that it was closed then, and perhaps by whom."""
        reason = self._contents.redactor.text(reason)
        told = {"closed_by": by, "close_code": code, "close_reason": reason or None} if by is not None else {}
        if self.row.closed_by is not None:
            told = {}
        self._change(closed_ns=self._stamp(stamp_ns), outcome=Outcome.OK, **told)
        self._leave()

    def finish(self) -> None:
        """The recording is over; an open connection stays `unfinished`."""
        self._add(self.row)
        self._leave()

    def _message(self, sender: Sender, last: FrameSeen, message: MessageSeen) -> None:
        connect = self._packets is not None and message.payload[:2] == b"40"
        frame_id = self._frame(sender, last, message.payload, "connect" if connect else None)
        if self._packets is None:
            self._tally.messages += 1
            return
        first = self._first_frame.setdefault(sender, frame_id)
        for seen in self._packets.receive(
            sender, message.payload, message.opcode == "binary", message.stamp_ns, message.done_ns
        ):
            # A packet ends the wait for its attachments, if it had any.
            self._first_frame.pop(sender, None)
            if isinstance(seen, PacketSeen):
                self._packet(seen, first, None)
            else:
                self._tally.lose("undecodable")

    def _frame(self, sender: str, seen: FrameSeen, content: bytes | None, packet_type: str | None = None) -> int:
        frame_id = self._tally.next_id("frames")
        if content is not None and seen.opcode != "binary":
            text = content.decode("utf-8", "surrogateescape")
            content = self._contents.redactor.payload(packet_type, text).encode("utf-8", "surrogateescape")
        elif content is not None:
            content = self._contents.redactor.body(content, "application/octet-stream")
        if seen.opcode == "close":
            self._close_frame(sender, seen.payload)
        row = Frame(
            id=frame_id,
            socket_id=self.row.id,
            sender=sender,
            stamp_ns=self._stamp(seen.stamp_ns),
            done_ns=self._stamp(seen.done_ns),
            opcode=seen.opcode,
            fin=seen.fin,
            compressed=seen.compressed,
            wire_size=seen.wire_size,
            size=seen.size,
            content=content,
        )
        self._add(row)
        return frame_id

    def _packet(self, seen: PacketSeen, frame_id: int | None, exchange_id: int | None) -> None:
        packet_id = self._tally.next_id("packets")
        answers = None
        if seen.ack_id is not None:
            if seen.type == "event":
                answerer = "server" if seen.sender == "client" else "client"
                if len(self._awaited) >= _MOST_AWAITED:
                    del self._awaited[next(iter(self._awaited))]
                self._awaited[answerer, seen.namespace, seen.ack_id] = packet_id
            else:
                answers = self._awaited.pop((seen.sender, seen.namespace, seen.ack_id), None)
        if seen.engine_type == "open" and seen.payload is not None:
            self._opened(seen)
        elif seen.engine_type == "close" and self.row.closed_by is None:
            self._change(closed_by=seen.sender, closed_ns=self._stamp(seen.done_ns), outcome=Outcome.OK)
            if not self._decoders:
                self._leave()  # with polling there is no connection whose end would say so
        attachments = [self._contents.attachment(content) for content in seen.attachments]
        redact = self._contents.redactor.payload
        row = Packet(
            id=packet_id,
            socket_id=self.row.id,
            frame_id=frame_id,
            exchange_id=exchange_id,
            sender=seen.sender,
            stamp_ns=self._stamp(seen.stamp_ns),
            done_ns=self._stamp(seen.done_ns),
            engine_type=seen.engine_type,
            type=seen.type,
            namespace=seen.namespace and self._contents.redactor.text(seen.namespace),
            event=seen.event and self._contents.redactor.text(seen.event),
            ack_id=seen.ack_id,
            payload=redact(seen.type, seen.payload) if seen.payload is not None else None,
            attachments=json.dumps(attachments) if attachments else None,
            size=seen.size,
            answers=answers,
            intended_ns=None,
            source_packet=None,
        )
        self._add(row)
        self._tally.packet(row)

    def _opened(self, seen: PacketSeen) -> None:
        try:
            sid = json.loads(seen.payload or "").get("sid")
        except (ValueError, AttributeError):
            sid = None
        self._change(connected_ns=self._stamp(seen.done_ns), sid=sid if isinstance(sid, str) else None)

    def _close_frame(self, sender: str, payload: bytes) -> None:
        if self.row.closed_by is None:
            code, reason = parse_close(payload)
            reason = self._contents.redactor.text(reason)
            self._change(closed_by=sender, close_code=code, close_reason=reason or None)

    def _leave(self) -> None:
        if not self._gone:
            self._gone = True
            self._tally.sockets_open -= 1

    def _change(self, **changes: Any) -> None:
        self.row = self.row._replace(**changes)
        self._add(self.row)


def unusual(version: int | None, url: str) -> str | None:
    """What the tester should know of a protocol version on its way to the application at `url`; None where nothing."""
    if version == 3:
        return (
            f"A client speaks Engine.IO 3 (Socket.IO 2) to {url}: its events, acks and attachments are recorded, "
            "its polls by JSON-P as they are; a replay leaves the connection out."
        )
    if version not in (4, None):
        return (
            f"A client speaks Engine.IO {version} to {url}, which nestperf does not know: what cannot be read of it is "
            "recorded as it is; a replay leaves the connection out."
        )
    return None


def new_socket(
    request: RequestHead,
    response: ResponseHead,
    sink: Sink,
    *,
    client_id: int,
    exchange_id: int,
    connection: int,
    upstream: int,
) -> Socket:
    """The row of a connection that this exchange opened: an upgrade, or the first of the polls."""
    version = is_socket_io(request.target)
    websocket = response.status == 101
    return Socket(
        id=sink.tally.next_id("sockets"),
        session_id=None,
        client_id=client_id,
        exchange_id=exchange_id,
        connection=connection if websocket else None,
        upstream=upstream,
        protocol="websocket" if version is None else "socket.io",
        version=version,
        authority=head_field(request.headers, "host"),
        target=sink.contents.redactor.target(request.target),
        sid=None,
        transports="websocket" if websocket else "polling",
        intended_ns=None,
        opened_ns=sink.stamp(request.stamp_ns),
        connected_ns=sink.stamp(response.stamp_ns) if version is None else None,
        closed_ns=None,
        closed_by=None,
        close_code=None,
        close_reason=None,
        outcome=Outcome.UNFINISHED,
        detail=None,
        source_socket=None,
    )
