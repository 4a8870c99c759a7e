"""Cuts one direction of a PostgreSQL connection into its messages: type byte, length, payload.

Takes bytes as they come and keeps the payload only of the message types that are asked for, and of those no more than
`limit` bytes. Rows and COPY data, of which there may be millions, are counted and never kept.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

MAX_LENGTH = 0x4000_0000
"""Bytes; the server takes and makes no longer message (`PQ_LARGE_MESSAGE_LIMIT`, MaxAllocSize)."""
HEAD = 5
"""Bytes of type and length."""

_head = struct.Struct(">BI").unpack_from


class Message(NamedTuple):
    """One message, or several equal ones in a row where they are only counted."""

    kind: str
    payload: bytes
    """The beginning only where it was longer than the limit; empty where it is not kept."""
    size: int
    """Bytes on the wire, type and length included."""
    stamp_ns: int
    """Arrival of the first byte."""
    messages: int
    """How many this stands for."""


class MessageStream:
    """One direction, from its first message with a type byte."""

    def __init__(self, *, known: str, kept: str, counted: str, limit: int) -> None:
        """Types are given as strings of their letters; `limit` in bytes of a payload."""
        self._known = frozenset(known.encode())
        self._kept = frozenset(kept.encode())
        self._counted = frozenset(counted.encode())
        self._limit = limit
        self._held = bytearray()
        """The beginning of a message whose head, or whose wanted payload, is not complete."""
        self._began_ns = 0
        self._skip = 0
        """Bytes of the last message that are still to come and not wanted."""
        self.fault = ""
        """Why the bytes are no messages any more, in a few words: there is no way back into step."""

    def receive(self, data: bytes, stamp_ns: int) -> list[Message]:
        """Take bytes as they arrived; the messages that began (counted, unwanted) or were completed (kept) by them, up
        to a `fault`."""
        out: list[Message] = []
        position = min(self._skip, len(data))
        self._skip -= position
        if self._held:
            position = self._complete(data, position, out)
        end = len(data)
        counted, kept = self._counted, self._kept
        while position < end:
            if end - position < HEAD:
                self._hold(data[position:], stamp_ns)
                break
            kind, length = _head(data, position)
            if self._is_wrong(kind, length):
                return out
            size = length + 1
            if kind in kept:
                wanted = min(size, HEAD + self._limit)
                if end - position < wanted:
                    self._hold(data[position:], stamp_ns)
                    break
                out.append(Message(chr(kind), data[position + HEAD : position + wanted], size, stamp_ns, 1))
            elif kind in counted:
                count, total = 1, size
                following = position + size
                # A run of rows is one message here: 100,000 rows must not be 100,000 objects.
                while end - following >= HEAD and data[following] == kind:
                    length = _head(data, following)[1]
                    if not 4 <= length <= MAX_LENGTH:
                        break
                    count += 1
                    total += length + 1
                    following += length + 1
                out.append(Message(chr(kind), b"", total, stamp_ns, count))
                size = total
            else:
                out.append(Message(chr(kind), b"", size, stamp_ns, 1))
            position += size
        if position > end:
            self._skip = position - end
        return out

    def _is_wrong(self, kind: int, length: int) -> bool:
        if kind not in self._known:
            self.fault = "a message of an unknown type"
        elif not 4 <= length <= MAX_LENGTH:
            self.fault = "a message of an impossible length"
        return bool(self.fault)

    def _hold(self, beginning: bytes, stamp_ns: int) -> None:
        self._held += beginning
        self._began_ns = stamp_ns

    def _complete(self, data: bytes, position: int, out: list[Message]) -> int:
        """Go on with the message that was held; where in `data` the next one begins, past its end if it is longer."""
        held = self._held
        if len(held) < HEAD:
            piece = data[position : position + HEAD - len(held)]
            held += piece
            position += len(piece)
            if len(held) < HEAD:
                return position
        kind, length = _head(held)
        if self._is_wrong(kind, length):
            return len(data)
        size: int = length + 1
        wanted = min(size, HEAD + self._limit) if kind in self._kept else HEAD
        piece = data[position : position + wanted - len(held)]
        held += piece
        position += len(piece)
        if len(held) < wanted:
            return position
        out.append(Message(chr(kind), bytes(held[HEAD:]), size, self._began_ns, 1))
        held.clear()
        return position + size - wanted
