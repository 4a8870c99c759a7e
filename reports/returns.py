"""Connections that ended abnormally, and how their clients came back: after what time, joined and subscribed again.

Abnormal is an end without a close handshake, or a server's close with a code that says so; nestperf's own cuts count
as such and are told apart. A client came back with the next connection it opened to the same place. Measures, never
judges; durations are nanoseconds from the end of the connection.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nestperf.capture.model import NESTPERF, Outcome, Socket
from nestperf.capture.routes import route_of
from reports.columns import Stamps
from reports.samples import Samples

WITHIN_NS = 60_000_000_000
"""A connection that is opened later is another visit."""
WENT_ON_NS = 5_000_000_000
"""A client that asks for something so long after is still there."""
RECORDED_ON_NS = 30_000_000_000
"""A recording that goes on so long after shows whether somebody comes back."""
SETTLING_NS = 5_000_000_000
"""What a client says in so short a time after its connection stands belongs to its arrival: it subscribes."""
_NORMAL = frozenset({None, 1000, 1001, 1005})
"""Close codes of a server that ends as agreed (RFC 6455, 7.4.1)."""


class Return(NamedTuple):
    """One abnormal end, and what its client did then."""

    socket: int
    protocol: str
    path: str
    how: str
    """`cut`, `code 1011`."""
    by_nestperf: bool
    closed_ns: int
    """Since the run began."""
    again: int | None
    """The socket it came back with."""
    tried_ns: int | None
    back_ns: int | None
    """Connected, and in all namespaces that it had been in; None where it is not."""
    subscribed_ns: int | None
    """It had said again what it had said on its arrival before; None where that was nothing, or is not said again."""
    missed: bool
    """It did not come back, though it was there, or the recording went on for long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What is known of a connection: names are (namespace, event)."""

    joined: dict[str, float]
    said: dict[tuple[str, str], float]


def find_returns(samples: Samples) -> tuple[Return, ...]:
    """Every abnormal end of a capture, in order."""
    ended = [socket for socket in samples.sockets if _is_abnormal(socket)]
    if not ended:
        return ()
    ended.sort(key=lambda socket: socket.closed_ns or 0)
    opened = sorted(samples.sockets, key=lambda socket: socket.opened_ns)
    span = samples.span_ns
    end_ns = max(span[1] if span else 0, samples.run.ended_ns or 0)
    seen = _Packets(samples)
    used: set[int] = set()
    found = []
    for socket in ended:
        again = next((one for one in opened if one.id not in used and _is_return(socket, one)), None)
        if again is not None:
            used.add(again.id)
        found.append(_return(socket, again, seen, end_ns, _asked_later(samples, socket)))
    return tuple(found)


def _is_abnormal(socket: Socket) -> bool:
    if socket.connected_ns is None or socket.closed_ns is None:
        return False
    by_code = socket.closed_by == "server" and socket.close_code not in _NORMAL
    return socket.closed_by in ("cut", NESTPERF) or by_code


def _is_return(old: Socket, new: Socket) -> bool:
    same = _client(old) == _client(new) and old.upstream == new.upstream and old.protocol == new.protocol
    assert old.closed_ns is not None
    soon = 0 <= new.opened_ns - old.closed_ns <= WITHIN_NS
    return same and soon and route_of(old.target) == route_of(new.target)


def _client(socket: Socket) -> tuple[str, int | None]:
    return ("session", socket.session_id) if socket.session_id is not None else ("client", socket.client_id)


def _asked_later(samples: Samples, socket: Socket) -> bool:
    """Whether the client asked for something well after the end."""
    x = samples.exchanges
    kind, number = _client(socket)
    own = (x.session if kind == "session" else x.client) == (-1 if number is None else number)
    return bool((x.sent[own] > (socket.closed_ns or 0) + WENT_ON_NS).any())


def _return(socket: Socket, again: Socket | None, seen: _Packets, end_ns: int, asked: bool) -> Return:
    assert socket.closed_ns is not None
    ns = socket.closed_ns
    by_client = socket.closed_by == "cut" and socket.outcome is Outcome.ABORTED
    waited = end_ns - ns >= RECORDED_ON_NS and not by_client
    back_ns, subscribed_ns = (None, None) if again is None else _again(socket, again, seen)
    return Return(
        socket=socket.id,
        protocol=socket.protocol,
        path=route_of(socket.target),
        how="cut" if socket.closed_by != "server" else f"code {socket.close_code}",
        by_nestperf=socket.closed_by == NESTPERF,
        closed_ns=ns,
        again=None if again is None else again.id,
        tried_ns=None if again is None else again.opened_ns - ns,
        back_ns=None if back_ns is None else int(back_ns) - ns,
        subscribed_ns=None if subscribed_ns is None else int(subscribed_ns) - ns,
        missed=back_ns is None and (again is not None or asked or waited),
    )


def _again(old: Socket, new: Socket, seen: _Packets) -> tuple[float | None, float | None]:
    """When the new connection stood as the old one had, and when all was said again."""
    if new.connected_ns is None:
        return None, None
    before, after = seen.of(old), seen.of(new)
    if not before.joined.keys() <= after.joined.keys():
        return None, None
    back = max([float(new.connected_ns), *(after.joined[name] for name in before.joined)])
    if not before.said or not before.said.keys() <= after.said.keys():
        return back, None
    return back, max(after.said[name] for name in before.said)


class _Packets:
    """The packets of a capture by socket."""

    def __init__(self, samples: Samples) -> None:
        self._p = samples.packets
        self._order = np.argsort(self._p.socket, kind="stable")
        self._sockets = self._p.socket[self._order]
        self._joins = self._p.from_server & self._p.type.among("connect")
        self._events = ~self._p.from_server & self._p.type.among("event")

    def of(self, socket: Socket) -> _Seen:
        """When it had joined each namespace, and first said each event of its arrival."""
        p = self._p
        first, last = np.searchsorted(self._sockets, (socket.id, socket.id + 1))
        rows = self._order[first:last]
        joined: dict[str, float] = {}
        said: dict[tuple[str, str], float] = {}
        for row in rows[self._joins[rows]].tolist():
            joined.setdefault(p.namespace.names[p.namespace.codes[row]] or "/", float(p.done[row]))
        settled = max([float(socket.connected_ns or 0), *joined.values()]) + SETTLING_NS
        for row in rows[self._events[rows]].tolist():
            name = (p.namespace.names[p.namespace.codes[row]] or "/", p.event.names[p.event.codes[row]])
            if p.stamp[row] <= settled:
                said.setdefault(name, float(p.stamp[row]))
        return _Seen(joined=joined, said=said)


class ReturnsAt(NamedTuple):
    """All abnormal ends of one protocol and path."""

    protocol: str
    path: str
    ends: int
    by_nestperf: int
    back: int
    tried: Stamps
    back_after: Stamps
    subscribed_after: Stamps


def rows_of(returns: Sequence[Return]) -> Iterator[ReturnsAt]:
    """Together by protocol and path; durations ascend."""
    by_place: dict[tuple[str, str], list[Return]] = {}
    for one in returns:
        by_place.setdefault((one.protocol, one.path), []).append(one)
    for (protocol, path), found in sorted(by_place.items()):
        yield ReturnsAt(
            protocol=protocol,
            path=path,
            ends=len(found),
            by_nestperf=sum(one.by_nestperf for one in found),
            back=sum(one.back_ns is not None for one in found),
            tried=_ordered(one.tried_ns for one in found),
            back_after=_ordered(one.back_ns for one in found),
            subscribed_after=_ordered(one.subscribed_ns for one in found),
        )


def _ordered(values: Iterator[int | None]) -> Stamps:
    return np.sort(np.array([value for value in values if value is not None], dtype=np.float64))
