"""The ratio of a percentile on two sides, with its interval. Pure: ordered arrays in, numbers out."""

from __future__ import annotations

import math
from fractions import Fraction

from nestperf.percentiles import rank_of
from reports.compare.model import Ratio
from reports.dependence import Floats
from reports.statistics import percentile_ranks

_NORMAL_975 = 1.96


def percentile_ratio(old: Floats, new: Floats, share: Fraction, inflation: float = 1.0, variance: float = 0.0) -> Ratio:
    """New over old of a percentile, nanoseconds; both sides ascend.

    The 95 % interval is made of those of both sides, by order statistics (the method of variance estimates recovery,
    Zou and Donner, Statistics in Medicine 27, 2008, on logarithms), so lopsided ones stay lopsided. `inflation`: how
    many samples are worth one independent one; `variance`: of the logarithm of the ratio, between runs.
    """
    inflation = round(inflation, 2)
    (old_low, old_mid, old_high), (new_low, new_mid, new_high) = (_logs(side, share, inflation) for side in (old, new))
    noise = _NORMAL_975 * math.sqrt(variance)
    effect = new_mid - old_mid
    low = high = None
    if new_low is not None and old_high is not None:
        low = math.exp(effect - math.hypot(new_mid - new_low, old_high - old_mid, noise))
    if new_high is not None and old_low is not None:
        high = math.exp(effect + math.hypot(new_high - new_mid, old_mid - old_low, noise))
    return Ratio(math.exp(effect), low, high)


def _logs(ordered: Floats, share: Fraction, inflation: float) -> tuple[float | None, float, float | None]:
    """The logarithms of the lower end, the percentile and the upper end; None where nothing bounds it."""
    n = len(ordered)
    ranks = percentile_ranks(n, share, inflation=inflation)
    low, high = (None if rank is None else _log(ordered, rank) for rank in ranks)
    return low, _log(ordered, rank_of(n, share)), high


def _log(ordered: Floats, rank: int) -> float:
    return math.log(max(float(ordered[rank - 1]), 1.0))
