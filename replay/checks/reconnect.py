"""Reconnect: the transport is cut under all clients at once; they come back as Socket.IO clients do, and hear again.

Clients connect, join and subscribe as recorded. While another user keeps causing an event, all connections are cut
without a word; each client comes back after a delay of its own (Socket.IO's: 0.5 to 1.5 s), joins, subscribes, and must
hear the events again, each once. What was caused while it was away may be lost, and is counted.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from nestperf.capture.model import Packet, Socket
from nestperf.console import duration, limit, plural
from nestperf.durations import SECOND_NS
from replay.checks.barrier import Barrier
from replay.checks.connections import choose_connection
from replay.checks.contract import Finding, Kind, NothingSuch, Number, Rows, Source, Traffic
from replay.checks.deliveries import Receipt, tells_apart
from replay.checks.director import STAGGER_NS, Director, once
from replay.checks.fanout import SETTLE_NS, causing_session, listening_session, moments_of, receipts_of
from replay.checks.findings import cut_short, late_sentence, nothing_came, time_numbers, verdict_of
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
_GRACE_NS = SECOND_NS // 2
_CAUSES = 120
"""Causes at most: a minute's half."""
_SHAPE_NS = SECOND_NS // 10


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
        self.after(_GRACE_NS, self._end)

    def _end(self) -> None:
        if self._ending:
            return
        self._ending, self._causing = True, False
        for visit, step in self._ends:
            self.send(visit, step)
        for visit in list(self.visits.values()):
            visit.stop()


class Client(NamedTuple):
    """What became of one client. Moments are nanoseconds since the run began."""

    number: int
    sockets: tuple[int, ...]
    cut_ns: int
    tried_ns: int | None
    """When it began to come back."""
    back_ns: int | None
    """When all namespaces had let it in again."""
    subscribed_ns: int | None
    """When it had said all that it had said before."""
    closed_ns: int
    """When its second connection ended."""
    detail: str
    """Why it did not come back."""


def clients_of(rows: Rows, sources: frozenset[int | None], joins: int) -> list[Client]:
    """The clients that were connected and cut; `joins`: namespaces that each has to join."""
    users = {session.id: session.vu for session in rows.sessions}
    packets: dict[int, list[Packet]] = defaultdict(list)
    for packet in rows.packets:
        packets[packet.socket_id].append(packet)
    by_user: dict[int, list[Socket]] = defaultdict(list)
    for socket in rows.sockets:
        user = users.get(socket.session_id or 0)
        if user is not None and socket.source_socket in sources:
            by_user[user].append(socket)
    found = []
    for user, sockets in sorted(by_user.items()):
        first = next((one for one in sockets if one.closed_by == "cut" and one.connected_ns is not None), None)
        if first is None or first.closed_ns is None or first is not sockets[0]:
            continue
        again = sockets[1] if len(sockets) > 1 else None
        found.append(_client(user, first, again, packets, joins))
    return found


def _client(
    number: int, first: Socket, again: Socket | None, packets: Mapping[int, list[Packet]], joins: int
) -> Client:
    back_ns = subscribed_ns = None
    own = packets.get(again.id, []) if again is not None else []
    let_in = [packet.done_ns for packet in own if packet.sender == "server" and packet.type == "connect"]
    if again is not None and again.connected_ns is not None and len(let_in) >= joins:
        back_ns = max([again.connected_ns, *let_in])
        said = [packet.stamp_ns for packet in own if packet.sender == "client" and packet.type == "event"]
        subscribed_ns = max([back_ns, *said])
    cut_ns = first.closed_ns or 0
    return Client(
        number=number,
        sockets=(first.id,) if again is None else (first.id, again.id),
        cut_ns=cut_ns,
        tried_ns=None if again is None else again.opened_ns,
        back_ns=back_ns,
        subscribed_ns=subscribed_ns,
        closed_ns=cut_ns if again is None or again.closed_ns is None else again.closed_ns,
        detail="it never tried" if again is None else again.detail or "a namespace did not let it in",
    )


class Heard(NamedTuple):
    """What one client heard after its return."""

    again_ns: int | None
    """When it heard the first event; None: nothing any more."""
    lost: int
    """Events that were caused between its cut and its subscription, and that it never had."""
    lost_after: int
    """Events caused after its subscription that it never had."""
    twice: int
    """Events that it had twice."""


