"""Turns heads and bodies into rows, each stored once, secrets replaced on the way. Recorder and replayer share it.

A small body is decoded (content coding removed) when it is complete; a large one as it comes, and beyond the limit
only its size and keyed hash go on: a download of any size costs a bounded amount of memory.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable
from typing import Protocol

import brotli
import zstandard

from nestperf.capture.model import Body, HeaderSet, Pairs, Row
from nestperf.capture.redaction import Redactor

MAX_REQUEST = 64 * 2**20
"""Request bodies are kept up to this size in bytes, since a replay needs them whole."""
MAX_RESPONSE = 4 * 2**20
_JOINED_UP_TO = 2**18
"""Up to this size the pieces are kept as they came."""
_REMEMBERED = 20_000
"""How many head fields, header sets and bodies are remembered to be stored once."""


class _Inflater(Protocol):
    def decompress(self, data: bytes, /) -> bytes: ...


class _Deflate:
    """`deflate` means zlib by RFC 9110 and raw deflate by habit: the first bytes decide."""

    def __init__(self) -> None:
        self._inner: _Inflater | None = None

    def decompress(self, data: bytes, /) -> bytes:
        if self._inner is None:
            self._inner = zlib.decompressobj()
            try:
                return self._inner.decompress(data)
            except zlib.error:
                self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
        return self._inner.decompress(data)


class _Brotli:
    def __init__(self) -> None:
        self._inner = brotli.Decompressor()

    def decompress(self, data: bytes, /) -> bytes:
        return bytes(self._inner.process(data))


_INFLATERS: dict[str, Callable[[], _Inflater]] = {
    "gzip": lambda: zlib.decompressobj(zlib.MAX_WBITS | 16),
    "x-gzip": lambda: zlib.decompressobj(zlib.MAX_WBITS | 16),
    "deflate": _Deflate,
    "br": _Brotli,
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
}
_CORRUPT = (zlib.error, brotli.error, zstandard.ZstdError, EOFError)


def codings_of(content_encoding: str) -> tuple[str, ...]:
    """The codings of a Content-Encoding field in the order they were applied; `identity` is none."""
    names = (name.strip().lower() for name in content_encoding.split(","))
    return tuple(name for name in names if name and name != "identity")


class BodyCollector:
    """One body while it arrives, in pieces without chunk framing."""

    __slots__ = ("_digest", "_inflaters", "_pieces", "coding", "decodable", "kept", "limit", "size", "wire_size")

    def __init__(self, coding: str, limit: int) -> None:
        self.coding = coding
        """The Content-Encoding field; empty where there is none."""
        self.limit = limit
        """Decoded bytes to keep."""
        self.wire_size = 0
        self.size = 0
        self.kept = bytearray()
        self.decodable = True
        self._pieces: list[bytes] | None = []
        self._inflaters: list[_Inflater] = []
        self._digest: hashlib.blake2b | None = None

    def add(self, piece: bytes) -> None:
        """The next piece, still content-coded."""
        self.wire_size += len(piece)
        if self._pieces is None:
            self._decode(piece)
        else:
            self._pieces.append(piece)

    @property
    def overflows(self) -> bool:
        """Too large to wait for its end: decode what has come (`begin_streaming`)."""
        return self._pieces is not None and self.wire_size > _JOINED_UP_TO

    def begin_streaming(self, digest: hashlib.blake2b) -> None:
        """From now on decode pieces as they come, and keep no more than the limit."""
        pieces, self._pieces = self._pieces or (), None
        self._digest = digest
        self._inflaters = self._fresh_inflaters()
        for piece in pieces:
            self._decode(piece)

    def digest(self) -> str | None:
        """The keyed hash of a streamed body; None while nothing is streamed."""
        return None if self._digest is None else self._digest.hexdigest()

    def content(self) -> bytes:
        """What is kept of the decoded body so far; `size` and `decodable` speak of the same moment."""
        if self._pieces is None:
            return bytes(self.kept)
        raw = b"".join(self._pieces)
        content = raw
        self.decodable = True
        try:
            for inflater in self._fresh_inflaters():
                content = inflater.decompress(content)
        except _CORRUPT:
            content, self.decodable = raw, False
        self.size = len(content)
        return content[: self.limit]

    def _fresh_inflaters(self) -> list[_Inflater]:
        if not self.coding:
            return []
        codings = codings_of(self.coding)
        if not all(coding in _INFLATERS for coding in codings):
            self.decodable = False
            return []
        return [_INFLATERS[coding]() for coding in reversed(codings)]

    def _decode(self, piece: bytes) -> None:
        assert self._digest is not None
        try:
            for inflater in self._inflaters:
                piece = inflater.decompress(piece)
        except _CORRUPT:
            # What follows cannot be decoded either; from here on it is kept and counted as it comes.
            self._inflaters, self.decodable = [], False
        self._digest.update(piece)
        self.size += len(piece)
        if len(self.kept) < self.limit:
            self.kept += piece[: self.limit - len(self.kept)]


class Contents:
    """Heads and bodies of one capture. `add` is where finished rows go (`CaptureWriter.add`)."""

    def __init__(
        self,
        redactor: Redactor,
        add: Callable[[Row], None],
        *,
        max_request: int = MAX_REQUEST,
        max_response: int = MAX_RESPONSE,
    ) -> None:
        self.redactor = redactor
        self.max_request = max_request
        self.max_response = max_response
        self._add = add
        self._fields: dict[tuple[str, str], str] = {}
        self._header_sets: dict[Pairs, int] = {}
        self._bodies: dict[tuple[str, str, str, bool, int], int] = {}
        self._last_header_set = 0
        self._last_body = 0

    def headers(self, pairs: Pairs) -> int:
        """The `header_sets` id of a head's fields."""
        known = self._header_sets.get(pairs)
        if known is not None:
            return known
        fields = self._fields
        parts = []
        for pair in pairs:
            part = fields.get(pair)
            if part is None:
                if len(fields) > _REMEMBERED:
                    fields.clear()
                part = fields[pair] = json.dumps((pair[0], self.redactor.field(*pair)), ensure_ascii=False)
            parts.append(part)
        if len(self._header_sets) > _REMEMBERED:
            self._header_sets.clear()
        self._last_header_set += 1
        self._header_sets[pairs] = self._last_header_set
        self._add(HeaderSet(self._last_header_set, f"[{','.join(parts)}]"))
        return self._last_header_set

    def forget(self) -> None:
        """Rows were given up: whatever comes is stored as if it were new."""
        self._header_sets.clear()
        self._bodies.clear()

    def collect(self, coding: str, *, request: bool) -> BodyCollector:
        """Begin a body; feed it through `grow`."""
        return BodyCollector(coding, self.max_request if request else self.max_response)

    def grow(self, body: BodyCollector, piece: bytes) -> None:
        """The next piece of a body that `collect` began."""
        body.add(piece)
        if body.overflows:
            body.begin_streaming(self.redactor.vault.keyed_hash())

    def store(
        self,
        body: BodyCollector,
        *,
        media_type: str,
        chunked: bool,
        whole: bool = True,
        body_id: int | None = None,
        omit: bool = False,
    ) -> int | None:
        """The `bodies` id of what was collected; None for an empty body.

        `whole` False says that the body was cut off or is still growing; such a body always has a row of its own, and
        `body_id` names the row it had before. `omit` stores everything but the content, which is elsewhere.
        """
        if not body.wire_size:
            return None
        content = body.content()
        content_id = body.digest() or self.redactor.vault.keyed_id(content)
        key = (content_id, media_type, body.coding, chunked, body.wire_size)
        reusable = whole and body_id is None
        if reusable:
            known = self._bodies.get(key)
            if known is not None:
                return known
        if body_id is None:
            self._last_body += 1
            body_id = self._last_body
        if reusable:
            if len(self._bodies) > _REMEMBERED:
                self._bodies.clear()
            self._bodies[key] = body_id
        complete = whole and len(content) == body.size
        state = "undecodable" if not body.decodable else "whole" if complete else "cut"
        redacted: bytes | None = None
        if omit:
            state = "omitted"
        else:
            redacted = self.redactor.body(content, media_type, cut=not complete)
        self._add(
            Body(body_id, content_id, media_type, body.coding, chunked, body.size, body.wire_size, state, redacted)
        )
        return body_id

    def body(self, raw: bytes, *, media_type: str, coding: str, chunked: bool, request: bool) -> int | None:
        """The `bodies` id of a body that is there at once, still content-coded; None for an empty one."""
        if not raw:
            return None
        collector = self.collect(coding, request=request)
        self.grow(collector, raw)
        return self.store(collector, media_type=media_type, chunked=chunked)

    def attachment(self, content: bytes) -> int:
        """The `bodies` id of a Socket.IO attachment."""
        stored = self.body(content, media_type="application/octet-stream", coding="", chunked=False, request=True)
        return stored if stored is not None else self._empty_attachment()

    def _empty_attachment(self) -> int:
        self._last_body += 1
        self._add(Body(self._last_body, "", "application/octet-stream", "", False, 0, 0, "whole", b""))
        return self._last_body
