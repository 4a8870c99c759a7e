"""The short way for bytes between two open connections: they are written to the other side in the very turn of the
event loop that read them, and only then copied.

mitmproxy's own way wakes a task, which runs in the next turn, for every chunk. It stays in place and takes over
whenever there is more to do than to hand on: bytes that came before both sides were open, a side that takes them too
slowly (that way waits for it), ends and failures.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

READ_AT_ONCE = 2**16
"""Bytes. asyncio reads up to 256 KiB; for so much the C library may fetch memory from the system and give it back each
time, which makes 17 µs of a read that takes 2.4."""
_LOGGER = logging.getLogger("asyncio")


class Stream(NamedTuple):
    """One side of a relayed connection, as mitmproxy holds it."""

    reader: asyncio.StreamReader
    transport: asyncio.Transport


class _Shortcut(asyncio.Protocol):
    """Stands before a stream's own protocol and hands on what needs no waiting."""

    def __init__(self, stream: Stream, other: asyncio.Transport, copy: Callable[[bytes], None]) -> None:
        own = stream.transport.get_protocol()
        assert isinstance(own, asyncio.Protocol)
        self._own = own
        self._reader = stream.reader
        self._other = other
        self._copy = copy

    def data_received(self, data: bytes) -> None:
        """Bytes came in: out with them, unless others are waiting before them."""
        other = self._other
        if self._reader._buffer or other.is_closing() or other.get_write_buffer_size():  # type: ignore[attr-defined]
            self._own.data_received(data)
            return
        other.write(data)
        try:
            self._copy(data)
        except Exception:
            # Whatever happens to the copy, the connection goes on; this log is what counts the recorder's faults.
            _LOGGER.exception("no copy")

    def eof_received(self) -> bool | None:
        """The side will send no more."""
        return self._own.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The side is gone."""
        self._own.connection_lost(exc)

    def pause_writing(self) -> None:
        """The side takes what is written to it too slowly."""
        self._own.pause_writing()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._own.resume_writing()


def read_less(*streams: Stream) -> None:
    """Read in pieces for which no memory has to be mapped."""
    for stream in streams:
        if hasattr(stream.transport, "max_size"):
            stream.transport.max_size = READ_AT_ONCE


def shorten(
    client: Stream, server: Stream, from_client: Callable[[bytes], None], from_server: Callable[[bytes], None]
) -> None:
    """From now on hand on directly what either side of a connection sends; the copies follow."""
    if not hasattr(client.reader, "_buffer"):
        return  # nobody could say whether bytes wait before new ones
    for stream, other, copy in ((client, server, from_client), (server, client, from_server)):
        stream.transport.set_protocol(_Shortcut(stream, other.transport, copy))
