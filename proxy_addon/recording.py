"""The recorder process: reads the relay's copy from a pipe, understands it, stores it, and shows what it has seen.

It is a process of its own so that decoding and storing never take the relay's turn. It ends when the pipe does, and
nothing that happens to it reaches the proxied application.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import select
import signal
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

from nestperf import __version__
from nestperf.capture.clock import Clock
from nestperf.capture.contents import Contents
from nestperf.capture.files import size_of
from nestperf.capture.model import Mark, Run, Upstream
from nestperf.capture.redaction import Redactor, Unredacted
from nestperf.capture.remarks import CUT_EVERY, NOT_REDACTED, PARAMETERS, REDACT, remarks_of
from nestperf.capture.secret_names import SecretNames
from nestperf.capture.vault import Vault
from nestperf.capture.writer import CaptureWriter
from nestperf.console import duration, plural, size
from nestperf.errors import ExitCode, NestperfError
from nestperf.faults import describe_fault
from nestperf.pages.rules import SETTING as RENDER_RULES
from nestperf.wire.postgres_opening import TLS
from proxy_addon.background import Background
from proxy_addon.keys import MarkLine
from proxy_addon.limits import BodyLimits
from proxy_addon.live import LiveView, counts
from proxy_addon.recorder import Recorder
from proxy_addon.spool import READY
from proxy_addon.tap import Record, TapReader, What
from proxy_addon.way_back import way_back

BROWSE = "browse"
"""The purpose of a run in which nestperf drives the browser, and shows how it goes."""
_COMMIT_EVERY_NS = 100_000_000
_SHOW_EVERY_NS = 500_000_000
_ROWS_A_COMMIT = 2_000
_BYTES_A_COMMIT = 32 * 2**20
_MOST_PENDING = 100_000
_MOST_PENDING_BYTES = 256 * 2**20
"""Rows, and contents, that wait for a disk that is full or locked before they are given up and counted."""
_PATIENCE_S = 0.05
"""How long a commit waits for somebody else's lock: there is more to do meanwhile."""
_LAST_TRY_S = 15
"""How long the end waits for a disk."""
_READ = 2**18
_BEHIND_NS = 120_000_000
"""What crossed so long ago should be understood: the recorder no longer yields to everything else."""
_KEEPS_UP_NS = 60_000_000
_CALM_AFTER_NS = 3_000_000_000
"""It yields again when it has kept up for so long."""
_SWEEP_EVERY_NS = 5_000_000_000
_SWEPT_WHILE_RUNNING = 2**26
"""Bytes of a capture up to which secrets that were recognised late are taken out before its end too (0.2 s)."""


