"""What a verdict costs: `nestperf report` over 10,000 and 1,000,000 exchanges, start to end, beside reading the same
columns with sqlite3 and sorting them in numpy.

`python benchmarks/report.py [--rows 1000000] [--rounds 3]`. CPU time (user and system) of whole processes, the median
of the rounds; memory is the largest resident set. One BLAS thread each, as there is nothing to multiply.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tabulate import tabulate

from nestperf.capture.model import Exchange, Kind, Outcome, Run, Session, Upstream
from nestperf.capture.writer import CaptureWriter

ROUTES = 30
USERS = 50
MS = 1_000_000
REFERENCE = """
import sqlite3, sys
import numpy as np
connection = sqlite3.connect(sys.argv[1])
columns = (
    "id, session_id, client_id, kind, server_call, upstream, method, route, status, outcome, response_bytes,"
    " intended_ns, sent_ns, first_byte_ns, done_ns, connect_ns, relay_ns"
)
cursor = connection.execute(f"select {columns} from exchanges order by id")
texts = (3, 6, 7, 9)
parts = []
while rows := cursor.fetchmany(50_000):
    parts.append([c if i in texts else np.array(c, dtype=float) for i, c in enumerate(zip(*rows))])
arrays = [None if i in texts else np.concatenate(c) for i, c in enumerate(zip(*parts))]
for done, begun in ((14, 12), (14, 11), (13, 12), (12, 11)):
    np.sort(arrays[done] - arrays[begun])
"""


class Cost(NamedTuple):
    """Of one process."""

    cpu_s: float
    wall_s: float
    memory_mb: float


def exchanges(count: int) -> Iterator[Exchange]:
    """A replay's: some routes, a few failures, a few limits, latencies of every size."""
    chance = random.Random(1)
    for number in range(1, count + 1):
        due_ns = number * 60 * MS // 1000
        sent_ns = due_ns + chance.randrange(MS)
        took_ns = int(chance.lognormvariate(3, 0.6) * MS)
        odd = chance.random()
        outcome = Outcome.RESET if odd < 0.002 else Outcome.LIMITED if odd < 0.004 else Outcome.OK
        route = chance.randrange(ROUTES)
        yield Exchange(
            id=number, session_id=number % USERS, client_id=number % USERS, connection=1, upstream=0,
            kind=Kind.PAGE if route < 3 else Kind.CALL, server_call=False, method="POST" if route % 5 == 0 else "GET",
            authority="localhost:4000", target=f"/api/v1/{route}/{number}", route=f"/api/v1/{route}/{{id}}",
            http_version="HTTP/1.1", request_headers=None, request_trailers=None, request_body=None,
            request_bytes=700, status=429 if outcome is Outcome.LIMITED else 200, reason="OK", response_headers=None,
            response_trailers=None, response_body=None, response_bytes=2_000, interim=None, intended_ns=due_ns,
            sent_ns=sent_ns, request_done_ns=sent_ns + 10_000, first_byte_ns=sent_ns + took_ns // 2,
            done_ns=sent_ns + took_ns, connect_ns=None, relay_ns=None, outcome=outcome, detail=None,
            source_exchange=route,
        )  # fmt: skip


def write(path: Path, count: int) -> None:
    """A capture of so many exchanges."""
    run = Run(
        uid="bench", purpose="replay", vantage="client", state="finished", version="0", started_unix_ns=0,
        upstreams=(Upstream("http://localhost:4000"),), settings={"users": USERS},
    )  # fmt: skip
    writer = CaptureWriter.create(path, run)
    writer.extend(Session(n, n, f"user {n}", vu=n, started_ns=0, ended_ns=count * 60_000) for n in range(USERS))
    for number, exchange in enumerate(exchanges(count), 1):
        writer.add(exchange)
        if number % 100_000 == 0:
            writer.commit()
    writer.close()


def cost(*command: str) -> Cost:
    """What a command costs from start to end. Its exit code is the verdict's: any of 0, 1 and 4 will do."""
    begun = time.perf_counter()
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | one_thread)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1, 4):
        sys.exit(f"{' '.join(command)} ended with {process.returncode}.")
    return Cost(usage.ru_utime + usage.ru_stime, time.perf_counter() - begun, usage.ru_maxrss / 1024)


def measure(path: Path, rounds: int) -> dict[str, Cost]:
    """The median of each, rounds taken in turns."""
    commands = {
        "sqlite3 and numpy": (sys.executable, "-c", REFERENCE, str(path)),
        "nestperf report": (sys.executable, "-m", "nestperf", "report", str(path)),
    }
    told: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            told[name].append(cost(*command))
    return {name: Cost(*map(median, zip(*costs, strict=True))) for name, costs in told.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    sizes = (10_000, asked.rows)
    measured: dict[int, dict[str, Cost]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for rows in sizes:
            path = Path(folder) / f"{rows}.db"
            write(path, rows)
            measured[rows] = measure(path, asked.rounds)
    lines = [
        (f"{rows:,}", name, f"{c.cpu_s:.2f}", f"{c.wall_s:.2f}", f"{c.memory_mb:,.0f}")
        for rows, costs in measured.items()
        for name, c in costs.items()
    ]
    print(tabulate(lines, ("exchanges", "", "CPU s", "wall s", "MB"), colalign=("right", "left", *["right"] * 3)))
    small, large = measured[sizes[0]]["nestperf report"], measured[sizes[1]]["nestperf report"]
    times = large.cpu_s / measured[sizes[1]]["sqlite3 and numpy"].cpu_s
    print()
    claim(f"{sizes[1]:,} exchanges in under 5 s of CPU", large.cpu_s < 5, f"{large.cpu_s:.2f} s")
    claim(f"{sizes[1]:,} exchanges in under 1 GB", large.memory_mb < 1000, f"{large.memory_mb:,.0f} MB")
    claim("10,000 exchanges in under 1.5 s of CPU", small.cpu_s < 1.5, f"{small.cpu_s:.2f} s")
    claim("at most 3 times reading and sorting the same columns", times <= 3, f"{times:.2f} times")


def claim(text: str, met: bool, figure: str) -> None:
    """One line: what was claimed, and whether it holds here."""
    print(f"{'met' if met else 'NOT MET':8} {text}: {figure}")


if __name__ == "__main__":
    main()
