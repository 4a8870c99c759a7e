"""The load: so many users at once, and so many requests in a unit of time, without the promises about time breaking.

Requests go out at the rate. Half of them go to a few users who get on with their recorded visits at a person's pace, so
that somebody comes to what is done late in a visit; the other half to all others in turns. It is judged by thresholds,
in the language of reports, like any other run; where most of what was recorded was never asked for, it proves nothing.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from nestperf.capture.model import FAILED, Exchange, Outcome
from nestperf.console import limit, plural
from nestperf.durations import SECOND_NS
from nestperf.errors import UsageError
from nestperf.verdicts import Verdict, badness
from replay.asked import parse_rate
from replay.certificate import LAG_FLOOR_NS
from replay.checks.contract import Finding, Kind, NothingSuch, Number, Rows, Source, Traffic
from replay.checks.director import STAGGER_NS, Director
from replay.checks.findings import nothing_came
from replay.checks.table import Table
from replay.drivers import House
from replay.pacing import NONE, Load
from replay.player import Visit
from replay.profile import Moment, Stage
from replay.steps import Http, Open, Step
from replay.unreached import never_asked
from reports.expressions import Dimension
from reports.thresholds import Threshold, Thresholds, read_threshold

if TYPE_CHECKING:
    from reports.rules import Judged

NAME = "load"
_PACE_PER_S = 1.0
"""Requests a second of the users who are ahead; more, and limits per user that a person keeps would refuse them."""
DEFAULT = (
    {"name": "Requests that fail", "expression": "rate(failed) < 1%"},
    {"name": "Calls within 1 s", "expression": "p95(latency) < 1s", "kind": "call"},
)
"""What has to hold where a suite names no promise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadContract:
    """So many users, so many requests a unit, and what has to hold meanwhile."""

    users: int
    rate: str
    """`1000/m`."""
    length_ns: int
    promises: tuple[Threshold, ...]

    rank = 50

    def prepare(self, source: Source) -> Traffic:
        """All recorded visits, in turns."""
        plan = source.plan
        requests = sum(isinstance(step.action, Http | Open) for session in plan.sessions for step in session.steps)
        if not requests:
            raise NothingSuch("the capture has no request that can be repeated: record some")
        visits = f"{plural(len(plan.sessions), 'recorded visit')} with {plural(requests, 'request')}"
        load = Load(
            model="rate",
            users=self.users,
            stages=(Stage(parse_rate(self.rate), self.length_ns),),
            think=NONE,
            seed=source.seed,
        )
        return Traffic(
            plan=plan,
            load=load,
            direct=partial(Crowd, sessions=len(plan.sessions)),
            chosen=(f"{visits}: {self.users} users at {self.rate} for {limit(self.length_ns)}",),
            takes_ns=self.length_ns + SECOND_NS,
            lateness_ns=_lateness_ns(self.promises),
        )

    def judge(self, traffic: Traffic, rows: Rows) -> Finding:
        """Hold the run against the promises, by reports' own rules."""
        from reports.verdict import judge_capture

        promised = f"{self.users} users, {self.rate}"
        if rows.capture is None or not rows.exchanges:
            return nothing_came(promised, "None of the requests was sent.")
        judgement = judge_capture(rows.capture, Thresholds(origin="", thresholds=self.promises))
        from reports.render.sentences import reason

        judged = judgement.judged
        kept = sum(one.verdict is Verdict.PASS for one in judged)
        certificate = rows.capture.run.certificate
        shown = Verdict.PASS if _saw_most(certificate) else Verdict.INCONCLUSIVE
        required = [one.verdict for one in judged if one.required] or [Verdict.NOT_MEASURED]
        worst = min((shown, *required), key=badness)
        return Finding(
            verdict=worst,
            measured=f"{kept} of {len(judged)} kept",
            limit=promised,
            n=len(rows.exchanges),
            numbers=tuple(map(_number, judged)),
            sentences=(
                *(f"{one.threshold.name}: {reason(one)}" for one in judged if one.verdict is not Verdict.PASS),
                *_failures(rows.exchanges),
                *_never_asked(certificate),
            ),
        )


def _saw_most(certificate: dict[str, Any]) -> bool:
    """Whether at least half of the recorded routes were asked for."""
    return 2 * int(certificate.get("never_asked", 0)) <= int(certificate.get("routes", 0))


def _never_asked(certificate: dict[str, Any]) -> Sequence[str]:
    """What the promises were not judged by."""
    missed = never_asked(certificate)
    return (f"No user got as far as {missed}: a longer `for` gets there.",) if missed else ()


def _failures(exchanges: Sequence[Exchange]) -> Sequence[str]:
    """How many failed, in which ways and most often where; and how many a limit refused, which is no failure."""
    failed = [one for one in exchanges if one.outcome in FAILED]
    limited = sum(one.outcome is Outcome.LIMITED for one in exchanges)
    sentences = []
    if failed:
        counts = Counter(str(one.outcome) for one in failed)
        told = ", ".join(f"{count:,} {outcome}" for outcome, count in counts.most_common())
        places = Counter(f"{one.method} {one.route}: {one.detail or one.outcome}" for one in failed)
        place, often = places.most_common(1)[0]
        sentences.append(f"{len(failed):,} of {len(exchanges):,} requests failed: {told}.")
        sentences.append(f"Most often ({often:,} times) {place.rstrip('.')}.")
    if limited:
        sentences.append(f"{plural(limited, 'request was', 'requests were')} refused by a rate limit.")
    return sentences


