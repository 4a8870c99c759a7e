"""What an open Socket.IO client costs its own side: memory of the process, and the kernel's for its sockets apart."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks import recordings
from benchmarks.claims import Claims
from benchmarks.rig import LOAD_CORE, ROOT, pinned, running
from nestperf.demo.children import free_port

FOUR = ("/", "/media", "/status", "/downloads")
WAYS = {"websocket": ("over WebSocket", 1), "polling": ("by polling", 2), "upgrade": ("by polling, then upgrade", 2)}
"""How connections come about, and how many TCP connections each client keeps at least: a poll that hangs, the one over
which it posted, the WebSocket."""
FEW = 100
"""Clients of the run that shows what the process takes anyway."""
_OPEN_S = 600


class Plateau(NamedTuple):
    """A process with so many clients open."""

    clients: int
    resident_kb: int
    kernel_kb: int
    """The kernel's own objects, of the whole machine: both ends."""
    cpu_s: float
    seconds: float
    """Until all were open."""


def measure(clients: int, folder: Path, claims: Claims) -> None:
    """Many clients less few: over WebSocket, by polling and with an upgrade, in one namespace and in four."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, clients * 4 + 1000), hard))
    for how, names in ((how, names) for how in WAYS for names in (("/",), FOUR)):
        way, connections = WAYS[how]
        possible = min(clients, (hard - 1000) // (1 if how == "websocket" else 3))
        port = free_port()
        with running([sys.executable, "-m", "benchmarks.engine", str(port)], port):
            recording = recordings.sockets(folder / "sockets.db", f"http://127.0.0.1:{port}", names, _OPEN_S, how)
            few = open_clients(recording, folder, port, FEW, connections)
            many = open_clients(recording, folder, port, possible, connections)
        more = many.clients - few.clients
        each_kb = (many.resident_kb - few.resident_kb) / more
        where = f"{len(names)} namespace{'s' if len(names) > 1 else ''}"
        print(
            f"{many.clients:,} clients {way}, {where}: {each_kb:.1f} KB each "
            f"({few.resident_kb / 1024:.0f} MB with {few.clients}, {many.resident_kb / 1024:.0f} MB with all); kernel "
            f"{(many.kernel_kb - few.kernel_kb) / more:.1f} KB each, both ends; opening took "
            f"{many.cpu_s / many.clients * 1e6:.0f} µs CPU each, {many.seconds:.1f} s in all"
        )
        if how == "websocket" and len(names) == 1:
            claims.at_most(f"memory of each of {many.clients:,} Socket.IO clients", each_kb, 40, "KB")
    print()


def open_clients(recording: Path, folder: Path, port: int, clients: int, connections: int = 1) -> Plateau:
    """Replay with that many users until all of each one's connections stand, look, and end it."""
    command = [
        sys.executable, "-m", "nestperf", "replay", str(recording), "-o", str(folder / "out.db"), "--force",
        "--users", str(clients), "--start", "together", "--duration", "5m",
    ]  # fmt: skip
    began = time.perf_counter()
    process = subprocess.Popen(
        pinned(LOAD_CORE, command), cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        while established(port) < clients * connections:
            if process.poll() is not None or time.perf_counter() - began > 300:
                process.kill()
                sys.exit(f"{established(port)} of {clients * connections} opened: {process.communicate()[0].decode()}")
            time.sleep(0.2)
        seconds = time.perf_counter() - began
        time.sleep(3)
        status = Path(f"/proc/{process.pid}/status").read_text()
        resident = re.search(r"VmRSS:\s+(\d+)", status)
        assert resident is not None
        ticks = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        cpu_s = (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")
        return Plateau(clients, int(resident[1]), kernel_kb(), cpu_s, seconds)
    finally:
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        process.communicate(timeout=60)


def established(port: int) -> int:
    """Connections to that port, as clients see them."""
    wanted = f":{port:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(fields[2].endswith(wanted) and fields[3] == "01" for fields in map(str.split, lines))


def kernel_kb() -> int:
    slab = re.search(r"Slab:\s+(\d+)", Path("/proc/meminfo").read_text())
    assert slab is not None
    return int(slab[1])
