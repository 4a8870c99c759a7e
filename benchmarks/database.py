"""What recording a database costs: pgbench's queries a second and added latency, beside no relay at all and beside a
bare one that hands bytes on and keeps nothing (`benchmarks/bare_relay.py`).

`python benchmarks/database.py [--seconds 4]`: PostgreSQL and pgbench on one core, relay and recorder on the other, in
one run. Needs PostgreSQL's server and pgbench. Each figure is the median of three rounds, all ways by turns; the added
latency is the distance between the medians of all queries of one client, as pgbench's log has them, while decoding and
storing go on. Claims in queries a second are those of one kind of machine; the shares of the bare relay are of any.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
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
"""Queries a second that one core records, where the bare relay passes `BARE`."""
BARE = {"extended": 13_600, "prepared": 19_700, "simple": 13_600}
CLAIMED_ADDED_MS = 0.15
"""Where the bare relay adds `BARE_ADDED_MS`."""
BARE_ADDED_MS = 0.09


class Round(NamedTuple):
    """One measurement of one way."""

    per_s: float
    """Queries a second of `CLIENTS` clients."""
    one_us: float
    """Median latency of one client, microseconds."""
    cpu_us: float
    """CPU of relay and recorder a query; 0 without them."""


class Rounds(NamedTuple):
    """One measurement of every way."""

    direct: Round
    bare: Round
    recorded: Round
    lost: int
    """Queries that are not in the capture."""


class Row(NamedTuple):
    """The medians of one mode."""

    mode: str
    direct_per_s: float
    bare_per_s: float
    recorded_per_s: float
    added_ms: float
    bare_added_ms: float
    cpu_us: float
    lost: int


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
            rounds = [
                Rounds(
                    direct(binaries, server, server.port, mode, seconds),
                    bare(binaries, server, mode, seconds),
                    *recorded(binaries, server, mode, seconds),
                )
                for _ in range(3)
            ]
            rows.append(row(mode, rounds))
    print(tabulate(rows, headers=("mode", "direct/s", "bare/s", "recorded/s", "added ms", "bare", "CPU µs", "lost")))
    print()
    for mode, told in zip(CLAIMED, rows, strict=True):
        for claim in claims(mode, told):
            print(claim)


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


def direct(binaries: Path, server: PostgresServer, port: int, mode: str, seconds: int) -> Round:
    one = one_client(binaries, server, port, mode, seconds)
    per_s, _ = load(binaries, server, port, mode, seconds)
    return Round(per_s, median(one), 0)


def bare(binaries: Path, server: PostgresServer, mode: str, seconds: int) -> Round:
    """The same through a relay that does nothing else."""
    port = free_port()
    with running([sys.executable, "-m", "benchmarks.bare_relay", str(port), str(server.port)], port):
        return direct(binaries, server, port, mode, seconds)


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


def row(mode: str, rounds: list[Rounds]) -> Row:
    return Row(
        mode,
        round(median(r.direct.per_s for r in rounds)),
        round(median(r.bare.per_s for r in rounds)),
        round(median(r.recorded.per_s for r in rounds)),
        round(median(r.recorded.one_us - r.direct.one_us for r in rounds) / 1e3, 3),
        round(median(r.bare.one_us - r.direct.one_us for r in rounds) / 1e3, 3),
        round(median(r.recorded.cpu_us for r in rounds)),
        sum(r.lost for r in rounds),
    )


def claims(mode: str, told: Row) -> Iterator[str]:
    """What was claimed of a mode, each with its figure."""
    share, claimed = told.recorded_per_s / told.bare_per_s, CLAIMED[mode] / BARE[mode]
    yield claim(
        told.recorded_per_s >= CLAIMED[mode], f"{mode}: {told.recorded_per_s:,} queries/s", f"{CLAIMED[mode]:,}"
    )
    yield claim(share >= claimed, f"{mode}: {share:.0%} of the bare relay's", f"{claimed:.0%}")
    if mode != "simple":
        times, most = told.added_ms / told.bare_added_ms, CLAIMED_ADDED_MS / BARE_ADDED_MS
        yield claim(told.added_ms <= CLAIMED_ADDED_MS, f"{mode}: {told.added_ms} ms added", f"{CLAIMED_ADDED_MS} ms")
        yield claim(times <= most, f"{mode}: {times:.2f} times what the bare relay adds", f"{most:.2f}")
    yield claim(not told.lost, f"{mode}: {told.lost} queries lost", "0")


def claim(met: bool, text: str, asked: str) -> str:
    return f"{'met' if met else 'NOT MET':8} {text} (asked {asked})"


if __name__ == "__main__":
    main()
