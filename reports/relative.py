"""The rule for thresholds relative to a baseline: on which side of zero the whole difference lies. Pure."""

from __future__ import annotations

from fractions import Fraction
from math import isinf

from nestperf.verdicts import Verdict
from reports.estimates import Estimate, difference, with_extremes
from reports.expressions import Comparison, Expression, Statistic
from reports.rules import Judged, Why, judged, missing, two_sided
from reports.statistics import MIN_SAMPLES
from reports.thresholds import Threshold


def judge_relative(threshold: Threshold, new: Estimate | None, old: Estimate | None) -> Judged:
    """Judge a measure by the same measure of the baseline: the interval of their difference must lie on one side.

    Extremes and counts have no interval: their numbers are compared as they are.
    """
    if new is None:
        return Judged(threshold=threshold, verdict=Verdict.NOT_MEASURED, why=Why.NOTHING_SELECTED)
    if old is None:
        return judged(threshold, new, Verdict.NOT_MEASURED, Why.NOT_IN_BASELINE)
    expression = threshold.expression
    n, sure = min(new.n, old.n), None
    if expression.statistic in (Statistic.MAX, Statistic.MIN, Statistic.COUNT):
        verdict, why = (Verdict.PASS if _keeps_factor(new.value, expression, old.value) else Verdict.FAIL), Why.EXACT
        if expression.statistic is not Statistic.COUNT and n < MIN_SAMPLES:
            verdict, why = Verdict.INCONCLUSIVE, Why.TOO_FEW
    else:
        verdict, why = _sided(expression, new, old, n)
        if why is Why.STRADDLES and expression.percentile is not None:
            (wide_new, of_new), (wide_old, of_old) = (with_extremes(e, expression.percentile) for e in (new, old))
            verdict, why = _sided(expression, wide_new, wide_old, n)
            if why is Why.INTERVAL:
                why, sure = Why.EVERY_SAMPLE, min(of_new, of_old)
        if why is Why.STRADDLES and _cannot_be_better(expression, new):
            verdict, why = Verdict.PASS, Why.EVERY_SAMPLE
    if verdict is Verdict.FAIL:
        verdict = Verdict.REGRESSION
    return judged(
        threshold,
        new,
        verdict,
        why,
        confidence=sure,
        more_samples=missing(n) if why is Why.TOO_FEW else None,
        baseline=None if isinf(old.value) else old.value,
        baseline_n=old.n,
    )


def _cannot_be_better(expression: Expression, new: Estimate) -> bool:
    """No failure at all, everybody reached: no baseline asks for more, if it may be equalled."""
    if expression.statistic not in (Statistic.RATE, Statistic.REACH):
        return False
    best = 0 if expression.comparison is Comparison.AT_MOST else 1
    return new.value == best and expression.comparison in (Comparison.AT_MOST, Comparison.AT_LEAST)


def _sided(expression: Expression, new: Estimate, old: Estimate, n: int) -> tuple[Verdict, Why]:
    """The verdict of the interval of the difference."""
    ends = difference(new, old, float(expression.limit))
    sides = [None if end is None else expression.comparison.holds(end, Fraction(0)) for end in ends]
    near, far = sides if expression.comparison.is_upper else sides[::-1]
    return two_sided(n, near, far, every=False)


def _keeps_factor(value: float, expression: Expression, baseline: float) -> bool:
    if isinf(baseline):
        return expression.comparison.is_upper
    return expression.comparison.holds(value, Fraction(baseline) * expression.limit)
