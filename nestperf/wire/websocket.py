"""Decodes one direction of a WebSocket (RFC 6455, permessage-deflate of RFC 7692) into frames and messages.

Takes bytes as they come and keeps of each payload no more than `max_message` bytes, however long frames and messages
are; sizes are always whole. It never answers, never judges closing handshakes or masking, and never raises for any
bytes: what it cannot follow becomes one `Opaque`, and the rest of the direction is swallowed.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from nestperf.capture.model import Pairs
from nestperf.wire.observations import FrameSeen, MessageSeen, Opaque, Sender, WebSocketObservation

OPCODES = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
_CODES = {name: code for code, name in OPCODES.items()}
_FIN, _RSV1, _RESERVED, _MASKED, _CONTROL = 0x80, 0x40, 0x30, 0x80, 0x8
MAX_MESSAGE = 1 << 20
"""Bytes kept of each payload where nobody says otherwise."""
_MAX_CONTROL = 125
_MAX_HEAD = 14
_INFLATE_PART = 1 << 18
_WINDOW_BITS = frozenset(map(str, range(8, 16)))
_DEFLATE_TAIL = b"\x00\x00\xff\xff"
"""What a sender cuts off each compressed message (RFC 7692, 7.2.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeflateParameters:
    """How one side compresses its messages."""

    context_takeover: bool = True
    """The window lives on from message to message."""
    window_bits: int = 15
    """Base-2 logarithm of the window, 8 to 15."""


class _Kept:
    """The beginning of something, and its whole size."""

    __slots__ = ("_pieces", "_room", "size")

    def __init__(self, room: int) -> None:
        self.size = 0
        self._room = room
        self._pieces: list[bytes] = []

    @property
    def cut(self) -> bool:
        return self._room < 0

    @property
    def payload(self) -> bytes:
        return self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)

    def add(self, piece: bytes, size: int) -> None:
        """Add a piece, which is the beginning of `size` bytes."""
        self.size += size
        if self._room > 0 and piece:
            self._pieces.append(piece[: self._room])
        self._room = max(self._room - size, -1) if self._room >= 0 else -1


class WebSocketDecoder:
    """One direction of one WebSocket, from the first byte after the handshake."""

    def __init__(
        self, sender: Sender, *, deflate: DeflateParameters | None = None, max_message: int = MAX_MESSAGE
    ) -> None:
        """`max_message`: bytes kept of each payload, of a message as of a frame."""
        self.sender = sender
        self.opaque = False
        """Something could not be followed: nothing more comes from this direction."""
        self._deflate = deflate
        self._inflater = zlib.decompressobj(-15) if deflate else None
        self._max = max_message
        self._head = b""
        """The beginning of a frame's head."""
        self._began_ns = 0
        self._in_frame = False
        self._left = 0
        """Bytes of the frame's payload still to come."""
        self._first = 0
        """The frame's first byte."""
        self._mask = b""
        """To begin with the next byte of the payload."""
        self._wire = 0
        self._frame = _Kept(max_message)
        self._message: _Kept | None = None
        """The message under way."""
        self._message_opcode = 0
        self._message_compressed = False
        self._message_began_ns = 0
        self._message_frames = 0

    def receive(self, data: bytes, stamp_ns: int) -> list[WebSocketObservation]:
        """Take bytes as they arrived; the frames and messages they completed."""
        out: list[WebSocketObservation] = []
        position, end = 0, len(data)
        while position < end and not self.opaque:
            if not self._in_frame:
                position = self._read_head(data, position, stamp_ns, out)
            else:
                position = self._read_payload(data, position, stamp_ns, out)
            if self._in_frame and not self._left:
                self._finish_frame(stamp_ns, out)
        return out

    def end(self, stamp_ns: int) -> list[WebSocketObservation]:
        """Take the end of this direction: a frame that was cut off is `Opaque`."""
        out: list[WebSocketObservation] = []
        if not self.opaque and (self._head or self._in_frame):
            data = self._frame.payload if self._in_frame else self._head
            self._give_up("ended inside a frame", data, stamp_ns, out)
        self.opaque = True
        return out

    def _give_up(self, reason: str, data: bytes, stamp_ns: int, out: list[WebSocketObservation]) -> None:
        out.append(Opaque(self.sender, stamp_ns, reason, data))
        self.opaque = True
        self._in_frame = False
        self._message = None

    def _read_head(self, data: bytes, position: int, stamp_ns: int, out: list[WebSocketObservation]) -> int:
        known = len(self._head)
        if not known:
            self._began_ns = stamp_ns
        head = self._head + data[position : position + _MAX_HEAD]
        size = _head_size(head)
        if len(head) < size:
            self._head = head
            return len(data)
        self._head = b""
        self._first, second = head[0], head[1]
        length = second & 0x7F
        if length == 126:
            length = int.from_bytes(head[2:4], "big")
        elif length == 127:
            length = int.from_bytes(head[2:10], "big")
        fault = self._fault_of(self._first, length)
        if fault:
            self._give_up(fault, head[:known] + data[position:], stamp_ns, out)
            return len(data)
        self._mask = head[size - 4 : size] if second & _MASKED else b""
        self._wire = size + length
        self._left = length
        self._frame = _Kept(self._max)
        self._in_frame = True
        if not self._first & _CONTROL and self._first & 0xF:
            self._message = _Kept(self._max)
            self._message_opcode = self._first & 0xF
            self._message_compressed = bool(self._first & _RSV1)
            self._message_began_ns = self._began_ns
            self._message_frames = 0
        return position + size - known

    def _fault_of(self, first: int, length: int) -> str:
        """Why a frame with this first byte cannot be read on from; empty where it can."""
        opcode = first & 0xF
        if opcode not in OPCODES:
            return "a frame with a reserved opcode"
        if first & _RESERVED or (first & _RSV1 and (self._inflater is None or opcode not in (1, 2))):
            return "a frame of an extension that was not agreed on"
        if length >> 63:
            return "a frame longer than the protocol allows"
        if opcode & _CONTROL:
            return "" if length <= _MAX_CONTROL and first & _FIN else "a control frame that is long or fragmented"
        if (opcode == 0) is (self._message is None):
            return "a continuation of nothing" if opcode == 0 else "a new message inside a fragmented one"
        return ""

    def _read_payload(self, data: bytes, position: int, stamp_ns: int, out: list[WebSocketObservation]) -> int:
        piece = data[position : position + self._left]
        size = len(piece)
        self._left -= size
        if self._mask:
            piece = _unmask(piece, self._mask)
            self._mask = self._mask[size & 3 :] + self._mask[: size & 3]
        if self._message_compressed and not self._first & _CONTROL:
            self._inflate(piece, stamp_ns, out)
        else:
            self._frame.add(piece, size)
        return position + size

    def _inflate(self, piece: bytes, stamp_ns: int, out: list[WebSocketObservation]) -> None:
        """Add the piece inflated, a bounded part at a time."""
        try:
            while self._inflater is not None:
                part = self._inflater.decompress(piece, _INFLATE_PART)
                self._frame.add(part, len(part))
                piece = self._inflater.unconsumed_tail
                if self._inflater.eof:
                    # RFC 7692, 7.2.3.4: a final block ends a stream, not the message.
                    piece = self._inflater.unused_data
                    self._inflater = zlib.decompressobj(-15)
                elif not piece and len(part) < _INFLATE_PART:
                    return
                if not piece and not part:
                    return
        except zlib.error:
            self._give_up("a compressed message that cannot be inflated", piece, stamp_ns, out)

    def _finish_frame(self, stamp_ns: int, out: list[WebSocketObservation]) -> None:
        fin = bool(self._first & _FIN)
        control = bool(self._first & _CONTROL)
        compressed = self._message_compressed and not control
        if compressed and fin:
            self._inflate(_DEFLATE_TAIL, stamp_ns, out)
            if self._deflate is not None and not self._deflate.context_takeover:
                self._inflater = zlib.decompressobj(-15)
            if self.opaque:
                return
        self._in_frame = False
        frame = self._frame
        payload = frame.payload
        opcode = OPCODES[self._first & 0xF]
        out.append(
            FrameSeen(
                self._began_ns, stamp_ns, opcode, fin, compressed, self._wire, frame.size, payload, frame.cut
            )
        )  # fmt: skip
        message = self._message
        if control or message is None:
            return
        message.add(payload, frame.size)
        self._message_frames += 1
        if fin:
            self._message = None
            out.append(
                MessageSeen(
                    self._message_began_ns, stamp_ns, OPCODES[self._message_opcode], message.payload,
                    self._message_frames, message.cut,
                )
            )  # fmt: skip


