"""Undoes content codings (RFC 9110, 8.4.1) in pieces of bounded size, whatever a body claims to hold.

A few hundred bytes can stand for gigabytes. Where a decoder takes no limit for what it gives, it gets its input in
crumbs small enough for its format's worst case.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import brotli
import zstandard

PIECE = 2**18
"""Bytes given at once where the decoder can be told so."""
_BROTLI_CRUMB = 32
_ZSTD_CRUMB = 256
"""Bytes taken at once where it cannot: some tens of megabytes at the very worst."""
CORRUPT = (zlib.error, brotli.error, zstandard.ZstdError, EOFError)
"""What a decoder raises."""


class Inflater(Protocol):
    """Undoes one coding."""

    def inflate(self, data: bytes) -> Iterator[bytes]:
        """The next bytes decoded, in pieces.

        Raises:
            one of `CORRUPT`.
        """


class _Zlib:
    def __init__(self, window_bits: int) -> None:
        self._inner = zlib.decompressobj(window_bits)
        self._window_bits = window_bits

    def inflate(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._inner.eof:
                if self._window_bits < zlib.MAX_WBITS:
                    return
                self._inner = zlib.decompressobj(self._window_bits)  # RFC 1952, 2.2: a series of members
            piece = self._inner.decompress(data, PIECE)
            data = self._inner.unused_data if self._inner.eof else self._inner.unconsumed_tail
            if piece:
                yield piece
            if self._inner.eof and not data.strip(b"\0"):
                return


class _Deflate:
    """`deflate` means zlib by RFC 9110 and raw deflate by habit: the first two bytes decide (RFC 1950, 2.2)."""

    def __init__(self) -> None:
        self._inner: _Zlib | None = None
        self._first = b""

    def inflate(self, data: bytes) -> Iterator[bytes]:
        if self._inner is None:
            self._first += data
            if len(self._first) < 2:
                return
            data, first = self._first, int.from_bytes(self._first[:2], "big")
            is_zlib = first >> 8 & 0xF == 8 and first % 31 == 0
            self._inner = _Zlib(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        yield from self._inner.inflate(data)


class _Crumbs:
    def __init__(self, decode: Callable[[bytes], bytes], crumb: int) -> None:
        self._decode = decode
        self._crumb = crumb

    def inflate(self, data: bytes) -> Iterator[bytes]:
        for at in range(0, len(data), self._crumb):
            if piece := self._decode(data[at : at + self._crumb]):
                yield piece


class _Zstd(_Crumbs):
    def __init__(self) -> None:
        self._frame = zstandard.ZstdDecompressor(max_window_size=2**27).decompressobj()
        super().__init__(self._next, _ZSTD_CRUMB)

    def _next(self, data: bytes) -> bytes:
        if self._frame.eof:  # RFC 8878, 3: a series of frames
            self._frame = zstandard.ZstdDecompressor(max_window_size=2**27).decompressobj()
        return self._frame.decompress(data)


_INFLATERS: dict[str, Callable[[], Inflater]] = {
    "gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    "x-gzip": lambda: _Zlib(zlib.MAX_WBITS | 16),
    "deflate": _Deflate,
    "br": lambda: _Crumbs(brotli.Decompressor().process, _BROTLI_CRUMB),
    "zstd": _Zstd,
}


def codings_of(content_encoding: str) -> tuple[str, ...]:
    """The codings of a Content-Encoding field in the order they were applied; `identity` is none."""
    names = (name.strip().lower() for name in content_encoding.split(","))
    return tuple(name for name in names if name and name != "identity")


def inflaters_of(content_encoding: str) -> tuple[Inflater, ...] | None:
    """Fresh inflaters in the order to apply them; None where one of the codings is not known."""
    codings = codings_of(content_encoding)
    if not all(coding in _INFLATERS for coding in codings):
        return None
    return tuple(_INFLATERS[coding]() for coding in reversed(codings))


def inflate(inflaters: tuple[Inflater, ...], data: bytes) -> Iterator[bytes]:
    """`data` through all of them, in pieces.

    Raises:
        one of `CORRUPT`.
    """
    if not inflaters:
        if data:
            yield data
        return
    first, *rest = inflaters
    for piece in first.inflate(data):
        yield from inflate(tuple(rest), piece)
