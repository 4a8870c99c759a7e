"""What goes wrong while recording costs the application nothing, is counted, and is said first."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from nestperf.capture.reader import Capture
from tests.conftest import Recorder, start_recorder
from tests.proxy_addon.kills import close_all, recorder_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds the recorder's process in Linux's /proc")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """`/SIZE/...`: so many bytes, never the same ones."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            size = int(head.split(b"/")[1])
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % size)
            writer.write(random.randbytes(size))
            await writer.drain()
    writer.close()


@pytest.fixture
async def application() -> AsyncIterator[int]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def ask(port: int, *targets: str) -> None:
    """Ask and read everything; the recorder's trouble must not show here."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for target in targets:
        writer.write(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        assert head.startswith(b"HTTP/1.1 200")
        await asyncio.wait_for(reader.readexactly(int(head.split(b"Length: ")[1])), 30)
    await close_all([writer])


def reported(capture: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nestperf", "report", str(capture)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_locked_database_delays_nothing_and_loses_nothing(
    application: int, record: Callable[..., Recorder]
) -> None:
    recorder = record(f"http://127.0.0.1:{application}")
    port = recorder.ports[0]
    await ask(port, "/10/before")
    with contextlib.closing(sqlite3.connect(recorder.capture, isolation_level=None)) as other:
        other.execute("begin exclusive")
        until = time.perf_counter() + 5
        number = 0
        while time.perf_counter() < until:
            await ask(port, f"/10/{number}")
            number += 1
            await asyncio.sleep(0.05)
        other.execute("rollback")
    await ask(port, "/10/after")
    assert await asyncio.to_thread(recorder.stop) == 0, recorder.output
    assert "wait for the disk: database is locked" in recorder.output
    with Capture.open(recorder.capture) as capture:
        targets = [exchange.target for exchange in capture.exchanges()]
        assert targets == ["/10/before", *(f"/10/{n}" for n in range(number)), "/10/after"]
        assert capture.run.losses == {}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted ({mounted.stderr.strip()}): run this test as root.")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_full_disk_loses_nothing_where_space_returns(application: int, small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 12 * 2**20)
    recorder = await asyncio.to_thread(start_recorder, small_disk / "qa.db", f"http://127.0.0.1:{application}")
    await ask(recorder.ports[0], *(f"/100000/{number}" for number in range(60)))
    await asyncio.sleep(1)
    ballast.unlink()
    await asyncio.sleep(1)
    await ask(recorder.ports[0], "/10/after")
    await asyncio.to_thread(recorder.stop)
    with Capture.open(recorder.capture) as capture:
        capture.check()
        whole = len(list(capture.exchanges()))
        assert (whole, capture.run.losses) == (61, {})
    assert "wait for the disk: database or disk is full" in recorder.output


async def test_disk_that_stays_full_is_said_first_and_the_rest_can_be_read(application: int, small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"\0" * 2**20)
    recorder = await asyncio.to_thread(start_recorder, small_disk / "qa.db", f"http://127.0.0.1:{application}")
    await ask(recorder.ports[0], *(f"/100000/{number}" for number in range(400)))
    await asyncio.sleep(1)
    await asyncio.to_thread(recorder.stop)
    assert "full" in recorder.output
    summary = recorder.output[recorder.output.index("NOT STORED") :]
    assert "NOT EVERYTHING WAS RECORDED" in summary.splitlines()[1]
    assert "bodies" in summary
    ballast.unlink()  # SQLite needs a little space to read what it wrote ahead
    with Capture.open(recorder.capture) as capture:
        capture.check()
        assert 0 < len(list(capture.exchanges())) < 400  # what was asked; heads fit where bodies do not
    ended = await asyncio.to_thread(reported, recorder.capture)
    assert "Traceback" not in ended.stderr + ended.stdout
    assert "was killed" in ended.stdout or "lost" in ended.stdout


async def test_recorder_that_stands_still_costs_copies_not_traffic_nor_memory(
    application: int, record: Callable[..., Recorder]
) -> None:
    recorder = record(f"http://127.0.0.1:{application}")
    storing = recorder_process(recorder)
    await ask(recorder.ports[0], "/10/before")
    await asyncio.sleep(0.5)
    os.kill(storing, signal.SIGSTOP)
    for part in range(4):
        await ask(recorder.ports[0], *(f"/4000000/{part}-{number}" for number in range(20)))
    rss = int(Path(f"/proc/{recorder.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    os.kill(storing, signal.SIGCONT)
    assert rss < 700 * 2**20
    for number in range(20):  # the first may still come while there is no room
        await ask(recorder.ports[0], f"/10/after-{number}")
        await asyncio.sleep(0.1)
    await asyncio.to_thread(recorder.stop)
    assert "NOT EVERYTHING WAS RECORDED" in recorder.output
    with Capture.open(recorder.capture) as capture:
        targets = {exchange.target for exchange in capture.exchanges()}
        assert {"/10/before", "/10/after-19"} <= targets
        assert capture.run.losses["bytes"] > 10_000_000
        assert capture.run.losses["connections"] >= 1
    ended = await asyncio.to_thread(reported, recorder.capture)
    assert "Not everything was stored; lost:" in ended.stdout
    assert ended.returncode == 4


async def test_recorder_that_dies_is_said_at_once_and_in_the_report(
    application: int, record: Callable[..., Recorder]
) -> None:
    recorder = record(f"http://127.0.0.1:{application}")
    await ask(recorder.ports[0], "/10/before")
    await asyncio.sleep(0.5)
    os.kill(recorder_process(recorder), signal.SIGKILL)
    await asyncio.sleep(0.5)
    await ask(recorder.ports[0], "/10/after")
    assert await asyncio.to_thread(recorder.stop) == 4
    assert "NOT RECORDING ANY MORE" in recorder.output
    with Capture.open(recorder.capture) as capture:
        assert [exchange.target for exchange in capture.exchanges()] == ["/10/before"]
        assert capture.run.losses["recorder processes"] == 1
    assert not recorder.capture.with_name(recorder.capture.name + "-wal").exists()
    assert "lost: " in (await asyncio.to_thread(reported, recorder.capture)).stdout
