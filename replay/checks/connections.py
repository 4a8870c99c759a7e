"""Connections: so many Socket.IO clients connect at once as one was recorded, and all of them stay.

Namespaces are joined in their recorded order, each with its own auth; over the recorded transport. Then nothing is sent
but what keeps a connection alive.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from nestperf.capture.model import Packet, Socket
from nestperf.console import duration, limit, plural
from nestperf.durations import SECOND_NS
from nestperf.verdicts import Verdict
from replay.checks.contract import Finding, Kind, NothingSuch, Number, Rows, Source, Traffic, nothing_came
from replay.checks.cut import cut, needed_by, with_close
from replay.checks.director import STAGGER_NS, Together, once
from replay.checks.table import Table
from replay.drivers import House
from replay.pacing import Load
from replay.player import Visit
from replay.steps import Close, Join, Open, Plan, SessionPlan, Step

NAME = "connections"
HOLD_NS = 30 * SECOND_NS
"""Where nobody recorded how often the server asks for life."""
BEYOND_NS = 5 * SECOND_NS
"""A hold that was not said is this much longer than the server's interval: each client is asked once."""


class Recorded(NamedTuple):
    """A recorded connection."""

    session: SessionPlan
    open: Step
    joins: tuple[Step, ...]
    """The namespaces that let in, in their order."""

    @property
    def socket(self) -> int:
        """Of the recording."""
        assert isinstance(self.open.action, Open)
        return self.open.action.socket


@dataclass(frozen=True, slots=True, kw_only=True)
class Connections:
    """So many clients, connected within a time, alive after another."""

    users: int
    within_ns: int
    hold_ns: int | None
    """None: a little longer than the recorded ping interval."""

    rank = 30

    def prepare(self, source: Source) -> Traffic:
        """Everybody's way to the connection, its namespaces, and its end after the hold."""
        chosen = choose_connection(source)
        hold_ns = self.hold_ns or _hold_ns(source, chosen.socket)
        names = ", ".join(step.action.namespace for step in chosen.joins if isinstance(step.action, Join))
        assert isinstance(chosen.open.action, Open)
        return Traffic(
            plan=Plan(sessions=(_with_end(chosen),), skipped=()),
            load=once(self.users, source.seed, hold_ns + 120 * SECOND_NS),
            direct=partial(_Holding, hold_ns),
            targets=frozenset({chosen.socket}),
            chosen=(
                f"socket {chosen.socket} at {chosen.open.action.route}, the one with the most namespaces: {names}",
                f"held for {limit(hold_ns)}",
            ),
            takes_ns=self.users * STAGGER_NS + hold_ns + 2 * SECOND_NS,
        )

    def judge(self, traffic: Traffic, rows: Rows) -> Finding:
        """Hold the connections against the promise."""
        (session,) = traffic.plan.sessions
        joins = sum(isinstance(step.action, Join) for step in session.steps)
        sockets = [socket for socket in rows.sockets if socket.source_socket in traffic.targets]
        return judge_connections(sockets, rows.packets, self.users, joins, self.within_ns)


def choose_connection(source: Source) -> Recorded:
    """The first recorded connection with the most namespaces.

    Raises:
        NothingSuch: no Socket.IO connection was recorded that can be repeated.
    """
    found = [
        Recorded(session, step, tuple(_joins(session, step)))
        for session in source.plan.sessions
        for step in session.steps
        if isinstance(step.action, Open) and step.action.protocol == "socket.io"
    ]
    if not found:
        raise NothingSuch("the capture has no Socket.IO connection that can be repeated: record one")
    return max(found, key=lambda one: len(one.joins))


def _joins(session: SessionPlan, opening: Step) -> Iterable[Step]:
    assert isinstance(opening.action, Open)
    for step in session.steps:
        action = step.action
        if isinstance(action, Join) and action.socket == opening.action.socket and action.accepted:
            yield step


