"""Percentiles and intervals against tables by hand, scipy, definitions, and simulation."""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right
from fractions import Fraction
from itertools import pairwise

import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from nestperf.percentiles import nearest_rank, rank_of
from reports.statistics import (
    binomial_cdf,
    confidence_of_all,
    mean_interval,
    percentile_ranks,
    samples_to_settle,
    share_interval,
    student_limit,
    student_tail,
)

P50, P95, P99 = Fraction(1, 2), Fraction(95, 100), Fraction(99, 100)

BY_HAND = [
    ("the median of five is the third", [15, 20, 35, 40, 50], P50, 35),
    ("the 30th of five is the second", [15, 20, 35, 40, 50], Fraction(30, 100), 20),
    ("p95 of twenty is the nineteenth", list(range(1, 21)), P95, 19),
    ("p95 of nineteen is the largest", list(range(1, 20)), P95, 19),
    ("p95 of a hundred is the ninety-fifth, not the next", list(range(1, 101)), P95, 95),
    ("p7 of a hundred is the seventh, though 0.07 * 100 > 7 in floats", list(range(1, 101)), Fraction(7, 100), 7),
    ("any percentile of one sample is that sample", [8], P99, 8),
    ("a percentile below the first rank is the smallest", [3, 4], Fraction(1, 1000), 3),
]


@pytest.mark.parametrize(("ordered", "share", "expected"), [c[1:] for c in BY_HAND], ids=[c[0] for c in BY_HAND])
def test_nearest_rank_of_a_table_is_exact(ordered: list[int], share: Fraction, expected: int) -> None:
    assert nearest_rank(ordered, share) == expected


@given(
    st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=300).map(sorted),
    st.integers(1, 999).map(lambda mille: Fraction(mille, 1000)),
)
def test_nearest_rank_of_any_sample_is_the_smallest_that_enough_do_not_exceed(
    ordered: list[int], share: Fraction
) -> None:
    value = nearest_rank(ordered, share)
    assert Fraction(bisect_right(ordered, value), len(ordered)) >= share
    assert Fraction(bisect_left(ordered, value), len(ordered)) < share


