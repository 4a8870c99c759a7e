"""What a replay came to, in a few lines of text: pure, from the plan, the run's row and the counts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from nestperf.capture.model import FAILED, Outcome, Run
from nestperf.console import duration, plural
from nestperf.printable import printable
from replay.certificate import Tally
from replay.pacing import Load
from replay.profile import Stage
from replay.steps import Http, Plan
from replay.unreached import never_asked

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


def describe_load(load: Load) -> str:
    """What is going to be asked, in a few words."""
    stages = load.stages or (Stage(load.users, load.duration_ns),)
    if load.model == "users":
        levels = [plural(round(stage.level), "user") for stage in stages]
    else:
        noun = "requests" if load.model == "rate" else "sessions"
        levels = [
            f"{format_rate(stage.level)} {noun if format_rate(stage.level) != '1' else noun[:-1]} "
            f"{'a second' if stage.level >= 1 else 'a minute'}"
            for stage in stages
        ]
    if load.is_timed:
        parts = [f"{level} for {_seconds(stage.length_ns)}" for level, stage in zip(levels, stages, strict=True)]
    else:
        times = "once" if load.loops in (None, 1) else f"{load.loops:,} times"
        parts = [f"{levels[0]}, every session {times}"]
    before = [f"{_seconds(ns)} {name}" for ns, name in ((load.ramp_ns, "ramp"), (load.warm_up_ns, "warm-up")) if ns]
    lead = f"after {' and '.join(before)} (not judged), " if before else ""
    return lead + ", then ".join(parts)


def format_rate(per_second: float) -> str:
    """A rate a second where that is at least one, else a minute."""
    return f"{per_second if per_second >= 1 else per_second * 60:,.4g}"


def _seconds(ns: int | None) -> str:
    return f"{(ns or 0) / 1e9:g} s"


def summarize(run: Run, tally: Tally) -> Iterator[str]:
    """What happened, after the run: at most 80 columns where the numbers allow it."""
    certificate = run.certificate
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(tally.outcomes.items(), key=_order))
    rate = f"{certificate['requests_per_minute']:,.0f} a minute"
    yield f"{plural(tally.requests, 'request')} in {duration(certificate['elapsed_ns'])} ({rate}): {outcomes or 'none'}"
    yield from _rate(certificate)
    if tally.sockets or tally.sockets_failed:
        failed = f" ({tally.sockets_failed:,} not as recorded)" if tally.sockets_failed else ""
        said = f"{plural(tally.packets_sent, 'message')} sent, {tally.packets_received:,} received"
        yield f"{plural(tally.sockets, 'socket')} opened{failed}; {said}"
    visits = ", ".join(f"{count:,} {state}" for state, count in sorted(tally.visits.items()))
    yield f"Visits: {visits or 'none'}; from {certificate['source_addresses']}"
    if missed := never_asked(certificate):
        yield f"Never asked, for the run was over before: {missed}; a longer --duration gets there"
    yield from _curve(certificate["users_alive"])
    yield from _times(certificate)
    lags = [duration(certificate[f"send_lag_{name}_ns"]) for name in ("p50", "p99", "max")]
    loop = [duration(certificate[f"loop_lag_{name}_ns"]) for name in ("p99", "max")]
    yield (
        f"Generator: {certificate['planned']:,} steps planned, {certificate['sent']:,} sent, "
        f"{certificate['dropped']:,} dropped; {plural(certificate['connections'], 'connection')}"
    )
    yield f"  send lag p50 {lags[0]}, p99 {lags[1]}, max {lags[2]}; loop lag p99 {loop[0]}, max {loop[1]}"
    busiest = certificate["cpu_share_busiest"]
    peak = f", {busiest:.0%} in the busiest 5 s" if busiest is not None else ""
    yield f"  {certificate['cpu_share']:.0%} of a core{peak}"
    if certificate["limit"]:
        yield f"  {certificate['limit']}"
    if tally.missing_values:
        yield f"{plural(tally.missing_values, 'live value')} were not where the recording has them"
    for sentence, count in tally.troubles.most_common(_SHOWN):
        yield f"  {count:,} × {printable(sentence, 160)}"
    if len(tally.troubles) > _SHOWN:
        yield f"  and {len(tally.troubles) - _SHOWN} other kinds of trouble"


def _rate(certificate: dict[str, Any]) -> Iterator[str]:
    for noun, dropped in (("requests", "slots_dropped"), ("sessions", "arrivals_dropped")):
        asked = certificate.get(f"{noun}_per_minute_asked")
        if asked is not None:
            reached = certificate[f"{noun}_per_minute_reached"]
            lost = certificate[dropped]
            why = f"; {lost:,} dropped, all users being busy (more: --max-users)" if lost else ""
            both = " of both sides together" if certificate.get("sides", 1) > 1 else ""
            yield f"Asked {asked:,.1f} {noun} a minute{both}, reached {reached:,.1f}{why}"


_BARS = " ▁▂▃▄▅▆▇█"
_COLUMNS = 40


def _curve(alive: Sequence[Sequence[int]]) -> Iterator[str]:
    """Users under way over time, as a row of bars."""
    counts = [count for _, count in alive]
    most = max(counts, default=0)
    if len(counts) < 3 or not most:
        return
    width = min(_COLUMNS, len(counts))
    stretches = [counts[n * len(counts) // width : (n + 1) * len(counts) // width] for n in range(width)]
    bars = "".join(_BARS[math.ceil(max(stretch) / most * 8)] for stretch in stretches)
    yield f"Users under way: {bars}  at most {most:,}"


def _times(certificate: dict[str, Any]) -> Iterator[str]:
    names = ("p50", "p95", "p99", "max")
    rows = [
        (title, [certificate[f"{key}_{name}_ns"] for name in names])
        for title, key in (("service", "service"), ("response", "response"), ("session response", "session_response"))
    ]
    if not any(value is not None for _, values in rows for value in values):
        return
    yield f"{'Times':<20}{''.join(f'{name:>12}' for name in names)}"
    for title, values in rows:
        yield f"  {title:<18}{''.join(f'{duration(value):>12}' for value in values)}"


def _order(item: tuple[Outcome, int]) -> tuple[bool, int, str]:
    """ok first, what failed next, each by count."""
    outcome, count = item
    return (outcome is not Outcome.OK, -count if outcome in FAILED else 0, outcome)
