"""Decodes Socket.IO packets inside Engine.IO packets, from WebSocket messages and from long-polling payloads.

JSON stays the text that was sent (big numbers, key order and blanks included); it is parsed only to be sure that it
is JSON. Never raises for any bytes: each message that cannot be understood becomes one `Opaque`, and since messages
have boundaries of their own the next one is read as usual.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any

from nestperf.wire.observations import Opaque, PacketSeen, Sender, SocketIoObservation

ENGINE_TYPES = ("open", "close", "ping", "pong", "message", "upgrade", "noop")
"""In the order of their digits (https://socket.io/docs/v4/engine-io-protocol/)."""
TYPES = ("connect", "disconnect", "event", "ack", "connect_error", "event", "ack")
"""In the order of their digits (https://socket.io/docs/v4/socket-io-protocol/): 5 and 6 are events and acks with
attachments."""
OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = "0123456"
"""Engine.IO messages, or the beginnings of them."""
PROBE_PING, PROBE_PONG = "2probe", "3probe"
"""What is asked and answered on a WebSocket before polling is given up for it."""

MAX_ATTACHMENTS = 1024
MAX_PENDING = 16 << 20
"""Bytes of attachments kept for one packet that is not complete."""

_PACKET = re.compile(r"([0-6])(?:(?<=[56])([0-9]{1,9})-)?(/[^,]*(?:,|\Z))?([0-9]+)?")
_LIST_BEGINNING = re.compile(r"[ \t\r\n]*\[[ \t\r\n]*")
_COMMA = re.compile(r"[ \t\r\n]*,[ \t\r\n]*")
_EIO = re.compile(r"[?&]EIO=([0-9]{1,2})(?:[&#]|\Z)")
_LENGTH = re.compile(rb"[0-9]{1,9}:")
_JSON = json.JSONDecoder()


class _Unreadable(Exception):
    """A message that is no packet, and why."""


class _Pending:
    """A packet that waits for its attachments."""

    __slots__ = ("attachments", "missing", "packet", "room", "text")

    def __init__(self, packet: PacketSeen, missing: int, text: bytes) -> None:
        self.packet = packet
        self.missing = missing
        self.text = text
        self.attachments: list[bytes] = []
        self.room = MAX_PENDING


class SocketIoDecoder:
    """Both directions of one Socket.IO connection."""

    def __init__(self, version: int = 4) -> None:
        """`version`: of Engine.IO, as `is_socket_io` finds it."""
        self._version = version
        self._pending: dict[Sender, _Pending] = {}

    def receive(
        self, sender: Sender, payload: bytes, is_binary: bool, stamp_ns: int, done_ns: int
    ) -> list[SocketIoObservation]:
        """Take one WebSocket message, or one packet of a long-polling payload: the packet it completes.

        `stamp_ns`, `done_ns`: arrival of its first and of its last byte.
        """
        out: list[SocketIoObservation] = []
        if payload[:1] == b"b" and not is_binary:
            # A client without binary transport sends base64 on WebSockets as well.
            payload, is_binary = _from_base64(payload)
        try:
            if is_binary:
                self._take_attachment(sender, payload, done_ns, out)
            else:
                self._take_text(sender, payload, stamp_ns, done_ns, out)
        except _Unreadable as reason:
            self._drop_pending(sender, done_ns, out)
            out.append(Opaque(sender, stamp_ns, str(reason), payload))
        return out

    def end(self, stamp_ns: int) -> list[SocketIoObservation]:
        """Take the end of the connection: packets whose attachments did not all come are `Opaque`."""
        out: list[SocketIoObservation] = []
        for sender in tuple(self._pending):
            self._drop_pending(sender, stamp_ns, out)
        return out

    def _drop_pending(self, sender: Sender, stamp_ns: int, out: list[SocketIoObservation]) -> None:
        pending = self._pending.pop(sender, None)
        if pending is not None:
            out.append(Opaque(sender, stamp_ns, "a packet without all its attachments", pending.text))

    def _take_text(
        self, sender: Sender, payload: bytes, stamp_ns: int, done_ns: int, out: list[SocketIoObservation]
    ) -> None:
        try:
            text = payload.decode()
        except UnicodeDecodeError:
            raise _Unreadable("text that is no UTF-8") from None
        digit = text[:1]
        if digit == MESSAGE:
            # A new packet while attachments are missing: the one that waited will never be complete.
            self._drop_pending(sender, done_ns, out)
            packet, missing = self._message(sender, text, stamp_ns, done_ns, len(payload))
            if missing:
                self._pending[sender] = _Pending(packet, missing, payload)
            else:
                out.append(packet)
        elif digit and digit in "012356":
            rest = text[1:]
            told = None if not rest else _checked(rest) if digit == OPEN else json.dumps(rest)
            out.append(
                PacketSeen(
                    sender, stamp_ns, done_ns, ENGINE_TYPES[int(digit)], None, None, None, None, told, (), len(payload)
                )
            )
        else:
            raise _Unreadable("no Engine.IO packet")

    def _take_attachment(self, sender: Sender, payload: bytes, done_ns: int, out: list[SocketIoObservation]) -> None:
        if self._version == 3:
            # Engine.IO 3 puts the packet's type before binary data as well, as a byte.
            if payload[:1] != b"\x04":
                raise _Unreadable("no Engine.IO packet")
            payload = payload[1:]
        pending = self._pending.get(sender)
        if pending is None:
            raise _Unreadable("an attachment that no packet announced")
        pending.room -= len(payload)
        if pending.room < 0:
            raise _Unreadable("attachments longer than what is kept of a packet")
        pending.attachments.append(payload)
        pending.missing -= 1
        if not pending.missing:
            del self._pending[sender]
            out.append(pending.packet._replace(done_ns=done_ns, attachments=tuple(pending.attachments)))

    def _message(self, sender: Sender, text: str, stamp_ns: int, done_ns: int, size: int) -> tuple[PacketSeen, int]:
        """The Socket.IO packet in an Engine.IO message, and how many attachments follow."""
        match = _PACKET.match(text, 1)
        if match is None:
            raise _Unreadable("no Socket.IO packet")
        digit, count, namespace, ack = match.groups()
        missing = int(count) if count else 0
        if missing > MAX_ATTACHMENTS or (ack and len(ack) > 18):
            raise _Unreadable("a Socket.IO packet with an absurd number")
        if digit in "56" and count is None:
            raise _Unreadable("a binary packet without a number of attachments")
        kind = TYPES[int(digit)]
        event = None
        payload = text[match.end() :] or None
        if kind == "event":
            event, payload = _split_event(payload)
        elif payload is not None:
            payload = _checked(payload, must_be_list=kind == "ack")
        namespace = (namespace or "/").removesuffix(",")
        if "?" in namespace:
            # Socket.IO 2 puts what a client says about itself into a query.
            namespace, _, query = namespace.partition("?")
            payload = payload or json.dumps(query)
        ack_id = int(ack) if ack else None
        packet = PacketSeen(
            sender, stamp_ns, done_ns, "message", kind, namespace, event, ack_id, payload, (), size
        )  # fmt: skip
        return packet, missing


def _checked(text: str, *, must_be_list: bool = False) -> str:
    """The same text, known to be JSON that `json.loads` takes."""
    if must_be_list and not isinstance(_load(text), list):
        raise _Unreadable("an ack that is no list")
    if not must_be_list:
        _load(text)
    return text


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise _Unreadable("a payload that is no JSON") from None


def _split_event(text: str | None) -> tuple[str, str]:
    """Name, and the arguments' text as a list of its own."""
    value = _load(text or "")
    if not isinstance(value, list) or not value or isinstance(value[0], bool):
        raise _Unreadable("an event without a name")
    assert text is not None
    name_at = _LIST_BEGINNING.match(text)
    assert name_at is not None
    _, end = _JSON.raw_decode(text, name_at.end())
    name = value[0]
    if isinstance(name, int | float):
        # Node's parser takes numbers as names.
        name = text[name_at.end() : end]
    elif not isinstance(name, str):
        raise _Unreadable("an event without a name")
    comma = _COMMA.match(text, end)
    arguments = "[" + (text[comma.end() :] if comma else text[end:].lstrip())
    # A lone surrogate is legal in JSON and cannot be stored as text.
    return name.encode("utf-8", "backslashreplace").decode(), arguments.rstrip()


def decode_payload(body: bytes) -> list[tuple[bytes, bool]]:
    """The packets of a long-polling body, each with whether it is binary: input for `SocketIoDecoder.receive`.

    Engine.IO 4 (packets with U+001E between them), 3 as text (`length:packet`) and 3 as bytes. What cannot be told
    apart comes back as one text packet, which the decoder then calls opaque; `ok`, the answer to a POST, as none.
    """
    if body in (b"", b"ok"):
        return []
    if body[0] in (0, 1):
        return _split_lengths_in_bytes(body) or [(body, False)]
    if _LENGTH.match(body):
        packets = _split_lengths(body)
        if packets:
            return packets
    return [_from_base64(packet) for packet in body.split(b"\x1e")]


def _from_base64(packet: bytes) -> tuple[bytes, bool]:
    """A packet of a text payload: `b` and base64 where it is binary; Engine.IO 3 has its type, `4`, between them."""
    if packet[:1] != b"b":
        return packet, False
    # "4" is a character of base64 as well: only the length (a multiple of four) tells the two protocols apart.
    typed = packet[1:2] == b"4" and len(packet) % 4 == 2
    try:
        content = base64.b64decode(packet[2 if typed else 1 :], validate=True)
    except (binascii.Error, ValueError):
        return packet, False
    return (b"\x04" + content if typed else content), True


def _split_lengths(body: bytes) -> list[tuple[bytes, bool]]:
    """Engine.IO 3 as text; empty where the lengths do not fit. They count UTF-16 units, as JavaScript does."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return []
    units = text.encode("utf-16-le")
    packets: list[tuple[bytes, bool]] = []
    position = 0
    while position < len(units):
        colon = units.find(b":\0", position, position + 24)
        digits = units[position:colon].decode("utf-16-le", "replace") if colon >= 0 else ""
        if not digits.isascii() or not digits.isdigit():
            return []
        start, position = colon + 2, colon + 2 + 2 * int(digits)
        if position > len(units):
            return []
        try:
            packet = units[start:position].decode("utf-16-le").encode()
        except UnicodeDecodeError:
            return []
        packets.append(_from_base64(packet))
    return packets


def _split_lengths_in_bytes(body: bytes) -> list[tuple[bytes, bool]]:
    """Engine.IO 3 as bytes: 0 (text) or 1 (binary), the length's digits as a byte each, 255, the packet."""
    packets: list[tuple[bytes, bool]] = []
    position = 0
    while position < len(body):
        mark = body.find(b"\xff", position + 1, position + 12)
        digits = body[position + 1 : mark]
        if body[position] > 1 or mark < 0 or not digits or max(digits) > 9:
            return []
        size = int("".join(map(str, digits)))
        start, position = mark + 1, mark + 1 + size
        if position > len(body):
            return []
        packets.append((body[start:position], body[start - len(digits) - 2] == 1))
    return packets


def encode_packet(type: str, namespace: str, payload_json: str | None, ack_id: int | None, attachments: int = 0) -> str:  # noqa: A002 - the protocol's word
    """A whole Engine.IO text message with a Socket.IO packet in it.

    Args:
        type: `connect`, `disconnect`, `event`, `ack`, `connect_error`.
        namespace: `/` for the main one.
        payload_json: as it goes out: for an event the list *with* the name (see `encode_event`).
        ack_id: the ack asked for, or given.
        attachments: how many binary messages follow; their placeholders are in `payload_json`.
    """
    binary = 3 if attachments else 0
    digit = TYPES.index(type) + (binary if type in ("event", "ack") else 0)
    count = f"{attachments}-" if attachments else ""
    place = "" if namespace == "/" else f"{namespace}," if payload_json or ack_id is not None else namespace
    return f"{MESSAGE}{digit}{count}{place}{'' if ack_id is None else ack_id}{payload_json or ''}"


def encode_event(
    namespace: str, event: str, arguments_json: str | None, ack_id: int | None = None, attachments: int = 0
) -> str:
    """As `encode_packet` for an event, from its name and its arguments' JSON list, as `PacketSeen` has them."""
    name = json.dumps(event, ensure_ascii=False)
    arguments = (arguments_json or "[]").strip()[1:]
    separator = "" if arguments.strip() == "]" else ","
    return encode_packet("event", namespace, f"[{name}{separator}{arguments}", ack_id, attachments)


def is_socket_io(target: str) -> int | None:
    """The Engine.IO version that a request target asks for in its query (`EIO=4`); None where it asks for none."""
    match = _EIO.search(target)
    return int(match[1]) if match else None
