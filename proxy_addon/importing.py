"""One import: a capture made of other programs' files, as if it had been recorded.

Each file is read twice: first when everything began and which applications there were, then what happened, in order of
time. No more of a file is in memory than what it holds out of order, and what overlaps.
"""

from __future__ import annotations

import heapq
import os
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nestperf import __version__
from nestperf.capture.clock import Clock
from nestperf.capture.contents import Contents
from nestperf.capture.foreign import Account, ForeignExchange, ForeignFile
from nestperf.capture.model import Exchange, Frame, Packet, Query, Run, Upstream
from nestperf.capture.postgres_log.reading import PostgresLog
from nestperf.capture.redaction import Redactor, Unredacted
from nestperf.capture.remarks import IMPORTED, NOT_REDACTED, REDACT
from nestperf.capture.secret_names import SecretNames
from nestperf.capture.vault import Vault
from nestperf.capture.writer import CaptureWriter
from nestperf.console import plural
from nestperf.errors import CaptureEmpty
from proxy_addon.logged import LoggedQueries
from proxy_addon.recorder import Recorder
from proxy_addon.retelling import Retelling

_ROWS_A_COMMIT = 5_000
_BYTES_A_COMMIT = 32 * 2**20


@dataclass(slots=True)
class Contribution:
    """One file, and what became of it."""

    file: ForeignFile
    account: Account = field(default_factory=Account)
    starts: array[int] = field(default_factory=lambda: array("q"))
    """When each of its exchanges was sent, in the file's order; nanoseconds since 1970."""
    upstreams: dict[str, int] = field(default_factory=dict)
    """Exchanges by upstream."""
    elsewhere: int = 0
    """Exchanges with upstreams that were not asked for."""

    def survey(self, only: Sequence[str]) -> None:
        """The first look: when and where. `only`: the upstreams that count; none: all."""
        for exchange in self.file.exchanges(self.account):
            if only and not any(is_at(exchange.upstream, one) for one in only):
                self.elsewhere += 1
                continue
            self.starts.append(exchange.sent_unix_ns)
            self.upstreams[exchange.upstream] = self.upstreams.get(exchange.upstream, 0) + 1

    def in_order(self) -> Iterator[ForeignExchange]:
        """The second look: exchanges in order of time; one waits only while an earlier one is still to come."""
        waiting: list[tuple[int, int, ForeignExchange]] = []
        earliest = _earliest_after(self.starts)
        wanted = (one for one in self.file.exchanges(Account()) if one.upstream in self.upstreams)
        for at, exchange in enumerate(wanted):
            heapq.heappush(waiting, (exchange.sent_unix_ns, at, exchange))
            while waiting and waiting[0][0] <= earliest[at + 1]:
                yield heapq.heappop(waiting)[2]
        while waiting:
            yield heapq.heappop(waiting)[2]

    def told(self) -> dict[str, Any]:
        """For the run's settings."""
        file = self.file
        creator, unreadable = getattr(file, "creator", ""), self.account.unreadable
        told = {"file": file.name, "format": file.format} | ({"creator": creator} if creator else {})
        return told | ({"unreadable": unreadable} if unreadable else {})


def _with_file(one: Contribution) -> Iterator[tuple[ForeignExchange, ForeignFile]]:
    for exchange in one.in_order():
        yield exchange, one.file


def _earliest_after(starts: array[int]) -> array[int]:
    """For each place the earliest start at it or behind it; one more for the end."""
    earliest = array("q", [2**62]) * (len(starts) + 1)
    for at in range(len(starts) - 1, -1, -1):
        earliest[at] = min(starts[at], earliest[at + 1])
    return earliest


def is_at(upstream: str, wanted: str) -> bool:
    """Whether an upstream (`scheme://host:port`) is what a person names: a URL, a host, or a host with its port."""
    parts = urlsplit(upstream)
    lower = wanted.lower().rstrip("/")
    return lower in (upstream, upstream.removesuffix(":80").removesuffix(":443"), parts.netloc, parts.hostname)


def first_query(logs: Sequence[PostgresLog]) -> int:
    """When the earliest query of some logs began; nanoseconds since 1970.

    Raises:
        CaptureError: one is damaged, or holds no durations.
    """
    return min(query.done_unix_ns - query.duration_ns for log in logs for query in log.queries())


