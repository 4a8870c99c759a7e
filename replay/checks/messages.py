"""Message burst: some clients send a message many times without waiting, and every one is answered, once, in order.

The answer is the ack, or the event that followed the message in the recording. Where the answer repeats a value of the
message, each copy carries a value of its own there, so that every answer is known to be the answer to which.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

from nestperf.capture.model import Packet
from nestperf.console import limit, plural
from nestperf.durations import SECOND_NS
from nestperf.wire.observations import PacketSeen
from replay.checks.barrier import Barrier
from replay.checks.contract import Finding, Kind, NothingSuch, Number, Rows, Source, Traffic
from replay.checks.cut import cut, needed_by, with_close
from replay.checks.director import STAGGER_NS, Director, once
from replay.checks.findings import (
    cut_short,
    late_sentence,
    measured,
    nothing_came,
    slowest_of,
    time_numbers,
    verdict_of,
)
from replay.checks.sequels import ACK, Answered, choose_answered, leaves, parsed
from replay.checks.table import Table
from replay.drivers import House
from replay.pacing import Load
from replay.player import Visit
from replay.provenance.sendings import Slot, slots_of
from replay.steps import Close, Emit, Plan, SessionPlan, Step, Use

NAME = "messages"
GRACE_NS = SECOND_NS // 2
"""After the last answer: what comes twice comes now."""
_COUNTING = ("id", "n", "seq", "index", "number", "message")
"""Names of values that tell messages apart, by preference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """So many clients with so many messages each, all answered in time."""

    emit: str
    answer: str
    """Patterns; empty: inferred. `ack`: its ack."""
    users: int
    messages: int
    within_ns: int

    rank = 32

    def prepare(self, source: Source) -> Traffic:
        """Everybody's way to the message, and its copies."""
        chosen = choose_answered(source, self.emit, self.answer)
        echo = echo_of(chosen)
        session = copies(chosen, self.messages, echo)
        told = (
            "told apart by ack ids" if chosen.answer == ACK else "not told apart: answers repeat nothing of a message"
        )
        if echo is not None:
            told = f"told apart by `{echo.slot.name}`, which the answer repeats"
        return Traffic(
            plan=Plan(sessions=(session,), skipped=()),
            load=once(self.users, source.seed, 120 * SECOND_NS + 2 * self.within_ns),
            direct=partial(_Directed, chosen, self.messages, 2 * self.within_ns),
            targets=frozenset({chosen.action.source}),
            chosen=(chosen.why, f"{self.messages} copies by each client, {told}"),
            takes_ns=self.users * STAGGER_NS + 3 * SECOND_NS,
        )

    def judge(self, traffic: Traffic, rows: Rows) -> Finding:
        """Hold the answers against the promise."""
        chosen: Answered = traffic.direct.args[0]  # type: ignore[attr-defined]
        said = told_of(rows.packets, chosen, echo_of(chosen))
        return cut_short(judge_messages(said, self.users, self.messages, self.within_ns), rows)


class Echo(NamedTuple):
    """A value of the message that its answer repeats."""

    slot: Slot
    path: tuple[str | int, ...]
    """Where it stands in the answer's arguments."""
    counts: bool
    """It is a whole number."""


def echo_of(chosen: Answered) -> Echo | None:
    """The value by which messages can be told apart; None where the ack does, or nothing."""
    if chosen.answer == ACK or chosen.recorded is None:
        return None
    answered = list(leaves(parsed(chosen.recorded.payload)))
    found = []
    for slot in slots_of(chosen.action):
        if slot.kind not in ("json", "number") or slot.wrap or slot.at is not None:
            continue
        counts = slot.kind == "number" and slot.value.lstrip("-").isdigit()
        if not counts and len(slot.value) < 3:
            continue
        value = int(slot.value) if counts else slot.value
        path = next((path for path, leaf in answered if leaf == value and type(leaf) is type(value)), None)
        if path is not None:
            found.append(Echo(slot, path, counts))
    return min(found, key=_usefulness, default=None)


def _usefulness(echo: Echo) -> tuple[int, bool]:
    name = echo.slot.name.lower()
    return (_COUNTING.index(name) if name in _COUNTING else len(_COUNTING), not echo.counts)


def copies(chosen: Answered, times: int, echo: Echo | None) -> SessionPlan:
    """What leads to the message, the message so many times, none waiting for another, and a close that waits."""
    keep = needed_by(chosen.session, [chosen.step.index])
    session = cut(chosen.session, keep, repeat=chosen.step.index, times=times)
    steps = list(session.steps)
    copied = [s.index for s in steps if isinstance(s.action, Emit) and s.action.source == chosen.action.source]
    first = steps[copied[0]]
    for number, index in enumerate(copied):
        copy = replace(steps[index], after=first.after, behind=first.behind)
        steps[index] = numbered(copy, number, echo)
    return with_close(replace(session, steps=tuple(steps)), chosen.action.socket)


