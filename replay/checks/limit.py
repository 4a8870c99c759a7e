"""The rate limit: one person sends one request again and again until it is refused, and comes back when told.

It must be refused with 429 and Retry-After exactly when the documented number is used up, admitted again when
Retry-After said so, and somebody else must not notice. A refusal is no failure and no latency, here as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from nestperf.console import limit
from nestperf.durations import SECOND_NS
from replay.checks.admissions import GRACE_NS, Asked, judge_limit, retry_after_ns
from replay.checks.announced import Announced, announced
from replay.checks.choose import Chosen, choose_call
from replay.checks.contract import Finding, Kind, NothingSuch, Rows, Source, Traffic
from replay.checks.cut import cut, needed_by
from replay.checks.director import Director, once
from replay.checks.table import Table
from replay.drivers import House
from replay.pacing import Load
from replay.player import Visit
from replay.steps import Http, Plan, SessionPlan, Step
from replay.transport.answer import Answer

NAME = "limit"
REQUESTS = 100
WINDOW_NS = 60 * SECOND_NS
BYSTANDER = 5
"""Requests of the other person while the first one is refused, at most."""
BYSTANDER_EVERY_NS = SECOND_NS


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """So many requests in a window, then 429."""

    call: str
    signed_in: bool
    requests: int | None
    """None: as a recorded answer says, else 100."""
    window_ns: int | None
    """None: as a recorded answer says, else a minute."""
    comes_back: bool
    """Whether it waits until it is admitted again: a window of an hour is too long for that."""

    rank = 0
    users = 2

    def prepare(self, source: Source) -> Traffic:
        """One session that sends twice as much as is admitted, and one of a bystander."""
        chosen = choose_call(source, self.call, signed_in=self.signed_in)
        asked, why = self._asked(chosen, source)
        sessions = (
            _repeating(chosen, 2 * asked.requests + 1),
            _repeating(chosen, BYSTANDER),
        )
        waits_ns = asked.window_ns if self.comes_back else 0
        waits = f"waits as long as Retry-After says: up to {limit(waits_ns)}" if waits_ns else "does not come back"
        return Traffic(
            plan=Plan(sessions=sessions, skipped=()),
            load=once(self.users, source.seed, 2 * waits_ns + 120 * SECOND_NS),
            direct=partial(_Pressing, chosen.action.source, waits_ns),
            targets=frozenset({chosen.action.source}),
            asked=asked,
            chosen=(
                f"{chosen.name}: {chosen.why}",
                f"{asked.requests:,} requests in {limit(asked.window_ns)}{why}",
                f"once refused, it {waits}",
            ),
            takes_ns=waits_ns + 5 * SECOND_NS,
            people=self.users,
            fresh_ns=asked.window_ns,
        )

    def judge(self, traffic: Traffic, rows: Rows) -> Finding:
        """What became of both."""
        who = {session.id: session.vu for session in rows.sessions}
        copies = rows.repeating(traffic.targets)
        pressed = [copy for copy in copies if who.get(copy.session_id or 0) == 0]
        bystander = [copy for copy in copies if who.get(copy.session_id or 0) == 1]
        before = [
            exchange
            for exchange in rows.exchanges
            if who.get(exchange.session_id or 0) == 0 and exchange.source_exchange not in traffic.targets
        ]
        named = all(session.identity is not None for session in rows.sessions)
        assert isinstance(traffic.asked, Asked)
        return judge_limit(pressed, bystander, len(before), traffic.asked._replace(named=named), rows.heads)

    def _asked(self, chosen: Chosen, source: Source) -> tuple[Asked, str]:
        """What is promised, and half a sentence about where that stands."""
        told = _announced_of(chosen, source)
        requests = self.requests or (told.requests if told else REQUESTS)
        window_ns = self.window_ns or (told.window_ns if told and told.window_ns else WINDOW_NS)
        inferred = self.requests is None or self.window_ns is None
        why = "" if not inferred else ", as the recorded answer says" if told else ", a guess: no recorded answer says"
        return Asked(requests, window_ns, comes_back=self.comes_back), why


def _announced_of(chosen: Chosen, source: Source) -> Announced | None:
    """What the recorded answer to a request says of a limit."""
    row = next((one for one in source.exchanges if one.id == chosen.action.source), None)
    head = None if row is None else row.response_headers
    return None if head is None else announced(source.heads.get(head, ()))


def _repeating(chosen: Chosen, times: int) -> SessionPlan:
    index = chosen.step.index
    return cut(chosen.session, needed_by(chosen.session, [index]), repeat=index, times=times)


class _Pressing(Director):
    """User 0 presses, user 1 stands by: comes to its request first, and sends it while the other is refused."""

    def __init__(self, target: int | None, waits_ns: int, house: House, load: Load) -> None:
        """`waits_ns`: how long it waits at most to come back."""
        super().__init__(house, load, sessions=2)
        self._target = target
        self._waits_ns = waits_ns
        self._held: list[tuple[Visit, Step]] = []
        """What user 0 has ready and may not send."""
        self._standing_by: list[tuple[Visit, Step]] = []
        self._ready = False
        """The bystander is, or never will be."""
        self._refused = False
        self._again = False

    def offer(self, visit: Visit, step: Step) -> None:
        if not (isinstance(step.action, Http) and step.action.source == self._target):
            self.send(visit, step)
        elif visit.user.number == 1:
            self._standing_by.append((visit, step))
            self._begin()
        elif self._ready and not self._refused:
            self.send(visit, step)
        else:
            self._held.append((visit, step))

    def answered(self, visit: Visit, step: Step, answer: Answer) -> None:
        if visit.user.number != 0 or not (isinstance(step.action, Http) and step.action.source == self._target):
            return
        if self._again:
            self._end()
        elif answer.status == 429 and not self._refused:
            self._refused = True
            self._stand_by()
            wait_ns = retry_after_ns(answer.headers)
            if wait_ns is None or not self._waits_ns or wait_ns > self._waits_ns + GRACE_NS:
                # Broken already, or not asked for: waiting would show nothing more. The bystander gets its turn.
                self.after(BYSTANDER_EVERY_NS, self._end)
            else:
                self.after(wait_ns, self._come_back)

    def left(self, visit: Visit) -> None:
        if visit.user.number == 1:
            self._begin()
        else:
            self._end()

    def _begin(self) -> None:
        if not self._ready:
            self._ready = True
            self._send_held()

    def _send_held(self) -> None:
        held, self._held = self._held, []
        for visit, step in held:
            self.send(visit, step)

    def _stand_by(self) -> None:
        if self._again or not self._standing_by:
            return
        visit, step = self._standing_by.pop()
        self.send(visit, step)
        self.after(BYSTANDER_EVERY_NS, self._stand_by)

    def _come_back(self) -> None:
        self._again = True
        self._send_held()

    def _end(self) -> None:
        for visit in list(self.visits.values()):
            visit.stop()


def _read(table: Table) -> RateLimit:
    table.knows("call", "signed_in", "requests", "per", "comes_back")
    call = table.text("call")
    return RateLimit(
        call=call,
        signed_in=table.flag("signed_in", not call),
        requests=table.count("requests", REQUESTS) if "requests" in table.values else None,
        window_ns=table.duration("per", None),
        comes_back=table.flag("comes_back", True),
    )


def _suggest(source: Source) -> Sequence[Sequence[str]]:
    try:
        chosen = choose_call(source, "", signed_in=True)
    except NothingSuch:
        return []
    told = _announced_of(chosen, source)
    window_ns = told.window_ns if told and told.window_ns else WINDOW_NS
    why = "as the recorded answer says" if told else "a guess: write what is documented"
    return [
        [
            'name = "Rate limit"',
            f'kind = "{NAME}"',
            f'call = "{chosen.name}"  # {chosen.why}',
            f"requests = {told.requests if told else REQUESTS}  # {why}",
            f'per = "{limit(window_ns).replace(" ", "")}"',
            *([] if told else ["required = false  # until the numbers are yours"]),
        ]
    ]


KIND = Kind(NAME, _read, _suggest)