class Recording:
    """One recording: the capture, the vault and the recorder between them."""

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self.path = path
        self.clock = Clock(*settings["clock"])
        vault = Vault.create(path)
        asked = {
            name: settings[name]
            for name in (REDACT, NOT_REDACTED, "max_body", RENDER_RULES, CUT_EVERY)
            if settings.get(name)
        }
        names = SecretNames(asked.get(REDACT, ()))
        redactor = Unredacted(vault) if NOT_REDACTED in asked else Redactor(vault, names=names)
        run = Run(
            uid=os.urandom(8).hex(),
            purpose=settings.get("purpose", "record"),
            vantage="proxy",
            state="running",
            version=__version__,
            started_unix_ns=self.clock.unix_ns,
            upstreams=tuple(Upstream(**upstream) for upstream in settings["upstreams"]),
            settings=asked | settings.get("tour", {}),
            source_uid=settings.get("source_uid"),
            source_path=settings.get("source_path"),
        )
        self.writer = CaptureWriter.create(path, run, vault=vault, patience_s=_PATIENCE_S)
        limits = BodyLimits(**settings.get("max_body", {}))
        self.contents = Contents(redactor, self.writer.add, max_request=limits.requests, max_response=limits.responses)
        self.recorder = Recorder(
            self.contents,
            self.writer.add,
            self.clock,
            run.upstreams,
            parameters=bool(settings.get(PARAMETERS)),
            ways=settings.get("ways", ()),
            watched=RENDER_RULES in settings,
        )
        self.tally = self.recorder.tally
        self.tally.takes_keys = bool(settings.get("keys"))
        self.typed = False
        """Keys came since the last look."""
        self._keys = codecs.getincrementaldecoder("utf-8")("replace")
        self._line = MarkLine(self._mark)
        if NOT_REDACTED in asked:
            self.tally.warning = "secrets are stored as they come (--no-redact)"
        self.state = "interrupted"
        self._of_suite = bool(settings.get("suite"))
        self._next_commit = _ROWS_A_COMMIT
        """Rows that are stored without waiting for the next turn."""
        self.not_stored = ""
        """What of the recording's end could not be stored, and why."""
        self._next_sweep_ns = _SWEEP_EVERY_NS
        self._swept_secrets = 0

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
        if record.what is What.KEYS:
            self._line.feed(self._keys.decode(record.payload), self.clock.stamp_ns(record.stamp_ns))
            self.tally.asking, self.typed = self._line.text, True
            return
        try:
            self.recorder.feed(record)
        except Exception:
            self.tally.lose("recorder faults")
            with contextlib.suppress(Exception):
                self.recorder.drop(record.connection)
        if self.writer.pending >= self._next_commit or self.writer.pending_bytes >= _BYTES_A_COMMIT:
            self.commit()

    def _mark(self, stamp_ns: int, text: str) -> None:
        """The tester has named a moment."""
        self.tally.mark = text
        self.writer.add(Mark(None, stamp_ns, None, self.contents.redactor.text(text), "key"))

    def commit(self) -> None:
        """Store what there is; a disk that cannot take it now gets another chance, within a bound."""
        self._note()
        try:
            self.writer.commit()
        except (sqlite3.Error, OSError) as error:
            self.tally.trouble = f"{plural(self.writer.pending, 'row')} wait for the disk: {error}"
            self._next_commit = self.writer.pending + _ROWS_A_COMMIT
            if self.writer.pending > _MOST_PENDING or self.writer.pending_bytes > _MOST_PENDING_BYTES:
                self._give_up()
        else:
            self.tally.trouble = ""
            self._next_commit = _ROWS_A_COMMIT
        for table, count in self.writer.take_refused().items():
            self.tally.lose(table, count)

    def sweep(self, now_ns: int) -> None:
        """Now and then, if there are new secrets: take them out of what was stored before they were recognised."""
        known = len(self.recorder.vault)
        if now_ns < self._next_sweep_ns or known == self._swept_secrets or self.stored_bytes > _SWEPT_WHILE_RUNNING:
            return
        with contextlib.suppress(sqlite3.Error, OSError):  # what cannot be done now is done at the end
            self.writer.sweep()
            self._swept_secrets = len(self.recorder.vault)
        self._next_sweep_ns = now_ns + _SWEEP_EVERY_NS

    def end(self) -> None:
        """Store everything and close the file; a disk that cannot take it gets another chance, then only the account
        of what was lost."""
        self.recorder.finish()
        self._note(state=self.state, ended_ns=self.clock.now_ns(), relay=self.tally.relay())
        until_ns = self.clock.now_ns() + _LAST_TRY_S * 10**9
        while (error := self._close()) and self.clock.now_ns() < until_ns:
            time.sleep(0.1)
        if error:
            lost = self.tally.losses.total()
            self._give_up(everything=True)
            what = "the end of" if self.tally.losses.total() > lost else "the last touch (every row is there) on"
            self.not_stored = f"{what} {self.path}: {error}"
            self._note()
            self._close()

    def _close(self) -> Exception | None:
        try:
            self.writer.close()
        except (sqlite3.Error, OSError) as error:
            return error
        return None

    def _give_up(self, *, everything: bool = False) -> None:
        for table, count in self.writer.discard_pending(everything=everything).items():
            self.tally.lose(table, count)
        if self.writer.pending > _MOST_PENDING:
            self._give_up(everything=True)
        self.contents.forget()
        self._next_commit = _ROWS_A_COMMIT

    @property
    def stored_bytes(self) -> int:
        """Size of the capture on disk."""
        return size_of(self.path)

    def summary(self) -> list[str]:
        """What the tester reads at the end."""
        tally, run = self.tally, self.writer.run
        # Of a browse the command that drives it says what is to be said of the run.
        lines = list(remarks_of(run, self.path.name)) if run.purpose != BROWSE else []
        if self.not_stored:
            lines.append(
                f"NOT STORED: {self.not_stored}. What was stored before is there; reading it takes some free space."
            )
        if tally.losses:
            lost = ", ".join(f"{count:,} {kind}" for kind, count in tally.losses.items())
            lines.append(f"NOT EVERYTHING WAS RECORDED: {lost} lost.")
        lines += [
            f"{sentence}{'' if count == 1 else f' ({count:,} times)'}" for sentence, count in tally.notices.items()
        ]
        if run.purpose == BROWSE:  # what else there is to say, the tour says
            return lines
        lines.append(f"Recorded {counts(tally)} in {duration(run.ended_ns)}.")
        relay = run.relay
        if relay.get("samples"):
            added = f"{duration(relay['added_p50_ns'])} (p50), {duration(relay['added_p99_ns'])} (p99)"
            lines.append(f"nestperf added {added} to an exchange.")
        kept = f", {plural(len(vault), 'secret')} in {self.path.name}.secrets" if (vault := self.recorder.vault) else ""
        lines.append(f"Capture: {self.path} ({size(self.stored_bytes)}){kept}")
        for reason, count in tally.opaque_databases.items():
            remedy = " (sslmode=disable in the DATABASE_URL shows them)" if reason == TLS else ""
            lines.append(f"The queries of {plural(count, 'database connection')} were not seen: {reason}{remedy}.")
        if (tally.exchanges or tally.sockets or tally.queries) and not self._of_suite:
            lines += way_back(run.upstreams, tally)
            lines.append(f"Next: nestperf report {self.path}   or play it back: nestperf replay {self.path}")
        elif not self._of_suite:
            lines.append("Nothing came by: open the address above in the browser instead of the application's own.")
        return lines

    def _note(self, **changes: Any) -> None:
        """Keep the run's row true: a recording that is killed says what it had lost until then."""
        if changes or self.tally.losses != self.writer.run.losses:
            self.writer.set_run(self.writer.run._replace(losses=dict(self.tally.losses), **changes))


