"""However much crosses, relay and recorder hold a bounded part of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from nestperf.capture.reader import Capture
from nestperf.wire.websocket import encode_frame
from tests.conftest import Recorder
from tests.proxy_addon.kills import close_all, recorder_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads sizes of processes from Linux's /proc")

PIECE = b"data: " + b"x" * 1000 + b"\n\n"
BLOCK = PIECE * 260
"""About 256 KiB of events."""
DOWNLOAD = 10**9
EVENTS = 100 * 10**6
FRAMES = 100_000
ROOM = 450 * 2**20
"""Less than half of the download, and more than either process may hold: its code, 256 MiB that wait for the recorder,
one body and rows in between."""


class Application:
    """Sends without end, and says how much was taken from it."""

    def __init__(self) -> None:
        self.sent = 0
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            target = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1]
            if target == b"/socket":
                writer.write(b"HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
                frame = encode_frame("text", b'42["status",{"n":1}]', mask=None) * 100
                for _ in range(FRAMES // 100):
                    writer.write(frame)
                    await writer.drain()
            else:
                size = EVENTS if target == b"/events" else DOWNLOAD
                media = b"text/event-stream" if target == b"/events" else b"application/octet-stream"
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (media, size))
                while self.sent < size:
                    block = BLOCK[: size - self.sent]
                    writer.write(block)
                    self.sent += len(block)
                    await writer.drain()


@pytest.fixture
async def application() -> AsyncIterator[tuple[Application, int]]:
    serving = Application()
    server = await asyncio.start_server(serving.serve, "127.0.0.1", 0)
    yield serving, server.sockets[0].getsockname()[1]
    server.close()
    await close_all(serving.writers)


def sizes(recorder: Recorder, storing: int) -> list[int]:
    """The most that relay and recorder ever held, bytes."""
    found = []
    for process in (recorder.process.pid, storing):
        status = Path(f"/proc/{process}/status").read_text()
        found.append(int(status.partition("VmHWM:")[2].split()[0]) * 1024)
    return found


async def take(port: int, target: bytes, size: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    writer.write(b"GET %s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" % target)
    await reader.readuntil(b"\r\n\r\n")
    while size > 0:
        piece = await asyncio.wait_for(reader.read(2**20), 60)
        assert piece
        size -= len(piece)
    await close_all([writer])


@pytest.mark.parametrize(("target", "size"), [(b"/download", DOWNLOAD), (b"/events", EVENTS)])
async def test_endless_answer_takes_bounded_memory(
    target: bytes, size: int, application: tuple[Application, int], record: Callable[..., Recorder]
) -> None:
    recorder = record(f"http://127.0.0.1:{application[1]}", "--max-body", "1MiB")
    storing = recorder_process(recorder)
    await take(recorder.ports[0], target, size)
    held = sizes(recorder, storing)
    await asyncio.to_thread(recorder.stop)
    assert max(held) < ROOM, held
    with Capture.open(recorder.capture) as capture:
        (exchange,) = capture.exchanges()
        body = capture.body(exchange.response_body)
        assert body is not None
        assert body.content is not None
        if not capture.run.losses:  # a disk or core too slow for it costs copies, and is said
            assert (body.size, body.state) == (size, "cut")
            assert 2**20 - 8192 <= len(body.content) <= 2**20  # the end may be half a secret


async def test_socket_with_many_frames_takes_bounded_memory(
    application: tuple[Application, int], record: Callable[..., Recorder]
) -> None:
    recorder = record(f"http://127.0.0.1:{application[1]}")
    storing = recorder_process(recorder)
    frame = encode_frame("text", b'42["status",{"n":1}]', mask=None)
    await take(recorder.ports[0], b"/socket", len(frame) * FRAMES)
    await asyncio.to_thread(recorder.stop)
    with Capture.open(recorder.capture) as capture:
        assert len(capture.columns(type(next(capture.frames())), "id")) == FRAMES
        assert capture.run.losses == {}
    assert storing


async def test_client_that_never_reads_holds_up_its_server_as_without_us(
    application: tuple[Application, int], record: Callable[..., Recorder]
) -> None:
    recorder = record(f"http://127.0.0.1:{application[1]}")
    storing = recorder_process(recorder)
    reader, writer = await asyncio.open_connection("127.0.0.1", recorder.ports[0], limit=1024)
    writer.write(b"GET /download HTTP/1.1\r\nHost: a\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    before = -1
    while application[0].sent != before:
        before = application[0].sent
        await asyncio.sleep(1)
    assert before < 100 * 2**20, "the server could send on although nobody reads"
    assert max(sizes(recorder, storing)) < ROOM
    writer.transport.abort()
    assert os.path.exists(f"/proc/{storing}")  # noqa: PTH110
