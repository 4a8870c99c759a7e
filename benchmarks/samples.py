"""Ten million exchanges through the journal: is its memory flat, and what does a row cost?"""

from __future__ import annotations

import resource
import time
from pathlib import Path

from benchmarks.claims import Claims
from nestperf.capture.model import Kind, Run
from nestperf.capture.reader import Capture
from nestperf.capture.repeats import NOTHING, pack
from nestperf.capture.vault import Vault
from nestperf.capture.writer import CaptureWriter
from replay.journal import Journal
from replay.steps import Http
from replay.transport.answer import Request, head_bytes

PATTERNS = 50
AT_ONCE = 12_000
"""Rows between two turns of the storing thread, at 60,000 a second."""


def measure(rows: int, folder: Path, claims: Claims) -> None:
    """Rows as a run of that many requests would note them, stored as it would store them."""
    path = folder / "samples.db"
    vault = Vault.create(path)
    run = Run(uid="s", purpose="replay", vantage="client", state="running", version="0", started_unix_ns=1)
    journal = Journal(CaptureWriter.create(path, run, vault=vault), vault)
    patterns = [journal.pattern(*_step(number)) for number in range(PATTERNS)]
    used = _cpu_s()
    began = time.perf_counter()
    told: list[tuple[int, float]] = []
    for first in range(0, rows, AT_ONCE):
        for number in range(first, min(first + AT_ONCE, rows)):
            sent_ns = number * 16_000
            visit = number // 200
            journal.note_repeat(pack(
                journal.exchange_id(), visit, visit + 1, 231, journal.words["OK"], 345, sent_ns - 900, sent_ns,
                sent_ns + 5_100, sent_ns + 210_433, sent_ns + 210_433, NOTHING, patterns[number % PATTERNS], 0,
            ))  # fmt: skip
        journal.store()
        if first // (rows // 10) != (first + AT_ONCE) // (rows // 10):
            told.append((min(first + AT_ONCE, rows), _resident_mb()))
    stored_s = _cpu_s() - used
    journal.finish(run._replace(state="finished"))
    whole_s = _cpu_s() - used
    print("rows stored: resident MB  " + ", ".join(f"{count / 1e6:.1f} M: {resident:.0f}" for count, resident in told))
    with Capture.open(path) as capture:
        run = capture.run
        print(
            f"{rows:,} rows in {time.perf_counter() - began:.0f} s: CPU {stored_s / rows * 1e6:.2f} µs a row, with the "
            f"indexes at the end {whole_s / rows * 1e6:.2f}; {path.stat().st_size / 2**20:,.0f} MB, "
            f"{path.stat().st_size / rows:.0f} bytes a row; lost: {run.losses or 'nothing'}\n"
        )
    claims.at_most("memory that storing all but the first tenth took", told[-1][1] - told[0][1], 20, "MB")


def _step(number: int) -> tuple[Http, Request, tuple[str, ...]]:
    target = f"/api/v1/part/{number}"
    headers = (("Host", "localhost:4000"), ("Accept", "application/json"))
    action = Http(
        source=number + 1, upstream=0, kind=Kind.CALL, method="GET", authority="localhost:4000", target=target,
        route=target, version="HTTP/1.1", headers=headers, trailers=(), body=b"", coding="", media_type="",
        chunked=False, connection=1, status=200, hold_ns=None,
    )  # fmt: skip
    return action, Request(method="GET", head=head_bytes("GET", target, "HTTP/1.1", headers)), ()


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
