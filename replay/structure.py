"""What waits for what in a recorded session: a graph out of beginnings and ends. Pure arithmetic on spans.

A step waits for exactly those earlier steps whose end may have released it: all that were done when it began, without
those that others of them had waited for already. So what was parallel stays parallel and what was sequential stays
causal. What a browser only held back until one of its connections was free was released with those before it: the
replay has as many connections, and holds it back by itself.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

BROWSER_CONNECTIONS = 6
"""HTTP/1.1 connections a browser opens to one host."""
AT_ONCE_NS = 20_000_000
"""A browser sends what it held back within this time after a connection is free."""


class Span(NamedTuple):
    """One step in time."""

    sent_ns: int
    done_ns: int | None
    """None: nobody waits for it."""
    upstream: int | None = None
    """Of an exchange."""
    connection: int | None = None
    """The recorded connection of an exchange."""
    may_wait: bool = False
    """A browser asks for such things in numbers and holds them back (scripts, styles, images, fonts)."""


class Release(NamedTuple):
    """What releases a step, and how long after."""

    after: tuple[int, ...]
    think_ns: int


def release_order(spans: Sequence[tuple[int, int | None]], start_ns: int) -> tuple[Release, ...]:
    """What releases each of `spans` (begun, done; in the order begun; done None: nobody waits for it).

    Of all spans done when one began only those matter that ended after the last of the others began; this is the
    transitive reduction of an interval order, kept as a frontier in one sweep.
    """
    running: list[tuple[int, int]] = []
    frontier: list[tuple[int, int]] = []
    releases = []
    for index, (sent_ns, done_ns) in enumerate(spans):
        while running and running[0][0] <= sent_ns:
            ended_ns, ended = heapq.heappop(running)
            began_ns = spans[ended][0]
            frontier = [(ns, i) for ns, i in frontier if not (ns <= began_ns and i < ended)]
            frontier.append((ended_ns, ended))
        latest_ns = max((ns for ns, _ in frontier), default=start_ns)
        releases.append(Release(tuple(sorted(i for _, i in frontier)), max(0, sent_ns - latest_ns)))
        if done_ns is not None:
            heapq.heappush(running, (max(done_ns, sent_ns), index))
    return tuple(releases)


def ready_times(spans: Sequence[Span]) -> tuple[int, ...]:
    """When each of `spans` (in the order sent) was ready to be sent: when it was, or, where a browser held it back,
    when the one before it on its connection was; never before anything that had been sent by then.

    Held back is what may be, sent within 20 ms after the end of the exchange before it on the same connection, while
    all of a browser's connections to that upstream were busy.
    """
    busy = _Busy(spans)
    ready = [span.sent_ns for span in spans]
    last_on: dict[tuple[int | None, int | None], int] = {}
    latest = 0
    """The latest ready time given to something held back, so that they keep their order."""
    for index, span in enumerate(spans):
        key = (span.upstream, span.connection)
        before = last_on.get(key) if span.connection is not None else None
        last_on[key] = index
        if before is None or not span.may_wait or not spans[before].may_wait:
            continue
        freed_ns = spans[before].done_ns
        if freed_ns is None or not 0 <= span.sent_ns - freed_ns <= AT_ONCE_NS:
            continue
        if busy.at(span.upstream, freed_ns) >= BROWSER_CONNECTIONS:
            burst = [ready[n] for n in range(before, index) if spans[n].sent_ns < freed_ns and spans[n].may_wait]
            latest = max([latest, ready[before], *burst])
            ready[index] = min(span.sent_ns, latest)
    return tuple(ready)


class _Busy:
    """How many connections to an upstream were busy; a pause of `AT_ONCE_NS` between two exchanges is none."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._sent: dict[int | None, list[int]] = defaultdict(list)
        self._done: dict[int | None, list[int]] = defaultdict(list)
        busy_until: dict[tuple[int | None, int], int | None] = {}
        for span in spans:
            if span.connection is None:
                continue
            key = (span.upstream, span.connection)
            until_ns = busy_until.get(key, -AT_ONCE_NS - 1)
            if until_ns is not None and span.sent_ns - until_ns > AT_ONCE_NS:
                if key in busy_until:
                    self._done[span.upstream].append(until_ns)
                self._sent[span.upstream].append(span.sent_ns)
            busy_until[key] = span.done_ns
        for (upstream, _), last_ns in busy_until.items():
            if last_ns is not None:
                self._done[upstream].append(last_ns)
        for stamps in (*self._sent.values(), *self._done.values()):
            stamps.sort()

    def at(self, upstream: int | None, ns: int) -> int:
        """Busy just before that moment, those that became free at it included."""
        return bisect_left(self._sent[upstream], ns) - bisect_left(self._done[upstream], ns)


def connection_limits(spans: Sequence[Span]) -> dict[int, int]:
    """By upstream: a browser's limit, or as many as the recording had in flight at once, not every client being a
    browser. `done_ns` must be there."""
    changes: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for span in spans:
        if span.upstream is not None:
            done_ns = span.sent_ns if span.done_ns is None else span.done_ns
            changes[span.upstream] += [(span.sent_ns, 1), (max(done_ns, span.sent_ns + 1), -1)]
    limits = {}
    for upstream, steps in changes.items():
        level = highest = 0
        for _, change in sorted(steps):
            level += change
            highest = max(highest, level)
        limits[upstream] = max(BROWSER_CONNECTIONS, highest)
    return limits
