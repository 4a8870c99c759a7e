"""The slow network between a browser and an application: a TCP relay that lets bytes through when `Lane` says so.

It reads nothing of what passes, changes nothing, and ends a connection the way the other side did, half a round trip
later. A connection is good for sending a round trip after it was made, as a TCP handshake takes one; what follows (a
TLS handshake, a request, its answer, a WebSocket frame) is bytes and pays for itself.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from itertools import count
from typing import Self, TypeAlias

from nestperf.network.lane import Lane
from nestperf.network.profiles import Profile

_MOST_WAITING = 2**18
"""Bytes of a connection that may wait for the line before its sender has to: about what TCP's own buffers hold."""
_NS = 1_000_000_000


Door: TypeAlias = socket.socket


def open_door() -> Door:
    """A port on loopback, bound before there is a loop that could listen on it."""
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    door.bind(("127.0.0.1", 0))
    return door


class Shaper:
    """Listeners whose connections share one line. Used from one event loop; leaving the `async with` closes all."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self.half_ns = profile.rtt_ns // 2
        self._loop = asyncio.get_running_loop()
        self._up = _Way(Lane(profile.up_bps, self.half_ns))
        self._down = _Way(Lane(profile.down_bps, self.half_ns))
        self._servers: list[asyncio.Server] = []
        self._links: set[_Link] = set()
        self._numbers = count(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def listen(self, host: str, port: int, door: Door | None = None) -> int:
        """Lead connections to an address over the line; the port of this machine's loopback to connect to. `door`: a
        port that is bound already."""
        where = {"sock": door} if door is not None else {"host": "127.0.0.1", "port": 0}
        server = await self._loop.create_server(lambda: self._accept(host, port), **where)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Close listeners and connections."""
        for server in self._servers:
            server.close()
        for link in list(self._links):
            link.abort()
        self._up.stop()
        self._down.stop()
        await asyncio.sleep(0)  # transports close in the loop's next turn

    def hang_up(self) -> None:
        """End the connections that are open, as when somebody comes back later."""
        for link in list(self._links):
            link.abort()

    def _accept(self, host: str, port: int) -> _Side:
        link = _Link(self, next(self._numbers), (host, port), self._up, self._down)
        self._links.add(link)
        return link.browser

    def over(self, link: _Link) -> None:
        """A connection has ended on both sides."""
        self._links.discard(link)


class _Way:
    """A lane with the bytes themselves, and the timer that lets them out."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._loop = asyncio.get_running_loop()
        self._streams: dict[int, _Stream] = {}
        self._timer: asyncio.TimerHandle | None = None

    def carry(self, number: int, stream: _Stream, data: bytes) -> None:
        """Bytes set out."""
        self._streams[number] = stream
        self._lane.offer(number, len(data), self._now_ns())
        self._arm()

    def waiting(self, number: int) -> int:
        """Bytes of a connection that are on their way."""
        return self._lane.backlog(number)

    def forget(self, number: int) -> None:
        """A connection is over."""
        self._lane.forget(number)
        self._streams.pop(number, None)

    def stop(self) -> None:
        """Let nothing out any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _now_ns(self) -> int:
        return round(self._loop.time() * _NS)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due_ns = self._lane.next_ns()
        # The loop's clock is a float: a nanosecond of grace keeps a timer from firing just before its moment.
        self._timer = None if due_ns is None else self._loop.call_at((due_ns + 1_000) / _NS, self._let_out)

    def _let_out(self) -> None:
        self._timer = None
        sizes: dict[int, int] = {}
        for delivery in self._lane.deliveries(self._now_ns()):
            sizes[delivery.flow] = sizes.get(delivery.flow, 0) + delivery.size
        for number, size in sizes.items():
            stream = self._streams.get(number)
            if stream is not None:
                stream.let_out(size)
        if self._timer is None:
            self._arm()


class _Stream:
    """One direction of one connection: what one side said, on its way to the other."""

    def __init__(self, number: int, way: _Way, half_ns: int) -> None:
        self.source: _Side
        self.sink: _Side
        self._number = number
        self._way = way
        self._half_s = half_ns / _NS
        self._loop = asyncio.get_running_loop()
        self._pieces: deque[bytes] = deque()
        self._ending = False

    def take(self, data: bytes) -> None:
        """One side said something."""
        self._pieces.append(data)
        self._way.carry(self._number, self, data)
        if self._way.waiting(self._number) > _MOST_WAITING:
            self.source.hold()

    def let_out(self, size: int) -> None:
        """So many bytes have crossed."""
        out = []
        while size:
            piece = self._pieces.popleft()
            if len(piece) > size:
                self._pieces.appendleft(piece[size:])
                piece = piece[:size]
            out.append(piece)
            size -= len(piece)
        self.sink.say(b"".join(out))
        if self._way.waiting(self._number) <= _MOST_WAITING // 2:
            self.source.go_on()
        if self._ending and not self._pieces:
            self.sink.say_end()

    def end(self) -> None:
        """One side has said its last; the end crosses with the last bytes, or as a packet of its own."""
        self._ending = True
        if not self._pieces:
            self._loop.call_later(self._half_s, self.sink.say_end)

    def drop(self) -> None:
        """The connection is over."""
        self._pieces.clear()
        self._way.forget(self._number)


