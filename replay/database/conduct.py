"""One run against a database from beginning to end: connects, opens the capture, asks, closes it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nestperf import __version__
from nestperf.capture.clock import Clock
from nestperf.capture.files import remove_capture
from nestperf.capture.model import ONLY_QUERIES, Run, Upstream
from nestperf.capture.reader import DAMAGE
from nestperf.capture.writer import CaptureWriter
from nestperf.errors import UsageError
from nestperf.printable import printable
from replay.conduct import run_loop
from replay.database.reads import Reads
from replay.database.run import Asking, DatabaseRun
from replay.database.tally import Spent, Tally
from replay.transport.database import LoginRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class Into:
    """The capture that a run is written into."""

    path: Path
    force: bool
    recorded: Run
    source: Path
    """Of the recording."""
    purpose: str = "replay"
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Beside those of the run itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A run that is over and stored."""

    run: Run
    tally: Tally
    spent: Spent
    at_once: bool
    """Ended by a second Ctrl-C."""


def ask_reads(reads: Reads, asking: Asking, into: Into) -> Asked:
    """Ask the reads. Who cannot log in leaves no file behind.

    Raises:
        UsageError: no connection came about, or the capture cannot be written.
    """
    return run_loop(_ask(reads, asking, into))


async def _ask(reads: Reads, asking: Asking, into: Into) -> Asked:
    clock = Clock.start()
    asked = DatabaseRun(reads.reads, asking, clock)
    try:
        await asked.connect()
    except LoginRefused as refusal:
        raise UsageError(_refused(asking, refusal)) from None
    if into.force:
        remove_capture(into.path)
    writer = CaptureWriter.create(into.path, _new_run(asking, into, clock))
    writer.extend(reads.statements)
    spent = await asked.run(writer)
    planned = asking.turns(len(reads.reads))
    run = writer.run._replace(
        state="interrupted" if asked.interrupts else "finished",
        ended_ns=clock.now_ns(),
        certificate=asked.tally.certificate(spent, reads, planned),
        invalid=asked.tally.invalid(None if asked.interrupts else planned),
    )
    writer.set_run(run)
    try:
        writer.close()
    except (*DAMAGE, OSError) as error:
        raise UsageError(f"Cannot write {into.path}: {error}. What is stored stays readable.") from error
    return Asked(run=run, tally=asked.tally, spent=spent, at_once=asked.interrupts > 1)


def _new_run(asking: Asking, into: Into, clock: Clock) -> Run:
    return Run(
        uid=secrets.token_hex(8),
        purpose=into.purpose,
        vantage="client",
        state="running",
        version=__version__,
        started_unix_ns=clock.unix_ns,
        upstreams=(Upstream(asking.target.url),),
        settings={
            "model": ONLY_QUERIES,
            "users": asking.concurrency,
            "loops": None if asking.duration_ns is not None else asking.loops,
            "duration_ns": asking.duration_ns,
            "timeout_ns": round(asking.timeout_s * 1e9),
            **into.settings,
        },
        source_uid=into.recorded.uid,
        source_path=into.source.name,
    )


def _refused(asking: Asking, refusal: LoginRefused) -> str:
    code = refusal.sqlstate or ""
    state = f" (SQLSTATE {code})" if code else ""
    remedy = {
        "53300": "ask on fewer connections at once",
        "3D000": "check the database's name in --database",
        "28P01": "check user and password in --database, or the password in PGPASSWORD",
    }.get(code, "check --database")
    return f"No connection to {asking.target.url}: {printable(str(refusal), 300)}{state}. Nothing was asked: {remedy}."
