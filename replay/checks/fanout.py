"""Fan-out: one user does something, and its event must come to every other user in time.

Receivers connect, join and subscribe as the recorded client did that received the event; then another user does, a few
times, what caused it. Each time the next one waits until all have heard it, or until they had three times as long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from nestperf.capture.model import Socket
from nestperf.console import duration, limit, plural
from nestperf.durations import SECOND_NS
from nestperf.wire.observations import PacketSeen
from replay.checks.barrier import Barrier
from replay.checks.contract import Finding, Kind, NothingSuch, Number, Rows, Source, Traffic
from replay.checks.cut import cut, needed_by, with_close
from replay.checks.deliveries import Broadcast, Delivered, Receipt, assign, broadcasts_of, missed, times_ns
from replay.checks.director import STAGGER_NS, Director, once
from replay.checks.findings import cut_short, nothing_came, slowest_of, time_numbers, verdict_of
from replay.checks.sequels import Caused, choose_caused, subscriptions, title
from replay.checks.table import Table
from replay.drivers import House
from replay.pacing import Load
from replay.player import Visit
from replay.steps import Close, Emit, Http, Join, Open, Plan, SessionPlan, Step

NAME = "fan-out"
SETTLE_NS = SECOND_NS // 2
"""From the last subscription to the first cause: a subscription without an answer is in force when nobody knows."""
GRACE_NS = SECOND_NS // 2
"""After the last delivery: what comes twice comes now."""
PATIENCE = 3
"""So many times the promised time a broadcast is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FanOut:
    """An event comes to all of so many receivers in time."""

    cause: str
    event: str
    """Patterns; empty: inferred."""
    subscribe: tuple[str, ...]
    """Events by which receivers subscribe; empty: by their names."""
    receivers: int
    times: int
    within_ns: int

    rank = 31

    @property
    def users(self) -> int:
        """Receivers, and the one who causes it."""
        return self.receivers + 1

    def prepare(self, source: Source) -> Traffic:
        """The receivers' way to their subscription, and the sender's to the cause, which is repeated."""
        chosen = choose_caused(source, self.cause, self.event)
        times = self.times if isinstance(chosen.step.action, Emit) else 1
        listening = listening_session(source, chosen.heard_by, chosen.namespace, self.subscribe)
        subscribed = ", ".join(step.action.event for step in listening.steps if isinstance(step.action, Emit))
        heard = f"{chosen.event} in {chosen.namespace}" if chosen.namespace != "/" else chosen.event
        wait_ns = PATIENCE * self.within_ns
        return Traffic(
            plan=Plan(sessions=(causing_session(chosen, times), listening), skipped=()),
            load=once(self.users, source.seed, 120 * SECOND_NS + times * (wait_ns + SECOND_NS)),
            direct=partial(_Directed, chosen, wait_ns),
            targets=frozenset({chosen.heard_by}),
            chosen=(
                chosen.why,
                f"receivers as socket {chosen.heard_by}, for {heard}"
                + (f", subscribed by {subscribed}" if subscribed else ", without a subscription"),
            ),
            takes_ns=self.users * STAGGER_NS + times * SECOND_NS // 2 + 3 * SECOND_NS,
        )

    def judge(self, traffic: Traffic, rows: Rows) -> Finding:
        """Hold the deliveries against the promise."""
        cause = traffic.plan.sessions[0].steps[-1]
        event = traffic.direct.args[0].namespace, traffic.direct.args[0].event  # type: ignore[attr-defined]
        causes_ns = moments_of(rows, cause)
        receivers = connected_receivers(rows, traffic.targets)
        receipts = receipts_of(rows, receivers, *event)
        found = judge_fan_out(causes_ns, receipts, list(receivers.values()), self.receivers, self.within_ns, event[1])
        return cut_short(found, rows)


def causing_session(chosen: Caused, times: int) -> SessionPlan:
    """The sender's: what it needs, and the cause so many times, each emit with an ack id of its own."""
    session = cut(chosen.session, needed_by(chosen.session, [chosen.step.index]), repeat=chosen.step.index, times=times)
    return with_own_acks(session, chosen.step)


def with_own_acks(session: SessionPlan, repeated: Step) -> SessionPlan:
    """Copies of an emit that asks for an ack ask for one each."""
    action = repeated.action
    if not isinstance(action, Emit) or action.ack_id is None:
        return session
    steps = []
    number = 0
    for step in session.steps:
        if isinstance(step.action, Emit) and step.action.source == action.source:
            step = replace(step, action=replace(step.action, ack_id=number))
            number += 1
        elif isinstance(step.action, Emit) and step.action.ack_id is not None:
            step = replace(step, action=replace(step.action, ack_id=step.action.ack_id + 1_000_000))
        steps.append(step)
    return replace(session, steps=tuple(steps))


