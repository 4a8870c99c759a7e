"""From cause to effect: what one client did, and the event that came to others because of it, on one clock.

A request that writes, or an emitted event, is a cause of an event if that came to others within two seconds after most
of its occurrences, and more often than chance would have it. Of several causes of an event the one that it follows
most closely is taken; what comes to most about as closely after something that they said there themselves is an answer
to that. The event may come before the request is answered. Measures, never judges; nanoseconds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import comb
from typing import NamedTuple

import numpy as np

from nestperf.capture.kinds import SAFE_METHODS
from reports.broadcasts import LEAVING_NS, SETTLING_NS, Membership, memberships
from reports.columns import Codes, Stamps
from reports.samples import Samples

WINDOW_NS = 2_000_000_000
"""An event later than this was caused by something else."""
MOST = 300
"""Occurrences of a cause that are looked at: the first ones."""
_MOST_HEARD = 2_000
"""Receipts after a cause that are looked at, and receipts that may answer their receivers."""
CHANCE = 0.01
"""A cause that chance explains this well is none."""
_LEAST_NS = 100_000_000
_OFTEN = 0.5
_CLOSER = 2
"""So many times closer than what its receivers said themselves a cause has to be."""


class Effect(NamedTuple):
    """One cause and its event at others."""

    cause: str
    """`POST /api/v1/media/request`, `emit request:refresh`."""
    namespace: str
    event: str
    causes: int
    followed: int
    """How many of them the event followed."""
    before_answer: int | None
    """How many of those were answered only after the event had come; None where nobody answers a cause."""
    deliveries: Stamps
    """Every receiver's: from the cause's first byte to the event's last; ascending."""
    skews: Stamps
    """Last receiver minus first, of each; ascending."""
    received: int
    expected: int
    """Sockets of others that were in the namespace then, and those that received."""
    slowest: int | None
    """The packet behind the longest delivery."""


class _Cause(NamedTuple):
    name: str
    who: Codes
    sent: Stamps
    done: Stamps
    """NaN where nobody answers."""


class _Event(NamedTuple):
    namespace: str
    event: str
    ids: list[int]
    """Of the packets, in order of time, as all that follows."""
    stamps: Stamps
    sockets: list[int]
    contents: list[int]
    who: list[int]
    """Whose sockets they came to."""


def find_effects(samples: Samples) -> tuple[Effect, ...]:
    """The causes and effects of a capture; none where fewer than two sockets heard anything."""
    owners = _Owners(samples)
    events = list(_events(samples, owners)) if len(samples.sockets) > 1 else []
    if not events:
        return ()
    causes = [*_writes(samples), *_emits(samples, owners)]
    members = memberships(samples)
    said = _said(samples)
    span = samples.span_ns or (0, 1)
    found = []
    for event in events:
        ranked = [(*rank, place) for place, cause in enumerate(causes) if (rank := _rank(cause, event, span))]
        if ranked and min(ranked)[1] * _CLOSER <= _since_own(event, said):
            found.append(_measured(causes[min(ranked)[2]], event, owners, members))
    return tuple(sorted(found, key=lambda effect: (effect.cause, effect.namespace, effect.event)))


class _Owners:
    """Who is behind sockets, as a number."""

    def __init__(self, samples: Samples) -> None:
        self.of_socket = {s.id: _who(s.session_id, s.client_id) for s in samples.sockets}
        self._sockets = np.array(sorted(self.of_socket), dtype=np.int64)
        self._owners = np.array([self.of_socket[socket] for socket in sorted(self.of_socket)], dtype=np.int64)

    def of_packets(self, samples: Samples, rows: Codes) -> Codes:
        """Owners of the sockets of packets."""
        places = np.searchsorted(self._sockets, samples.packets.socket[rows]).clip(max=len(self._sockets) - 1)
        owners: Codes = self._owners[places]
        return owners