def _with_end(chosen: Recorded) -> SessionPlan:
    keep = needed_by(chosen.session, [chosen.open.index, *(step.index for step in chosen.joins)])
    session = cut(chosen.session, keep)
    return with_close(session, chosen.socket)


def _hold_ns(source: Source, socket: int) -> int:
    """A little longer than the server waits between two pings, as it said when the connection was opened."""
    found = ping_interval_ns(packet for packet in source.packets if packet.socket_id == socket)
    return HOLD_NS if found is None else found + BEYOND_NS


def ping_interval_ns(packets: Iterable[Packet]) -> int | None:
    """What the server's first word on a connection says; None where it is not there."""
    for packet in packets:
        if packet.engine_type == "open" and packet.sender == "server":
            try:
                return round(float(json.loads(packet.payload or "")["pingInterval"]) * 1e6)
            except (ValueError, TypeError, KeyError):
                return None
    return None


class _Holding(Together):
    """All open their connection at one moment, and close it together when all have held theirs long enough."""

    def __init__(self, hold_ns: int, house: House, load: Load) -> None:
        super().__init__(house, load, lambda step: isinstance(step.action, Open))
        self._hold_ns = hold_ns
        self._ends: list[tuple[Visit, Step]] = []
        self._to_end = load.users

    def offer(self, visit: Visit, step: Step) -> None:
        if not isinstance(step.action, Close):
            super().offer(visit, step)
            return
        self._ends.append((visit, step))
        self._one_connected()

    def left(self, visit: Visit) -> None:
        super().left(visit)
        if not any(one is visit for one, _ in self._ends):
            self._one_connected()

    def _one_connected(self) -> None:
        self._to_end -= 1
        if self._to_end == 0:
            self.after(self._hold_ns, self._close)

    def _close(self) -> None:
        for visit, step in self._ends:
            self.send(visit, step)


