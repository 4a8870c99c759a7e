"""Finds broadcasts among the packets of a capture: one event that reached several sockets at nearly the same time.

The wire does not say what was a broadcast. Receipts of the same event with the same payload, in one namespace, within
five seconds and at most one a socket, are one; but where every receiver had itself sent an event there (or joined) up
to a second before, they are so many answers to so many questions. A broadcast nobody but one socket received is not
found. Nothing here judges.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from reports.columns import Codes
from reports.samples import Samples

WINDOW_NS = 5_000_000_000
"""How far the last receipt may be behind the first: well over the second that is promised, so that a late one counts
as late and not as lost."""
ASKED_NS = 1_000_000_000
"""An event this soon after one's own is taken for its answer."""
SETTLING_NS = 1_000_000_000
"""Who joined this short a time before may not have asked for the event yet, and is no receiver unless it received."""
LEAVING_NS = 100_000_000
"""Who left this soon after may have closed its ears already."""


class Broadcast(NamedTuple):
    """One broadcast."""

    namespace: str
    event: str
    first_ns: int
    """Stamp of the first receipt."""
    deliveries_ns: tuple[int, ...]
    """Ascending: how long after the first each receiver had it; the first is 0."""
    expected: int
    """Sockets that had joined the namespace a while before and stayed a while after, and those that received."""

    @property
    def skew_ns(self) -> int:
        """Last receipt minus first."""
        return self.deliveries_ns[-1]


class Membership(NamedTuple):
    """One socket's time in one namespace."""

    namespace: str
    socket: int
    joined_ns: float
    left_ns: float


def find_broadcasts(samples: Samples) -> tuple[Broadcast, ...]:
    """The broadcasts of a capture in order of their first receipt."""
    p = samples.packets
    events = np.flatnonzero(p.from_server & p.type.among("event"))
    if not len(events):
        return ()
    members: dict[str, list[Membership]] = {}
    for member in memberships(samples):
        members.setdefault(member.namespace, []).append(member)
    asked = _asked(samples)
    found = []
    for rows in _candidates(samples, events):
        for cluster in _clusters(samples, rows):
            broadcast = _broadcast(samples, cluster, members, asked)
            if broadcast is not None:
                found.append(broadcast)
    return tuple(sorted(found, key=lambda b: (b.first_ns, b.namespace, b.event)))


def _candidates(samples: Samples, events: Codes) -> Iterator[Codes]:
    """Rows of equal namespace, event and payload, more than one, each group in order of time."""
    p = samples.packets
    keys = np.stack((p.namespace.codes[events], p.event.codes[events], p.content[events]))
    _, group, sizes = np.unique(keys, axis=1, return_inverse=True, return_counts=True)
    group = group.reshape(-1)
    several = sizes[group] > 1
    events, group = events[several], group[several]
    order = np.lexsort((p.stamp[events], group))
    events, group = events[order], group[order]
    if len(events):
        yield from np.split(events, np.flatnonzero(np.diff(group)) + 1)


def _clusters(samples: Samples, rows: Codes) -> Iterator[list[int]]:
    """Cut a group where a socket receives again, or where the first receipt is too long ago."""
    sockets, stamps = samples.packets.socket, samples.packets.stamp
    cluster: list[int] = []
    seen: set[int] = set()
    for row in rows.tolist():
        socket = int(sockets[row])
        if cluster and (socket in seen or stamps[row] - stamps[cluster[0]] > WINDOW_NS):
            yield cluster
            cluster, seen = [], set()
        cluster.append(row)
        seen.add(socket)
    yield cluster


def _broadcast(
    samples: Samples,
    cluster: list[int],
    members: dict[str, list[Membership]],
    asked: dict[tuple[int, int], list[float]],
) -> Broadcast | None:
    if len(cluster) < 2:
        return None
    p = samples.packets
    namespace = int(p.namespace.codes[cluster[0]])
    if all(_has_asked(asked.get((int(p.socket[row]), namespace), []), float(p.stamp[row])) for row in cluster):
        return None
    first, last = float(p.stamp[cluster[0]]), float(p.stamp[cluster[-1]])
    expected = {
        m.socket
        for m in members.get(p.namespace.names[namespace] or "/", [])
        if m.joined_ns + SETTLING_NS <= first and m.left_ns > last + LEAVING_NS
    }
    expected |= {int(p.socket[row]) for row in cluster}
    return Broadcast(
        namespace=p.namespace.names[namespace],
        event=p.event.names[int(p.event.codes[cluster[0]])],
        first_ns=int(first),
        deliveries_ns=tuple(int(p.stamp[row] - first) for row in cluster),
        expected=len(expected),
    )


def memberships(samples: Samples) -> list[Membership]:
    """Who was in which namespace when."""
    p = samples.packets
    closed = {s.id: float("inf") if s.closed_ns is None else float(s.closed_ns) for s in samples.sockets}
    changes = np.flatnonzero((p.from_server & p.type.among("connect")) | p.type.among("disconnect"))
    joins = p.type.among("connect")
    open_since: dict[tuple[int, int], float] = {}
    found: list[Membership] = []
    for row in changes.tolist():
        socket, namespace, stamp = int(p.socket[row]), int(p.namespace.codes[row]), float(p.stamp[row])
        if joins[row]:
            open_since[socket, namespace] = stamp
        elif (since := open_since.pop((socket, namespace), None)) is not None:
            found.append(Membership(p.namespace.names[namespace] or "/", socket, since, stamp))
    for (socket, namespace), since in open_since.items():
        left = closed.get(socket, float("inf"))
        found.append(Membership(p.namespace.names[namespace] or "/", socket, since, left))
    return found


def _asked(samples: Samples) -> dict[tuple[int, int], list[float]]:
    """When each socket sent an event in, or joined, each namespace; ascending."""
    p = samples.packets
    asked: dict[tuple[int, int], list[float]] = {}
    for row in np.flatnonzero(~p.from_server & p.type.among("event", "connect")).tolist():
        asked.setdefault((int(p.socket[row]), int(p.namespace.codes[row])), []).append(float(p.stamp[row]))
    for stamps in asked.values():
        stamps.sort()
    return asked


def _has_asked(stamps: list[float], received: float) -> bool:
    place = int(np.searchsorted(stamps, received, side="right")) if stamps else 0
    return place > 0 and received - stamps[place - 1] <= ASKED_NS
