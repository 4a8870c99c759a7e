"""What a recording has seen so far, in numbers: for the live table, the summary and the run's row."""

from __future__ import annotations

import heapq
from collections import Counter, deque
from fractions import Fraction
from typing import Any, NamedTuple

from nestperf.capture.model import FAILED, Exchange, Outcome, Packet
from nestperf.percentiles import nearest_rank

_SLOWEST = 5
_P50, _P99 = Fraction(1, 2), Fraction(99, 100)
_MOST_EVENTS = 5_000
"""Names of events that are counted: an application that makes them up has no end of them."""
_SAMPLES = 200_000
"""Durations kept for percentiles: the newest ones."""


class Slow(NamedTuple):
    """One of the slowest exchanges."""

    service_ns: int
    id: int
    method: str
    route: str
    status: int | None


class Tally:
    """Counters of one recording."""

    def __init__(self) -> None:
        self.exchanges = 0
        self.kinds: Counter[str] = Counter()
        self.outcomes: Counter[Outcome] = Counter()
        self.server_calls: Counter[int] = Counter()
        """Calls that an application made itself, by upstream."""
        self.sockets_open = 0
        self.sockets_cut = 0
        """By the recorder itself, as asked."""
        self.events: Counter[str] = Counter()
        self.messages = 0
        """Of plain WebSockets, whose messages are no events."""
        self.losses: Counter[str] = Counter()
        self.warning = ""
        """What the tester must not forget."""
        self.takes_keys = False
        """Somebody can press keys."""
        self.mark = ""
        """The last one that was set here."""
        self.asking: str | None = None
        """A mark's text that is being written; None where none is."""
        self.trouble = ""
        """What keeps the recording from being stored at the moment; empty where nothing does."""
        self.behind_ns = 0
        """How long ago what is understood now crossed."""
        self.notices: Counter[str] = Counter()
        """What the tester should know, in sentences, and how often each happened."""
        self.unreachable = 0
        """Connections to an upstream that refused them before anything was asked."""
        self.queries: Counter[str] = Counter()
        """SQL queries that are over, by outcome."""
        self.pages = 0
        """Page loads and navigations that a watched browser told of."""
        self.opaque_databases: Counter[str] = Counter()
        """Database connections that could not be read, by the reason."""
        self._ids: Counter[str] = Counter()
        self._slowest: list[Slow] = []
        self._added_ns: deque[int] = deque(maxlen=_SAMPLES)
        self._lag_ns: deque[int] = deque(maxlen=_SAMPLES)
        self._behind_max_ns = 0

    def next_id(self, table: str) -> int:
        """The next row id of a table."""
        self._ids[table] += 1
        return self._ids[table]

    def begin_after(self, table: str, row_id: int) -> None:
        """Rows up to that id are there already."""
        self._ids[table] = row_id

    def exchange(self, row: Exchange) -> None:
        """An exchange is over."""
        self.exchanges += 1
        self.kinds[row.kind] += 1
        self.outcomes[row.outcome] += 1
        if row.server_call:
            self.server_calls[row.upstream] += 1
        if row.relay_ns is not None:
            self._added_ns.append(row.relay_ns)
        if row.done_ns is not None:
            service_ns = row.done_ns - row.sent_ns
            if len(self._slowest) < _SLOWEST:
                heapq.heappush(self._slowest, Slow(service_ns, row.id, row.method, row.route, row.status))
            elif service_ns > self._slowest[0].service_ns:
                heapq.heapreplace(self._slowest, Slow(service_ns, row.id, row.method, row.route, row.status))

    def packet(self, row: Packet) -> None:
        """A packet crossed."""
        if row.event is not None and (row.event in self.events or len(self.events) < _MOST_EVENTS):
            self.events[row.event] += 1

    def lag(self, lag_ns: int) -> None:
        """The relay's event loop was late by that much."""
        self._lag_ns.append(lag_ns)

    def behind(self, behind_ns: int) -> None:
        """The recorder has got to what crossed so long ago."""
        self.behind_ns = behind_ns
        self._behind_max_ns = max(self._behind_max_ns, behind_ns)

    def lose(self, kind: str, count: int = 1) -> None:
        """Something could not be recorded."""
        self.losses[kind] += count

    def notice(self, sentence: str) -> None:
        """Something happened that the tester should know at once."""
        self.notices[sentence] += 1

    @property
    def sockets(self) -> int:
        """Sockets seen so far."""
        return self._ids["sockets"]

    @property
    def failed(self) -> int:
        """Exchanges that failed."""
        return sum(self.outcomes[outcome] for outcome in FAILED)

    @property
    def slowest(self) -> list[Slow]:
        """The slowest exchanges, slowest first."""
        return sorted(self._slowest, reverse=True)

    def relay(self) -> dict[str, Any]:
        """What the recorder added per exchange and how late its event loop was, in nanoseconds, and what it noticed:
        `Run.relay`."""
        figures: dict[str, Any] = {"samples": len(self._added_ns), "behind_max_ns": self._behind_max_ns}
        if self.sockets_cut:
            figures["sockets_cut"] = self.sockets_cut
        if self.notices:
            figures["notices"] = dict(self.notices)
        for name, values in (("added", self._added_ns), ("loop_lag", self._lag_ns)):
            ordered = sorted(values)
            if ordered:
                figures |= {
                    f"{name}_p50_ns": nearest_rank(ordered, _P50),
                    f"{name}_p99_ns": nearest_rank(ordered, _P99),
                }
                figures[f"{name}_max_ns"] = ordered[-1]
        return figures