def numbered(step: Step, number: int, echo: Echo | None) -> Step:
    """A copy with an ack id, and a repeated value, of its own."""
    action = step.action
    assert isinstance(action, Emit)
    if action.ack_id is not None:
        action = replace(action, ack_id=number)
    if echo is None:
        return replace(step, action=action)
    slot = echo.slot
    value = value_of(echo, number)
    shift = len(value) - (slot.end - slot.start)
    payload = action.payload[: slot.start] + value + action.payload[slot.end :]
    uses = tuple(_moved(use, slot, shift) for use in step.uses if not _covers(use, slot))
    return replace(step, action=replace(action, payload=payload), uses=uses)


def value_of(echo: Echo, number: int) -> str:
    """What stands in the n-th copy, as it is written in JSON."""
    raw = echo.slot.value
    return str(int(raw) + number) if echo.counts else f"{raw}-{number}"


def _covers(use: Use, slot: Slot) -> bool:
    return use.place == "payload" and use.start < slot.end and slot.start < use.end


def _moved(use: Use, slot: Slot, shift: int) -> Use:
    if use.place != "payload" or use.start < slot.end:
        return use
    return use._replace(start=use.start + shift, end=use.end + shift)


class _Directed(Director):
    """All come to their first message; then every client sends all of its, and leaves when they are answered."""

    def __init__(self, chosen: Answered, messages: int, patience_ns: int, house: House, load: Load) -> None:
        super().__init__(house, load)
        self._chosen = chosen
        self._messages = messages
        self._patience_ns = patience_ns
        self._held: dict[int, list[Step]] = defaultdict(list)
        """By user: its messages."""
        self._ready = Barrier(load.users, partial(self.soon, self._release))
        self._connected: set[int] = set()
        """Users whom a namespace has let in."""
        self._open: dict[int, int] = {}
        """By user: how many answers are still to come."""
        self._ends: list[tuple[Visit, Step]] = []
        self._ending = False

    def offer(self, visit: Visit, step: Step) -> None:
        action = step.action
        if isinstance(action, Emit) and action.source == self._chosen.action.source:
            user = visit.user.number
            self._held[user].append(step)
            if len(self._held[user]) == self._messages:
                self._ready.come(visit)
        elif isinstance(action, Close):
            # The server may still have something to say that it should not.
            if self._ending:
                self.send(visit, step)
            else:
                self._ends.append((visit, step))
        else:
            self.send(visit, step)

    def left(self, visit: Visit) -> None:
        self._ready.come(visit)
        self._open.pop(visit.user.number, None)
        self._check_all()

    def heard(self, visit: Visit, packet: PacketSeen) -> None:
        if packet.type == "connect":
            self._connected.add(visit.user.number)
        left = self._open.get(visit.user.number)
        if left is None or packet.namespace != self._chosen.action.namespace:
            return
        answers = packet.type == "ack" if self._chosen.answer == ACK else packet.event == self._chosen.answer
        if answers:
            self._open[visit.user.number] = left - 1
            if left <= 1:
                del self._open[visit.user.number]
                self._check_all()

    def _release(self, due_ns: int) -> None:
        here = [user for user in self._held if user in self.visits]
        self._open = {user: len(self._held[user]) for user in here if user in self._connected}
        self.after(self._patience_ns, self._end)
        for number in range(self._messages):
            for user in here:
                if number < len(self._held[user]):
                    self.visits[user].go(self._held[user][number], due_ns)
        self._check_all()

    def _check_all(self) -> None:
        if self._ready.is_open and not self._open and not self._ending:
            self.after(GRACE_NS, self._end)

    def _end(self) -> None:
        self._ending = True
        ends, self._ends = self._ends, []
        for visit, step in ends:
            self.send(visit, step)


class Told(NamedTuple):
    """What one client sent, and what it was answered, in the order of both."""

    sent: tuple[tuple[str | None, int, int], ...]
    """(which, due, sent); which is None where messages cannot be told apart."""
    answers: tuple[tuple[str | None, int], ...]
    """(to which, when)."""


def told_of(packets: Sequence[Packet], chosen: Answered, echo: Echo | None) -> dict[int, Told]:
    """By socket: its messages and their answers."""
    sent: dict[int, list[tuple[str | None, int, int]]] = defaultdict(list)
    answers: dict[int, list[tuple[str | None, int]]] = defaultdict(list)
    action = chosen.action
    for packet in packets:
        if packet.source_packet == action.source and packet.sender == "client":
            due_ns = packet.stamp_ns if packet.intended_ns is None else packet.intended_ns
            sent[packet.socket_id].append((_sent_name(packet, chosen, echo), due_ns, packet.stamp_ns))
    for packet in packets:
        if packet.sender != "server" or (packet.namespace or "/") != action.namespace or not sent.get(packet.socket_id):
            continue
        is_answer = packet.type == "ack" if chosen.answer == ACK else packet.event == chosen.answer
        if not is_answer or packet.done_ns < sent[packet.socket_id][0][2]:
            continue
        name = _answer_name(packet, chosen, echo)
        known = {one[0] for one in sent[packet.socket_id]}
        if name in known or name is None:
            answers[packet.socket_id].append((name, packet.done_ns))
    return {socket: Told(tuple(sent[socket]), tuple(answers[socket])) for socket in sent}


