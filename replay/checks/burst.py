"""The burst: so many users send one recorded request at the same moment, and all must be served in time.

What leads to the request (signing in, tokens) is played before, for each user alone; then everybody waits until all are
ready, and all are released at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from nestperf.capture.model import Exchange, Outcome
from nestperf.console import limit
from nestperf.durations import SECOND_NS
from nestperf.verdicts import Verdict
from replay.checks.choose import Chosen, choose_call
from replay.checks.contract import Finding, Kind, NothingSuch, Number, Rows, Source, Traffic
from replay.checks.cut import cut, indexes_of, needed_by
from replay.checks.director import STAGGER_NS, Director, Together, once
from replay.checks.findings import late_sentence, measured, nothing_came, slowest_of, time_numbers, verdict_of
from replay.checks.table import Table
from replay.drivers import House
from replay.pacing import Load
from replay.steps import Http, Plan, Step

NAME = "burst"


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """So many copies at once, all answered well within a time."""

    call: str
    """As `choose.choose_call` reads it; empty: the health check, or the most frequent call."""
    signed_in: bool
    users: int
    within_ns: int

    rank = 10

    def prepare(self, source: Source) -> Traffic:
        """Everybody's way to the request, and the request."""
        chosen = choose_call(source, self.call, signed_in=self.signed_in)
        session = cut(chosen.session, needed_by(chosen.session, [chosen.step.index]))
        (target,) = indexes_of(session, [chosen.action.source], (Http,))
        before = len(session.steps) - 1
        way = f", after {before} request{'s' * (before > 1)} that it needs" if before else ""
        return Traffic(
            plan=Plan(sessions=(session,), skipped=()),
            load=once(self.users, source.seed),
            direct=partial(_direct, target),
            targets=frozenset({chosen.action.source}),
            chosen=(f"{chosen.name}: {chosen.why}{way}",),
            takes_ns=self.users * STAGGER_NS + 2 * SECOND_NS,
        )

    def judge(self, traffic: Traffic, rows: Rows) -> Finding:
        """Hold what came of the copies against the promise."""
        return judge_burst(rows.repeating(traffic.targets), self.users, self.within_ns)


def _direct(target: int, house: House, load: Load) -> Director:
    def holds(step: Step) -> bool:
        return step.index == target

    return Together(house, load, holds)


def judge_burst(copies: Sequence[Exchange], users: int, within_ns: int) -> Finding:
    """All of `users` copies were sent, answered as recorded, and the last of them within the time from the release."""
    promised = f"{users} within {limit(within_ns)}"
    sent = [copy for copy in copies if copy.outcome is not Outcome.DROPPED]
    if not sent:
        return nothing_came(promised, "None of the requests was sent.")
    served = [copy for copy in sent if copy.outcome is Outcome.OK and copy.done_ns is not None]
    released_ns = min(copy.intended_ns if copy.intended_ns is not None else copy.sent_ns for copy in sent)
    times_ns = sorted(copy.done_ns - released_ns for copy in served if copy.done_ns is not None)
    skew_ns = max(copy.sent_ns for copy in sent) - min(copy.sent_ns for copy in sent)
    slowest = slowest_of(times_ns)
    sentences = [*_not_served(sent, users), *late_sentence(times_ns, within_ns, len(sent), "answers came")]
    late = slowest is not None and slowest > within_ns
    verdict = verdict_of(broken=len(served) < len(sent) or late, missing=len(sent) < users)
    if verdict is Verdict.INCONCLUSIVE:
        sentences.append(f"Only {len(sent)} of {users} requests were sent; the others never came so far.")
    return Finding(
        verdict=verdict,
        measured=measured(len(served), users, slowest),
        limit=promised,
        n=len(sent),
        numbers=(
            Number("served", len(served), "", users),
            *time_numbers(times_ns, within_ns),
            Number("release skew", skew_ns, "ns"),
        ),
        sentences=tuple(sentences),
    )


def _not_served(sent: Sequence[Exchange], users: int) -> list[str]:
    kinds = Counter(_how(copy) for copy in sent if copy.outcome is not Outcome.OK)
    return [f"{count} of {users} requests: {how}." for how, count in kinds.most_common()]


def _how(copy: Exchange) -> str:
    if copy.outcome is Outcome.LIMITED:
        return "refused by a rate limit (429)"
    return (copy.detail or f"{copy.outcome}").rstrip(".")


def _read(table: Table) -> Burst:
    table.knows("call", "signed_in", "users", "within")
    return Burst(
        call=table.text("call"),
        signed_in=table.flag("signed_in", False),
        users=table.count("users", 20),
        within_ns=table.need_duration("within", "5s"),
    )


def _suggest(source: Source) -> Sequence[Sequence[str]]:
    return [
        [
            f'name = "{name}"',
            f'kind = "{NAME}"',
            f'call = "{chosen.name}"  # {chosen.why}',
            *(["signed_in = true  # only a request that says who sends it"] if signed_in else []),
            "users = 20",
            f'within = "{within}"  # from the release to the last answer',
        ]
        for name, signed_in, within in (
            ("20 health checks at once", False, "5s"),
            ("20 calls of people who are signed in", True, "10s"),
        )
        if (chosen := _found(source, signed_in=signed_in)) is not None
    ]


def _found(source: Source, *, signed_in: bool) -> Chosen | None:
    try:
        return choose_call(source, "", signed_in=signed_in)
    except NothingSuch:
        return None


KIND = Kind(NAME, _read, _suggest)