def _who(session: float | None, client: float | None) -> int:
    """Sessions of a replay are people; in a recording clients are, and have negative numbers here."""
    if session is not None and np.isfinite(session):
        return int(session)
    return 0 if client is None or not np.isfinite(client) else -int(client)


def _events(samples: Samples, owners: _Owners) -> Iterator[_Event]:
    """What came to more than one socket."""
    p = samples.packets
    rows = np.flatnonzero(p.from_server & p.type.among("event"))
    for (namespace, event), group in _grouped(p.namespace.codes, p.event.codes, rows):
        if len(np.unique(p.socket[group])) > 1:
            ordered = group[np.argsort(p.done[group], kind="stable")]
            who = owners.of_packets(samples, ordered)
            if len(np.unique(who)) > 1:
                yield _Event(
                    namespace=p.namespace.names[namespace] or "/",
                    event=p.event.names[event],
                    ids=p.id[ordered].tolist(),
                    stamps=p.done[ordered],
                    sockets=p.socket[ordered].tolist(),
                    contents=p.content[ordered].tolist(),
                    who=who.tolist(),
                )


def _writes(samples: Samples) -> Iterator[_Cause]:
    x = samples.exchanges
    went_well = np.isfinite(x.status) & (x.status < 400) & ~x.server_call
    rows = np.flatnonzero(went_well & ~x.method.among(*SAFE_METHODS) & ~x.kind.among("poll", "upgrade"))
    for (method, route), group in _grouped(x.method.codes, x.route.codes, rows):
        ordered = group[np.argsort(x.sent[group], kind="stable")][:MOST]
        who = np.array([_who(x.session[row], x.client[row]) for row in ordered.tolist()], dtype=np.int64)
        yield _Cause(f"{x.method.names[method]} {x.route.names[route]}", who, x.sent[ordered], x.done[ordered])


def _emits(samples: Samples, owners: _Owners) -> Iterator[_Cause]:
    p = samples.packets
    rows = np.flatnonzero(~p.from_server & p.type.among("event"))
    for (_, event), group in _grouped(p.namespace.codes, p.event.codes, rows):
        ordered = group[np.argsort(p.stamp[group], kind="stable")][:MOST]
        nothing = np.full(len(ordered), np.nan)
        yield _Cause(f"emit {p.event.names[event]}", owners.of_packets(samples, ordered), p.stamp[ordered], nothing)


def _said(samples: Samples) -> dict[tuple[int, str], Stamps]:
    """By socket and namespace: when its client joined or emitted something there."""
    p = samples.packets
    rows = np.flatnonzero(~p.from_server & p.type.among("event", "connect"))
    rows = rows[np.lexsort((p.stamp[rows], p.namespace.codes[rows], p.socket[rows]))]
    sockets, namespaces = p.socket[rows], p.namespace.codes[rows]
    borders = np.flatnonzero((np.diff(sockets) != 0) | (np.diff(namespaces) != 0)) + 1
    return {
        (int(p.socket[own[0]]), p.namespace.names[int(p.namespace.codes[own[0]])] or "/"): p.stamp[own]
        for own in np.split(rows, borders)
        if len(own)
    }


