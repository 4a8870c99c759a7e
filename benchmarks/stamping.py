"""A server that stamps what it receives and sends: the other side's view of a load. Runs in a process of its own.

`python -m benchmarks.stamping PORT DELAY_MS FILE` answers every request after DELAY_MS, and on SIGTERM writes two
columns to FILE: when a request came in and when its answer went out, nanoseconds since 1970 by the clock of
`time.perf_counter_ns`.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from array import array
from pathlib import Path

import uvloop

BODY = b'{"status":"ok","user":"kim","items":[1,2,3]}'
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nX-Frame-Options: DENY\r\n\r\n%b"
    % (len(BODY), BODY)
)


class Stamping(asyncio.Protocol):
    """One connection. Requests come whole and one at a time, as the loads in question send them."""

    def __init__(self, received: array[int], sent: array[int], delay_s: float) -> None:
        self._received = received
        self._sent = sent
        self._delay_s = delay_s

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._socket: socket.socket = transport.get_extra_info("socket")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._descriptor = socket.socket(fileno=socket.dup(self._socket.fileno()))
        self._descriptor.setblocking(False)

    def data_received(self, data: bytes) -> None:
        stamp_ns = time.perf_counter_ns()
        if self._delay_s:
            asyncio.get_running_loop().call_later(self._delay_s, self._answer, stamp_ns)
        else:
            self._answer(stamp_ns)

    def _answer(self, received_ns: int) -> None:
        self._received.append(received_ns)
        self._sent.append(time.perf_counter_ns())
        try:
            self._descriptor.send(ANSWER)
        except OSError:
            # The client has gone.
            self._transport.abort()  # type: ignore[attr-defined]

    def connection_lost(self, exc: Exception | None) -> None:
        self._descriptor.close()


async def serve(port: int, delay_s: float, path: Path) -> None:
    received, sent = array("q"), array("q")
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    server = await loop.create_server(lambda: Stamping(received, sent, delay_s), "127.0.0.1", port, backlog=1024)
    offset_ns = time.time_ns() - time.perf_counter_ns()
    await ended.wait()
    server.close()
    with path.open("wb") as file:
        for column in (received, sent):
            array("q", (stamp_ns + offset_ns for stamp_ns in column)).tofile(file)


def read_stamps(path: Path) -> tuple[list[int], list[int]]:
    """Received and sent, in the order of the answers."""
    column = array("q")
    with path.open("rb") as file:
        column.fromfile(file, path.stat().st_size // 8)
    half = len(column) // 2
    return list(column[:half]), list(column[half:])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000, Path(sys.argv[3])))
