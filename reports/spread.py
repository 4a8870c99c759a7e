"""How a report sums many samples up: percentiles of durations, and how many there were a minute. Pure.

Durations are whole nanoseconds; a percentile of nothing is None.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nestperf.percentiles import nearest_rank
from reports.statistics import percentile_ranks

P50, P95, P99 = Fraction(1, 2), Fraction(95, 100), Fraction(99, 100)
_MINUTE_NS = 60_000_000_000
_SHORTEST_NS = 1_000_000_000


class Percentiles(NamedTuple):
    """What a set of durations looks like."""

    n: int = 0
    p50_ns: int | None = None
    p95_ns: int | None = None
    p99_ns: int | None = None
    max_ns: int | None = None
    p95_low_ns: int | None = None
    """The 95 % interval of p95; None where the sample is too small to bound it on that side."""
    p95_high_ns: int | None = None


def percentiles_of(ordered: NDArray[np.int64], inflation: float = 1.0) -> Percentiles:
    """Summarize durations; `ordered` ascends, `inflation` of them are worth one independent one."""
    n = len(ordered)
    if n == 0:
        return Percentiles()
    low, high = percentile_ranks(n, P95, inflation=inflation)
    return Percentiles(
        n=n,
        p50_ns=nearest_rank(ordered, P50),
        p95_ns=nearest_rank(ordered, P95),
        p99_ns=nearest_rank(ordered, P99),
        max_ns=int(ordered[-1]),
        p95_low_ns=None if low is None else int(ordered[low - 1]),
        p95_high_ns=None if high is None else int(ordered[high - 1]),
    )


def per_minute(n: int, span_ns: int) -> float | None:
    """None where the capture is so short that a rate would be made of one or two exchanges."""
    return n * _MINUTE_NS / span_ns if span_ns >= _SHORTEST_NS else None
