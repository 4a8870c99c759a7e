"""Database queries of a replay: a recorder between application and database while it runs, and its rows afterwards.

The replayer itself opens no port and decodes nothing: a `nestperf record` of its own does, in a process of its own.
Both stamps come from one machine's clock, so rows move from one run to the other by the distance of their beginnings.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from nestperf.capture.model import Query, Row, Run, Statement, Upstream
from nestperf.capture.reader import Capture
from nestperf.capture.writer import CaptureWriter
from nestperf.errors import UsageError

_READY = "Ctrl-C ends the recording"
_ENDS_S = 60.0


class Tap:
    """Owns the recorder in front of one or more databases. Leaving the `with` block ends it; it can be entered
    again."""

    def __init__(self, taps: Sequence[str]) -> None:
        """`taps`: `LISTEN_PORT=postgres://HOST:PORT`."""
        for text in taps:
            port, mark, url = text.partition("=")
            if not (mark and port.isdigit() and url.startswith(("postgres://", "postgresql://"))):
                raise UsageError("--tap takes a port and a database: write one like 15432=postgres://127.0.0.1:5432.")
        self._taps = tuple(taps)
        self._opened = contextlib.ExitStack()
        self._folder = Path()
        self._process: subprocess.Popen[str] | None = None
        self._said: list[str] = []

    @property
    def is_asked_for(self) -> bool:
        """Whether there is any database to record."""
        return bool(self._taps)

    @property
    def capture(self) -> Path:
        """What the recorder writes."""
        return self._folder / "tap.db"

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:
            if self._taps:
                self._said.clear()
                self._folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="nestperf-tap-")))
                opened.callback(self.end)
                self._start()
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def _start(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "nestperf", "record", *self._taps, "-o", str(self.capture)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # Ctrl-C is ours to pass on
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.append(line.strip())
            if _READY in line:
                return
        raise UsageError(f"Cannot tap: {' '.join(self._said) or 'the recorder did not start'}")

    def end(self) -> None:
        """Stop the recorder and wait until everything is stored."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.communicate(timeout=_ENDS_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def pour(self, target: Path) -> int:
        """Add what was seen while it ran to the capture of the replay; how many queries that was. End it first."""
        if self._process is None:
            return 0
        with Capture.open(target) as capture:
            run = capture.run
        with Capture.open(self.capture) as seen:
            run, rows = merged(run, seen)
            writer = CaptureWriter.reopen(target, run)
            poured = 0
            for row in rows:
                writer.add(row)
                poured += isinstance(row, Query)
            writer.close()
            return poured


def merged(run: Run, seen: Capture) -> tuple[Run, Iterator[Row]]:
    """The run with the databases and losses of a tap, and the tap's rows with stamps and upstreams of that run."""
    upstreams = list(run.upstreams)
    places: dict[int, int] = {}
    for place, upstream in enumerate(seen.run.upstreams):
        known = [number for number, other in enumerate(upstreams) if other.url == upstream.url]
        places[place] = known[0] if known else len(upstreams)
        if not known:
            upstreams.append(Upstream(upstream.url))
    losses = dict(run.losses)
    for kind, count in seen.run.losses.items():
        losses[f"tap: {kind}"] = losses.get(f"tap: {kind}", 0) + count
    shift_ns = seen.run.started_unix_ns - run.started_unix_ns
    return run._replace(upstreams=tuple(upstreams), losses=losses), _rows(seen, places, shift_ns)


def _rows(seen: Capture, places: dict[int, int], shift_ns: int) -> Iterator[Row]:
    statements: Iterator[Statement] = seen.statements()
    yield from statements
    for query in seen.queries():
        if query.sent_ns + shift_ns < 0:
            continue  # asked before the run: by what --before started, or by the application's own start
        yield query._replace(
            upstream=None if query.upstream is None else places[query.upstream],
            sent_ns=query.sent_ns + shift_ns,
            started_ns=query.started_ns + shift_ns,
            first_row_ns=None if query.first_row_ns is None else query.first_row_ns + shift_ns,
            done_ns=None if query.done_ns is None else query.done_ns + shift_ns,
        )