def survey_all(contributions: Sequence[Contribution], only: Sequence[str]) -> tuple[int, tuple[Upstream, ...]]:
    """When the earliest exchange began, and all upstreams, those with most exchanges first.

    Raises:
        CaptureError: a file is damaged, or nothing in them can be imported.
    """
    counts: dict[str, int] = {}
    for one in contributions:
        one.survey(only)
        for upstream, number in one.upstreams.items():
            counts[upstream] = counts.get(upstream, 0) + number
    if not counts:
        names = ", ".join(one.file.name for one in contributions)
        elsewhere = sum(one.elsewhere for one in contributions)
        left_out = sum(one.account.left_out.total() + one.account.unreadable for one in contributions)
        why = f"{plural(elsewhere, 'exchange')} with other applications" if elsewhere else f"{left_out:,} entries"
        raise CaptureEmpty(f"{names} holds no exchange to import ({why} left out): export it again, or widen --only.")
    ordered = sorted(counts, key=lambda upstream: (-counts[upstream], upstream))
    return min(min(one.starts) for one in contributions if one.starts), tuple(map(Upstream, ordered))


class Import:
    """Writes one capture out of files that were surveyed."""

    def __init__(
        self,
        path: Path,
        contributions: Sequence[Contribution],
        logs: Sequence[PostgresLog],
        *,
        began_unix_ns: int,
        upstreams: tuple[Upstream, ...],
        redact: Sequence[str],
        redacted: bool,
    ) -> None:
        """`redact`: names whose values are secrets too; `redacted` False: store secrets as they come."""
        told = [one.told() for one in contributions] + [{"file": log.name, "format": log.format} for log in logs]
        asked: dict[str, Any] = {IMPORTED: told}
        asked |= {REDACT: list(redact)} if redact else {}
        asked |= {} if redacted else {NOT_REDACTED: True}
        self.vault = Vault.create(path)
        redactor = Redactor(self.vault, names=SecretNames(redact)) if redacted else Unredacted(self.vault)
        vantages = {one.file.vantage for one in contributions}
        run = Run(
            uid=os.urandom(8).hex(),
            purpose="import",
            vantage="server" if not vantages else vantages.pop() if len(vantages) == 1 else "client",
            state="running",
            version=__version__,
            started_unix_ns=began_unix_ns,
            upstreams=upstreams,
            settings=asked,
        )
        self.writer = CaptureWriter.create(path, run, vault=self.vault)
        contents = Contents(redactor, self._add)
        self.recorder = Recorder(contents, self._add, Clock(began_unix_ns, began_unix_ns), upstreams)
        places = {upstream.url: index for index, upstream in enumerate(upstreams)}
        self._retelling = Retelling(self.recorder, contents, places)
        self._contributions = contributions
        self._logs = logs
        self._logged = LoggedQueries(
            add=self._add, tally=self.recorder.tally, redactor=redactor, began_unix_ns=began_unix_ns
        )
        self._last_ns = 0

    def run(self) -> None:
        """Import everything and finish the capture."""
        streams = [_with_file(one) for one in self._contributions]
        for exchange, file in heapq.merge(*streams, key=lambda told: told[0].sent_unix_ns):
            self._retelling.tell(exchange, from_browser=file.all_from_browser)
            self._store()
        self._retelling.finish()
        for log in self._logs:
            for query in log.queries():
                self._logged.add(query)
                self._store()
        notices = dict(self.recorder.tally.notices)
        self.writer.set_run(
            self.writer.run._replace(
                state="finished",
                ended_ns=self._last_ns,
                losses=dict(self.recorder.tally.losses),
                relay={"notices": notices} if notices else {},
            )
        )
        self.writer.close()

    def _store(self) -> None:
        if self.writer.pending > _ROWS_A_COMMIT or self.writer.pending_bytes > _BYTES_A_COMMIT:
            self.writer.commit()

    def _add(self, row: Any) -> None:
        if isinstance(row, Exchange):
            row = row._replace(relay_ns=None)  # nothing of ours was in between
            self._last_ns = max(self._last_ns, row.done_ns or row.sent_ns)
        elif isinstance(row, Frame | Packet | Query):
            self._last_ns = max(self._last_ns, row.done_ns or 0)
        self.writer.add(row)
