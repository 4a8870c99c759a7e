"""The rules that make a verdict of numbers. Pure: knows samples and limits, no capture.

A promise is judged when the whole confidence interval of what was measured lies on one side of the limit, or when
every one of at least 20 samples does; otherwise the answer is that nobody can tell yet. What failed is slower than
any limit: an application that answers half of its requests fast and drops the rest keeps no promise.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

from nestperf.percentiles import Ordered, rank_of
from reports import statistics
from reports.grammar import Comparison, Expression, Statistic
from reports.statistics import MIN_SAMPLES
from reports.thresholds import Threshold


class Verdict(enum.StrEnum):
    """What became of one threshold."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    REGRESSION = "regression"
    INCONCLUSIVE = "inconclusive"
    NOT_MEASURED = "not measured"
    NOT_APPLICABLE = "not applicable"


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
    LOAD_NOT_PUT_ON = "load_not_put_on"
    """The run asked for less than the promise is about."""
    RUN_TOO_SHORT = "run_too_short"
    """The run lasted less than the promise's window."""
    OTHER_RUN = "other_run"
    """The threshold does not apply to this kind of run."""
    BY_HAND = "by_hand"
    """A promise about load, and one person recorded."""


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
    confidence: float | None = None
    """0 to 1, of a pass that rests on less than the usual 95 %."""
    more_samples: int | None = None
    """About how many more would settle an inconclusive one."""
    asked: float | None = None
    """The load that the run asked for, where it was less than the promise is about."""


class Durations(Protocol):
    """What `reports.samples.Times` gives."""

    @property
    def ordered(self) -> Ordered:
        """Nanoseconds, ascending."""

    @property
    def failed(self) -> int:
        """How many have no duration because they failed."""


def judge_times(threshold: Threshold, times: Durations) -> Judged:
    """Judge a percentile, maximum, minimum or average of durations."""
    expression = threshold.expression
    upper = expression.comparison.is_upper
    failed = times.failed if upper and expression.statistic in (Statistic.PERCENTILE, Statistic.MAX) else 0
    n = len(times.ordered) + failed
    if n == 0:
        return Judged(threshold=threshold, verdict=Verdict.NOT_MEASURED, why=Why.NOTHING_SELECTED)
    judge = {Statistic.PERCENTILE: _judge_percentile, Statistic.AVG: _judge_average}.get(
        expression.statistic, _judge_extreme
    )
    return judge(threshold, times.ordered, failed)


def _judge_percentile(threshold: Threshold, ordered: Ordered, failed: int) -> Judged:
    expression = threshold.expression
    share = expression.percentile
    assert share is not None
    n = len(ordered) + failed
    ranks = statistics.percentile_ranks(n, share)
    measured, low, high = (_value(ordered, rank) for rank in (rank_of(n, share), ranks.low, ranks.high))
    keeping = _keeping(expression, ordered)
    sides = [None if rank is None else _keeps(expression, ordered, rank) for rank in ranks]
    near, far = sides if expression.comparison.is_upper else sides[::-1]
    verdict, why = _two_sided(n, near, far, every=keeping == n)
    bound = share if expression.comparison.is_upper else 1 - share
    seen = keeping / n if expression.comparison.is_upper else 1 - keeping / n
    return Judged(
        threshold=threshold,
        verdict=verdict,
        why=why,
        n=n,
        failed=failed,
        breaking=n - keeping,
        measured=measured,
        low=low,
        high=high,
        confidence=statistics.confidence_of_all(n, bound) if why is Why.EVERY_SAMPLE else None,
        more_samples=_more(verdict, why, n, float(share), seen),
    )


def _two_sided(n: int, near: bool | None, far: bool | None, *, every: bool) -> tuple[Verdict, Why]:
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


