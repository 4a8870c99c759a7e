"""How many of a capture's samples are worth one independent one: a burst of slow answers is not fifty witnesses."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from nestperf.percentiles import nearest_rank
from reports.columns import Stamps
from reports.dependence import of_percentile
from reports.statistics import MIN_SAMPLES

_BLOCKS = 4
_BLOCK = 5_000
"""Of longer series some stretches stand for the whole: dependence is looked for among near neighbours anyway."""


def inflation_of(in_order: Stamps, share: Fraction) -> float:
    """The inflation of a percentile's interval, at least 1; `in_order` holds durations in order of time, none NaN."""
    if len(in_order) < MIN_SAMPLES:
        return 1.0
    value = _dividing(in_order, share)
    if len(in_order) <= _BLOCKS * _BLOCK:
        return of_percentile(in_order, value).for_an_interval
    begins = np.linspace(0, len(in_order) - _BLOCK, _BLOCKS).astype(int)
    found = [of_percentile(in_order[begin : begin + _BLOCK], value).for_an_interval for begin in begins]
    return float(np.median(found))


def _dividing(in_order: Stamps, share: Fraction) -> float:
    """A time that so large a share of the durations do not exceed, as nearly as their ties allow."""
    ordered = np.sort(in_order)
    value = float(nearest_rank(ordered, share))
    below, at_most = (np.searchsorted(ordered, value, side=side) / len(ordered) for side in ("left", "right"))
    return value if abs(at_most - share) <= abs(below - share) else float(np.nextafter(value, -np.inf))