def listening_session(source: Source, socket: int, namespace: str | None, subscribe: Sequence[str] = ()) -> SessionPlan:
    """A receiver's: the recorded connection, its joining of the namespace (None: of all that let in), subscriptions,
    and a close that waits.

    Raises:
        NothingSuch: that connection is not in the plan.
    """
    for session in source.plan.sessions:
        opened = [s for s in session.steps if isinstance(s.action, Open) and s.action.socket == socket]
        if not opened:
            continue
        subscribed = subscriptions(session, socket, subscribe)
        wanted = {namespace, *(s.action.namespace for s in subscribed if isinstance(s.action, Emit))}
        joined = [
            s
            for s in session.steps
            if isinstance(s.action, Join)
            and s.action.socket == socket
            and s.action.accepted
            and (namespace is None or s.action.namespace in wanted)
        ]
        targets = [step.index for step in (*opened, *joined, *subscribed)]
        return with_close(cut(session, needed_by(session, targets)), socket)
    raise NothingSuch(f"socket {socket}, which received the event, cannot be repeated: `nestperf plan` says why")


class _Directed(Director):
    """Receivers come and wait; the sender's causes go one by one, each when the one before was heard."""

    def __init__(self, chosen: Caused, patience_ns: int, house: House, load: Load) -> None:
        super().__init__(house, load, 2)
        self._source = getattr(chosen.step.action, "source", None)
        self._event = chosen.namespace, chosen.event
        self._patience_ns = patience_ns
        self._receivers_ready = Barrier(load.users - 1, partial(self.after, SETTLE_NS, self._begin))
        self._ends: list[tuple[Visit, Step]] = []
        self._cause: tuple[Visit, Step] | None = None
        self._connected: set[int] = set()
        """Receivers that a namespace has let in."""
        self._pending: set[int] = set()
        """Receivers that have not heard the cause under way."""
        self._turn = 0
        """Counts causes: what was to happen after an earlier one is too late."""
        self._sender_left = False
        self._begun = False
        self._idle = False
        """The next cause may go."""

    def session_of(self, user: int) -> int:
        return 0 if user == 0 else 1

    def offer(self, visit: Visit, step: Step) -> None:
        if visit.user.number and isinstance(step.action, Close):
            self._ends.append((visit, step))
            self._receivers_ready.come(visit)
        elif not visit.user.number and getattr(step.action, "source", None) == self._source:
            self._cause = visit, step
            self._go_on()
        else:
            self.send(visit, step)

    def left(self, visit: Visit) -> None:
        if not visit.user.number:
            self._sender_left = True
            self._go_on()
        else:
            self._receivers_ready.come(visit)

    def heard(self, visit: Visit, packet: PacketSeen) -> None:
        if packet.type == "connect" and visit.user.number:
            self._connected.add(visit.user.number)
        if packet.type == "event" and (packet.namespace, packet.event) == self._event and self._pending:
            self._pending.discard(visit.user.number)
            if not self._pending:
                self.after(0, self._next, self._turn)

    def _begin(self) -> None:
        self._begun = self._idle = True
        self._go_on()

    def _go_on(self) -> None:
        """Send the next cause if it is there and its turn has come; end when there will be none."""
        if not self._begun or not self._idle:
            return
        if self._cause is not None:
            (visit, step), self._cause = self._cause, None
            self._idle = False
            self._turn += 1
            self._pending = {one.user.number for one, _ in self._ends} & self._connected & set(self.visits)
            self.after(self._patience_ns if self._pending else 0, self._next, self._turn)
            self.send(visit, step)
        elif self._sender_left:
            self._idle = False
            self.after(GRACE_NS, self._end)

    def _next(self, turn: int) -> None:
        if turn == self._turn and not self._idle:
            self._pending = set()
            self._turn += 1
            self._idle = True
            self._go_on()

    def _end(self) -> None:
        for visit, step in self._ends:
            self.send(visit, step)


def moments_of(rows: Rows, cause: Step) -> list[int]:
    """When the copies of a step went out."""
    action = cause.action
    if isinstance(action, Http):
        return [exchange.sent_ns for exchange in rows.repeating(frozenset({action.source})) if exchange.done_ns]
    source = getattr(action, "source", None)
    return sorted(packet.stamp_ns for packet in rows.packets if packet.source_packet == source)


def connected_receivers(rows: Rows, sources: frozenset[int | None]) -> Mapping[int, int]:
    """By socket: the receiver's number (its virtual user's), of those that were connected."""
    users = {session.id: session.vu for session in rows.sessions}
    found = {}
    for socket in rows.sockets:
        user = users.get(socket.session_id or 0)
        if user and socket.source_socket in sources and _is_connected(socket):
            found[socket.id] = user
    return found


def _is_connected(socket: Socket) -> bool:
    return socket.connected_ns is not None


