"""The copy of the traffic on its way from the relay to the recorder: one record a chunk, in the order they crossed.

The relay writes records into a pipe and never waits for anybody; the recorder, another process, reads them. Stamps
are raw `time.perf_counter_ns()` readings, which on one machine all processes share.
"""

from __future__ import annotations

import enum
import json
import struct
from typing import Any, NamedTuple

_HEAD = struct.Struct("<BIqII")  # what, connection, stamp_ns, cost_ns, length of the payload
_MOST_NS = 2**32 - 1


class What(enum.IntEnum):
    """What a record tells."""

    OPENED = 1
    """A client connected; the payload is JSON: `client` (address), `upstream` (index)."""
    CONNECTED = 2
    """The upstream answered after `cost_ns`; a payload is the error text: it did not."""
    CLIENT_BYTES = 3
    """The payload went from client to server; it was held for `cost_ns`."""
    SERVER_BYTES = 4
    CLIENT_END = 5
    """The client will send no more."""
    SERVER_END = 6
    CLOSED = 7
    """Both sides are done with the connection."""
    GAP = 8
    """The recorder was too slow: from here on this connection's bytes are dropped."""
    LAG = 9
    """The relay's event loop was late by `cost_ns` (connection 0); a payload is JSON: `dropped_bytes` since then."""
    FINISHED = 10
    """Nothing follows; the payload is JSON: `state`, and what the relay counted."""
    HANDSHAKE_FAILED = 11
    """The client's TLS handshake with the recorder failed; the payload is the reason."""
    KEYS = 12
    """The tester pressed keys (connection 0); the payload is what the terminal sent."""
    PAGE = 13
    """A watched page of the browser told something (connection 0); the payload is JSON: a report of
    `nestperf.pages.observer`, or `trouble`: a sentence."""

    CUT = 14
    """nestperf itself cuts the connection, as asked."""


class Record(NamedTuple):
    """One record; times in nanoseconds."""

    what: What
    connection: int
    stamp_ns: int
    cost_ns: int
    payload: bytes

    def json(self) -> dict[str, Any]:
        """The payload of a record that carries JSON."""
        loaded = json.loads(self.payload or b"{}")
        assert isinstance(loaded, dict)
        return loaded


def encode(what: What, connection: int, stamp_ns: int, cost_ns: int = 0, payload: bytes = b"") -> bytes:
    """A record as bytes."""
    return _HEAD.pack(what, connection, stamp_ns, min(max(cost_ns, 0), _MOST_NS), len(payload)) + payload


class TapReader:
    """Cuts the pipe's bytes back into records, however they were split."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._waiting = 0
        """Bytes of the rest."""
        self._wanted = _HEAD.size
        """Bytes that the rest needs to become a record, as far as is known."""

    def receive(self, data: bytes) -> list[Record]:
        """The records that `data` completes."""
        if self._rest:
            self._rest.append(data)
            self._waiting += len(data)
            if self._waiting < self._wanted:
                return []
            data = b"".join(self._rest)
            self._rest = []
        records = []
        at, end, size = 0, len(data), _HEAD.size
        self._wanted = size
        unpack = _HEAD.unpack_from
        while end - at >= size:
            what, connection, stamp_ns, cost_ns, length = unpack(data, at)
            start = at + size
            if end - start < length:
                self._wanted = size + length
                break
            at = start + length
            records.append(Record(_WHATS[what], connection, stamp_ns, cost_ns, data[start:at]))
        if at < end:
            self._rest = [data[at:]]
            self._waiting = end - at
        return records


_WHATS = {int(what): what for what in What}
