"""Percentiles, shares and averages with what is certain about them. Pure: numbers in, numbers out, no numpy needed.

A percentile is nearest rank on the full sorted sample. Its interval runs from one order statistic to another: the
number of samples below the true percentile is binomial, whatever the distribution (David and Nagaraja, *Order
Statistics*, 7.1), so nothing is assumed but independence. A share's interval is Clopper and Pearson's. Both are
two-sided and cover the truth with at least the stated confidence. Samples that depend on each other count for fewer:
`inflation` says how many of them are worth one (`reports.dependence` measures it).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from statistics import NormalDist
from typing import NamedTuple

CONFIDENCE = 0.95
MIN_SAMPLES = 20
"""With fewer nothing passes: the nearest-rank p95 of fewer than 20 samples is simply their maximum."""


class Ranks(NamedTuple):
    """The order statistics that bound a percentile, counted from 1; None where the sample is too small for a bound."""

    low: int | None
    high: int | None


class Interval(NamedTuple):
    """Where the true value lies; None where nothing bounds it on that side."""

    low: float | None
    high: float | None


@lru_cache(maxsize=4096)
def percentile_ranks(n: int, share: Fraction, confidence: float = CONFIDENCE, inflation: float = 1.0) -> Ranks:
    """The ranks between which the true percentile lies with at least `confidence`, half the rest on each side.

    The lower rank r is the largest with P(B < r) <= (1 - confidence) / 2, the upper the smallest with
    P(B >= r) <= (1 - confidence) / 2, where B is binomial(n, share). With an `inflation` above 1 they are those of
    `n / inflation` samples, at the same places of the ordered sample.
    """
    tail = (1 - confidence) / 2
    p = float(share)
    if inflation > 1:
        return _spread_ranks(n, p, tail, inflation)
    low = _first(n, lambda rank: binomial_cdf(rank - 1, n, p) > tail) - 1
    high = _first(n, lambda rank: 1 - binomial_cdf(rank - 1, n, p) <= tail)
    return Ranks(low if low >= 1 else None, high if high <= n else None)


def _spread_ranks(n: int, p: float, tail: float, inflation: float) -> Ranks:
    """As `percentile_ranks`, of an effective sample size that need not be whole.

    The r-th of m uniform samples is beta(r, m + 1 - r), which also makes sense between whole numbers.
    """
    effective = n / inflation
    scale = (n + 1) / (effective + 1)

    def exceeded(rank: float) -> float:
        """P(the rank's order statistic lies above p)."""
        return _incomplete_beta(effective + 1 - rank, rank, 1 - p)

    low = _bisect_to(effective, lambda rank: exceeded(rank) > tail)
    high = _bisect_to(effective, lambda rank: exceeded(rank) >= 1 - tail)
    low_rank = math.floor(low * scale)
    bounded = exceeded(effective) >= 1 - tail
    return Ranks(low_rank if low_rank >= 1 else None, min(n, math.ceil(high * scale)) if bounded else None)


def _bisect_to(end: float, holds: Callable[[float], bool]) -> float:
    """The smallest number in 0..end for which `holds`, which stays true once it is."""
    low, high = 0.0, end
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _first(n: int, holds: Callable[[int], bool]) -> int:
    """The first of 1..n for which `holds`, which stays true once it is; n + 1 where there is none."""
    low, high = 1, n + 1
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low


def binomial_cdf(k: int, n: int, p: float) -> float:
    """P(B <= k) of a binomial(n, p): a regularized incomplete beta function (https://dlmf.nist.gov/8.17.E5)."""
    if k < 0:
        return 0.0
    if k >= n:
        return 1.0
    return _incomplete_beta(n - k, k + 1, 1 - p)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularized I_x(a, b), by the continued fraction that converges fast on its side of the mean."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / (a * _beta_fraction(a, b, x))


def _beta_fraction(a: float, b: float, x: float) -> float:
    """1 + d1/(1 + d2/(1 + ...)) of https://dlmf.nist.gov/8.17.E22, by Lentz's forward evaluation."""
    tiny = 1e-300
    value = c = 1.0
    d = 0.0
    for step in range(1, 100_000):
        m = step // 2
        if step % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1 / ((1 + term * d) or tiny)
        c = (1 + term / c) or tiny
        value *= c * d
        if abs(c * d - 1) < 1e-14:
            break
    return value


def share_interval(hits: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share of which `hits` of `n` samples were seen; 0 to 1 without samples."""
    if n == 0:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = 0.0 if hits == 0 else _bisect_to(1.0, lambda p: 1 - binomial_cdf(hits - 1, n, p) > tail)
    high = 1.0 if hits == n else _bisect_to(1.0, lambda p: binomial_cdf(hits, n, p) <= tail)
    return low, high


def mean_interval(mean: float, deviation: float, n: int, confidence: float = CONFIDENCE) -> Interval:
    """Student's interval of an average, `deviation` being the sample's standard deviation; unbounded for n < 2."""
    if n < 2:
        return Interval(None, None)
    half = _student_quantile((1 + confidence) / 2, n - 1) * deviation / math.sqrt(n)
    return Interval(mean - half, mean + half)


def _student_quantile(p: float, freedom: int) -> float:
    """Student's t quantile, Cornish and Fisher's expansion (Abramowitz and Stegun 26.7.5); 0.1 % off at 19 degrees."""
    z = NormalDist().inv_cdf(p)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / freedom + second / freedom**2 + third / freedom**3


def confidence_of_all(n: int, share: Fraction) -> float:
    """How sure `n` samples, all below a limit, make it that the percentile is below it: 1 - share ** n."""
    return 1 - float(share) ** n


SETTLES = 0.8
"""How often so many samples as `samples_to_settle` says are enough, if the share is what was seen."""


def samples_to_settle(
    share: float, seen: float, confidence: float = CONFIDENCE, *, inflation: float = 1.0
) -> int | None:
    """About how many samples in all would tell `share` from the share `seen` so far; None where the two are equal.

    Enough for four in five repetitions (`SETTLES`): the size of a one-sample test of a proportion (Fleiss, Levin and
    Paik, *Statistical Methods for Rates and Proportions*, 2.6), one side of the interval on the limit.
    """
    if seen == share:
        return None
    normal = NormalDist()
    sure = normal.inv_cdf((1 + confidence) / 2) * math.sqrt(share * (1 - share))
    found = normal.inv_cdf(SETTLES) * math.sqrt(seen * (1 - seen))
    return max(MIN_SAMPLES, math.ceil(inflation * ((sure + found) / (seen - share)) ** 2))


def student_tail(t: float, freedom: float) -> float:
    """P(T >= t) of Student's distribution; `freedom` need not be whole and may be infinite.

    An incomplete beta function (Abramowitz and Stegun 26.7.1).
    """
    if math.isinf(freedom):
        return 0.5 * math.erfc(t / math.sqrt(2))
    both = _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))
    return both / 2 if t >= 0 else 1 - both / 2


@lru_cache(maxsize=4096)
def student_limit(tail: float, freedom: float) -> float:
    """The t that Student's distribution exceeds with probability `tail`, below one half; the inverse of its tail."""
    high = 2.0
    while student_tail(high, freedom) > tail:
        high *= 2
    return _bisect_to(high, lambda t: student_tail(t, freedom) <= tail)