def _lateness_ns(promises: Sequence[Threshold]) -> int:
    """A tenth of the shortest time that is promised; where none is, a second."""
    times = [one.expression.limit for one in promises if one.expression.dimension is Dimension.TIME]
    return max(LAG_FLOOR_NS, round(min(times, default=10 * SECOND_NS) / 10))


def _number(judged: Judged) -> Number:
    expression = judged.threshold.expression
    unit = {Dimension.TIME: "ns", Dimension.SHARE: "share"}.get(expression.dimension, "")
    return Number(judged.threshold.name, judged.measured, unit, float(expression.limit))


class Crowd(Director):
    """So many users all the time; requests go out at the load's rate, packets when they are due."""

    def __init__(self, house: House, load: Load, *, sessions: int) -> None:
        super().__init__(house, load, sessions)
        self._moments = load.profile.slots()
        half_per_s = load.stages[0].level / 2
        ahead = math.ceil(half_per_s / _PACE_PER_S)
        self._ahead = ahead if ahead < load.users else 0
        """So many users are ahead of the others; none where all of them are as fast."""
        self._ready: tuple[deque[tuple[Visit, Step]], ...] = (deque(), deque())
        """Who can send, of those who are ahead and of the others."""
        self._turn = 0
        self._begin_ns = 0
        self._ended = False
        self._iterations = dict.fromkeys(range(load.users), 0)

    @property
    def is_through(self) -> bool:
        return self._ended

    def start(self, begin_ns: int) -> None:
        super().start(begin_ns)
        self._begin_ns = begin_ns
        self._schedule()

    def offer(self, visit: Visit, step: Step) -> None:
        if isinstance(step.action, Http | Open):
            self._ready[visit.user.number >= self._ahead].append((visit, step))
        else:
            self.send(visit, step)

    def over(self, visit: Visit) -> None:
        super().over(visit)
        if not self._stopped and not self._ended:
            user = visit.user.number
            self._iterations[user] += 1
            self.house.pacer.at(self.house.clock.now_ns() + STAGGER_NS, self._return, user)

    def _return(self, user: int) -> None:
        if self._stopped or self._ended:
            return
        iteration = self._iterations[user]
        number = user + iteration * self.load.users
        visit = self.house.let_in(user, iteration, number, self.house.clock.now_ns())
        self.visits[user] = visit
        visit.start()

    def _schedule(self) -> None:
        moment = next(self._moments, None)
        if moment is None:
            self._ended = True
            self.house.nobody_left()
            return
        due_ns = self._begin_ns + moment.due_ns
        self.house.pacer.at(due_ns, self._hand, moment, due_ns)

    def _hand(self, moment: Moment, due_ns: int) -> None:
        if self._stopped:
            return
        sent = False
        self._turn = 1 - self._turn
        for ready in (self._ready[self._turn], self._ready[1 - self._turn]):
            while ready and not sent:
                visit, step = ready.popleft()
                sent = visit.go(step, due_ns)
        self.house.count(due_ns, sent=sent)
        if not sent:
            self.house.drop_slot(0, due_ns)
        self._schedule()


def _read(table: Table) -> LoadContract:
    table.knows("users", "rate", "for", "promise")
    users = table.count("users", 50)
    rate = table.text("rate") or "1000/m"
    try:
        parse_rate(rate)
    except UsageError:
        raise table.refuse("rate", 'requests in a unit of time, such as "1000/m"') from None
    number, _, unit = rate.partition("/")
    told: tuple[dict[str, Any], ...] = (
        {"name": f"{users} users at once", "expression": f"count(users) >= {users}"},
        {"name": f"{float(number):,g} requests a {_UNITS[unit.strip()]}", "expression": _at_least(number, unit)},
        *_promises(table),
    )
    return LoadContract(
        users=users,
        rate=rate,
        length_ns=table.need_duration("for", "65s"),
        promises=tuple(
            read_threshold(Table(f"{table.where}, promise {n - 1}" if n > 1 else table.where, one))
            for n, one in enumerate(told)
        ),
    )


_UNITS = {"s": "second", "m": "minute", "h": "hour"}


def _at_least(number: str, unit: str) -> str:
    return f"count(exchanges) >= {float(number):.0f} per 1{unit.strip()}"


def _promises(table: Table) -> Sequence[dict[str, Any]]:
    found = table.values.get("promise", list(DEFAULT))
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise table.refuse("promise", "tables that begin with [[contract.promise]]")
    return found


def _suggest(source: Source) -> Sequence[Sequence[str]]:
    steps = [step for session in source.plan.sessions for step in session.steps if isinstance(step.action, Http)]
    if not steps:
        return []
    return [
        [
            'name = "50 users at 1,000 a minute"',
            f'kind = "{NAME}"',
            f"users = 50  # each through what was recorded: {plural(len(steps), 'request')}",
            'rate = "1000/m"',
            'for = "65s"',
            "",
            *(line for one in DEFAULT for line in _promise_lines(one)),
        ]
    ]


def _promise_lines(promise: dict[str, str]) -> Sequence[str]:
    return ["[[contract.promise]]", *(f'{key} = "{value}"' for key, value in promise.items()), ""]


KIND = Kind(NAME, _read, _suggest)