def run(path: Path, settings: dict[str, Any]) -> int:
    """Record what standard input tells until it ends; the exit code."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
    recording = Recording(path, settings)
    _say_ready()
    view = LiveView(recording.tally, quiet=bool(settings.get("suite")) or recording.writer.run.purpose == BROWSE)
    view.start()
    reading = _Reading(recording, view)
    background = Background()
    try:
        while not reading.ended:
            background.run(reading.read, urgent=reading.behind)
    finally:
        view.stop()
        recording.end()
    print("\n".join(recording.summary()), flush=True)  # noqa: T201 - the process's one output
    return ExitCode.OK


class _Reading:
    """The loop of the process: reads the pipe, commits, shows."""

    def __init__(self, recording: Recording, view: LiveView) -> None:
        self.ended = False
        self.behind = True
        """Not yet shown to keep up with the traffic, or no longer."""
        self._recording = recording
        self._view = view
        self._reader = TapReader()
        self._next_commit_ns = 0
        self._next_show_ns = 0
        self._calm_at_ns = recording.clock.now_ns() + _CALM_AFTER_NS

    def read(self) -> None:
        """Read until the pipe ends, or until `behind` changes."""
        recording, behind = self._recording, self.behind
        while self.behind is behind:
            ready, _, _ = select.select([0], [], [], _COMMIT_EVERY_NS / 1e9)
            stamp_ns = None
            if ready:
                data = os.read(0, _READ)
                if not data:
                    self.ended = True
                    return
                for record in self._reader.receive(data):
                    recording.feed(record)
                    stamp_ns = record.stamp_ns
            now_ns = recording.clock.now_ns()
            if stamp_ns is not None:
                self._judge(now_ns, now_ns - recording.clock.stamp_ns(stamp_ns))
            if now_ns >= self._next_commit_ns:
                self._next_commit_ns = now_ns + _COMMIT_EVERY_NS
                recording.recorder.snapshot()
                recording.commit()
                if not self.behind:
                    recording.sweep(now_ns)
            if now_ns >= self._next_show_ns or recording.typed:
                recording.typed = False
                self._next_show_ns = now_ns + _SHOW_EVERY_NS
                recording.recorder.look(now_ns)
                self._view.show(now_ns, recording.stored_bytes)

    def _judge(self, now_ns: int, behind_ns: int) -> None:
        self._recording.tally.behind(behind_ns)
        if behind_ns > _KEEPS_UP_NS:
            self._calm_at_ns = now_ns + _CALM_AFTER_NS
        if behind_ns > _BEHIND_NS:
            self.behind = True
        elif now_ns > self._calm_at_ns:
            self.behind = False


def _say_ready() -> None:
    descriptor = os.environ.pop(READY, "")
    if descriptor:
        os.write(int(descriptor), b"1")
        os.close(int(descriptor))


def main() -> None:
    """Entry point of the process: `python -m proxy_addon.recording CAPTURE SETTINGS_JSON`."""
    try:
        code = run(Path(sys.argv[1]), json.loads(sys.argv[2]))
    except NestperfError as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201
        code = error.exit_code
    except Exception as error:
        if os.environ.get("NESTPERF_DEBUG"):
            raise
        print(f"Error: {describe_fault(error)}", file=sys.stderr)  # noqa: T201
        code = ExitCode.INVALID
    sys.exit(code)


if __name__ == "__main__":
    main()