def receipts_of(rows: Rows, receivers: Mapping[int, int], namespace: str, event: str) -> list[Receipt]:
    """What the receivers got of an event."""
    return [
        Receipt(receivers[packet.socket_id], packet.done_ns, packet.payload or "")
        for packet in rows.packets
        if packet.sender == "server"
        and packet.type == "event"
        and (packet.namespace, packet.event) == (namespace, event)
        and packet.socket_id in receivers
    ]


def judge_fan_out(
    causes_ns: Sequence[int],
    receipts: Sequence[Receipt],
    receivers: Sequence[int],
    asked: int,
    within_ns: int,
    event: str = "the event",
) -> Finding:
    """Every cause's event came to all receivers (their numbers; `asked` should be there) in time, once."""
    promised = f"{asked} of {asked} within {limit(within_ns)}"
    if not causes_ns:
        return nothing_came(promised, "The cause was never sent.")
    if not receivers:
        return nothing_came(promised, "No receiver was connected.")
    after = [receipt for receipt in receipts if receipt.stamp_ns >= min(causes_ns)]
    delivered = assign(causes_ns, broadcasts_of(after, len(causes_ns)))
    times = times_ns(delivered)
    lost = missed(delivered, receivers)
    twice = sum(len(one.again) for one in _all(delivered))
    late = [one for one in times if one[0] > within_ns]
    due = len(receivers) * len(_all(delivered)) + len(receivers) * sum(one is None for _, one in delivered.caused)
    broken = [*_lost(lost, due, event), *_late(late, len(times), within_ns), *_twice(twice, event)]
    missing = asked - len(receivers)
    reach = min(_reach(delivered))
    ordered = [ns for ns, _ in times]
    slowest = slowest_of(ordered)
    skews = [max(one.stamps.values()) - min(one.stamps.values()) for one in _all(delivered)]
    return Finding(
        verdict=verdict_of(broken=bool(broken), missing=missing > 0),
        measured=f"{reach} of {asked}" + (f" within {duration(slowest)}" if slowest is not None else ""),
        limit=promised,
        n=len(times),
        numbers=(
            Number("causes", len(causes_ns)),
            Number("deliveries", due - sum(lost.values()), "", due),
            *reversed(time_numbers(ordered, within_ns)),
            Number("skew", max(skews, default=None), "ns"),
            Number("twice", twice, "", 0),
            Number("unasked broadcasts", len(delivered.unasked)),
        ),
        sentences=(*broken, *([f"Only {len(receivers)} of {asked} receivers were connected."] if missing > 0 else [])),
    )


def _all(delivered: Delivered) -> list[Broadcast]:
    return [one for _, one in delivered.caused if one is not None] + list(delivered.unasked)


def _reach(delivered: Delivered) -> list[int]:
    return [0 if one is None else len(one.stamps) for _, one in delivered.caused]


def _lost(lost: Mapping[int, int], due: int, event: str) -> list[str]:
    if not lost:
        return []
    worst = max(lost, key=lambda receiver: lost[receiver])
    who = f"receiver {worst} missed {lost[worst]}" if len(lost) > 1 else f"all at receiver {worst}"
    return [f"{sum(lost.values())} of {due} deliveries of {event} never came ({plural(len(lost), 'receiver')}; {who})."]


def _late(late: Sequence[tuple[int, int]], times: int, within_ns: int) -> list[str]:
    if not late:
        return []
    who = sorted({receiver for _, receiver in late})
    names = f"receiver {who[0]}" if len(who) == 1 else f"{len(who)} receivers"
    slowest = duration(late[-1][0])
    return [f"{len(late)} of {times} deliveries came after {limit(within_ns)}, the slowest after {slowest} ({names})."]


def _twice(twice: int, event: str) -> list[str]:
    return [f"{event} came again {plural(twice, 'time')} to receivers that had it already."] if twice else []


def _read(table: Table) -> FanOut:
    table.knows("cause", "event", "subscribe", "users", "times", "within")
    return FanOut(
        cause=table.text("cause"),
        event=table.text("event"),
        subscribe=tuple(table.texts("subscribe")),
        receivers=table.count("users", 20),
        times=table.count("times", 5),
        within_ns=table.need_duration("within", "1s"),
    )


def _suggest(source: Source) -> Sequence[Sequence[str]]:
    try:
        chosen = choose_caused(source)
        listening = listening_session(source, chosen.heard_by, chosen.namespace)
    except NothingSuch:
        return []
    subscribed = [f'"{step.action.event}"' for step in listening.steps if isinstance(step.action, Emit)]
    return [
        [
            f'name = "{chosen.event} comes to 20"',
            f'kind = "{NAME}"',
            f'cause = "{title(chosen.step)}"  # {chosen.why}',
            f'event = "{chosen.event}"',
            *([f"subscribe = [{', '.join(subscribed)}]  # by their names"] if subscribed else []),
            "users = 20  # receivers; one more causes it",
            'within = "1s"  # from the cause to the last receiver',
        ]
    ]


KIND = Kind(NAME, _read, _suggest)
