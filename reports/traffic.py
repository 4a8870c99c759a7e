"""Sockets, events and broadcasts over time, for pictures. Moments are nanoseconds since the run began. Never judges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nestperf.capture.model import FAILED, Socket
from reports.broadcasts import Broadcast
from reports.columns import Stamps
from reports.samples import Samples
from reports.sockets import is_lost

MOST_EVENTS = 40
MOST_USERS = 40
MOST_BROADCASTS = 3_000
COLUMNS = 240
"""Packets of one event that fall into the same of so many equal stretches of the run are one mark."""


class EventRow(NamedTuple):
    """One event of one sender in one namespace, over time."""

    namespace: str
    event: str
    from_server: bool
    n: int
    marks: tuple[tuple[float, int], ...]
    """When, and how many packets the mark stands for."""


class Life(NamedTuple):
    """One socket's time."""

    ref: str
    begin_ns: int
    connected_ns: int | None
    end_ns: int
    end: str
    """In words; `end_of`."""
    lost: bool


class UserRow(NamedTuple):
    """The sockets of one user, in order: where one follows another on the same address, it reconnected."""

    who: str
    lives: tuple[Life, ...]
    reconnects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What pictures of sockets show."""

    events: tuple[EventRow, ...]
    """The most frequent first."""
    events_left_out: int
    users: tuple[UserRow, ...]
    """Those that lost sockets first, then those that reconnected."""
    users_left_out: int
    sockets: int
    lost: int
    reconnects: int
    """Of all users, drawn or not."""
    broadcasts: tuple[Broadcast, ...]
    """Those that did not reach everybody, and the most spread of the others."""
    broadcasts_total: int


def traffic(samples: Samples, broadcasts: tuple[Broadcast, ...]) -> Traffic:
    """What sockets did over time."""
    events = sorted(_events(samples), key=lambda row: (-row.n, row.namespace, row.event, row.from_server))
    users = sorted(_users(samples), key=lambda u: (-sum(life.lost for life in u.lives), -u.reconnects))
    drawn = sorted(broadcasts, key=lambda b: (len(b.deliveries_ns) >= b.expected, -b.skew_ns))[:MOST_BROADCASTS]
    return Traffic(
        events=tuple(events[:MOST_EVENTS]),
        events_left_out=max(0, len(events) - MOST_EVENTS),
        users=tuple(users[:MOST_USERS]),
        users_left_out=max(0, len(users) - MOST_USERS),
        sockets=len(samples.sockets),
        lost=sum(map(is_lost, samples.sockets)),
        reconnects=sum(user.reconnects for user in users),
        broadcasts=tuple(sorted(drawn, key=lambda b: b.first_ns)),
        broadcasts_total=len(broadcasts),
    )


def _events(samples: Samples) -> Iterator[EventRow]:
    p = samples.packets
    rows = np.flatnonzero(p.type.among("event") & np.isfinite(p.stamp))
    if not len(rows):
        return
    keys = np.stack((p.namespace.codes[rows], p.event.codes[rows], p.from_server[rows].astype(np.int64)))
    groups, place = np.unique(keys, axis=1, return_inverse=True)
    begin, end = float(np.min(p.stamp[rows])), float(np.max(p.stamp[rows]))
    width = max((end - begin) / COLUMNS, 1.0)
    for number in range(groups.shape[1]):
        own = rows[place.reshape(-1) == number]
        yield EventRow(
            namespace=p.namespace.names[int(groups[0, number])] or "/",
            event=p.event.names[int(groups[1, number])],
            from_server=bool(groups[2, number]),
            n=len(own),
            marks=tuple(_marks(p.stamp[own], begin, width)),
        )


def _marks(stamps: Stamps, begin: float, width: float) -> Iterator[tuple[float, int]]:
    columns = ((stamps - begin) / width).astype(np.int64)
    _, first, counts = np.unique(columns, return_index=True, return_counts=True)
    yield from zip(stamps[first].tolist(), counts.tolist(), strict=True)


def _users(samples: Samples) -> Iterator[UserRow]:
    span = samples.span_ns
    last = span[1] if span else 0
    names = samples.identities.of_session
    by_user: dict[tuple[str, int], list[Socket]] = {}
    for socket in samples.sockets:
        key = ("session", socket.session_id) if socket.session_id is not None else ("client", socket.client_id or 0)
        by_user.setdefault((key[0], int(key[1])), []).append(socket)
    for (what, number), sockets in by_user.items():
        sockets.sort(key=lambda s: s.opened_ns)
        name = names.get(number, "") if what == "session" else samples.identities.of_client.get(number, "")
        yield UserRow(
            who=f"{what} {number}" + (f" {name}" if name else ""),
            lives=tuple(_life(s, last) for s in sockets),
            reconnects=_reconnects(sockets),
        )


def _reconnects(sockets: list[Socket]) -> int:
    """Sockets that were opened when another one of the same address had ended, other than by its client: a browser's
    next page does not come back, it begins."""
    places = [(s.upstream, s.target.partition("?")[0]) for s in sockets]
    changes = [(s.opened_ns, True, place) for s, place in zip(sockets, places, strict=True)]
    changes += [
        (s.closed_ns, False, place)
        for s, place in zip(sockets, places, strict=True)
        if s.closed_ns is not None and s.closed_by != "client"
    ]
    ended: Counter[tuple[int, str]] = Counter()
    reconnects = 0
    for _, opens, place in sorted(changes):
        if not opens:
            ended[place] += 1
        elif ended[place]:
            ended[place] -= 1
            reconnects += 1
    return reconnects


def _life(s: Socket, last_ns: int) -> Life:
    return Life(
        ref=f"socket:{s.id}",
        begin_ns=s.opened_ns,
        connected_ns=s.connected_ns,
        end_ns=max(s.opened_ns, last_ns if s.closed_ns is None else s.closed_ns),
        end=end_of(s),
        lost=is_lost(s),
    )


def end_of(s: Socket) -> str:
    """How a socket ended, in words."""
    if s.outcome in FAILED:
        return s.outcome.replace("_", " ")
    return "open at the end" if s.closed_ns is None else "cut" if s.closed_by == "cut" else f"closed by {s.closed_by}"
