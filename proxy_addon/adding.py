"""Adds the queries of a database's own log to a recording that is finished."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from nestperf.capture.model import RUNNING, Exchange, Query, Socket, Statement
from nestperf.capture.postgres_log.reading import PostgresLog
from nestperf.capture.reader import Capture
from nestperf.capture.redaction import Redactor
from nestperf.capture.remarks import IMPORTED
from nestperf.capture.vault import Vault
from nestperf.capture.writer import CaptureWriter
from nestperf.errors import CaptureEmpty, UsageError
from proxy_addon.logged import LoggedQueries
from proxy_addon.tally import Tally


class Added(NamedTuple):
    """What came of it."""

    queries: int
    outside: int
    """Queries that ran before the recording or after it."""


def add_queries(path: Path, logs: Sequence[PostgresLog]) -> Added:
    """Add what the logs hold of a recording's time to it, all or nothing.

    Raises:
        UsageError: the recording goes on, was added to before, or cannot be written.
        CaptureError: it, or a log, cannot be used.
    """
    with Capture.open(path) as capture:
        run = capture.run
        if run.state == RUNNING:
            raise UsageError(f"{path} is being recorded or was killed: end it, or `nestperf trim {path}` first.")
        before: list[dict[str, Any]] = list(run.settings.get(IMPORTED, ()))
        names = {str(one["file"]) for one in before}
        if again := next((log.name for log in logs if log.name in names), None):
            raise UsageError(f"{path} has the queries of {again} already.")
        if any(source == "wire" for (source,) in capture.columns(Query, "source")):
            raise UsageError(f"{path} has the database's queries already, as they crossed the wire.")
        tally = Tally()
        tally.begin_after("queries", _last(capture, Query))
        tally.begin_after("statements", _last(capture, Statement))
        used = [row[0] or 0 for table in (Exchange, Socket, Query) for row in capture.columns(table, "connection")]
    redactor = Redactor(Vault.in_memory())
    told = before + [{"file": log.name, "format": log.format} for log in logs]
    rows: list[Any] = []
    logged = LoggedQueries(
        add=rows.append, tally=tally, redactor=redactor,
        began_unix_ns=run.started_unix_ns, last_connection=max(used, default=0),
    )  # fmt: skip
    end_unix_ns = run.started_unix_ns + (run.ended_ns or 2**62)
    outside = 0
    for log in logs:
        for query in log.queries():
            if query.done_unix_ns < run.started_unix_ns or query.done_unix_ns - query.duration_ns > end_unix_ns:
                outside += 1
            else:
                logged.add(query)
    added = sum(isinstance(row, Query) for row in rows)
    if not added:
        raise CaptureEmpty(f"No query ran while {path} was recorded ({outside:,} at other times): is it the right log?")
    writer = CaptureWriter.reopen(path, run._replace(settings=run.settings | {IMPORTED: told}))
    writer.extend(rows)
    writer.close()
    return Added(added, outside)


def _last(capture: Capture, row_type: type[Any]) -> int:
    return max((row[0] for row in capture.columns(row_type, "id")), default=0)
