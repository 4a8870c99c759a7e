"""When live WebSockets are cut on purpose, and which connections are some. Pure; the relay's layers do the cutting.

All of them are cut at the same moments, so that their clients come back as a herd, as after a restart of what stood in
front of the application.
"""

from __future__ import annotations

from dataclasses import dataclass

_SWITCHED = b"HTTP/1.1 101"
_LONGEST = 16 * 1024
"""Bytes of an answer's head that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuts:
    """Cut every so often. Moments are nanoseconds of one monotonic clock."""

    every_ns: int
    begun_ns: int

    def until_next_s(self, now_ns: int) -> float:
        """Seconds until the next cut; never none."""
        return (self.every_ns - (now_ns - self.begun_ns) % self.every_ns) / 1e9


def opens_websocket(data: bytes) -> bool:
    """Whether a server's chunk begins with the answer that makes a connection a WebSocket."""
    return data.startswith(_SWITCHED) and b"upgrade: websocket" in data[:_LONGEST].lower()
