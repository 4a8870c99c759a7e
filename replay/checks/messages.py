"""Message burst: some clients send a message many times without waiting, and every one is answered, once, in order.

The answer is the ack, or the event that followed the message in the recording. Where the answer repeats a value of the
message, each copy carries a value of its own there, so that every answer is known to be the answer to which.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from nestperf.durations import SECOND_NS
from nestperf.wire.observations import PacketSeen
from replay.checks.barrier import Barrier
from replay.checks.contract import Finding, Kind, NothingSuch, Rows, Source, Traffic
from replay.checks.cut import cut, needed_by, with_close
from replay.checks.director import STAGGER_NS, Director, once
from replay.checks.findings import (
    cut_short,
)
from replay.checks.replies import Echo, echo_of, judge_messages, told_of
from replay.checks.sequels import ACK, Answered, choose_answered
from replay.checks.table import Table
from replay.drivers import House
from replay.pacing import Load
from replay.player import Visit
from replay.provenance.sendings import Slot
from replay.steps import Close, Emit, Plan, SessionPlan, Step, Use

NAME = "messages"
GRACE_NS = SECOND_NS // 2
"""After the last answer: what comes twice comes now."""


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
