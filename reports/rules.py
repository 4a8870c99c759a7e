"""The rules that make a verdict of numbers. Pure: knows samples and limits, no capture.

A promise is judged when the whole confidence interval of what was measured lies on one side of the limit, or when
every one of at least 20 samples does; otherwise the answer is that nobody can tell yet. What failed is slower than
any limit: an application that answers half of its requests fast and drops the rest keeps no promise.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from fractions import Fraction
from math import isinf
from typing import Any, NamedTuple

from nestperf.percentiles import Ordered
from nestperf.verdicts import Verdict as Verdict
from reports import statistics
from reports.estimates import Durations, Estimate, estimate_share, estimate_times
from reports.expressions import Comparison, Expression, Statistic
from reports.statistics import MIN_SAMPLES
from reports.thresholds import Threshold


class Why(enum.StrEnum):
    """What a verdict rests on."""

    INTERVAL = "interval"
    """The whole interval lies on one side of the limit."""
    EVERY_SAMPLE = "every_sample"
    """Every sample keeps the limit, though they are too few to bound the interval."""
    ONE_SAMPLE = "one_sample"
    """A sample breaks what none may break."""
    EXACT = "exact"
    """A count: nothing is uncertain about it."""
    TOO_FEW = "too_few"
    """Fewer than 20 samples, and not so many of them break the limit that it must fail."""
    STRADDLES = "straddles"
    """The limit lies inside the interval."""
    NOTHING_SELECTED = "nothing_selected"
    NOT_RECORDED = "not_recorded"
    """It is about something that this capture cannot hold."""
    NO_BASELINE = "no_baseline"
    """It is relative to a baseline, and there is none."""
    NOT_IN_BASELINE = "not_in_baseline"
    """There is a baseline, and nothing of it is selected."""
    LOAD_NOT_PUT_ON = "load_not_put_on"
    """The run asked for less than the promise is about."""
    RUN_TOO_SHORT = "run_too_short"
    """The run lasted less than the promise's window."""
    OTHER_RUN = "other_run"
    """The threshold does not apply to this kind of run."""
    SOMETIMES = "sometimes"
    """Several runs disagree."""
    ONLY_QUERIES = "only_queries"
    """The run asked a database and nothing else."""
    BY_HAND = "by_hand"
    """A promise about load, and one person recorded."""


class Absent(enum.StrEnum):
    """What a capture does not hold at all."""

    QUERIES = "queries"
    MARKS = "marks"
    INTENDED_TIMES = "intended_times"
    """Recordings have none: nobody knows when a person wanted to click."""
    SESSIONS = "sessions"
    SOCKETS = "sockets"
    BROADCASTS = "broadcasts"
    PAGES = "pages"


class Unmatched(NamedTuple):
    """A key of a threshold that by itself selects nothing."""

    key: str
    wanted: tuple[str, ...]
    nearest: str | None
    """The captured name that resembles it most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One threshold and what became of it. Numbers are of the expression's dimension (nanoseconds, 0 to 1, counts)."""

    threshold: Threshold
    verdict: Verdict
    why: Why
    required: bool = False
    """Whether the exit code hangs on it in this capture."""
    n: int = 0
    failed: int = 0
    """Of `n`, those without a value because they failed."""
    breaking: int = 0
    """Of `n`, those that break the limit."""
    measured: float | None = None
    """None where there is no value, or where it falls among those that failed."""
    low: float | None = None
    high: float | None = None
    """The interval of `measured`; None where nothing bounds it."""
    inflation: float = 1.0
    """How many samples were taken for one independent one, because they followed each other."""
    confidence: float | None = None
    """0 to 1, of a pass that rests on less than the usual 95 %."""
    more_samples: int | None = None
    """About how many more would settle an inconclusive one."""
    asked: float | None = None
    """The load that the run asked for, where it was less than the promise is about."""
    baseline: float | None = None
    """What the same measure came to in the baseline; None where it fell among those that failed."""
    baseline_n: int = 0
    absent: Absent | None = None
    """Where nothing was recorded of it."""
    runs: tuple[Verdict, ...] = ()
    """Of several runs judged together: the verdict of each."""
    unmatched: Unmatched | None = None
    """Where nothing was selected because of one key."""


def judge_times(threshold: Threshold, times: Durations, inflation: float = 1.0) -> Judged:
    """Judge a percentile, maximum, minimum or average of durations.

    `inflation` says how many of them are worth one independent one.
    """
    expression = threshold.expression
    estimate = estimate_times(expression, times, inflation)
    if estimate is None:
        return Judged(threshold=threshold, verdict=Verdict.NOT_MEASURED, why=Why.NOTHING_SELECTED)
    keeping = _keeping(expression, times.ordered)
    if expression.statistic in (Statistic.MAX, Statistic.MIN):
        return _judge_extreme(threshold, estimate, keeping)
    n, near, far = estimate.n, *_sides(expression, estimate)
    share = expression.percentile
    if share is None:
        verdict, why = two_sided(n, near, far, every=False)
        more = missing(n) if why is Why.TOO_FEW else None
        return judged(threshold, estimate, verdict, why, breaking=n - keeping, more_samples=more)
    verdict, why = two_sided(n, near, far, every=keeping == n)
    bound = share if expression.comparison.is_upper else 1 - share
    seen = keeping / n if expression.comparison.is_upper else 1 - keeping / n
    return judged(
        threshold,
        estimate,
        verdict,
        why,
        breaking=n - keeping,
        confidence=statistics.confidence_of_all(int(n / inflation), bound) if why is Why.EVERY_SAMPLE else None,
        more_samples=_more(verdict, why, n, float(share), seen, inflation),
    )