@pytest.mark.parametrize("n", [1, 2, 20, 71, 72, 368, 10_000, 1_000_000])
@pytest.mark.parametrize("p", [0.01, 0.5, 0.95, 0.99])
def test_binomial_cdf_agrees_with_scipy(n: int, p: float) -> None:
    for k in sorted({-1, 0, 1, n // 2, int(n * p), int(n * p) + 1, n - 1, n}):
        assert binomial_cdf(k, n, p) == pytest.approx(scipy.stats.binom.cdf(k, n, p), abs=1e-8)


def test_percentile_ranks_of_p95_have_an_upper_end_from_72_samples_on() -> None:
    assert percentile_ranks(71, P95).high is None
    assert percentile_ranks(72, P95) == (64, 72)
    assert percentile_ranks(1, P95) == (None, None)


@pytest.mark.parametrize("share", [P50, Fraction(9, 10), P95, P99])
@pytest.mark.parametrize("n", [5, 20, 72, 200, 1_000, 20_000])
def test_percentile_ranks_are_the_narrowest_that_leave_2_5_percent_on_each_side(share: Fraction, n: int) -> None:
    low, high = percentile_ranks(n, share)
    distribution = scipy.stats.binom(n, float(share))
    if low is not None:
        assert distribution.cdf(low - 1) <= 0.025 < distribution.cdf(low)
    else:
        assert distribution.cdf(0) > 0.025
    if high is not None:
        assert distribution.sf(high - 1) <= 0.025 < distribution.sf(high - 2)
    else:
        assert distribution.sf(n - 1) > 0.025


@pytest.mark.parametrize(("n", "share"), [(72, P95), (200, P95), (200, P50)])
def test_percentile_ranks_cover_the_true_percentile_in_a_simulation(n: int, share: Fraction) -> None:
    # Lognormal with sigma 1: the true percentile is known. 1,500 runs: 94.5 % is 3 standard errors below 95.9 %.
    chance = random.Random(5)
    truth = math.exp(scipy.stats.norm.ppf(float(share)))
    low, high = percentile_ranks(n, share)
    assert low is not None
    assert high is not None
    covered = 0
    for _ in range(1_500):
        ordered = sorted(chance.lognormvariate(0, 1) for _ in range(n))
        covered += ordered[low - 1] <= truth <= ordered[high - 1]
    assert 0.945 <= covered / 1_500 <= 0.98


def test_percentile_ranks_of_growing_samples_close_in() -> None:
    widths = []
    for n in (100, 1_000, 10_000, 100_000):
        low, high = percentile_ranks(n, P95)
        assert low is not None
        assert high is not None
        assert low <= rank_of(n, P95) <= high
        widths.append((high - low) / n)
    assert all(narrower < wider for wider, narrower in pairwise(widths))


SHARES = [
    ("none of 20", 0, 20, 0.0, 0.168433),
    ("none of 368 is just enough for 1 %", 0, 368, 0.0, 0.009974),
    ("none of 367 is just not", 0, 367, 0.0, 0.010001),
    ("one of 100", 1, 100, 0.000253, 0.054459),
    ("all of 1,000", 1_000, 1_000, 0.996318, 1.0),
    ("half of a million", 500_000, 1_000_000, 0.499020, 0.500980),
    ("nothing at all", 0, 0, 0.0, 1.0),
]


@pytest.mark.parametrize(("hits", "n", "low", "high"), [case[1:] for case in SHARES], ids=[case[0] for case in SHARES])
def test_share_interval_of_a_table_is_clopper_and_pearsons(hits: int, n: int, low: float, high: float) -> None:
    assert share_interval(hits, n) == pytest.approx((low, high), abs=1e-6)


@given(st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_share_interval_of_any_counts_contains_what_was_seen(counts: tuple[int, int]) -> None:
    hits, n = counts
    low, high = share_interval(hits, n)
    assert 0 <= low <= hits / n <= high <= 1


@pytest.mark.parametrize("n", [6, 20, 200])
def test_mean_interval_agrees_with_students(n: int) -> None:
    low, high = mean_interval(10.0, 3.0, n)
    half = scipy.stats.t.ppf(0.975, n - 1) * 3 / math.sqrt(n)
    assert low == pytest.approx(10 - half, rel=2e-3)
    assert high == pytest.approx(10 + half, rel=2e-3)
    assert mean_interval(10.0, 0.0, 1) == (None, None)


def test_confidence_of_all_for_p95_is_one_minus_095_to_the_n() -> None:
    assert confidence_of_all(20, P95) == pytest.approx(0.6415, abs=1e-4)
    assert confidence_of_all(72, P95) > 0.975 > confidence_of_all(71, P95)


def test_samples_to_settle_grows_as_what_was_seen_nears_the_limit() -> None:
    assert samples_to_settle(0.95, 0.95) is None
    far, near = samples_to_settle(0.95, 0.99), samples_to_settle(0.95, 0.955)
    assert far is not None
    assert near is not None
    assert 20 <= far < 300 < 10_000 < near < 20_000
    assert samples_to_settle(0.95, 0.955, inflation=3) == pytest.approx(3 * near, rel=1e-3)


@pytest.mark.parametrize("seen", [0.9, 0.93, 0.965, 0.98])
def test_so_many_samples_settle_it_in_four_of_five_simulations(seen: float) -> None:
    # Whether p95 is below a limit that `seen` of all samples keep: settled where an end of the interval is beyond it.
    n = samples_to_settle(0.95, seen)
    assert n is not None
    low, high = percentile_ranks(n, P95)
    assert low is not None
    assert high is not None
    below = scipy.stats.binom(n, seen)  # so many samples lie below the limit
    settled = below.sf(high - 1) if seen > 0.95 else below.cdf(low - 1)
    assert 0.75 <= settled <= 0.87


@pytest.mark.parametrize("freedom", [1, 2, 4.5, 58, 1_000, math.inf])
def test_student_tail_and_its_inverse_agree_with_scipy(freedom: float) -> None:
    for t in (-3.0, 0.0, 0.7, 3.7, 30.0):
        assert student_tail(t, freedom) == pytest.approx(scipy.stats.t.sf(t, freedom), rel=1e-6, abs=1e-14)
    for tail in (0.4, 0.025, 1e-4, 1e-6):
        assert student_limit(tail, freedom) == pytest.approx(scipy.stats.t.isf(tail, freedom), rel=1e-6)


@pytest.mark.parametrize("inflation", [1.5, 4.0, 10.0])
def test_percentile_ranks_of_dependent_samples_are_those_of_fewer(inflation: float) -> None:
    low, high = percentile_ranks(1_000, P95, inflation=inflation)
    fewer = percentile_ranks(round(1_000 / inflation), P95)
    assert low is not None
    assert fewer.low is not None
    assert low / 1_000 == pytest.approx(fewer.low / round(1_000 / inflation), abs=0.01)
    assert (high is None) == (fewer.high is None)


def test_percentile_ranks_of_dependent_samples_widen_with_the_dependence() -> None:
    widths = []
    for inflation in (1.0, 1.01, 2.0, 5.0):
        low, high = percentile_ranks(5_000, P95, inflation=inflation)
        assert low is not None
        assert high is not None
        widths.append(high - low)
    assert widths == sorted(widths)
    assert widths[1] - widths[0] <= 3
