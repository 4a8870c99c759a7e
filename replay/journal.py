"""Stores what happened, off the loop: the loop only appends, a thread makes rows (`replay.rows`) and writes them.

Ids are given on the loop, so that rows can name each other before they are stored. Every exchange is stored with its
stamps, sizes and outcome; heads and bodies where somebody will ask for them: a sample of whole visits, failures and
mismatches, and the slowest.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
from collections import Counter
from collections.abc import Callable

from nestperf.capture.model import Run
from nestperf.capture.repeats import SIZE
from nestperf.capture.secret_names import BUILT_IN, SecretNames
from nestperf.capture.vault import Vault
from nestperf.capture.writer import CaptureWriter
from nestperf.errors import UsageError
from replay.records import Record
from replay.rows import Rows
from replay.steps import Http
from replay.transport.answer import Request

SAMPLE = 3
"""Visits to each recorded session that are kept whole, heads and bodies: the first ones."""
FAILURES = 1000
"""Failures and mismatches whose heads and bodies are kept in one run: the first ones."""
SLOWEST = 25
"""An answer slower than all but this many before it is kept with head and body."""
_SLICE = 200
"""Records stored in one transaction: the thread holds the interpreter for short moments only."""
_REPEATS = 4096 * SIZE
"""Bytes of repeats, stored in one transaction."""
_EVERY_S = 0.05


class Journal:
    """The capture that a replay writes. `note` on the loop; `keep_storing` is a task beside it."""

    def __init__(self, writer: CaptureWriter, vault: Vault, names: SecretNames = BUILT_IN) -> None:
        self.writer = writer
        self.failure: str | None = None
        """Why the last attempt to store failed."""
        self.losses: Counter[str] = Counter()
        """What could not be stored, by kind of record."""
        self.slow_ns = -1
        """Service times up to this one are not among the slowest."""
        self._rows = Rows(vault, names, writer.add)
        self._ended = asyncio.Event()
        self._pending: list[Record] = []
        self._repeats = bytearray()
        self.note_repeat = self._repeats.extend
        """An exchange of a known pattern went well, and only its numbers are stored, packed by `repeats.pack`."""
        self.on_repeats: Callable[[bytearray], None] | None = None
        """Told of all of those, some hundreds at once, before they are stored."""
        self.words = writer.words
        self._visits: Counter[int] = Counter()
        self._failures_kept = 0
        self._slowest: list[int] = []
        self.exchange_id = itertools.count(1).__next__
        """The next exchange's id."""
        self._packets = itertools.count(1)
        self._frames = itertools.count(1)
        self._sockets = itertools.count(1)
        self._sessions = itertools.count(1)

    def packet_id(self) -> int:
        """The next packet's id."""
        return next(self._packets)

    def frame_id(self) -> int:
        """The next frame's id."""
        return next(self._frames)

    def socket_id(self) -> int:
        """The next socket's id."""
        return next(self._sockets)

    def session_id(self) -> int:
        """The next session's id."""
        return next(self._sessions)

    def keeps_visit(self, source: int) -> bool:
        """Whether one more visit to that recorded session is kept whole; counts it."""
        self._visits[source] += 1
        return self._visits[source] <= SAMPLE

    def keeps_failure(self) -> bool:
        """Whether one more failure is kept; counts it."""
        self._failures_kept += 1
        return self._failures_kept <= FAILURES

    def keeps_slow(self, service_ns: int) -> bool:
        """Whether an answer is among the slowest so far; remembers it."""
        if len(self._slowest) < SLOWEST:
            heapq.heappush(self._slowest, service_ns)
        elif service_ns > self.slow_ns:
            heapq.heapreplace(self._slowest, service_ns)
        else:
            return False
        if len(self._slowest) == SLOWEST:
            self.slow_ns = self._slowest[0]
        return True

    def pattern(self, action: Http, request: Request | None, secrets: tuple[str, ...]) -> int:
        """Make known before the run what all exchanges of a step have in common: the number `note_repeat` takes.
        Arguments are those of `Rows.pattern`."""
        return self.writer.add_pattern(self._rows.pattern(action, request, secrets))

    def note(self, record: Record) -> None:
        """Something is over, or began; it is stored soon."""
        self._pending.append(record)

    async def keep_storing(self) -> None:
        """Store what was noted, again and again, until `end_storing`; one thread at a time."""
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _EVERY_S)
            if self._pending or self._repeats:
                await asyncio.to_thread(self._store, *self._take())

    def end_storing(self) -> None:
        """Let `keep_storing` come to its end."""
        self._ended.set()

    def store(self) -> None:
        """Store what was noted so far, in small slices."""
        self._store(*self._take())

    def _take(self) -> tuple[list[Record], bytearray]:
        """What was noted since. On the loop, so that nothing is noted meanwhile."""
        taken = self._pending, self._repeats
        if self.on_repeats is not None:
            self.on_repeats(self._repeats)
        self._pending, self._repeats = [], bytearray()
        self.note_repeat = self._repeats.extend
        return taken

    def _store(self, records: list[Record], repeats: bytearray) -> None:
        for at in range(0, len(records), _SLICE):
            for record in records[at : at + _SLICE]:
                self._add(record)
            self._commit()
        for at in range(0, len(repeats), _REPEATS):
            self.writer.add_repeats(bytes(repeats[at : at + _REPEATS]))
            self._commit()

    def _add(self, record: Record) -> None:
        try:
            self.writer.add(self._rows.row_of(record))
        except Exception as error:
            # A fault of ours costs one row, which is counted; it never ends the run.
            self.losses[type(record).__name__] += 1
            self.failure = f"{type(error).__name__}: {error}"

    def _commit(self) -> None:
        try:
            self.writer.commit()
            self.failure = None
        except Exception as error:
            # The disk is full, the file is locked, ...: the run goes on, the rows stay collected, the next slice
            # tries again.
            self.failure = str(error)

    def finish(self, run: Run) -> None:
        """Store the rest and the run's row, and close the file; what could not be stored is counted in the row.

        Raises:
            UsageError: not even that could be stored.
        """
        self.store()
        if self.writer.pending:
            self._commit()
        if self.writer.pending:
            self.losses.update(self.writer.discard_pending())
        try:
            self.writer.set_run(run._replace(losses=dict(self.losses)))
            self.writer.close()
        except Exception as error:
            raise UsageError(
                f"Cannot finish {self.writer.path}: {error}. It holds what was stored before; make room and run again."
            ) from error