def _since_own(event: _Event, said: dict[tuple[int, str], Stamps]) -> float:
    """The median time from what a receiver last said itself to the event; infinite where most had said nothing."""
    delays = []
    for socket, stamp in zip(event.sockets[:_MOST_HEARD], event.stamps[:_MOST_HEARD].tolist(), strict=True):
        own = said.get((socket, event.namespace))
        before = 0 if own is None else int(np.searchsorted(own, stamp, side="left"))
        delays.append(stamp - float(own[before - 1]) if own is not None and before else np.inf)
    return float(sorted(delays)[len(delays) // 2])


def _grouped(one: Codes, two: Codes, rows: Codes) -> Iterator[tuple[tuple[int, int], Codes]]:
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for row, first, second in zip(rows.tolist(), one[rows].tolist(), two[rows].tolist(), strict=True):
        groups[first, second].append(row)
    for key, found in groups.items():
        yield key, np.array(found, dtype=np.int64)


def _windows(cause: _Cause, event: _Event) -> list[range]:
    """The places of the receipts that each of the causes may have caused."""
    first = np.searchsorted(event.stamps, cause.sent, side="left").tolist()
    last = np.searchsorted(event.stamps, cause.sent + WINDOW_NS, side="right").tolist()
    return [range(begin, min(end, begin + _MOST_HEARD)) for begin, end in zip(first, last, strict=True)]


def _rank(cause: _Cause, event: _Event, span: tuple[int, int]) -> tuple[float, float] | None:
    """How likely chance is, and the median delay; None where the event is none of this cause's."""
    windows = _windows(cause, event)
    least = max(1, len(windows) * _OFTEN)
    if sum(map(bool, windows)) < least:
        return None
    firsts = [
        next((place for place in window if event.who[place] != who), None)
        for who, window in zip(cause.who.tolist(), windows, strict=True)
    ]
    delays = sorted(
        float(event.stamps[first] - sent) for first, sent in zip(firsts, cause.sent, strict=True) if first is not None
    )
    if len(delays) < least:
        return None
    chance = _chance(event.stamps, len(windows), len(delays), max(_LEAST_NS, 2 * delays[-1]), span)
    return None if chance > CHANCE else (chance, delays[len(delays) // 2])


def _heard(event: _Event, cause: int, window: range) -> list[int]:
    """The receipts of others: the first at each socket, of the same content where several share one."""
    found: list[int] = []
    seen: set[int] = set()
    content = None
    for place in window:
        socket = event.sockets[place]
        if event.who[place] == cause or socket in seen:
            continue
        content = event.contents[place] if content is None else content
        if event.contents[place] != content and len(found) > 1:
            continue
        seen.add(socket)
        found.append(place)
    return found


def _chance(stamps: Stamps, causes: int, followed: int, within_ns: float, span: tuple[int, int]) -> float:
    """How probable it is that so many of the causes are followed so soon by what happens at any time."""
    begin, end = span
    gaps = np.diff(stamps, prepend=float(begin))
    share = min(1.0, float(np.minimum(gaps, within_ns).sum()) / max(1, end - begin))
    return sum(comb(causes, k) * share**k * (1 - share) ** (causes - k) for k in range(followed, causes + 1))


def _measured(cause: _Cause, event: _Event, owners: _Owners, members: Sequence[Membership]) -> Effect:
    heard_by = [
        _heard(event, who, window) for who, window in zip(cause.who.tolist(), _windows(cause, event), strict=True)
    ]
    followed = [(place, heard) for place, heard in enumerate(heard_by) if heard]
    here = [one for one in members if one.namespace == event.namespace]
    deliveries: list[tuple[float, int]] = []
    skews: list[float] = []
    received = expected = 0
    for place, heard in followed:
        began, ended = event.stamps[heard[0]], event.stamps[heard[-1]]
        deliveries += [(float(event.stamps[one] - cause.sent[place]), event.ids[one]) for one in heard]
        skews.append(float(ended - began))
        there = {
            one.socket
            for one in here
            if one.joined_ns + SETTLING_NS <= began
            and one.left_ns > ended + LEAVING_NS
            and owners.of_socket.get(one.socket, 0) != cause.who[place]
        }
        got = {event.sockets[one] for one in heard}
        received += len(got)
        expected += len(there | got)
    answered = np.isfinite(cause.done).any()
    early = sum(event.stamps[heard[0]] < cause.done[place] for place, heard in followed)
    deliveries.sort()
    return Effect(
        cause=cause.name,
        namespace=event.namespace,
        event=event.event,
        causes=len(cause.sent),
        followed=len(followed),
        before_answer=int(early) if answered else None,
        deliveries=np.array([ns for ns, _ in deliveries]),
        skews=np.sort(np.array(skews)),
        received=received,
        expected=expected,
        slowest=deliveries[-1][1] if deliveries else None,
    )
