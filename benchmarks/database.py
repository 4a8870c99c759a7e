"""What recording a database costs: pgbench's queries a second and added latency, beside no recorder at all.

`python benchmarks/database.py [--seconds 5]`: PostgreSQL and pgbench on one core, relay and recorder on the other, in
one run. Needs PostgreSQL's server and pgbench. Each figure is the median of three rounds, direct and recorded by turns;
the added latency is the distance between the medians of all queries of one client, as pgbench's log has them, while
decoding and storing go on.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that `python benchmarks/database.py` finds its siblings

from benchmarks.rig import LOAD_CORE, running, usage
from nestperf.capture.model import Query
from nestperf.capture.reader import Capture
from nestperf.demo.children import free_port
from nestperf.demo.postgres import PostgresServer, find_binaries

CLIENTS = 8
CLAIMED = {"extended": 8_000, "prepared": 8_000, "simple": 5_000}
"""Queries a second that one core records."""
CLAIMED_ADDED_MS = 0.15


class Round(NamedTuple):
    """One measurement of one way."""

    per_s: float
    """Queries a second of `CLIENTS` clients."""
    one_us: float
    """Median latency of one client, microseconds."""
    cpu_us: float
    """CPU of relay and recorder a query; 0 without them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=4)
    seconds = parser.parse_args().seconds
    binaries = find_binaries()
    if binaries is None or not (binaries / "pgbench").exists():
        sys.exit("Missing: PostgreSQL with pgbench (Debian: apt-get install postgresql).")
    os.sched_setaffinity(0, {LOAD_CORE})
    with PostgresServer(binaries, {"shared_buffers": "64MB"}) as server:
        pgbench(binaries, server, server.port, "-i", "-q", "-s", "1")
        rows = []
        for mode in CLAIMED:
            rounds = [(direct(binaries, server, mode, seconds), *recorded(binaries, server, mode, seconds))
                      for _ in range(3)]  # fmt: skip
            rows.append(row(mode, rounds))
    print(tabulate(rows, headers=("mode", "direct/s", "recorded/s", "added ms", "CPU µs", "lost", "claims")))


def pgbench(binaries: Path, server: PostgresServer, port: int, *arguments: str) -> str:
    url = server.url_at(port) + "?sslmode=disable"
    command = [str(binaries / "pgbench"), *arguments, url]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"LC_ALL": "C"}).stdout


def load(binaries: Path, server: PostgresServer, port: int, mode: str, seconds: int) -> tuple[float, int]:
    """Queries a second of many clients, and how many queries that were."""
    told = pgbench(binaries, server, port, "-n", "-S", "-M", mode, "-c", str(CLIENTS), "-T", str(seconds))
    found = [re.search(pattern, told) for pattern in (r"tps = ([\d.]+)", r"processed: (\d+)")]
    assert all(found), told
    per_s, count = (float(match[1]) for match in found if match)
    return per_s, int(count)


def one_client(binaries: Path, server: PostgresServer, port: int, mode: str, seconds: int) -> list[int]:
    """The latency of each query of one client, microseconds: what pgbench logs of every transaction."""
    with tempfile.TemporaryDirectory() as folder:
        log = ("-l", "--log-prefix", f"{folder}/log")
        pgbench(binaries, server, port, "-n", "-S", "-M", mode, "-c", "1", "-T", str(seconds), *log)
        return [int(line.split()[2]) for path in Path(folder).iterdir() for line in path.read_text().splitlines()]


def direct(binaries: Path, server: PostgresServer, mode: str, seconds: int) -> Round:
    one = one_client(binaries, server, server.port, mode, seconds)
    per_s, _ = load(binaries, server, server.port, mode, seconds)
    return Round(per_s, median(one), 0)


def recorded(binaries: Path, server: PostgresServer, mode: str, seconds: int) -> tuple[Round, int]:
    """The same through a recorder; and how many queries are not in its capture."""
    with tempfile.TemporaryDirectory() as folder:
        port, capture = free_port(), Path(folder) / "queries.db"
        url = f"{port}=postgres://127.0.0.1:{server.port}"
        command = [sys.executable, "-m", "nestperf", "record", url, "-o", str(capture)]
        with running(command, port) as process:
            before = usage(process.pid).cpu_s
            # One client first: what a busy core still has to decode and store would be in its way.
            one = one_client(binaries, server, port, mode, seconds)
            per_s, many = load(binaries, server, port, mode, seconds)
            cpu_us = (usage(process.pid).cpu_s - before) / (many + len(one)) * 1e6
        with Capture.open(capture) as seen:
            kept = sum(
                1 for protocol, rows in seen.columns(Query, "protocol", "rows") if protocol == mode and rows == 1
            )
    return Round(per_s, median(one), cpu_us), max(0, many + len(one) - kept)


def row(mode: str, rounds: list[tuple[Round, Round, int]]) -> tuple[str, ...]:
    plain, through = [a for a, _, _ in rounds], [b for _, b, _ in rounds]
    per_s, lost = median(r.per_s for r in through), sum(lost for _, _, lost in rounds)
    added = median(b.one_us - a.one_us for a, b, _ in rounds) / 1e3
    claims = (
        (per_s >= CLAIMED[mode], f"{CLAIMED[mode]:,}/s"),
        (added <= CLAIMED_ADDED_MS or mode == "simple", f"{CLAIMED_ADDED_MS} ms added"),
        (not lost, "nothing lost"),
    )
    said = ", ".join(f"{what} {'met' if met else 'NOT MET'}" for met, what in claims)
    cpu = median(r.cpu_us for r in through)
    return (
        mode,
        f"{median(r.per_s for r in plain):,.0f}",
        f"{per_s:,.0f}",
        f"{added:.3f}",
        f"{cpu:.0f}",
        str(lost),
        said,
    )


if __name__ == "__main__":
    main()
