"""The addon inside stock `mitmdump -s`."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from pathlib import Path

from nestperf.capture.reader import Capture
from proxy_addon import __file__ as package


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 Fine\r\nx-OdD: 1\r\nContent-Length: 2\r\n\r\nok")
    await reader.read()
    writer.close()


async def test_addon_in_stock_mitmdump_relays_and_records(tmp_path: Path) -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    upstream, port = server.sockets[0].getsockname()[1], free_port()
    process = subprocess.Popen(
        [
            *(str(Path(sys.executable).with_name("mitmdump")), "-q", "-s", str(Path(package).with_name("mitmdump.py"))),
            *("--mode", f"reverse:http://127.0.0.1:{upstream}@127.0.0.1:{port}"),
            *("--set", f"nestperf_output={tmp_path / 'qa.db'}", "--set", f"confdir={tmp_path}"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        got = await ask(port)
    finally:
        process.terminate()
        _, errors = await asyncio.to_thread(process.communicate, timeout=20)
        server.close()
    assert got == b"HTTP/1.1 200 Fine\r\nx-OdD: 1\r\nContent-Length: 2\r\n\r\nok", errors
    with Capture.open(tmp_path / "qa.db") as capture:
        assert [(e.target, e.status, e.reason) for e in capture.exchanges()] == [("/x", 200, "Fine")]
        assert capture.run.upstreams[0].url == f"http://127.0.0.1:{upstream}"


async def ask(port: int) -> bytes:
    """What comes back for one request, once somebody listens."""
    deadline = time.perf_counter() + 20
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            break
        except OSError:
            assert time.perf_counter() < deadline
            await asyncio.sleep(0.1)
    writer.write(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    writer.write_eof()
    got = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return got
