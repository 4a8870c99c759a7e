"""The recorder process: reads the relay's copy from a pipe, understands it, stores it, and shows what it has seen.

It is a process of its own so that decoding and storing never take the relay's turn. It ends when the pipe does, and
nothing that happens to it reaches the proxied application.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

from nestperf import __version__
from nestperf.capture.clock import Clock
from nestperf.capture.contents import Contents
from nestperf.capture.model import Run, Upstream
from nestperf.capture.redaction import Redactor
from nestperf.capture.vault import Vault
from nestperf.capture.writer import CaptureWriter
from nestperf.console import duration, plural, size
from nestperf.errors import ExitCode, NestperfError
from nestperf.wire.postgres import TLS
from proxy_addon.live import LiveView, counts
from proxy_addon.recorder import Recorder
from proxy_addon.tap import Record, TapReader, What

_COMMIT_EVERY_NS = 100_000_000
_SHOW_EVERY_NS = 500_000_000
_ROWS_A_COMMIT = 2_000
_MOST_PENDING = 200_000
"""Rows that wait for a disk that is full or locked, before they are given up and counted."""
_DOUBTFUL_LAG_NS = 20_000_000


class Recording:
    """One recording: the capture, the vault and the recorder between them."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path = path
        self.clock = Clock(*settings["clock"])
        vault = Vault.create(path)
        run = Run(
            uid=os.urandom(8).hex(),
            purpose="record",
            vantage="proxy",
            state="running",
            version=__version__,
            started_unix_ns=self.clock.unix_ns,
            upstreams=tuple(Upstream(**upstream) for upstream in settings["upstreams"]),
        )
        self.writer = CaptureWriter.create(path, run, vault=vault)
        self.recorder = Recorder(
            Contents(Redactor(vault), self.writer.add),
            self.writer.add,
            self.clock,
            databases=[index for index, upstream in enumerate(run.upstreams) if upstream.is_database],
            parameters=bool(settings.get("pg_parameters")),
        )
        self.tally = self.recorder.tally
        self.state = "interrupted"
        self._disk_error = ""

    def feed(self, record: Record) -> None:
        """One record; a fault of ours costs one connection, never the recording."""
        if record.what is What.FINISHED:
            told = record.json()
            self.state = str(told["state"])
            if told["dropped_bytes"]:
                self.tally.lose("bytes", int(told["dropped_bytes"]))
            if told["faults"]:
                self.tally.lose("relay faults", int(told["faults"]))
            return
        try:
            self.recorder.feed(record)
        except Exception:
            self.tally.lose("recorder faults")
            with contextlib.suppress(Exception):
                self.recorder.drop(record.connection)
        if self.writer.pending >= _ROWS_A_COMMIT:
            self.commit()

    def commit(self) -> None:
        """Store what there is; a disk that cannot take it now gets another chance, within a bound."""
        try:
            self.writer.commit()
            self._disk_error = ""
        except (sqlite3.Error, OSError) as error:
            self._disk_error = str(error)
            if self.writer.pending > _MOST_PENDING:
                for table, count in self.writer.discard_pending().items():
                    self.tally.lose(table, count)
                self._note_losses()

    def end(self) -> None:
        """Store everything and close the file."""
        self.recorder.finish()
        self._note_losses(state=self.state, ended_ns=self.clock.now_ns(), relay=self.tally.relay())
        try:
            self.writer.close()
        except (sqlite3.Error, OSError) as error:
            self._disk_error = str(error)

    @property
    def stored_bytes(self) -> int:
        """Size of the capture on disk."""
        names = (self.path, self.path.with_name(self.path.name + "-wal"))
        return sum(name.stat().st_size for name in names if name.exists())

    def summary(self) -> list[str]:
        """What the tester reads at the end."""
        tally, run = self.tally, self.writer.run
        lines = []
        if self._disk_error:
            lines.append(f"NOT STORED: {self.path}: {self._disk_error}. What was stored before is there.")
        elif tally.losses:
            lost = ", ".join(f"{count:,} {kind}" for kind, count in tally.losses.items())
            lines.append(f"NOT EVERYTHING WAS RECORDED: {lost} lost.")
        lines.append(f"Recorded {counts(tally)} in {duration(run.ended_ns)}.")
        relay = run.relay
        if relay.get("samples"):
            added = f"{duration(relay['added_p50_ns'])} (p50), {duration(relay['added_p99_ns'])} (p99)"
            lines.append(f"nestperf added {added} to an exchange.")
        if relay.get("loop_lag_p99_ns", 0) > _DOUBTFUL_LAG_NS:
            lag = duration(relay["loop_lag_p99_ns"])
            lines.append(f"DOUBTFUL: this machine was so busy that nestperf itself was {lag} late (p99).")
        kept = f", {plural(len(vault), 'secret')} in {self.path.name}.secrets" if (vault := self.recorder.vault) else ""
        lines.append(f"Capture: {self.path} ({size(self.stored_bytes)}){kept}")
        for reason, count in tally.opaque_databases.items():
            remedy = " (sslmode=disable in the DATABASE_URL shows them)" if reason == TLS else ""
            lines.append(f"The queries of {plural(count, 'database connection')} were not seen: {reason}{remedy}.")
        if tally.exchanges or tally.sockets or tally.queries:
            lines.append(f"Next: nestperf report {self.path}   or play it back: nestperf replay {self.path}")
        else:
            lines.append("Nothing came by: open the address above in the browser instead of the application's own.")
        return lines

    def _note_losses(self, **changes: Any) -> None:
        self.writer.set_run(self.writer.run._replace(losses=dict(self.tally.losses), **changes))


def run(path: Path, settings: dict[str, Any]) -> int:
    """Record what standard input tells until it ends; the exit code."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(5)  # on a shared core the relay goes first
    recording = Recording(path, settings)
    view = LiveView(recording.tally)
    view.start()
    try:
        _read(recording, view)
    finally:
        view.stop()
        recording.end()
    print("\n".join(recording.summary()), flush=True)  # noqa: T201 - the process's one output
    return ExitCode.OK


def _read(recording: Recording, view: LiveView) -> None:
    reader = TapReader()
    next_commit_ns = next_show_ns = 0
    while True:
        ready, _, _ = select.select([0], [], [], _COMMIT_EVERY_NS / 1e9)
        if ready:
            data = os.read(0, 2**20)
            if not data:
                return
            for record in reader.receive(data):
                recording.feed(record)
        now_ns = recording.clock.now_ns()
        if now_ns >= next_commit_ns:
            next_commit_ns = now_ns + _COMMIT_EVERY_NS
            recording.recorder.snapshot()
            recording.commit()
        if now_ns >= next_show_ns:
            next_show_ns = now_ns + _SHOW_EVERY_NS
            view.show(now_ns, recording.stored_bytes)


def main() -> None:
    """Entry point of the process: `python -m proxy_addon.recording CAPTURE SETTINGS_JSON`."""
    try:
        code = run(Path(sys.argv[1]), json.loads(sys.argv[2]))
    except NestperfError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201
        code = error.exit_code
    sys.exit(code)


if __name__ == "__main__":
    main()