def _sent_name(packet: Packet, chosen: Answered, echo: Echo | None) -> str | None:
    if chosen.answer == ACK:
        return str(packet.ack_id)
    if echo is None:
        return None
    ours = list(leaves(parsed(chosen.action.payload)))
    value = int(echo.slot.value) if echo.counts else echo.slot.value
    path = next((path for path, leaf in ours if leaf == value), ())
    return str(_at(parsed(packet.payload), path))


def _answer_name(packet: Packet, chosen: Answered, echo: Echo | None) -> str | None:
    if chosen.answer == ACK:
        return str(packet.ack_id)
    return None if echo is None else str(_at(parsed(packet.payload), echo.path))


def _at(document: Any, path: Sequence[str | int]) -> Any:
    for key in path:
        try:
            document = document[key]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def judge_messages(told: Mapping[int, Told], users: int, messages: int, within_ns: int) -> Finding:
    """Every message of all clients was answered in time (from when all were released), none twice, in order."""
    expected = users * messages
    promised = f"{expected} within {limit(within_ns)}, once, in order"
    sent = sum(len(one.sent) for one in told.values())
    if not sent:
        return nothing_came(promised, "None of the messages was sent.")
    results = [_result(one) for one in told.values()]
    times = sorted(ns for one in results for ns in one.times_ns)
    lost = sum(one.lost for one in results)
    twice = sum(one.twice for one in results)
    swapped = sum(one.swapped for one in results)
    broken = [
        *([f"{lost} of {sent} messages were never answered."] if lost else []),
        *([f"{twice} of {sent} messages were answered twice."] if twice else []),
        *([f"{plural(swapped, 'answer')} came before that to an earlier message."] if swapped else []),
        *late_sentence(times, within_ns, sent, "answers came"),
    ]
    return Finding(
        verdict=verdict_of(broken=bool(broken), missing=sent < expected),
        measured=measured(len(times), expected, slowest_of(times)),
        limit=promised,
        n=sent,
        numbers=(
            Number("answered", len(times), "", expected),
            *time_numbers(times, within_ns),
            Number("lost", lost, "", 0),
            Number("twice", twice, "", 0),
            Number("out of order", swapped, "", 0),
        ),
        sentences=(*broken, *([f"Only {sent} of {expected} messages were sent."] if sent < expected else [])),
    )


class _Result(NamedTuple):
    times_ns: list[int]
    lost: int
    twice: int
    swapped: int


def _result(told: Told) -> _Result:
    released_ns = min(due_ns for _, due_ns, _ in told.sent)
    if any(name is None for name, _, _ in told.sent):
        # Nothing tells them apart: they are counted.
        answered = [stamp_ns - released_ns for _, stamp_ns in told.answers]
        kept = sorted(answered)[: len(told.sent)]
        return _Result(kept, len(told.sent) - len(kept), len(answered) - len(kept), 0)
    first: dict[str | None, int] = {}
    counts: Counter[str | None] = Counter()
    for name, stamp_ns in told.answers:
        counts[name] += 1
        first.setdefault(name, stamp_ns)
    order = [name for name, _, _ in told.sent if name in first]
    place = {name: number for number, name in enumerate(order)}
    came = [place[name] for name in first]
    return _Result(
        times_ns=[stamp_ns - released_ns for stamp_ns in first.values()],
        lost=len(told.sent) - len(first),
        twice=sum(count > 1 for count in counts.values()),
        swapped=sum(later < earlier for earlier, later in pairwise(came)),
    )


def _read(table: Table) -> Messages:
    table.knows("emit", "answer", "users", "messages", "within")
    return Messages(
        emit=table.text("emit"),
        answer=table.text("answer"),
        users=table.count("users", 5),
        messages=table.count("messages", 50),
        within_ns=table.need_duration("within", "5s"),
    )


def _suggest(source: Source) -> Sequence[Sequence[str]]:
    try:
        chosen = choose_answered(source)
    except NothingSuch:
        return []
    return [
        [
            'name = "5 clients with 50 messages each"',
            f'kind = "{NAME}"',
            f'emit = "{chosen.action.event}"  # {chosen.why}',
            f'answer = "{chosen.answer}"',
            "users = 5",
            "messages = 50",
            'within = "5s"  # from the release to the last answer',
        ]
    ]


KIND = Kind(NAME, _read, _suggest)
