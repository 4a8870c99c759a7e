"""The canaries through real processes: no file and no output of any command holds one, but for `FILE.secrets`."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from nestperf.capture.clock import Clock
from nestperf.capture.reader import Capture
from nestperf.capture.vault import secrets_path
from nestperf.errors import CaptureError
from proxy_addon.tap import What, encode
from tests import canaries
from tests.conftest import Recorder

Steps = list[tuple[str, bytes]]
LATE = set(canaries.LATE)


def conversations() -> Iterator[Steps]:
    """Everything the browser and the application say, connection by connection."""
    exchanges = [
        *(first for first, _ in canaries.LATE.values()),
        *canaries.EXCHANGES.values(),
        *(second for _, second in canaries.LATE.values()),
        canaries.NUMBER,
        canaries.AFTER_NUMBER,
        canaries.POLL,
    ]
    for asked, told in exchanges:
        yield [("client", asked), ("server", told)]
    yield list(canaries.visit())
    yield list(canaries.deflated_visit())
    yield [("client", canaries.MALFORMED)]


class Application:
    """Plays the server's part of one conversation at a time."""

    def __init__(self) -> None:
        self.steps: Steps = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Application:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for sender, content in self.steps:
            if sender == "client":
                await reader.readexactly(len(content))
            else:
                writer.write(content)
        await writer.drain()
        await reader.read()
        writer.close()

    async def hold(self, port: int) -> None:
        """All conversations, through `port`."""
        for steps in conversations():
            self.steps = steps
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for sender, content in steps:
                if sender == "client":
                    writer.write(content)
                else:
                    await asyncio.wait_for(reader.readexactly(len(content)), 10)
            await asyncio.sleep(0.01)
            writer.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An application that answers with what it was asked: everything secret comes back under an innocent name."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        body = await reader.readexactly(length)
        told = json.dumps({"note": (head + body).decode("latin-1")}).encode()
        writer.write(
            f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(told)}\r\n\r\n".encode()
        )
        writer.write(told)


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        await echo(reader, writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def everything_stored(path: Path) -> None:
    """Wait until the recorder has stored the last conversation."""
    deadline = time.perf_counter() + 30
    while time.perf_counter() < deadline:
        try:
            with Capture.open(path) as capture:
                if sum(1 for _ in capture.sockets()) >= 3:
                    return
        except CaptureError:
            pass
        await asyncio.sleep(0.2)
    pytest.fail("the recorder never stored everything")


def nestperf(*arguments: object) -> str:
    """Everything a command prints."""
    command = [sys.executable, "-m", "nestperf", *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in ended.stderr
    assert ended.returncode in (0, 1, 4), ended.stderr
    return ended.stdout + ended.stderr


def recorder_process(recorder: Recorder) -> int:
    """The process id of the recorder behind the relay."""
    printed = Path(f"/proc/{recorder.process.pid}/task/{recorder.process.pid}/children").read_text()
    (child,) = printed.split()
    return int(child)


async def test_no_canary_anywhere_after_a_recording(record: Callable[..., Recorder], tmp_path: Path) -> None:
    async with Application() as application:
        recorder = record(f"http://127.0.0.1:{application.port}")
        await application.hold(recorder.ports[0])
        await everything_stored(recorder.capture)
        output = await asyncio.to_thread(nestperf, "mark", recorder.capture, f"signing in with {canaries.ELSEWHERE}")
        assert recorder.capture.with_name(recorder.capture.name + "-wal").exists()
        assert set(canaries.leaks(canaries.everything_in(tmp_path))) <= LATE  # while it records
        deadline = time.perf_counter() + 30
        while canaries.leaks(canaries.everything_in(tmp_path)):  # swept while it records
            assert time.perf_counter() < deadline
            await asyncio.sleep(0.5)
        assert await asyncio.to_thread(recorder.stop) == 0
    output += recorder.output
    assert canaries.leaks(canaries.everything_in(tmp_path)) == []
    with Capture.open(recorder.capture) as capture:
        capture.check()
        assert capture.run.state == "finished"
        assert sum(1 for _ in capture.exchanges()) >= len(canaries.EXCHANGES)

    output += nestperf("report", recorder.capture)
    for format_ in ("json", "markdown", "junit"):
        output += nestperf("report", recorder.capture, "--format", format_)
    output += nestperf("show", recorder.capture, 1, "--lines", 100)
    output += nestperf("export", recorder.capture, "-o", tmp_path / "export.db")
    output += nestperf("export", recorder.capture, "-o", tmp_path / "bare.db", "--without-bodies")
    output += nestperf("export", recorder.capture, "-o", tmp_path / "slim.db", "--for-replay")
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    target = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    replayed = tmp_path / "replayed.db"
    replay = ("replay", recorder.capture, "--target", target, "-o", replayed, "--think", "none", "--timeout", "2s")
    output += await asyncio.to_thread(nestperf, *replay)
    server.close()
    output += nestperf("report", replayed)
    assert canaries.leaks(output.encode()) == []
    assert canaries.leaks(canaries.everything_in(tmp_path)) == []
    with Capture.open(replayed) as capture:
        assert any(exchange.status == 200 for exchange in capture.exchanges())
    output = nestperf("trim", recorder.capture, "--bodies")
    assert canaries.leaks(canaries.everything_in(tmp_path) + output.encode()) == []


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the recorder's process through Linux's /proc")
async def test_no_canary_after_the_recorder_was_killed(record: Callable[..., Recorder], tmp_path: Path) -> None:
    async with Application() as application:
        recorder = record(f"http://127.0.0.1:{application.port}")
        await application.hold(recorder.ports[0])
        await everything_stored(recorder.capture)
        os.kill(recorder_process(recorder), signal.SIGKILL)
        await asyncio.to_thread(recorder.stop)
    assert canaries.leaks(canaries.everything_in(tmp_path) + recorder.output.encode()) == []
    with Capture.open(recorder.capture) as capture:
        capture.check()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the recorder's process through Linux's /proc")
async def test_no_canary_after_everything_was_killed(record: Callable[..., Recorder], tmp_path: Path) -> None:
    async with Application() as application:
        recorder = record(f"http://127.0.0.1:{application.port}")
        await application.hold(recorder.ports[0])
        await everything_stored(recorder.capture)
        recorder.process.send_signal(signal.SIGSTOP)  # or it would finish the capture of the dead recorder
        os.kill(recorder_process(recorder), signal.SIGKILL)
        recorder.process.kill()
        await asyncio.to_thread(recorder.process.communicate)
    assert recorder.capture.with_name(recorder.capture.name + "-wal").exists()
    assert set(canaries.leaks(canaries.everything_in(tmp_path))) <= LATE
    assert "killed" in nestperf("report", recorder.capture)
    assert "rows held secrets" in nestperf("trim", recorder.capture)
    assert canaries.leaks(canaries.everything_in(tmp_path)) == []


def test_no_canary_in_what_is_said_of_a_fault(tmp_path: Path) -> None:
    """What arrives in the pipe is wrong in ways that no relay writes: the recorder fails, and says where alone."""
    secret = canaries.canary("fault").encode()
    opened = encode(What.OPENED, 1, 1, 0, b'{"client":"127.0.0.1","upstream":0}')
    asked = encode(What.CLIENT_BYTES, 1, 2, 0, canaries.ask(head=f"Authorization: Bearer {secret.decode()}\r\n"))
    broken_record = encode(What.OPENED, 2, 3, 0, b'{"client": ' + secret)
    broken_end = encode(What.FINISHED, 0, 4, 0, b'{"' + secret + b'": 1}')
    settings = json.dumps({"clock": Clock.start(), "upstreams": [{"url": "http://127.0.0.1:1"}]})
    ended = subprocess.run(
        [sys.executable, "-m", "proxy_addon.recording", str(tmp_path / "qa.db"), settings],
        input=opened + asked + broken_record + broken_end,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 4
    assert b"nestperf itself failed (KeyError)" in ended.stderr
    assert b"recording.py" in ended.stderr
    everything = ended.stdout + ended.stderr + canaries.everything_in(tmp_path)
    assert not [form for form in canaries.forms(secret.decode()) if form in everything]
    with closing(Capture.open(tmp_path / "qa.db")) as capture:
        assert sum(1 for _ in capture.exchanges()) == 1


def test_secrets_copied_beside_are_for_their_owner_alone(tmp_path: Path) -> None:
    sample = Path(__file__).parents[1] / "samples" / "capture-format-1.db"
    shutil.copy(sample, tmp_path / "qa.db")
    nestperf("trim", tmp_path / "qa.db", "--after", "1h")
    assert not secrets_path(tmp_path / "qa.db").exists()
