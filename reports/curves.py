"""The percentiles of what each promise is about, as curves with the limits that are drawn into them. Never judges.

A curve's value at a share is the nearest rank on all samples; what failed stands behind the slowest, so a curve ends
where failures begin.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nestperf.percentiles import rank_of
from reports.expressions import Dimension, Statistic

if TYPE_CHECKING:
    from reports.measures import Measures
    from reports.rules import Judged

SHARES = tuple(
    Fraction(step, 1000) for step in (*range(0, 900, 20), *range(900, 990, 3), *range(990, 1000))
) + tuple(1 - Fraction(9 - step, 10 ** (nines + 1)) for nines in (3, 4, 5) for step in range(9))  # fmt: skip
TAIL = 20
"""The slowest so many are points of every curve."""


class Point(NamedTuple):
    """At least `share` of all samples take no longer than this."""

    share: float
    took_ns: int


class Limit(NamedTuple):
    """One promise on a curve."""

    name: str
    verdict: str
    share: float
    """Of the samples that have to keep it; 1 for a maximum."""
    limit_ns: float
    measured_ns: float | None
    low_ns: float | None
    high_ns: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One distribution of durations."""

    title: str
    n: int
    failed: int
    points: tuple[Point, ...]
    limits: tuple[Limit, ...]
    baseline_n: int = 0
    baseline: tuple[Point, ...] = ()
    """The same of all baselines together."""


def curves(judged: Sequence[Judged], measures: Measures, baselines: Sequence[Measures] = ()) -> tuple[Curve, ...]:
    """One curve for everything that promises about durations are made of, those with most samples first."""
    groups: dict[object, list[Judged]] = {}
    for one in judged:
        expression = one.threshold.expression
        if expression.dimension is Dimension.TIME and one.n:
            groups.setdefault(
                (expression.quantity, expression.event, expression.name, one.threshold.selector), []
            ).append(one)
    found = (_curve(group, measures, baselines) for group in groups.values())
    return tuple(sorted((curve for curve in found if curve.points), key=lambda curve: -curve.n))


def _curve(group: list[Judged], measures: Measures, baselines: Sequence[Measures]) -> Curve:
    threshold = group[0].threshold
    times = measures.times(threshold)
    old = [one.times(threshold) for one in baselines]
    ordered: NDArray[np.int64] = np.sort(np.concatenate([t.ordered for t in old])) if old else times.ordered[:0]
    return Curve(
        title=_title(group),
        n=len(times.ordered) + times.failed,
        failed=times.failed,
        points=points_of(times.ordered, times.failed),
        limits=tuple(_limits(group)),
        baseline_n=len(ordered) + sum(t.failed for t in old),
        baseline=points_of(ordered, sum(t.failed for t in old)),
    )


def _title(group: list[Judged]) -> str:
    return group[0].threshold.name


def _limits(group: list[Judged]) -> Iterator[Limit]:
    for judged in group:
        expression = judged.threshold.expression
        share = expression.percentile if expression.percentile is not None else None
        if expression.statistic is Statistic.MAX:
            share = Fraction(1)
        if share is None or (expression.of_baseline and judged.baseline is None):
            continue
        factor = judged.baseline if expression.of_baseline else 1
        yield Limit(
            name=judged.threshold.name,
            verdict=judged.verdict,
            share=float(share),
            limit_ns=float(expression.limit) * float(factor or 0),
            measured_ns=judged.measured,
            low_ns=judged.low,
            high_ns=judged.high,
        )


def points_of(ordered: NDArray[np.int64], failed: int = 0) -> tuple[Point, ...]:
    """The percentiles of durations, ascending, with `failed` more that are slower than any of them."""
    n, answered = len(ordered) + failed, len(ordered)
    ranks = {rank_of(n, share) for share in SHARES} | set(range(max(1, answered - TAIL + 1), answered + 1))
    return tuple(Point(rank / n, int(ordered[rank - 1])) for rank in sorted(ranks) if rank <= answered)
