"""What the recorder withstands: WebSocket messages at 20,000 a second without a drop, and flat memory over 500,000
exchanges.

`python benchmarks/endurance.py [--seconds 5] [--exchanges 500000]`: load on one core, application, relay and recorder
on the other. Needs wrk, nginx and taskset.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.claims import Claims
from benchmarks.rig import LOAD_CORE, nginx, record_command, require, running, usage
from nestperf.capture.model import Frame
from nestperf.capture.reader import Capture
from nestperf.demo.children import free_port
from nestperf.wire.websocket import encode_frame

MESSAGES_A_SECOND = 20_000
_TICK_S = 0.01
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SAMPLE_EVERY = 100_000
"""Exchanges between two looks at the memory."""
_CATCH_UP_S = 6
"""The load leaves the recorder no time: what waits for it (256 MiB at most) is not what the claim is about."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--exchanges", type=int, default=500_000)
    asked = parser.parse_args()
    require("wrk", "nginx", "taskset")
    os.sched_setaffinity(0, {LOAD_CORE})
    claims = Claims()
    messages(asked.seconds, claims)
    exchanges(asked.exchanges, claims)
    claims.show()


def messages(seconds: int, claims: Claims) -> None:
    """A server that pushes messages at a steady rate, and a browser's worth of reading."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        capture = Path(folder) / "messages.db"
        upstream = free_port()
        with running(record_command(port, upstream, capture), port) as recorder:
            before = usage(recorder.pid).cpu_s
            sent, took_s = asyncio.run(push(upstream, port, seconds))
            while_open = usage(recorder.pid).cpu_s - before
        with Capture.open(capture) as seen:
            kept = sum(1 for (opcode,) in seen.columns(Frame, "opcode") if opcode == "text")
            losses = sum(seen.run.losses.values())
    print(
        f"WebSocket: {sent:,} messages in {took_s:.2f} s ({sent / took_s:,.0f}/s), {kept:,} in the capture, "
        f"{while_open / sent * 1e6:.1f} µs CPU each for relay and recorder (what is stored later not counted)."
    )
    claims.at_most("WebSocket messages that are not in the capture", sent - kept, 0, "")
    claims.at_most("losses of any kind", losses, 0, "")
    claims.at_most("seconds that a second's messages took", took_s / seconds, 1.02, "s")


async def push(upstream: int, port: int, seconds: int) -> tuple[int, float]:
    """Serve on `upstream`, read through `port`; messages read, and the seconds from the first to the last."""
    text = (
        b'42["service:status",{"service":"plex","status":"up","responseTime":12.5,"lastCheck":"2026-01-01T00:00:00Z"}]'
    )
    frame = encode_frame("text", text, mask=None)
    total = MESSAGES_A_SECOND * seconds

    served = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return  # somebody only looked whether the recorder listens
        key = re.search(rb"Sec-WebSocket-Key: (\S+)", head)
        assert key is not None
        accept = base64.b64encode(hashlib.sha1(key[1] + _GUID, usedforsecurity=False).digest())
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n")  # fmt: skip
        begun, sent = time.perf_counter(), 0
        while sent < total:
            due = min(total, int((time.perf_counter() - begun) * MESSAGES_A_SECOND))
            writer.write(frame * (due - sent))
            sent = due
            await writer.drain()
            await asyncio.sleep(_TICK_S)
        writer.write(encode_frame("close", b"\x03\xe8", mask=None))
        await writer.drain()
        writer.close()
        served.set()

    server = await asyncio.start_server(serve, "127.0.0.1", upstream)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    writer.write(b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")  # fmt: skip
    await reader.readuntil(b"\r\n\r\n")
    begun, read = time.perf_counter(), 0
    while read < len(frame) * total:
        piece = await reader.read(2**20)
        if not piece:
            break
        read += len(piece)
    took_s = time.perf_counter() - begun
    await asyncio.wait_for(served.wait(), 10)
    writer.close()
    server.close()
    await server.wait_closed()
    return min(total, read // len(frame)), took_s


def exchanges(count: int, claims: Claims) -> None:
    """wrk in short rounds until so many have passed, looking at the memory of relay and recorder between them."""
    port, seen = free_port(), 0
    told: list[tuple[int, int]] = []
    with tempfile.TemporaryDirectory() as folder, nginx({}) as application:
        capture = Path(folder) / "many.db"
        with running(record_command(port, application, capture), port) as recorder:
            while seen < count:
                printed = subprocess.run(
                    ["wrk", "-t1", "-c20", "-d3s", f"http://127.0.0.1:{port}/api/v1/dashboard/status"],
                    capture_output=True, text=True, check=True,
                ).stdout  # fmt: skip
                passed = re.search(r"(\d+) requests in", printed)
                assert passed is not None
                seen += int(passed[1])
                if not told or seen - told[-1][0] >= _SAMPLE_EVERY:
                    time.sleep(_CATCH_UP_S)
                    told.append((seen, usage(recorder.pid).rss))
            stored = sum(path.stat().st_size for path in Path(folder).glob("many.db*"))
    print("Memory of relay and recorder: " + ", ".join(f"{rss / 2**20:.0f} MiB at {n:,}" for n, rss in told) + ".")
    early = next(rss for n, rss in told if n >= count // 10)
    print(f"{seen:,} exchanges, {stored / 2**20:,.0f} MiB on disk.")
    claims.at_most(f"memory after {seen:,} exchanges, of what it was after a tenth", told[-1][1] / early, 1.15, "times")


if __name__ == "__main__":
    main()