class _Side(asyncio.Protocol):
    """One end of a connection: the browser's or the application's."""

    def __init__(self, link: _Link, said: _Stream) -> None:
        self._link = link
        self._said = said
        self._transport: asyncio.Transport | None = None
        self._closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._link.made(self)

    def data_received(self, data: bytes) -> None:
        self._said.take(data)

    def eof_received(self) -> bool:
        self._said.end()
        return True  # the other direction may still have something to say

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._link.lost(self, exc)

    @property
    def is_closed(self) -> bool:
        """Nothing more comes or goes."""
        return self._closed

    def hold(self) -> None:
        """Read no more for now."""
        if self._transport is not None and not self._closed:
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        if self._transport is not None and not self._closed and not self._transport.is_closing():
            self._transport.resume_reading()

    def say(self, data: bytes) -> None:
        """Bytes have come."""
        if self._transport is not None and not self._closed:
            self._transport.write(data)

    def say_end(self) -> None:
        """The other side has said its last."""
        if self._transport is not None and not self._closed and not self._transport.is_closing():
            self._transport.write_eof()
            self._link.ended(self)

    def abort(self) -> None:
        """Reset."""
        if self._transport is not None:
            if not self._closed:
                reset = struct.pack("ii", 1, 0)  # lingering for no time: closing sends RST instead of FIN
                self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            self._transport.abort()

    def close(self) -> None:
        """Close once everything is written."""
        if self._transport is not None:
            self._transport.close()


class _Link:
    """One connection of the browser and the one to the application behind it."""

    def __init__(self, shaper: Shaper, number: int, address: tuple[str, int], up: _Way, down: _Way) -> None:
        self._shaper = shaper
        self._address = address
        self._loop = asyncio.get_running_loop()
        self._half_s = shaper.half_ns / _NS
        self._began_s = self._loop.time()
        said, answered = _Stream(number, up, shaper.half_ns), _Stream(number, down, shaper.half_ns)
        self.browser = _Side(self, said)
        self.application = _Side(self, answered)
        said.source = answered.sink = self.browser
        said.sink = answered.source = self.application
        self._streams = (said, answered)
        self._ended: set[_Side] = set()
        self._connecting: asyncio.Task[None] | None = None

    def made(self, side: _Side) -> None:
        """A side is connected."""
        if side is self.browser:
            side.hold()
            self._connecting = self._loop.create_task(self._connect())
        else:
            # The answer to the application's side of the handshake is on its way back.
            self._loop.call_at(max(self._loop.time(), self._began_s + self._half_s) + self._half_s, self.browser.go_on)

    def ended(self, side: _Side) -> None:
        """A side was told that nothing more comes; with both told, it is over."""
        self._ended.add(side)
        if len(self._ended) == 2:
            self.browser.close()
            self.application.close()

    def lost(self, side: _Side, error: Exception | None) -> None:
        """A side is gone; a reset crosses the line as well."""
        other = self.application if side is self.browser else self.browser
        if not other.is_closed:
            self._loop.call_later(self._half_s, other.abort if error is not None else other.close)
            if side is self.browser and self._connecting is not None:
                self._connecting.cancel()
        if other.is_closed or (side is self.browser and self._never_connected):
            self._over()

    def abort(self) -> None:
        """End at once."""
        if self._connecting is not None:
            self._connecting.cancel()
        self.browser.abort()
        self.application.abort()

    @property
    def _never_connected(self) -> bool:
        return self.application._transport is None

    async def _connect(self) -> None:
        await asyncio.sleep(self._half_s)
        host, port = self._address
        try:
            await self._loop.create_connection(lambda: self.application, host, port)
        except OSError:
            self.application._closed = True
            self._loop.call_later(self._half_s, self.browser.abort)

    def _over(self) -> None:
        for stream in self._streams:
            stream.drop()
        self._shaper.over(self)
