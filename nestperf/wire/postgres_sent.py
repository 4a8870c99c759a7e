"""Builds what a PostgreSQL client sends (protocol 3). Pure.

(https://www.postgresql.org/docs/current/protocol-message-formats.html)
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

_PROTOCOL_3 = 3 << 16
SSL_REQUEST = struct.pack(">II", 8, 80877103)


class Value(NamedTuple):
    """One parameter of a statement."""

    form: int
    """0 text, 1 binary."""
    content: bytes | None
    """None is NULL."""


def message(kind: bytes, body: bytes = b"") -> bytes:
    """A message with its type and length."""
    return kind + struct.pack(">I", len(body) + 4) + body


def startup(**given: str) -> bytes:
    """The start-up message: `user`, `database`, `application_name`, ..."""
    body = struct.pack(">I", _PROTOCOL_3) + b"".join(_string(part) for pair in given.items() for part in pair) + b"\0"
    return struct.pack(">I", len(body) + 4) + body


def query(text: str) -> bytes:
    """A simple query."""
    return message(b"Q", _string(text))


def parse(text: str, name: str = "", types: Sequence[int] = ()) -> bytes:
    """Prepare a statement; `types` are OIDs, 0 leaves one to the server."""
    return message(b"P", _string(name) + _string(text) + struct.pack(f">H{len(types)}I", len(types), *types))


def bind(values: Sequence[Value], name: str = "") -> bytes:
    """Fill the unnamed portal from a prepared statement; all columns are asked for as text."""
    forms = struct.pack(f">H{len(values)}H", len(values), *(value.form for value in values))
    contents = b"".join(
        struct.pack(">i", -1) if value.content is None else struct.pack(">i", len(value.content)) + value.content
        for value in values
    )
    return message(b"B", b"\0" + _string(name) + forms + struct.pack(">H", len(values)) + contents + b"\0\0")


DESCRIBE_PORTAL = message(b"D", b"P\0")
EXECUTE_ALL = message(b"E", b"\0" + struct.pack(">I", 0))
SYNC = message(b"S")
TERMINATE = message(b"X")


def password(secret: bytes) -> bytes:
    """An answer to a wish for a password."""
    return message(b"p", secret + b"\0")


def sasl_begin(mechanism: str, first: bytes) -> bytes:
    """Choose a SASL mechanism, with its first message."""
    return message(b"p", _string(mechanism) + struct.pack(">I", len(first)) + first)


def sasl_go_on(answer: bytes) -> bytes:
    """The next message of a SASL mechanism."""
    return message(b"p", answer)


def _string(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape") + b"\0"