def hearing_of(client: Client, causes_ns: Sequence[int], receipts: Sequence[Receipt]) -> Heard:
    """What of the events came to a client; `receipts` of all clients.

    An event is named by its payload where payloads tell events apart; a cause's event is then the first payload that
    anybody heard after it. Else receipts are counted.
    """
    own = [one for one in receipts if one.receiver == client.number]
    after = [one.stamp_ns for one in own if one.stamp_ns > client.cut_ns and one.stamp_ns <= client.closed_ns]
    again_ns = min(after, default=None)
    subscribed_ns = client.closed_ns if client.subscribed_ns is None else client.subscribed_ns
    # Who has heard one event has subscribed for sure; a cause shortly before the end comes too late.
    heard_from_ns = max(subscribed_ns, client.closed_ns if again_ns is None else again_ns)
    heard_to_ns = client.closed_ns - _GRACE_NS // 2
    if not tells_apart(receipts, min(len(causes_ns), 2)):
        due = [ns for ns in causes_ns if heard_from_ns <= ns <= heard_to_ns]
        came = sum(ns >= heard_from_ns for ns in after)
        away = sum(client.cut_ns <= ns < subscribed_ns for ns in causes_ns)
        return Heard(again_ns, away, max(0, len(due) - came), max(0, len(own) - len(causes_ns)))
    first: dict[str, int] = {}
    for one in sorted(receipts, key=lambda receipt: receipt.stamp_ns):
        first.setdefault(one.payload, one.stamp_ns)
    had = {one.payload for one in own}
    missed = [ns for payload, ns in first.items() if payload not in had]
    return Heard(
        again_ns=again_ns,
        lost=sum(client.cut_ns <= ns < heard_from_ns for ns in missed),
        lost_after=sum(heard_from_ns <= ns <= heard_to_ns for ns in missed),
        twice=len(own) - len(had),
    )


def judge_reconnect(
    clients: Sequence[Client],
    causes_ns: Sequence[int],
    receipts: Sequence[Receipt],
    *,
    asked: int,
    within_ns: int,
    may_lose: int | None,
    follows: bool,
) -> Finding:
    """All clients came back in time, heard again what was caused (where that was followed), and nothing twice."""
    promised = f"{asked} back within {limit(within_ns)}, nothing twice"
    if not clients:
        return nothing_came(promised, "No client was connected that could be cut off.")
    back = [client for client in clients if client.back_ns is not None]
    times = sorted((client.subscribed_ns or 0) - client.cut_ns for client in back)
    heard = {client.number: hearing_of(client, causes_ns, receipts) for client in back} if causes_ns else {}
    deaf = [number for number, one in heard.items() if one.again_ns is None]
    lost = sum(one.lost for one in heard.values())
    lost_after = sum(one.lost_after for number, one in heard.items() if number not in deaf)
    twice = sum(one.twice for one in heard.values())
    too_many = [one.lost for one in heard.values() if may_lose is not None and one.lost > may_lose]
    broken = [
        *_absent([client for client in clients if client.back_ns is None], len(clients)),
        *late_sentence(times, within_ns, len(clients), "were back"),
        *([f"{len(deaf)} of {len(clients)} clients heard nothing any more after their return."] if deaf else []),
        *([f"{plural(lost_after, 'event')} did not come to clients that had subscribed again."] if lost_after else []),
        *([f"{plural(twice, 'event')} came twice to a client."] if twice else []),
        *_missed_too_many(too_many, may_lose, len(clients)),
    ]
    untold = follows and not causes_ns
    missing = asked - len(clients)
    agains = sorted(
        one.again_ns - client.cut_ns for client in back if (one := heard.get(client.number)) and one.again_ns
    )
    return Finding(
        verdict=verdict_of(broken=bool(broken), missing=missing > 0 or untold),
        measured=f"{len(back)} of {asked} back" + (f" in {duration(times[-1])}" if times else ""),
        limit=promised,
        n=len(clients),
        numbers=(
            Number("back", len(back), "", asked),
            *time_numbers(times, within_ns, slowest="slowest to be back and subscribed"),
            *((Number("slowest to hear again", agains[-1] if agains else None, "ns"),
               Number("events caused", len(causes_ns)), Number("lost meanwhile", lost), Number("twice", twice, "", 0))
              if follows else ()),
            *_herd(clients),
        ),
        sentences=(
            *broken,
            *([f"Only {len(clients)} of {asked} clients were connected."] if missing > 0 else []),
            *(["The event was never caused: nobody can tell whether they would have heard it."] if untold else []),
        ),
    )  # fmt: skip


def _missed_too_many(counts: Sequence[int], may_lose: int | None, clients: int) -> list[str]:
    if not counts:
        return []
    return [f"{len(counts)} of {clients} clients missed more than {may_lose} events meanwhile, at most {max(counts)}."]


def _absent(absent: Sequence[Client], clients: int) -> list[str]:
    reasons = Counter(client.detail.rstrip(".") for client in absent)
    return [f"{count} of {clients} clients did not come back: {reason}." for reason, count in reasons.items()]


def _herd(clients: Sequence[Client]) -> tuple[Number, ...]:
    """How they came back: over what time, how many at once, and how long each took from its first byte."""
    tried = sorted(client.tried_ns for client in clients if client.tried_ns is not None)
    if not tried:
        return ()
    busiest = max(sum(begin <= ns < begin + _SHAPE_NS for ns in tried) for begin in tried)
    took = sorted(c.back_ns - c.tried_ns for c in clients if c.back_ns is not None and c.tried_ns is not None)
    return (
        Number("all tried within", tried[-1] - tried[0], "ns"),
        Number(f"most in {limit(_SHAPE_NS)}", busiest),
        Number("slowest handshake", took[-1] if took else None, "ns"),
    )


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
