"""Thresholds on what a program measured by itself: `p95(media request) < 1s`, judged like any other. Pure.

The language is that of `reports.grammar`, with the name of a metric where the quantity stands:

    p95(NAME), max(NAME), min(NAME), avg(NAME)   its durations
    rate(NAME)                                   its failures, of all its measurements
    count(NAME)                                  its measurements that did not fail
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isinf

from nestperf.percentiles import nearest_rank
from nestperf.printable import printable
from nestperf.verdicts import Verdict
from reports.estimates import Estimate, estimate_numbers, estimate_share, estimate_times
from reports.expressions import Statistic
from reports.grammar import ExpressionRefused, parse_expression
from reports.relative import judge_relative
from reports.rules import Judged, Why, judge_number, judge_share, judge_times
from reports.thresholds import MEASURE, Selector, Threshold

_FORM = re.compile(r"\s*(?P<statistic>[\w.]+)\s*\((?P<name>.+)\)\s*(?P<limit>(?:<=|>=|==|<|>).*)\Z", re.DOTALL)
_QUANTITIES = {"rate": "failed", "count": "exchanges"}


@dataclass(slots=True)
class Metric:
    """Everything that was measured under one name."""

    name: str
    durations_ns: list[int]
    """In order of time, those that failed left out."""
    failed: int = 0

    @property
    def ordered(self) -> list[int]:
        """Ascending."""
        return sorted(self.durations_ns)

    def summary(self) -> Summary:
        """Its figures."""
        ordered = self.ordered
        if not ordered:
            return Summary(name=self.name, count=0, failed=self.failed)
        p50, p95, p99 = (nearest_rank(ordered, Fraction(share, 100)) for share in (50, 95, 99))
        return Summary(
            name=self.name,
            count=len(ordered),
            failed=self.failed,
            avg_ns=round(sum(ordered) / len(ordered)),
            min_ns=ordered[0],
            max_ns=ordered[-1],
            p50_ns=p50,
            p95_ns=p95,
            p99_ns=p99,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The figures of one metric; None where everything failed."""

    name: str
    count: int
    """Measurements that did not fail."""
    failed: int = 0
    avg_ns: int | None = None
    min_ns: int | None = None
    max_ns: int | None = None
    p50_ns: int | None = None
    p95_ns: int | None = None
    p99_ns: int | None = None


def parse_threshold(text: str) -> Threshold:
    """One threshold on one metric, whose name is the threshold's selector of routes.

    Raises:
        ExpressionRefused: it is not of the grammar; the caret stands under the place.
    """
    form = _FORM.match(text)
    if form is None:
        raise ExpressionRefused(
            "expected a statistic of a metric and its limit, such as p95(media request) < 1s", text, 0
        )
    if form["statistic"] == "reach":
        raise ExpressionRefused("a metric has no receivers: use p95, max, min, avg, rate or count", text, 0)
    quantity = _QUANTITIES.get(form["statistic"], "latency")
    rest = f"{form['statistic']}({quantity}) {form['limit']}"
    try:
        expression = parse_expression(rest)
    except ExpressionRefused as error:
        # The caret moves with the metric's name, which is as long as it is.
        before = len(form["statistic"]) + len(quantity) + 3
        column = form.start("statistic") + error.column
        if error.column >= before:
            column = form.start("limit") + error.column - before
        raise ExpressionRefused(error.sentence, text, min(column, len(text))) from None
    if expression.per_ns is not None:
        raise ExpressionRefused("a metric is counted as a whole", text, text.rindex("per"))
    name = form["name"].strip()
    return Threshold(
        name=text.strip(),
        expression=replace(expression, text=text.strip()),
        selector=Selector(route=(name,)),
        applies=(MEASURE,),
        required=(MEASURE,),
    )


def judge_metric(
    threshold: Threshold, metrics: Mapping[str, Metric], baselines: Sequence[Mapping[str, Metric]], *, certain: bool
) -> Judged:
    """Judge a threshold. `certain` False: these measurements alone count, however few, and nothing is concluded of
    others."""
    (name,) = threshold.selector.route
    metric = metrics.get(name)
    old = [baseline[name] for baseline in baselines if name in baseline]
    if metric is None:
        return Judged(threshold=threshold, verdict=Verdict.NOT_MEASURED, why=Why.NOTHING_SELECTED)
    if threshold.expression.of_baseline:
        if not baselines:
            return Judged(threshold=threshold, verdict=Verdict.NOT_MEASURED, why=Why.NO_BASELINE)
        judged = judge_relative(threshold, _estimate(threshold, [metric]), _estimate(threshold, old))
    else:
        judged = _judge(threshold, metric)
    return judged if certain else _as_it_is(judged, _estimate(threshold, [metric]), _estimate(threshold, old))


def _judge(threshold: Threshold, metric: Metric) -> Judged:
    match threshold.expression.statistic:
        case Statistic.COUNT:
            return judge_number(threshold, len(metric.durations_ns))
        case Statistic.RATE:
            return judge_share(threshold, metric.failed, metric.failed + len(metric.durations_ns))
    return judge_times(threshold, metric, _inflation(threshold, metric))


def _estimate(threshold: Threshold, metrics: Iterable[Metric]) -> Estimate | None:
    """The threshold's measure over all of them together; None of no sample."""
    metrics = tuple(metrics)
    match threshold.expression.statistic:
        case Statistic.COUNT:
            return estimate_numbers(len(metric.durations_ns) for metric in metrics)
        case Statistic.RATE:
            failed, good = (sum(m.failed for m in metrics), sum(len(m.durations_ns) for m in metrics))
            return estimate_share(failed, failed + good)
    together = Metric("", [ns for m in metrics for ns in m.durations_ns], sum(m.failed for m in metrics))
    inflation = max((_inflation(threshold, metric) for metric in metrics), default=1.0)
    return estimate_times(threshold.expression, together, inflation)


def _inflation(threshold: Threshold, metric: Metric) -> float:
    """How many measurements are worth one independent one."""
    share = threshold.expression.percentile
    if share is None or not metric.durations_ns:
        return 1.0
    import numpy as np  # only where something is judged

    from reports.effective import inflation_of

    return inflation_of(np.array(metric.durations_ns, dtype=np.float64), share)


def _as_it_is(judged: Judged, measured: Estimate | None, old: Estimate | None) -> Judged:
    expression = judged.threshold.expression
    if measured is None or (expression.of_baseline and old is None):
        return judged
    limit = expression.limit
    if expression.of_baseline and old is not None:
        if isinf(old.value):
            return replace(judged, verdict=Verdict.PASS, why=Why.EXACT)  # anything is better
        limit *= Fraction(old.value)
    if isinf(measured.value):
        keeps = not expression.comparison.is_upper
    else:
        keeps = expression.comparison.holds(Fraction(measured.value), limit)
    verdict = Verdict.PASS if keeps else Verdict.REGRESSION if expression.of_baseline else Verdict.FAIL
    return replace(judged, verdict=verdict, why=Why.EXACT, more_samples=None, confidence=None)


def unknown_metric(name: str, known: Iterable[str]) -> str:
    """What to say of a name under which nothing was measured."""
    known = sorted(known)
    there = f" (measured: {printable(', '.join(known), 200)})" if known else ""
    near = difflib.get_close_matches(name, known, 1)
    return f"nothing was measured as {name!r}" + (f"; the nearest is {printable(near[0], 80)}" if near else there)
