"""Reads heads of HTTP/1 messages: first lines, fields, and what they say about the body that follows.

Works on whole heads and holds no state but a bounded memory of field lines seen before, because most lines of most
heads repeat (and equal strings that are one object are cheap to compare and to store once). It never raises: what it
cannot read comes back as None, or as `UNKNOWN`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, TypeAlias

from nestperf.capture.model import Pairs

MAX_HEAD = 1 << 20
"""Bytes of a head (or of a trailer section) beyond which nobody sends one."""

Framing: TypeAlias = dict[str, str]
"""The fields of one head that decide how to read on: lower-case name to value, repeats joined by commas (RFC 9110,
5.3)."""

Fields: TypeAlias = tuple[Pairs, Framing]

Body: TypeAlias = int
"""Bytes of a body, or one of the three below."""
CHUNKED: Final = -1
UNTIL_END: Final = -2
"""The body ends with the connection."""
UNKNOWN: Final = -3
"""The fields contradict each other, or make no sense."""

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}")
"""A method. The longest registered one has 17 letters, and what has no end must not be searched for one again and
again."""
_REQUEST_BEGINNING = re.compile(_TOKEN.pattern + rb"(?: |\Z)")
_VERSION = re.compile(rb"HTTP/1\.[0-9]")
_METHODS = {
    name.encode(): name for name in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE")
}
_VERSIONS = {b"HTTP/1.1": "HTTP/1.1", b"HTTP/1.0": "HTTP/1.0"}
_BLANK = b" \t\r\n"

_FRAMING = frozenset({"content-length", "transfer-encoding", "connection", "upgrade"})
_FRAMING_LENGTHS = frozenset(map(len, _FRAMING))
_KNOWN: dict[bytes, tuple[str, str]] = {}
"""Field lines seen before, those of framing fields apart."""
_KNOWN_FRAMING: dict[bytes, tuple[str, str]] = {}
"""Lines of framing fields seen before."""
_KNOWN_HEADS: dict[bytes, tuple[bytes, Fields | None]] = {}
"""Whole heads seen before: an application that polls sends the same one again and again."""
_KNOWN_LINES = 4096
_KNOWN_LENGTH = 1024
"""Bounds of each memory: some 10 MB at the very worst."""


def blank_line(data: bytes | bytearray, start: int) -> int:
    """Where the first blank line at or after `start` ends, -1 if there is none. Line ends may be bare LF."""
    crlf = data.find(b"\n\r\n", start)
    bare = data.find(b"\n\n", start) if crlf < 0 else data.find(b"\n\n", start, crlf + 1)
    if bare >= 0:
        return bare + 2
    return crlf + 3 if crlf >= 0 else -1


def request_line(line: bytes) -> tuple[str, str, str] | None:
    """Method, target and version; None where it is no request line of HTTP/1."""
    parts = line.split(b" ")
    if len(parts) == 3 and parts[1]:
        known = _METHODS.get(parts[0]), _VERSIONS.get(parts[2])
        if known[0] is not None and known[1] is not None:
            return known[0], parts[1].decode("latin-1"), known[1]
    return _odd_request_line(line)


def _odd_request_line(line: bytes) -> tuple[str, str, str] | None:
    """As `request_line` for other methods, and for more blanks than there should be."""
    method, _, rest = line.rstrip(_BLANK).partition(b" ")
    target, _, version = rest.rpartition(b" ")
    target = target.strip(b" ")
    if not target or not _TOKEN.fullmatch(method) or not _VERSION.fullmatch(version):
        return None
    return method.decode("latin-1"), target.decode("latin-1"), version.decode("latin-1")


def status_line(line: bytes) -> tuple[str, int, str] | None:
    """Version, status and reason (empty where there is none); None where it is no status line of HTTP/1."""
    # The memory of _status_line must stay small, and nobody repeats a long one.
    return _status_line(line) if len(line) <= 256 else _status_line.__wrapped__(line)


@lru_cache(maxsize=256)
def _status_line(line: bytes) -> tuple[str, int, str] | None:
    version, _, rest = line.rstrip(_BLANK).partition(b" ")
    rest = rest.lstrip(b" ")
    status, reason = rest[:3], rest[3:]
    if not _VERSION.fullmatch(version) or len(status) < 3 or not status.isdigit() or status < b"100":
        return None
    if reason and reason[0] not in b" \t":
        return None
    return version.decode("latin-1"), int(status), reason.lstrip(b" \t").decode("latin-1")


def may_begin_request(beginning: bytes | bytearray) -> bool:
    """Whether these first bytes, no line yet, can become a request line."""
    return _REQUEST_BEGINNING.match(beginning) is not None


def may_begin_response(beginning: bytes | bytearray) -> bool:
    """Whether these first bytes, no line yet, can become a status line."""
    return b"HTTP/1.".startswith(beginning[:7])


def parse_head(head: bytes) -> tuple[bytes, Fields | None]:
    """First line and fields of a whole head, its blank line cut off; None where a line is no field."""
    known = _KNOWN_HEADS.get(head)
    if known is None:
        lines = head.splitlines()
        known = lines[0], parse_fields(lines[1:])
        if len(head) <= _KNOWN_LENGTH:
            if len(_KNOWN_HEADS) >= _KNOWN_LINES:
                _KNOWN_HEADS.clear()
            _KNOWN_HEADS[head] = known
    return known


def parse_fields(lines: list[bytes]) -> Fields | None:
    """Field lines, without their ends, as pairs and framing fields; None where a line is no field."""
    pairs: list[tuple[str, str]] = []
    framing: Framing = {}
    for line in lines:
        pair = _KNOWN.get(line)
        if pair is None:
            pair = _KNOWN_FRAMING.get(line)
            if pair is None:
                name, colon, value = line.decode("latin-1").partition(":")
                if not colon or not name or name[0] in " \t":
                    return _unfold(lines)
                pair = (name.rstrip(" \t"), value.strip(" \t"))
                if len(pair[0]) not in _FRAMING_LENGTHS or pair[0].lower() not in _FRAMING:
                    pairs.append(_remember(_KNOWN, line, pair))
                    continue
                _remember(_KNOWN_FRAMING, line, pair)
            key = pair[0].lower()
            framing[key] = f"{framing[key]}, {pair[1]}" if key in framing else pair[1]
        pairs.append(pair)
    return tuple(pairs), framing


def _remember(memory: dict[bytes, tuple[str, str]], line: bytes, pair: tuple[str, str]) -> tuple[str, str]:
    if len(line) <= _KNOWN_LENGTH:
        if len(memory) >= _KNOWN_LINES:
            memory.clear()
        memory[line] = pair
    return pair


def _unfold(lines: list[bytes]) -> Fields | None:
    """As `parse_fields` where fields may go on in the next line (RFC 9112, 5.2)."""
    if b"" in lines:
        return None
    fields: list[list[bytes]] = []
    for line in lines:
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1].append(line.strip(b" \t"))
        else:
            fields.append([line.rstrip(b" \t")])
    return parse_fields([b" ".join(pieces) for pieces in fields]) if len(fields) < len(lines) else None


def body_of(framing: Framing, *, otherwise: Body) -> Body:
    """How the body is delimited (RFC 9112, 6.3); `otherwise` where the fields do not say."""
    codings = framing.get("transfer-encoding")
    if codings:
        last = codings.lower().rstrip(" \t,").rpartition(",")[2].strip(" \t")
        if last == "chunked":
            return CHUNKED
        if last and last != "identity":
            return UNTIL_END
    lengths = framing.get("content-length")
    if lengths is None:
        return otherwise
    # int() alone would also take signs, underscores and superscripts, and refuse what is longer than 4300 digits.
    if lengths.isdigit() and lengths.isascii() and len(lengths) <= 18:
        return int(lengths)
    first, *others = {part.strip(" \t") for part in lengths.split(",")}
    if others or not first.isdigit() or not first.isascii() or len(first) > 18:
        return UNKNOWN
    return int(first)


def has_token(framing: Framing, token: str) -> bool:
    """Whether the Connection field names `token` (lower case)."""
    value = framing.get("connection", "").lower()
    return token in value and token in (part.strip(" \t") for part in value.split(","))
