"""What a replay came to, in a few lines of text: pure, from the plan, the run's row and the counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from nestperf.capture.model import FAILED, Outcome, Run
from nestperf.console import duration, plural
from nestperf.printable import printable
from replay.certificate import Tally
from replay.steps import Http, Plan

_SHOWN = 5


def describe_plan(plan: Plan) -> Iterator[str]:
    """What will be sent and what will not."""
    steps = [step.action for session in plan.sessions for step in session.steps]
    requests = sum(isinstance(action, Http) for action in steps)
    values = sum(len(session.values) for session in plan.sessions)
    told = f"{plural(len(plan.sessions), 'session')}: {plural(requests, 'request')}"
    if requests < len(steps):
        told += f", {plural(len(steps) - requests, 'socket step')}"
    if values:
        told += f"; {plural(values, 'live value')} taken from answers"
    yield told
    reasons = Counter(skipped.reason for skipped in plan.skipped)
    for reason, count in reasons.most_common():
        yield f"  not sent: {count:,} × {reason}"
    yield from (f"  {note}" for note in plan.notes)


def summarize(run: Run, tally: Tally) -> Iterator[str]:
    """What happened, after the run."""
    certificate = run.certificate
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(tally.outcomes.items(), key=_order))
    rate = f"{certificate['requests_per_minute']:,.0f} a minute"
    yield f"{plural(tally.requests, 'request')} in {duration(certificate['elapsed_ns'])} ({rate}): {outcomes or 'none'}"
    if tally.sockets or tally.sockets_failed:
        failed = f" ({tally.sockets_failed:,} not as recorded)" if tally.sockets_failed else ""
        packets = f"{tally.packets_sent:,} packets sent, {tally.packets_received:,} received"
        yield f"{plural(tally.sockets, 'Socket.IO connection')} opened{failed}; {packets}"
    visits = ", ".join(f"{count:,} {state}" for state, count in sorted(tally.visits.items()))
    addresses = certificate["source_addresses"]
    yield f"Visits: {visits or 'none'}; from {addresses}"
    lags = [duration(certificate[f"send_lag_{name}_ns"]) for name in ("p50", "p99", "max")]
    yield (
        f"Generator: {certificate['planned']:,} steps planned, {certificate['sent']:,} sent, "
        f"{certificate['dropped']:,} dropped; send lag p50 {lags[0]}, p99 {lags[1]}, max {lags[2]}; "
        f"{certificate['cpu_share']:.0%} of a core"
    )
    if tally.missing_values:
        yield f"{plural(tally.missing_values, 'live value')} were not where the recording has them"
    for sentence, count in tally.troubles.most_common(_SHOWN):
        yield f"  {count:,} × {printable(sentence, 160)}"
    if len(tally.troubles) > _SHOWN:
        yield f"  and {len(tally.troubles) - _SHOWN} other kinds of trouble"


def _order(item: tuple[Outcome, int]) -> tuple[bool, int, str]:
    """ok first, what failed next, each by count."""
    outcome, count = item
    return (outcome is not Outcome.OK, -count if outcome in FAILED else 0, outcome)
