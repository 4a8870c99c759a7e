"""The least a client in Python can do: sends the same bytes again when an answer has come, and takes two stamps.

`python -m benchmarks.bare_client PORT CONNECTIONS SECONDS`, to 127.0.0.1; prints requests and CPU microseconds for one.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import time
from typing import cast

import uvloop

from benchmarks.recordings import HEADERS

REQUEST = "\r\n".join(
    ("GET /api/v1/dashboard/status HTTP/1.1", *(f"{name}: {value}" for name, value in HEADERS), "", "")
).encode()


class Client(asyncio.Protocol):
    """One connection."""

    times_ns: list[int] = []  # noqa: RUF012 - of all connections
    over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's do not inherit from it
        self._ask()

    def _ask(self) -> None:
        self._sent_ns = time.perf_counter_ns()
        self._transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        if data.find(b"\r\n\r\n") > 0:
            Client.times_ns.append(time.perf_counter_ns() - self._sent_ns)
        if not Client.over:
            self._ask()


async def ask(port: int, connections: int, seconds: float) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(Client, "127.0.0.1", port)
    before, begun = resource.getrusage(resource.RUSAGE_SELF), len(Client.times_ns)
    await asyncio.sleep(seconds)
    after, requests = resource.getrusage(resource.RUSAGE_SELF), len(Client.times_ns) - begun
    Client.over = True
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(requests, cpu_s / requests * 1e6)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(ask(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
