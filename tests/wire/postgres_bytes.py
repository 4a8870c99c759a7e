"""PostgreSQL messages as bytes, for tests that write a conversation down."""

from __future__ import annotations

import struct
from collections.abc import Iterable


def message(kind: str, *parts: bytes | str | int) -> bytes:
    """Type, length, then strings with their zero, 16-bit numbers and raw bytes."""
    body = b"".join(
        part if isinstance(part, bytes) else part.encode() + b"\0" if isinstance(part, str) else struct.pack(">h", part)
        for part in parts
    )
    return kind.encode() + struct.pack(">I", len(body) + 4) + body


def startup(**given: str) -> bytes:
    pairs = b"".join(f"{name}\0{value}\0".encode() for name, value in given.items()) + b"\0"
    return struct.pack(">II", len(pairs) + 8, 3 << 16) + pairs


def request(code: int, rest: bytes = b"") -> bytes:
    """A message without a type: SSLRequest, GSSENCRequest, CancelRequest."""
    return struct.pack(">II", 8 + len(rest), code) + rest


SSL_REQUEST, GSS_REQUEST = request(80877103), request(80877104)
CANCEL = request(80877102, struct.pack(">II", 7, 99))
AUTH_OK = message("R", b"\0\0\0\0")


def query(text: str) -> bytes:
    return message("Q", text)


def parse(text: str, name: str = "") -> bytes:
    return message("P", name, text, 0)


def bind(*values: bytes | None, name: str = "", portal: str = "", formats: Iterable[int] = ()) -> bytes:
    forms = list(formats)
    packed = b"".join(
        struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value for value in values
    )
    return message("B", portal, name, len(forms), *forms, len(values), packed, 0)


def describe(what: str = "P", name: str = "") -> bytes:
    return message("D", what.encode(), name)


def execute(portal: str = "", most: int = 0) -> bytes:
    return message("E", portal, struct.pack(">i", most))


SYNC, FLUSH = message("S"), message("H")
PARSED, BOUND, CLOSED, NO_DATA, EMPTY, SUSPENDED = (message(kind) for kind in "123nIs")


def columns(*names: str) -> bytes:
    return message("T", len(names), *(part for name in names for part in (name, b"\0" * 18)))


def row(*values: bytes) -> bytes:
    return message("D", len(values), b"".join(struct.pack(">i", len(value)) + value for value in values))


def done(tag: str) -> bytes:
    return message("C", tag)


def ready(state: str = "I") -> bytes:
    return message("Z", state.encode())


def error(sqlstate: str, severity: str = "ERROR", text: str = "a secret value 4711") -> bytes:
    return message("E", b"S" + severity.encode() + b"\0V" + severity.encode() + b"\0C" + sqlstate.encode() + b"\0M"
                   + text.encode() + b"\0\0")  # fmt: skip


def notice(sqlstate: str = "00000") -> bytes:
    return b"N" + error(sqlstate, "NOTICE")[1:]


def notification(channel: str, payload: str) -> bytes:
    return message("A", b"\0\0\0\7", channel, payload)
