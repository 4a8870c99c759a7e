"""Reconnect: the transport is cut under all clients at once; they come back as Socket.IO clients do, and hear again.

Clients connect, join and subscribe as recorded. While another user keeps causing an event, all connections are cut
without a word; each client comes back after a delay of its own (Socket.IO's: 0.5 to 1.5 s), joins, subscribes, and must
hear the events again, each once. What was caused while it was away may be lost, and is counted.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from nestperf.durations import SECOND_NS
from replay.checks.barrier import Barrier
from replay.checks.connections import choose_connection
from replay.checks.contract import Finding, Kind, NothingSuch, Rows, Source, Traffic
from replay.checks.deliveries import Receipt
from replay.checks.director import STAGGER_NS, Director, once
from replay.checks.fanout import SETTLE_NS, causing_session, listening_session, moments_of, receipts_of
from replay.checks.findings import cut_short
from replay.checks.returns import GRACE_NS, clients_of, judge_reconnect
from replay.checks.sequels import Caused, choose_caused
from replay.checks.table import Table
from replay.drivers import House
from replay.pacing import Load
from replay.player import Visit
from replay.steps import Action, Close, Http, Join, Open, Plan, SessionPlan, Step

NAME = "reconnect"
EVERY_NS = SECOND_NS // 4
"""Between two causes."""
BEFORE_NS = 9 * EVERY_NS // 2
"""From the first cause to the cut, which comes between two causes: what is on its way when it comes is lost."""
AFTER_NS = SECOND_NS
"""Causes go on so long after the last client has come back."""
DELAY_NS, SPREAD = SECOND_NS, 0.5
"""socket.io-client's `reconnectionDelay` and `randomizationFactor`."""
_CAUSES = 120
"""Causes at most: a minute's half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconnect:
    """So many clients are cut off, and back in time."""

    cause: str
    event: str
    subscribe: tuple[str, ...]
    clients: int
    within_ns: int
    may_lose: int | None
    """Events that a client may miss; None: it is counted and not judged."""

    rank = 70

    @property
    def users(self) -> int:
        """The clients, and the one who causes the events."""
        return self.clients + 1

    def prepare(self, source: Source) -> Traffic:
        """The clients' connection twice, with a cut between, and the sender's causes."""
        caused, why = self._cause(source)
        socket = caused.heard_by if caused is not None else choose_connection(source).socket
        listening = listening_session(source, socket, None, self.subscribe)
        again = returning_session(listening, socket)
        sessions = (causing_session(caused, _CAUSES), again) if caused is not None else (again,)
        names = ", ".join(step.action.namespace for step in listening.steps if isinstance(step.action, Join))
        return Traffic(
            plan=Plan(sessions=sessions, skipped=()),
            load=once(self.clients + len(sessions) - 1, source.seed),
            direct=partial(_Directed, caused, source.seed, 4 * self.within_ns),
            targets=frozenset({socket}),
            chosen=(f"clients as socket {socket}, in {names}", why),
            takes_ns=self.users * STAGGER_NS + BEFORE_NS + 2 * DELAY_NS + AFTER_NS + 2 * SECOND_NS,
        )

    def _cause(self, source: Source) -> tuple[Caused | None, str]:
        try:
            caused = choose_caused(source, self.cause, self.event, emits_only=True)
        except NothingSuch as error:
            if self.cause or self.event:
                raise
            return None, f"no events are followed: {error}"
        return caused, f"followed: {caused.why}"

    def judge(self, traffic: Traffic, rows: Rows) -> Finding:
        """Hold what became of the clients against the promise."""
        caused: Caused | None = traffic.direct.args[0]  # type: ignore[attr-defined]
        session = traffic.plan.sessions[-1]
        joins = sum(isinstance(step.action, Join) for step in session.steps) // 2
        clients = clients_of(rows, traffic.targets, joins)
        causes_ns: list[int] = []
        receipts: list[Receipt] = []
        if caused is not None:
            causes_ns = moments_of(rows, caused.step)
            owners = {socket: client.number for client in clients for socket in client.sockets}
            receipts = receipts_of(rows, owners, caused.namespace, caused.event)
        found = judge_reconnect(
            clients, causes_ns, receipts, asked=self.clients, within_ns=self.within_ns, may_lose=self.may_lose,
            follows=caused is not None,
        )  # fmt: skip
        return cut_short(found, rows)


def returning_session(listening: SessionPlan, socket: int) -> SessionPlan:
    """The connection cut at its end, and once more all that was done on it, on a connection of its own."""
    steps = list(listening.steps)
    end = steps[-1]
    assert isinstance(end.action, Close)
    steps[-1] = replace(end, action=replace(end.action, cut=True, code=None))
    own = [step for step in listening.steps if getattr(step.action, "socket", None) == socket]
    places = {step.index: len(steps) + number for number, step in enumerate(own)}
    for step in own:
        before = tuple(places[one] for one in step.after if one in places)
        steps.append(
            replace(
                step,
                index=places[step.index],
                action=_on_another(step.action),
                after=before or (end.index,),
                behind=None if step.behind is None else places.get(step.behind),
            )
        )
    listens = (*listening.listens, *(one._replace(socket=-socket) for one in listening.listens if one.socket == socket))
    return replace(listening, steps=tuple(steps), listens=listens)


def _on_another(action: Action) -> Action:
    """The same on a second connection, whose number is negated."""
    assert not isinstance(action, Http)
    return replace(action, socket=-action.socket)


class _Directed(Director):
    """Clients come; causes begin; all are cut at once; each comes back after its delay; causes go on a while; end."""

    def __init__(self, caused: Caused | None, seed: int, patience_ns: int, house: House, load: Load) -> None:
        super().__init__(house, load, 1 if caused is None else 2)
        self._caused = caused
        self._source = None if caused is None else getattr(caused.step.action, "source", None)
        self._chance = random.Random(seed)
        self._patience_ns = patience_ns
        self._cuts: list[tuple[Visit, Step]] = []
        self._ends: list[tuple[Visit, Step]] = []
        clients = load.users - (0 if caused is None else 1)
        self._ready = Barrier(clients, partial(self.after, SETTLE_NS, self._begin))
        self._back = Barrier(clients, partial(self.after, 0 if caused is None else AFTER_NS, self._quiet))
        self._cause: tuple[Visit, Step] | None = None
        self._causing = self._ending = False

    def session_of(self, user: int) -> int:
        return 0 if self._caused is None or user == 0 else 1

    def offer(self, visit: Visit, step: Step) -> None:
        action = step.action
        if self._caused is not None and getattr(action, "source", None) == self._source and visit.user.number == 0:
            self._cause = visit, step
        elif isinstance(action, Close) and action.cut:
            self._cuts.append((visit, step))
            self._ready.come(visit)
        elif isinstance(action, Close):
            self._ends.append((visit, step))
            self._back.come(visit)
        elif isinstance(action, Open) and action.socket < 0:
            delay_ns = round(DELAY_NS * self._chance.uniform(1 - SPREAD, 1 + SPREAD))
            due_ns = self.house.clock.now_ns() + delay_ns
            self.house.pacer.at(due_ns, self.send, visit, step, due_ns)
        else:
            self.send(visit, step)

    def left(self, visit: Visit) -> None:
        if self._caused is not None and visit.user.number == 0:
            return
        self._ready.come(visit)
        self._back.come(visit)

    def _begin(self) -> None:
        self._causing = True
        self._next_cause()
        self.after(BEFORE_NS if self._caused is not None else 0, self._cut)

    def _next_cause(self) -> None:
        if not self._causing:
            return
        if self._cause is not None:
            (visit, step), self._cause = self._cause, None
            self.send(visit, step)
        self.after(EVERY_NS, self._next_cause)

    def _cut(self) -> None:
        self.after(self._patience_ns, self._end)
        for visit, step in self._cuts:
            self.send(visit, step)

    def _quiet(self) -> None:
        self._causing = False
        self.after(GRACE_NS, self._end)

    def _end(self) -> None:
        if self._ending:
            return
        self._ending, self._causing = True, False
        for visit, step in self._ends:
            self.send(visit, step)
        for visit in list(self.visits.values()):
            visit.stop()


def _read(table: Table) -> Reconnect:
    table.knows("cause", "event", "subscribe", "users", "within", "may_lose")
    return Reconnect(
        cause=table.text("cause"),
        event=table.text("event"),
        subscribe=tuple(table.texts("subscribe")),
        clients=table.count("users", 20),
        within_ns=table.need_duration("within", "5s"),
        may_lose=table.count("may_lose", 0, least=0) if "may_lose" in table.values else None,
    )


def _suggest(source: Source) -> Sequence[Sequence[str]]:
    try:
        choose_connection(source)
    except NothingSuch:
        return []
    try:
        caused = choose_caused(source, emits_only=True)
        followed = [f'cause = "{caused.cause}"  # {caused.why}', f'event = "{caused.event}"']
    except NothingSuch:
        followed = ["# no event is followed: nothing that can be repeated came shortly before one"]
    return [
        [
            'name = "20 clients come back"',
            f'kind = "{NAME}"',
            *followed,
            "users = 20",
            'within = "5s"  # from the cut until joined and subscribed again; clients wait 0.5 to 1.5 s',
            "# may_lose = 0  # events that a client may miss meanwhile; else they are counted only",
        ]
    ]


KIND = Kind(NAME, _read, _suggest)
