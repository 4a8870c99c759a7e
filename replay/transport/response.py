"""Reads the answers that most answers are, in one look: a plain final head and a body that ends where it says.

Whatever is not that (1xx, 101, HTTP/1.0, a body that ends with the connection, trailers, a head in pieces, faults) is
None here and left to `nestperf.wire.http1.ResponseReader`, which reads everything. Where both can read an answer, both
read the same; a property test holds them to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from nestperf.capture.model import Pairs
from nestperf.wire import heads
from nestperf.wire.heads import CHUNKED

_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})\r\n")
_BODYLESS = frozenset({204, 304})
LONGEST = 8192
"""Bytes of a head that is read, and remembered, here at most."""
_REMEMBERED = 1024
"""Heads remembered: a server that stamps seconds into them sends the same one for a second."""


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a final answer."""

    status: int
    reason: str
    version: str
    headers: Pairs
    body: int = 0
    """Bytes of the body, or `CHUNKED`. Not so in the answer to HEAD, which has none."""
    reusable: bool = False
    """The connection may be used again."""
    cookies: bool = True
    """A Set-Cookie may be among the fields."""


@lru_cache(_REMEMBERED)
def read_head(block: bytes) -> Head | None:
    """The head in `block`, which ends with its blank line; None where somebody must look closer."""
    lines = block[:-4].splitlines()
    first = heads.status_line(lines[0]) if lines else None
    fields = heads.parse_fields(lines[1:])
    if first is None or fields is None:
        return None
    version, status, reason = first
    headers, framing = fields
    if version != "HTTP/1.1" or status < 200:
        return None
    body = 0 if status in _BODYLESS else heads.body_of(framing, otherwise=heads.UNTIL_END)
    if body < 0 and body != CHUNKED:
        return None
    reusable = not heads.has_token(framing, "close")
    cookies = b"\nset-cookie" in block.lower()
    return Head(status, reason, version, headers, body, reusable, cookies)


def read_chunks(data: bytes, position: int) -> list[bytes] | None:
    """The pieces of a chunked body that begins at `position` and fills the rest of `data`; None where it does not."""
    if not data.endswith(b"0\r\n\r\n"):
        return None
    pieces: list[bytes] = []
    while match := _CHUNK_LINE.match(data, position):
        size, position = int(match[1], 16), match.end()
        if not size:
            return pieces if position + 2 == len(data) else None
        end = position + size
        if data[end : end + 2] != b"\r\n":
            return None
        pieces.append(data[position:end])
        position = end + 2
    return None
