"""Collects one body while it arrives: decodes it, keeps its beginning up to a limit, counts and hashes all of it.

A small body is decoded when somebody asks for it; a large one as it comes. Memory is bounded by the limit, whatever
the body is and claims to be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from nestperf.capture.inflate import CORRUPT, Inflater, inflate, inflaters_of

_JOINED_UP_TO = 2**18
"""Up to this size on the wire the pieces are kept as they came."""
_BOMB_SIZE = 2**30
_BOMB_RATIO = 500
"""What decodes to so much from so little is decoded no further."""


class BodyCollector:
    """One body while it arrives, in pieces without chunk framing."""

    __slots__ = (
        "_digest",
        "_inflaters",
        "_keyed_hash",
        "_pieces",
        "absent",
        "coding",
        "decodable",
        "in_parts",
        "kept",
        "limit",
        "size",
        "wire_size",
    )

    def __init__(self, coding: str, limit: int, keyed_hash: Callable[[], hashlib.blake2b] = hashlib.blake2b) -> None:
        self.coding = coding
        """The Content-Encoding field; empty where there is none."""
        self.absent = False
        """Only its sizes are known."""
        self.limit = limit
        """Decoded bytes to keep."""
        self.wire_size = 0
        self.size = 0
        """Decoded, as far as it has been."""
        self.kept = bytearray()
        self.decodable = True
        self.in_parts = 0
        """Bytes of `kept` that are stored already, part by part."""
        self._keyed_hash = keyed_hash
        self._pieces: list[bytes] | None = []
        self._inflaters: tuple[Inflater, ...] = ()
        self._digest: hashlib.blake2b | None = None

    def add(self, piece: bytes) -> None:
        """The next piece, still content-coded."""
        self.wire_size += len(piece)
        if self._pieces is None:
            self._decode(piece)
        else:
            self._pieces.append(piece)
            if self.wire_size > _JOINED_UP_TO:
                self.decode_as_it_comes()

    def decode_as_it_comes(self) -> None:
        """From now on decode pieces at once, and keep no more than the limit."""
        if self._pieces is None:
            return
        pieces, self._pieces = self._pieces, None
        self._digest = self._keyed_hash()
        self._begin()
        for piece in pieces:
            self._decode(piece)

    def digest(self) -> str | None:
        """The keyed hash of all that came, decoded; None where `content` is all of it."""
        return None if self._digest is None else self._digest.hexdigest()

    def content(self) -> bytes:
        """What is kept of the decoded body so far; `size` and `decodable` speak of the same moment."""
        if self._pieces is None:
            return bytes(self.kept)
        raw = b"".join(self._pieces)
        if not self.coding:
            self.size = len(raw)
            if len(raw) > self.limit:
                self.decode_as_it_comes()
            return raw[: self.limit]
        try:
            self._begin()
            pieces = []
            self.size = 0
            for piece in self._inflate(raw):
                pieces.append(piece)
                self.size += len(piece)
                if self.size > self.limit:
                    self.decode_as_it_comes()
                    return bytes(self.kept)
            return b"".join(pieces)
        except CORRUPT:
            self.size, self.decodable = len(raw), False
            return raw[: self.limit]

    def _begin(self) -> None:
        """Decode from the first byte."""
        inflaters = inflaters_of(self.coding) if self.coding else ()
        self.decodable = inflaters is not None
        self._inflaters = inflaters or ()
        self.size = 0

    def _inflate(self, piece: bytes) -> Iterator[bytes]:
        return inflate(self._inflaters, piece)

    def _decode(self, piece: bytes) -> None:
        try:
            for decoded in self._inflate(piece):
                self._take(decoded)
                if self.size > _BOMB_SIZE and self.size > _BOMB_RATIO * self.wire_size:
                    self._inflaters, self.decodable = (), False
                    return
        except CORRUPT:
            # What follows cannot be decoded either; from here on it is kept and counted as it comes.
            self._inflaters, self.decodable = (), False
            self._take(piece)

    def _take(self, decoded: bytes) -> None:
        assert self._digest is not None
        self._digest.update(decoded)
        self.size += len(decoded)
        if len(self.kept) < self.limit:
            self.kept += decoded[: self.limit - len(self.kept)]


class DecodedBody(BodyCollector):
    """A body that another program decoded, or of which it told only the sizes (`content` None), in bytes."""

    __slots__ = ()

    def __init__(
        self,
        coding: str,
        limit: int,
        keyed_hash: Callable[[], hashlib.blake2b],
        *,
        content: bytes | None,
        size: int,
        wire_size: int,
    ) -> None:
        super().__init__("", limit, keyed_hash)
        self.add(content or b"")
        self.decode_as_it_comes()
        self.coding, self.size, self.wire_size = coding, size, wire_size
        self.absent = content is None

    def digest(self) -> str | None:
        """The keyed hash of the content; empty where that is not known."""
        return "" if self.absent else super().digest()
