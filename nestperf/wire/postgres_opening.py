"""How a connection to PostgreSQL begins: wishes for encryption and their answers, then the start-up message.

None of these messages has a type byte. (https://www.postgresql.org/docs/current/protocol-message-formats.html)
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

from nestperf.wire.observations import DatabaseOpened, ServerSaid
from nestperf.wire.postgres_fields import read_startup

TLS = "the connection turned to TLS"
"""A fault: the way to see the queries is `sslmode=disable` between application and recorder."""
GSS = "the connection turned to GSSAPI encryption"

_MAX_STARTUP = 10_000
"""Bytes; `MAX_STARTUP_PACKET_LENGTH` of the server."""
_CANCEL, _SSL, _GSS = 80877102, 80877103, 80877104
_TLS_HANDSHAKE = 0x16


class Fault(NamedTuple):
    """Why the connection cannot be followed."""

    reason: str
    data: bytes
    """What it was seen by; nothing of what is encrypted."""


class Opening:
    """Both sides of one connection's beginning."""

    def __init__(self) -> None:
        self.is_over = False
        """The start-up message came; what follows from the client has type bytes."""
        self.fault: Fault | None = None
        self.awaits = ""
        """`ssl` or `gss`: the server's next byte is the answer to that wish."""
        self._held = bytearray()

    def from_client(self, data: bytes, stamp_ns: int, tell: Callable[[DatabaseOpened | ServerSaid], None]) -> bytes:
        """Take what the client sent before it `is_over`; the bytes behind the start-up message."""
        held = self._held
        held += data
        while len(held) >= 8:
            length, code = struct.unpack_from(">II", held)
            if held[0] == _TLS_HANDSHAKE:
                return self._cannot(TLS)
            if not 8 <= length <= _MAX_STARTUP:
                return self._cannot("no PostgreSQL start-up message", bytes(held))
            if len(held) < length:
                break
            body = bytes(held[8:length])
            del held[:length]
            if code in (_SSL, _GSS):
                self.awaits = "ssl" if code == _SSL else "gss"
            elif code == _CANCEL:
                tell(ServerSaid(stamp_ns, "cancel", None, None, None))
            elif code >> 16 == 3:
                tell(read_startup(body, stamp_ns))
                self.is_over = True
                return bytes(held)
            else:
                return self._cannot("a start-up message of another protocol version", body)
        return b""

    def from_server(self, data: bytes) -> bytes:
        """Take the answer to the wish that it `awaits`; the bytes behind it."""
        answer, wish, self.awaits = data[:1], self.awaits, ""
        if answer == b"S" and wish == "ssl":
            return self._cannot(TLS)
        if answer == b"G" and wish == "gss":
            return self._cannot(GSS)
        if answer == b"N":
            return data[1:]
        if answer != b"E":
            return self._cannot("no answer to a wish for encryption", data)
        return data

    def _cannot(self, reason: str, data: bytes = b"") -> bytes:
        self.fault = Fault(reason, data)
        return b""