def _judge_extreme(threshold: Threshold, ordered: Ordered, failed: int) -> Judged:
    """A maximum or minimum is a statement about every sample, or about one."""
    expression = threshold.expression
    n = len(ordered) + failed
    largest = expression.statistic is Statistic.MAX
    measured = None if largest and failed else int(ordered[-1 if largest else 0])
    keeping = _keeping(expression, ordered)
    if largest is not expression.comparison.is_upper:  # that some sample is so long, or so short
        verdict, why = (Verdict.PASS if keeping else Verdict.FAIL), Why.EXACT
    elif keeping < n:
        verdict, why = Verdict.FAIL, Why.ONE_SAMPLE
    elif n < MIN_SAMPLES:
        verdict, why = Verdict.INCONCLUSIVE, Why.TOO_FEW
    else:
        verdict, why = Verdict.PASS, Why.EVERY_SAMPLE
    return Judged(
        threshold=threshold,
        verdict=verdict,
        why=why,
        n=n,
        failed=failed,
        breaking=n - keeping,
        measured=measured,
        more_samples=MIN_SAMPLES - n if why is Why.TOO_FEW else None,
    )


def _judge_average(threshold: Threshold, ordered: Ordered, failed: int) -> Judged:
    """An average of those that have a duration."""
    n = len(ordered)
    expression = threshold.expression
    values = [int(value) for value in ordered]
    mean = Fraction(sum(values), n)
    deviation = (sum((value - float(mean)) ** 2 for value in values) / (n - 1)) ** 0.5 if n > 1 else 0.0
    low, high = statistics.mean_interval(float(mean), deviation, n)
    sides = [None if end is None else _holds(expression, end) for end in (low, high)]
    near, far = sides if expression.comparison.is_upper else sides[::-1]
    verdict, why = _two_sided(n, near, far, every=False)
    return Judged(
        threshold=threshold,
        verdict=verdict,
        why=why,
        n=n,
        breaking=n - _keeping(expression, ordered),
        measured=float(mean),
        low=low,
        high=high,
        more_samples=MIN_SAMPLES - n if why is Why.TOO_FEW else None,
    )


def judge_share(threshold: Threshold, hits: int, n: int) -> Judged:
    """Judge a rate or reach: `hits` of `n` samples count."""
    if n == 0:
        return Judged(threshold=threshold, verdict=Verdict.NOT_MEASURED, why=Why.NOTHING_SELECTED)
    expression = threshold.expression
    limit = expression.limit
    upper = expression.comparison.is_upper or (expression.comparison is Comparison.EQUAL and limit == 0)
    breaking = hits if upper else n - hits
    low, high = statistics.share_interval(hits, n)
    confidence = None
    if limit == (0 if upper else 1) or expression.comparison is Comparison.EQUAL:
        verdict, why = _judge_all_or_nothing(expression, hits, n)
    else:
        sides = [_holds(expression, end) for end in (low, high)]
        near, far = sides if upper else sides[::-1]
        verdict, why = _two_sided(n, near, far, every=breaking == 0)
        if why is Why.EVERY_SAMPLE:
            confidence = statistics.confidence_of_all(n, 1 - limit if upper else limit)
    return Judged(
        threshold=threshold,
        verdict=verdict,
        why=why,
        n=n,
        breaking=breaking,
        measured=hits / n,
        low=low,
        high=high,
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


def _keeps(expression: Expression, ordered: Ordered, rank: int) -> bool:
    """Whether the sample of a rank keeps the limit; one that failed is beyond every upper limit."""
    return rank <= len(ordered) and _holds(expression, int(ordered[rank - 1]))


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


def _value(ordered: Ordered, rank: int | None) -> float | None:
    """The sample of a rank; None where there is none because it failed."""
    return None if rank is None or rank > len(ordered) else int(ordered[rank - 1])


def _more(verdict: Verdict, why: Why, n: int, share: float, seen: float) -> int | None:
    if verdict is not Verdict.INCONCLUSIVE:
        return None
    if why is Why.TOO_FEW:
        return MIN_SAMPLES - n
    total = statistics.samples_to_settle(share, seen)
    return None if total is None else max(1, total - n)