def judged(threshold: Threshold, estimate: Estimate, verdict: Verdict, why: Why, **rest: Any) -> Judged:
    """A verdict with an estimate's numbers; ends among the failed are no bounds."""
    value, low, high = (
        None if end is None or isinf(end) else end for end in (estimate.value, estimate.low, estimate.high)
    )
    return Judged(
        threshold=threshold,
        verdict=verdict,
        why=why,
        n=estimate.n,
        failed=estimate.failed,
        measured=value,
        low=low,
        high=high,
        inflation=estimate.inflation,
        **rest,
    )


def _sides(expression: Expression, estimate: Estimate) -> tuple[bool | None, bool | None]:
    """Whether the better and the worse end of the interval keep the limit; None where nothing bounds it there."""
    low, high = (
        None if end is None else _holds(expression, int(end) if float(end).is_integer() else end)
        for end in (estimate.low, estimate.high)
    )
    return (low, high) if expression.comparison.is_upper else (high, low)


def two_sided(n: int, near: bool | None, far: bool | None, *, every: bool) -> tuple[Verdict, Why]:
    """The verdict of an interval. `near` is its better end, `far` its worse: whether each keeps the limit, None where
    nothing bounds the interval on that side."""
    if near is False:
        return Verdict.FAIL, Why.INTERVAL
    if n < MIN_SAMPLES:
        return Verdict.INCONCLUSIVE, Why.TOO_FEW
    if far is True:
        return Verdict.PASS, Why.INTERVAL
    if every:
        return Verdict.PASS, Why.EVERY_SAMPLE
    return Verdict.INCONCLUSIVE, Why.STRADDLES


def _judge_extreme(threshold: Threshold, estimate: Estimate, keeping: int) -> Judged:
    """A maximum or minimum is a statement about every sample, or about one."""
    expression, n = threshold.expression, estimate.n
    largest = expression.statistic is Statistic.MAX
    if largest is not expression.comparison.is_upper:  # that some sample is so long, or so short
        verdict, why = (Verdict.PASS if keeping else Verdict.FAIL), Why.EXACT
    elif keeping < n:
        verdict, why = Verdict.FAIL, Why.ONE_SAMPLE
    elif n < MIN_SAMPLES:
        verdict, why = Verdict.INCONCLUSIVE, Why.TOO_FEW
    else:
        verdict, why = Verdict.PASS, Why.EVERY_SAMPLE
    more = missing(n) if why is Why.TOO_FEW else None
    return judged(threshold, estimate, verdict, why, breaking=n - keeping, more_samples=more)


def judge_share(threshold: Threshold, hits: int, n: int) -> Judged:
    """Judge a rate or reach: `hits` of `n` samples count."""
    estimate = estimate_share(hits, n)
    if estimate is None:
        return Judged(threshold=threshold, verdict=Verdict.NOT_MEASURED, why=Why.NOTHING_SELECTED)
    expression = threshold.expression
    limit = expression.limit
    upper = expression.comparison.is_upper or (expression.comparison is Comparison.EQUAL and limit == 0)
    breaking = hits if upper else n - hits
    confidence = None
    if limit == (0 if upper else 1) or expression.comparison is Comparison.EQUAL:
        verdict, why = _judge_all_or_nothing(expression, hits, n)
    else:
        verdict, why = two_sided(n, *_sides(expression, estimate), every=breaking == 0)
        if why is Why.EVERY_SAMPLE:
            confidence = statistics.confidence_of_all(n, 1 - limit if upper else limit)
    return judged(
        threshold,
        estimate,
        verdict,
        why,
        breaking=breaking,
        confidence=confidence,
        more_samples=_more(verdict, why, n, float(limit), hits / n),
    )


def _judge_all_or_nothing(expression: Expression, hits: int, n: int) -> tuple[Verdict, Why]:
    """`== 100%`, `<= 0%`: one sample is enough to break it."""
    if not _holds(expression, Fraction(hits, n)):
        return Verdict.FAIL, Why.ONE_SAMPLE
    return (Verdict.PASS, Why.EVERY_SAMPLE) if n >= MIN_SAMPLES else (Verdict.INCONCLUSIVE, Why.TOO_FEW)


def judge_number(threshold: Threshold, number: int) -> Judged:
    """Judge a count: it is what it is."""
    verdict = Verdict.PASS if _holds(threshold.expression, number) else Verdict.FAIL
    return Judged(threshold=threshold, verdict=verdict, why=Why.EXACT, n=number, measured=number)


def _holds(expression: Expression, value: float | Fraction) -> bool:
    return expression.comparison.holds(value, expression.limit)


def _keeping(expression: Expression, ordered: Ordered) -> int:
    """How many samples keep the limit; a search, since they are sorted."""
    first, last = 0, len(ordered)
    upper = expression.comparison.is_upper
    while first < last:
        middle = (first + last) // 2
        if _holds(expression, int(ordered[middle])) is upper:
            first = middle + 1
        else:
            last = middle
    return first if upper else len(ordered) - first


def missing(n: int) -> int:
    """How many samples are wanting for any verdict."""
    return MIN_SAMPLES - n


def _more(verdict: Verdict, why: Why, n: int, share: float, seen: float, inflation: float = 1.0) -> int | None:
    if verdict is not Verdict.INCONCLUSIVE:
        return None
    if why is Why.TOO_FEW:
        return missing(n)
    total = statistics.samples_to_settle(share, seen, inflation=inflation)
    return None if total is None else max(1, total - n)
