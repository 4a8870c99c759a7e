"""The relay's end of the tap: batches records into the recorder's pipe, within a bound, and never blocks the relay.

When the recorder cannot keep up and the bound is reached, a connection's copy is dropped and the loss counted; the
traffic itself is not touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from nestperf.capture.clock import Clock
from nestperf.capture.model import Upstream
from proxy_addon.tap import What, encode

_MOST_WAITING = 256 * 2**20
"""Bytes that may wait for the recorder before its copy is dropped."""
_MARGIN = 2**20
"""Bytes that may wait beyond that to tell what became of the connections."""
_BATCH_S = 0.02
"""Records wait this long for company: waking the recorder for each would cost the relay its turn on a shared core."""
_FULL_BATCH = 2**18
_PIPE_SIZE = 2**20
_IN_TRANSPORT = 2**20
"""Bytes that the transport is given beyond what the pipe holds. The rest waits here: asyncio keeps what waits in one
piece, and copies all of it when that grows."""
READY = "NESTPERF_READY"
"""Environment variable: the descriptor to which the recorder writes when it can store."""
_BYTES = (What.CLIENT_BYTES, What.SERVER_BYTES)


class Spool:
    """Owns the recorder process and the pipe to it. Used from one event loop."""

    def __init__(self, most_waiting: int = _MOST_WAITING) -> None:
        self.dropped_bytes = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._most_waiting = most_waiting
        self._told_dropped = 0
        """Of `dropped_bytes`, what the recorder knows of."""
        self._batch: list[bytes] = []
        self._batch_size = 0
        self._scheduled = False
        self._queue: deque[bytes] = deque()
        """Batches that the transport has no room for yet."""
        self._queued = 0
        self._full = False
        """The transport has no room."""
        self._moved = asyncio.Event()
        """It has had some since, or is gone."""
        self._transport: asyncio.WriteTransport | None = None
        self._gaps: set[int] = set()
        self._lost = asyncio.Event()
        self._finished = False
        self.state = "finished"
        """What becomes of the run when the relay ends: `finished`, or `interrupted`."""
        self.died = False
        """The recorder process ended before it was told to."""

    async def start(self, command: Sequence[str], *, ready_s: float = 0) -> None:
        """Start the recorder process; what was put before waits for it. Gives it `ready_s` seconds to say that it can
        store: a recording that is announced before would lose what a kill takes away."""
        reading, writing = os.pipe()
        waiting, saying = os.pipe()
        with contextlib.suppress(ImportError, OSError, AttributeError):
            import fcntl

            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE_SIZE)
        # A process group of its own: Ctrl-C is for the relay, which ends the recorder by closing the pipe.
        environment = os.environ | {READY: str(saying)}
        self.process = subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=reading, process_group=0, pass_fds=(saying,), env=environment
        )
        os.close(reading)
        os.close(saying)
        loop = asyncio.get_running_loop()
        protocol = _PipeProtocol(self._lost, self._room)
        transport, _ = await loop.connect_write_pipe(lambda: protocol, os.fdopen(writing, "wb", 0))
        transport.set_write_buffer_limits(high=_IN_TRANSPORT)
        self._transport = transport
        self._flush()
        if ready_s:
            await _readable(waiting, ready_s)
        os.close(waiting)

    @property
    def lost_recorder(self) -> bool:
        """The recorder process is gone; everything from then on is lost."""
        return self._lost.is_set()

    @property
    def is_behind(self) -> bool:
        """The pipe to the recorder is full: it needs time to catch up."""
        return self._transport is not None and self._transport.get_write_buffer_size() > 0

    def put(self, what: What, connection: int, stamp_ns: int, cost_ns: int = 0, payload: bytes = b"") -> None:
        """Hand on a record; after `finish` nothing is handed on."""
        if self._finished:
            return
        if what is What.LAG and self.dropped_bytes > self._told_dropped:
            payload, self._told_dropped = self._newly_dropped(), self.dropped_bytes
        if self._waiting() > self._most_waiting + _MARGIN:
            self.dropped_bytes += len(payload)
            return
        if what in _BYTES:
            if connection in self._gaps:
                self.dropped_bytes += len(payload)
                return
            if self._waiting() > self._most_waiting:
                self._gaps.add(connection)
                self.dropped_bytes += len(payload)
                what, payload = What.GAP, b""
        elif what is What.CLOSED:
            self._gaps.discard(connection)
        self._batch.append(encode(what, connection, stamp_ns, cost_ns, payload))
        self._batch_size += len(payload)
        if self._batch_size >= _FULL_BATCH:
            self._flush()
        elif not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(_BATCH_S, self._flush)

    async def finish(self, state: str, faults: int = 0) -> None:
        """Tell the recorder that nothing follows and how many faults the relay had, and let go of the pipe."""
        self.died = self._lost.is_set()
        counted = {"state": state, "dropped_bytes": self.dropped_bytes - self._told_dropped, "faults": faults}
        last = encode(What.FINISHED, 0, time.perf_counter_ns(), 0, json.dumps(counted).encode())
        self._batch.append(last)
        self._finished = True
        self._flush()
        if self._transport is not None:
            while self._queue:
                self._moved.clear()
                await self._moved.wait()
            self._transport.close()
            await self._lost.wait()

    def _newly_dropped(self) -> bytes:
        return json.dumps({"dropped_bytes": self.dropped_bytes - self._told_dropped}).encode()

    def _waiting(self) -> int:
        return self._batch_size + self._queued + (self._transport.get_write_buffer_size() if self._transport else 0)

    def _flush(self) -> None:
        self._scheduled = False
        if self._transport is None or not self._batch:
            return
        batch, self._batch, self._batch_size = b"".join(self._batch), [], 0
        self._queue.append(batch)
        self._queued += len(batch)
        self._pour()

    def _pour(self) -> None:
        """Give the transport what it has room for."""
        assert self._transport is not None
        while self._queue and (not self._full or self._lost.is_set()):
            batch = self._queue.popleft()
            self._queued -= len(batch)
            if self._lost.is_set():
                self.dropped_bytes += len(batch)
            else:
                self._transport.write(batch)

    def _room(self, *, enough: bool) -> None:
        """The transport has room, or has not; when it is gone, what waits is lost."""
        self._full = not enough
        if enough and self._transport is not None:
            self._pour()
            self._moved.set()


async def _readable(descriptor: int, timeout_s: float) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ready.wait(), timeout_s)
    loop.remove_reader(descriptor)


class _PipeProtocol(asyncio.BaseProtocol):
    def __init__(self, lost: asyncio.Event, room: Callable[..., None]) -> None:
        self._lost = lost
        self._room = room

    def pause_writing(self) -> None:
        self._room(enough=False)

    def resume_writing(self) -> None:
        self._room(enough=True)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost.set()
        self._room(enough=True)


def recorder_command(
    capture: Path, upstreams: Sequence[Upstream], settings: Mapping[str, object] | None = None
) -> list[str]:
    """The command line of the recorder process that writes `capture`, whose clock starts now."""
    told = {"clock": Clock.start(), "upstreams": [upstream._asdict() for upstream in upstreams], **(settings or {})}
    return [sys.executable, "-m", "proxy_addon.recording", str(capture), json.dumps(told)]
