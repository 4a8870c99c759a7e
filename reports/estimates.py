"""What a sample says of a measure, with what it leaves open: value and 95 % interval. Pure.

Numbers are of the expression's dimension: nanoseconds, 0 to 1, counts. What failed is slower than any duration, so a
percentile that falls among the failed is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple, Protocol

from nestperf.percentiles import Ordered, rank_of
from reports import statistics
from reports.expressions import Expression, Statistic


class Durations(Protocol):
    """What `reports.samples.Times` gives."""

    @property
    def ordered(self) -> Ordered:
        """Nanoseconds, ascending."""

    @property
    def failed(self) -> int:
        """How many have no duration because they failed."""


class Estimate(NamedTuple):
    """One measure of one capture."""

    n: int
    """Samples, the failed among them."""
    value: float
    """`inf` where it falls among those that failed."""
    low: float | None = None
    """The interval's ends; None where nothing bounds it there, `inf` among the failed."""
    high: float | None = None
    failed: int = 0
    inflation: float = 1.0
    """How many samples are worth one independent one."""
    least: float | None = None
    """Of a percentile, the fastest sample and the slowest (`inf` where one failed): where nothing bounds the interval
    they stand for its ends, with less confidence."""
    most: float | None = None


def estimate_times(expression: Expression, times: Durations, inflation: float = 1.0) -> Estimate | None:
    """A percentile, maximum, minimum or average of durations; None of no sample at all.

    The failed count where they could break a promise: among percentiles and maxima that are to be small.
    """
    counted = expression.statistic in (Statistic.PERCENTILE, Statistic.MAX) and expression.comparison.is_upper
    failed = times.failed if counted else 0
    n = len(times.ordered) + failed
    if n == 0:
        return None
    match expression.statistic:
        case Statistic.PERCENTILE:
            assert expression.percentile is not None
            return _percentile(times.ordered, failed, expression.percentile, inflation)
        case Statistic.AVG:
            return _average(times.ordered)
        case Statistic.MAX:
            return Estimate(n, _at(times.ordered, n), failed=failed)
    return Estimate(n, _at(times.ordered, 1), failed=failed)


def _percentile(ordered: Ordered, failed: int, share: Fraction, inflation: float) -> Estimate:
    n = len(ordered) + failed
    low, high = statistics.percentile_ranks(n, share, inflation=inflation)
    return Estimate(
        n,
        _at(ordered, rank_of(n, share)),
        None if low is None else _at(ordered, low),
        None if high is None else _at(ordered, high),
        failed,
        inflation,
        _at(ordered, 1),
        _at(ordered, n),
    )


def _at(ordered: Ordered, rank: int) -> float:
    """The sample of a rank, the failed being the slowest."""
    return math.inf if rank > len(ordered) else int(ordered[rank - 1])


def _average(ordered: Ordered) -> Estimate:
    """Of those that have a duration."""
    n = len(ordered)
    values = [int(value) for value in ordered]
    mean = float(Fraction(sum(values), n))
    deviation = (sum((value - mean) ** 2 for value in values) / (n - 1)) ** 0.5 if n > 1 else 0.0
    return Estimate(n, mean, *statistics.mean_interval(mean, deviation, n))


def estimate_share(hits: int, n: int) -> Estimate | None:
    """A rate or reach; None of no sample."""
    return None if n == 0 else Estimate(n, hits / n, *statistics.share_interval(hits, n))


def estimate_numbers(numbers: Iterable[int]) -> Estimate | None:
    """A count, of several captures their average: it is what it is. None of no capture."""
    counts = tuple(numbers)
    if not counts:
        return None
    average = sum(counts) / len(counts)
    return Estimate(round(average), average, average, average)


def with_extremes(estimate: Estimate, share: Fraction) -> tuple[Estimate, float]:
    """A percentile whose missing ends are those of the sample, and how sure that makes it that they are ends: as sure
    as a pass is for which every sample keeps its limit."""
    worth = int(estimate.n / estimate.inflation)
    sure = 1.0
    low, high = estimate.low, estimate.high
    if low is None and estimate.least is not None:
        low, sure = estimate.least, min(sure, statistics.confidence_of_all(worth, 1 - share))
    if high is None and estimate.most is not None:
        high, sure = estimate.most, min(sure, statistics.confidence_of_all(worth, share))
    return estimate._replace(low=low, high=high), sure


def difference(new: Estimate, old: Estimate, factor: float) -> statistics.Interval:
    """The 95 % interval of `new - factor * old`, from the two intervals.

    The method of variance estimates recovery (Zou and Donner, Statistics in Medicine 27, 2008): each side takes from
    either interval the half that matters to it, so lopsided intervals stay lopsided. Without finite values the ends
    are simply subtracted, which is wider.
    """
    low, high = _lower(new, old, factor), _lower(_mirrored(new), _mirrored(old), factor)
    return statistics.Interval(low, None if high is None else -high)


def _lower(new: Estimate, old: Estimate, factor: float) -> float | None:
    if new.low is None or old.high is None or math.isinf(old.high):
        return None
    if math.isinf(new.low) or math.isinf(new.value) or math.isinf(old.value):
        return new.low - factor * old.high
    spread = math.hypot(new.value - new.low, factor * (old.high - old.value))
    return new.value - factor * old.value - spread


def _mirrored(estimate: Estimate) -> Estimate:
    low = None if estimate.high is None else -estimate.high
    high = None if estimate.low is None else -estimate.low
    return estimate._replace(value=-estimate.value, low=low, high=high)
