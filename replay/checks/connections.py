"""Connections: so many Socket.IO clients connect at once as one was recorded, and all of them stay.

Namespaces are joined in their recorded order, each with its own auth; over the recorded transport. Then nothing is sent
but what keeps a connection alive.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from nestperf.console import limit, plural
from nestperf.durations import SECOND_NS
from replay.checks.barrier import Barrier
from replay.checks.contract import Finding, Kind, NothingSuch, Rows, Source, Traffic
from replay.checks.cut import cut, needed_by, with_close
from replay.checks.director import STAGGER_NS, Together, once
from replay.checks.liveness import BEYOND_NS, judge_connections, ping_interval_ns
from replay.checks.table import Table
from replay.drivers import House
from replay.pacing import Load
from replay.player import Visit
from replay.steps import Close, Join, Open, Plan, SessionPlan, Step

NAME = "connections"
HOLD_NS = 30 * SECOND_NS
"""Where nobody recorded how often the server asks for life."""


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


class _Holding(Together):
    """All open their connection at one moment, and close it together when all have held theirs long enough."""

    def __init__(self, hold_ns: int, house: House, load: Load) -> None:
        super().__init__(house, load, lambda step: isinstance(step.action, Open))
        self._ends: list[tuple[Visit, Step]] = []
        self._all_connected = Barrier(load.users, partial(self.after, hold_ns, self._close))

    def offer(self, visit: Visit, step: Step) -> None:
        if not isinstance(step.action, Close):
            super().offer(visit, step)
            return
        self._ends.append((visit, step))
        self._all_connected.come(visit)

    def left(self, visit: Visit) -> None:
        super().left(visit)
        self._all_connected.come(visit)

    def _close(self) -> None:
        for visit, step in self._ends:
            self.send(visit, step)


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
