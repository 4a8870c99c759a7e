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

__all__ = [
    "Opaque",
    "PacketSeen",
    "Sender",
    "SocketIoDecoder",
    "SocketIoObservation",
    "decode_payload",
    "encode_event",
    "encode_packet",
    "is_socket_io",
]

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
_EVENT_NAME = re.compile(r"\s*\[\s*")
_AFTER_NAME = re.compile(r"\s*,?\s*")
_EIO = re.compile(r"[?&]EIO=([0-9]{1,2})(?:[&#]|\Z)")
_LENGTH = re.compile(r"([0-9]{1,9}):")
_JSON = json.JSONDecoder()