def judge_connections(
    sockets: Sequence[Socket], packets: Iterable[Packet], users: int, joins: int, within_ns: int
) -> Finding:
    """All of `users` clients joined all of `joins` namespaces in time, were alive until they closed, and answered.

    A connection that the client did not close ended unexpectedly, whoever ended it.
    """
    promised = f"{users} within {limit(within_ns)}, all stay"
    if not sockets:
        return nothing_came(promised, "No connection was tried.")
    seen = _seen(packets)
    times = {socket.id: _connected_after_ns(socket, seen.get(socket.id, ()), joins) for socket in sockets}
    connected = [socket for socket in sockets if times[socket.id] is not None]
    known_ns = sorted(ns for ns in times.values() if ns is not None)
    late = [ns for ns in known_ns if ns > within_ns]
    ended = [socket for socket in connected if socket.closed_by != "client"]
    pings, answered, silent = _pings(connected, seen)
    broken = [
        *_not_connected([socket for socket in sockets if times[socket.id] is None], users),
        *_late(late, users, within_ns),
        *_ended(ended, users),
        *_unanswered(pings, answered),
        *_never_pinged(silent, users),
    ]
    missing = users - len(sockets)
    verdict = Verdict.FAIL if broken else Verdict.INCONCLUSIVE if missing > 0 else Verdict.PASS
    alive = len(connected) - len(ended)
    slowest = known_ns[-1] if known_ns else None
    return Finding(
        verdict=verdict,
        measured=f"{alive} of {users}" + (f" in {duration(slowest)}" if slowest is not None else ""),
        limit=promised,
        n=len(sockets),
        numbers=(
            Number("connected", len(connected), "", users),
            Number("slowest", slowest, "ns", within_ns),
            Number("median", known_ns[(len(known_ns) - 1) // 2] if known_ns else None, "ns"),
            Number("alive at the end", alive, "", users),
            Number("pings", pings),
            Number("answered", answered),
        ),
        sentences=(
            *broken,
            *([f"Only {len(sockets)} of {users} clients came to the connection."] if missing > 0 else []),
        ),
    )


def _seen(packets: Iterable[Packet]) -> Mapping[int, Sequence[Packet]]:
    found: dict[int, list[Packet]] = {}
    for packet in packets:
        found.setdefault(packet.socket_id, []).append(packet)
    return found


def _connected_after_ns(socket: Socket, packets: Sequence[Packet], joins: int) -> int | None:
    """From when it was due to the last namespace's yes; without namespaces, to the open packet."""
    begun_ns = socket.intended_ns if socket.intended_ns is not None else socket.opened_ns
    let_in = [packet.done_ns for packet in packets if packet.sender == "server" and packet.type == "connect"]
    if socket.connected_ns is None or len(let_in) < joins:
        return None
    return max([socket.connected_ns, *let_in]) - begun_ns


def _pings(sockets: Sequence[Socket], seen: Mapping[int, Sequence[Packet]]) -> tuple[int, int, list[int]]:
    """Pings, answers, and how long each was open who should have been pinged and was not."""
    pings = answered = 0
    silent = []
    for socket in sockets:
        packets = seen.get(socket.id, ())
        asked = sum(packet.engine_type == "ping" and packet.sender == "server" for packet in packets)
        pings += asked
        answered += sum(packet.engine_type == "pong" and packet.sender == "client" for packet in packets)
        interval_ns = ping_interval_ns(packets)
        open_ns = (socket.closed_ns or 0) - (socket.connected_ns or 0)
        if (
            not asked
            and interval_ns is not None
            and socket.closed_by == "client"
            and open_ns > interval_ns + BEYOND_NS // 2
        ):
            silent.append(open_ns)
    return pings, answered, silent


def _not_connected(sockets: Sequence[Socket], users: int) -> list[str]:
    return _counted((socket.detail or f"{socket.outcome}" for socket in sockets), users, "clients did not connect")


def _ended(sockets: Sequence[Socket], users: int) -> list[str]:
    return _counted(map(_how_ended, sockets), users, "connections ended unexpectedly")


def _late(late: Sequence[int], users: int, within_ns: int) -> list[str]:
    if not late:
        return []
    return [f"{len(late)} of {users} were connected after {limit(within_ns)}, the last after {duration(late[-1])}."]


def _unanswered(pings: int, answered: int) -> list[str]:
    return [f"{pings - answered} of {plural(pings, 'ping')} went unanswered."] if answered < pings else []


def _never_pinged(silent: Sequence[int], users: int) -> list[str]:
    if not silent:
        return []
    span = duration(min(silent))
    return [f"{len(silent)} of {users} clients were never pinged in {span}, longer than the server's interval."]


def _how_ended(socket: Socket) -> str:
    return socket.detail or f"closed by {socket.closed_by or 'nobody'}"


def _counted(reasons: Iterable[str], users: int, what: str) -> list[str]:
    counts: dict[str, int] = {}
    for reason in reasons:
        counts[reason] = counts.get(reason, 0) + 1
    return [f"{count} of {users} {what}: {reason.rstrip('.')}." for reason, count in counts.items()]


def _read(table: Table) -> Connections:
    table.knows("users", "within", "hold")
    return Connections(
        users=table.count("users", 20),
        within_ns=table.need_duration("within", "5s"),
        hold_ns=table.duration("hold", None),
    )


def _suggest(source: Source) -> Sequence[Sequence[str]]:
    try:
        chosen = choose_connection(source)
    except NothingSuch:
        return []
    hold = limit(_hold_ns(source, chosen.socket)).replace(" ", "")
    return [
        [
            'name = "20 Socket.IO connections"',
            f'kind = "{NAME}"',
            f"users = 20  # each with {plural(len(chosen.joins), 'namespace')}, as socket {chosen.socket}",
            'within = "5s"  # from the moment all connect to the last namespace',
            f'hold = "{hold}"  # a little longer than its ping interval',
        ]
    ]


KIND = Kind(NAME, _read, _suggest)
