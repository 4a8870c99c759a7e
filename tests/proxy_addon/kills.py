"""Kills a recorder that works and looks at what is left: `benchmarks/kills.py` does it a hundred times, a test a few.

A client asks as fast as it is answered, reads a stream of events and a socket, and remembers when it got what. All
that it had 250 ms before the kill must be in the capture.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import time
from pathlib import Path

from click.testing import CliRunner

from nestperf.capture.model import Outcome
from nestperf.capture.reader import Capture
from nestperf.wire.websocket import encode_frame
from reports.cli import report
from tests.conftest import Recorder, start_recorder

PROMISED_NS = 250_000_000
TARGETS = ("relay", "recorder", "both")
_CLIENTS = 3
_SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"


async def close_all(writers: list[asyncio.StreamWriter]) -> None:
    """Hang up everywhere."""
    for writer in writers:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


class Application:
    """Answers, streams events and sends frames, all of them numbered."""

    async def __aenter__(self) -> Application:
        self._writers: list[asyncio.StreamWriter] = []
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        await close_all(self._writers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                target = head.split(b" ", 2)[1]
                if target == b"/events":
                    writer.write(_STREAM)
                    for number in range(10**6):
                        writer.write(b"data: %d %s\n\n" % (number, b"x" * 100))
                        await asyncio.sleep(0.01)
                        await writer.drain()
                elif target == b"/socket":
                    writer.write(_SWITCH)
                    for number in range(10**6):
                        writer.write(encode_frame("text", b"%d" % number, mask=None))
                        await asyncio.sleep(0.005)
                        await writer.drain()
                body = b'{"asked":"%s"}' % target
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))


class Client:
    """What a client has got, and when (`perf_counter_ns`)."""

    def __init__(self, port: int) -> None:
        self.answers: dict[str, int] = {}
        self.events: list[tuple[int, int]] = []
        """(bytes so far, when)."""
        self.frames: list[int] = []
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []

    async def run(self) -> None:
        """Until the recorder is gone."""
        await asyncio.gather(self._read_events(), self._read_frames(), *map(self._ask, range(_CLIENTS)))
        await close_all(self._writers)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers.append(writer)
        return reader, writer

    async def _ask(self, which: int) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            reader, writer = await self._connect()
            for number in range(10**6):
                target = f"/{which}/{number}"
                writer.write(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.split(b"Length: ")[1]))
                self.answers[target] = time.perf_counter_ns()
                await asyncio.sleep(0.002)

    async def _read_events(self) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            reader, writer = await self._connect()
            writer.write(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            size = 0
            while line := await reader.readuntil(b"\n\n"):
                size += len(line)
                self.events.append((size, time.perf_counter_ns()))

    async def _read_frames(self) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            reader, writer = await self._connect()
            writer.write(b"GET /socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            while True:
                await reader.readexactly((await reader.readexactly(2))[1])
                self.frames.append(time.perf_counter_ns())


def recorder_process(recorder: Recorder) -> int:
    """The id of the process that stores, a child of the one that relays."""
    relay = recorder.process.pid
    return int(Path(f"/proc/{relay}/task/{relay}/children").read_text().split()[0])


async def kill_once(folder: Path, target: str, chance: random.Random) -> str:
    """One recording that ends by kill -9 of `target`; what was found.

    Raises:
        AssertionError: something that was promised is missing.
    """
    async with Application() as application:
        capture = folder / f"killed-{target}-{chance.randrange(10**9)}.db"
        recorder = await asyncio.to_thread(start_recorder, capture, f"http://127.0.0.1:{application.port}")
        storing = recorder_process(recorder)
        client = Client(recorder.ports[0])
        running = asyncio.create_task(client.run())
        await asyncio.sleep(chance.uniform(0.3, 1.5))
        killed_ns = time.perf_counter_ns()
        victims = {"relay": [recorder.process.pid], "recorder": [storing], "both": [storing, recorder.process.pid]}
        for victim in chance.sample(victims[target], len(victims[target])):
            os.kill(victim, signal.SIGKILL)
        if target == "recorder":
            before = len(client.answers)
            await asyncio.sleep(0.3)
            assert len(client.answers) > before, "the traffic stopped with the recorder"
            recorder.process.send_signal(signal.SIGINT)
        await asyncio.wait_for(running, 20)
        await asyncio.to_thread(recorder.process.communicate, timeout=30)
        while Path(f"/proc/{storing}").exists():
            await asyncio.sleep(0.05)
    return await asyncio.to_thread(look_at, capture, client, killed_ns - PROMISED_NS)


def look_at(path: Path, client: Client, promised_ns: int) -> str:
    """Check that the capture holds all that the client had at `promised_ns`."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
    with Capture.open(path) as capture:
        capture.check()
        exchanges = {exchange.target: exchange for exchange in capture.exchanges()}
        promised = {target for target, done_ns in client.answers.items() if done_ns <= promised_ns}
        whole = {target for target, exchange in exchanges.items() if exchange.done_ns is not None}
        assert not promised - whole, f"{len(promised - whole)} of {len(promised)} answers are missing"
        size = max((size for size, at_ns in client.events if at_ns <= promised_ns), default=0)
        stream = exchanges.get("/events")
        if size:
            assert stream is not None
            assert stream.outcome in (Outcome.UNFINISHED, Outcome.ABORTED, Outcome.RESET)
            body = capture.body(stream.response_body)
            assert body is not None
            assert body.content is not None
            assert len(body.content) >= size, f"{len(body.content)} of {size} bytes of the stream"
            assert body.content.startswith(b"data: 0 x")
        frames = sum(at_ns <= promised_ns for at_ns in client.frames)
        stored = [frame.content for frame in capture.frames()]
        assert len(stored) >= frames, f"{len(stored)} of {frames} frames"
        assert stored == [b"%d" % number for number in range(len(stored))]
    ended = CliRunner().invoke(report, [str(path)])
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    assert "Traceback" not in ended.output
    return f"{len(promised):,} answers, {size:,} bytes of a stream, {frames:,} frames"