def _head_size(head: bytes) -> int:
    """Bytes of the frame head that begins so; at least 2."""
    if len(head) < 2:
        return 2
    length = head[1] & 0x7F
    return 2 + (2 if length == 126 else 8 if length == 127 else 0) + (4 if head[1] & _MASKED else 0)


def _unmask(payload: bytes, mask: bytes) -> bytes:
    """Mask or unmask (RFC 6455, 5.3): one big xor instead of a loop over bytes."""
    size = len(payload)
    keys = mask * (size // 4 + 1)
    mixed = int.from_bytes(payload, "little") ^ int.from_bytes(keys[:size], "little")
    return mixed.to_bytes(size, "little")


def encode_frame(opcode: str, payload: bytes, *, mask: bytes | None, fin: bool = True) -> bytes:
    """One uncompressed frame. `mask`: four bytes, which a client must and a server must not use."""
    first = _CODES[opcode] | (_FIN if fin else 0)
    masked = 0 if mask is None else _MASKED
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", first, masked | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", first, masked | 126, size)
    else:
        head = struct.pack("!BBQ", first, masked | 127, size)
    return head + payload if mask is None else head + mask + _unmask(payload, mask)


def parse_close(payload: bytes) -> tuple[int | None, str]:
    """Code and reason of a close frame; None where it carries no code (RFC 6455, 5.5.1)."""
    if len(payload) < 2:
        return None, ""
    return int.from_bytes(payload[:2], "big"), payload[2:].decode("utf-8", "replace")


def negotiated_deflate(sender: Sender, response_headers: Pairs) -> DeflateParameters | None:
    """How `sender` compresses, as the 101's head says; None where permessage-deflate was not accepted."""
    values = [value for name, value in response_headers if name.lower() == "sec-websocket-extensions"]
    for extension in ",".join(values).split(","):
        name, *parameters = (part.strip(" \t") for part in extension.lower().split(";"))
        if name != "permessage-deflate":
            continue
        bits = 15
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip() == f"{sender}_max_window_bits" and value.strip(' "') in _WINDOW_BITS:
                bits = int(value.strip(' "'))
        return DeflateParameters(context_takeover=f"{sender}_no_context_takeover" not in parameters, window_bits=bits)
    return None
