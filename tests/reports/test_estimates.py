"""Values with their intervals, and the difference of two of them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.estimates import Estimate, difference, estimate_numbers, estimate_share, estimate_times
from reports.grammar import parse_expression


class Sample(NamedTuple):
    """Durations as `estimate_times` takes them."""

    ordered: list[int]
    failed: int = 0


P95 = parse_expression("p95(latency) < 1s")


def test_estimate_of_nothing_is_none() -> None:
    assert estimate_times(P95, Sample([])) is None
    assert estimate_share(0, 0) is None
    assert estimate_numbers([]) is None


def test_estimate_of_one_sample_has_no_upper_end() -> None:
    estimate = estimate_times(P95, Sample([7]))
    assert estimate is not None
    assert (estimate.n, estimate.value, estimate.high) == (1, 7, None)


def test_estimate_of_the_same_time_again_and_again_is_certain() -> None:
    estimate = estimate_times(P95, Sample([7] * 200))
    assert estimate is not None
    assert (estimate.value, estimate.low, estimate.high) == (7, 7, 7)
    assert estimate_times(parse_expression("avg(latency) < 1s"), Sample([7] * 200)) == Estimate(200, 7, 7, 7)


def test_estimate_of_dependent_samples_has_a_wider_interval() -> None:
    alone = estimate_times(P95, Sample(list(range(1000))))
    together = estimate_times(P95, Sample(list(range(1000))), 4.0)
    assert alone is not None
    assert together is not None
    assert together.value == alone.value
    assert None not in (alone.low, alone.high, together.low, together.high)
    assert together.high - together.low > 1.7 * (alone.high - alone.low)  # type: ignore[operator]


def test_estimate_among_the_failed_is_infinite() -> None:
    estimate = estimate_times(P95, Sample([1] * 90, failed=10))
    assert estimate is not None
    assert (estimate.value, estimate.high, estimate.failed) == (math.inf, math.inf, 10)


def test_estimate_of_a_minimum_or_a_lower_limit_leaves_the_failed_out() -> None:
    for text in ("min(latency) < 1s", "p95(latency) > 1s", "avg(latency) < 1s"):
        estimate = estimate_times(parse_expression(text), Sample([5] * 90, failed=10))
        assert estimate is not None
        assert (estimate.n, estimate.failed) == (90, 0)


DIFFERENCES = [
    ("equal and certain", Estimate(9, 5, 5, 5), Estimate(9, 5, 5, 5), 1, (0, 0)),
    ("a factor", Estimate(9, 12, 12, 12), Estimate(9, 10, 10, 10), 1.2, (0, 0)),
    ("each end takes its own half", Estimate(9, 10, 7, 30), Estimate(9, 10, 6, 14), 1, (-5, math.hypot(20, 4))),
    ("open above", Estimate(9, 10, 7, None), Estimate(9, 10, 6, 14), 1, (-5, None)),
    ("the new one failed", Estimate(9, math.inf, 100, math.inf), Estimate(9, 10, 6, 14), 1, (86, math.inf)),
    ("the old one failed", Estimate(9, 10, 7, 30), Estimate(9, math.inf, 100, math.inf), 1, (None, -70)),
]


@pytest.mark.parametrize(
    ("new", "old", "factor", "expected"), [case[1:] for case in DIFFERENCES], ids=[case[0] for case in DIFFERENCES]
)
def test_difference_of_two_estimates_has_the_ends_it_should(
    new: Estimate, old: Estimate, factor: float, expected: tuple[float | None, float | None]
) -> None:
    assert difference(new, old, factor) == pytest.approx(expected)


@given(
    st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3), st.lists(st.floats(-1e9, 1e9), min_size=3, max_size=3),
    st.floats(0.01, 100),
)  # fmt: skip
def test_difference_contains_the_difference(new: list[float], old: list[float], factor: float) -> None:
    (a, x, b), (c, y, d) = sorted(new), sorted(old)
    low, high = difference(Estimate(9, x, a, b), Estimate(9, y, c, d), factor)
    assert low is not None
    assert high is not None
    assert low <= x - factor * y <= high


@pytest.mark.parametrize("sides", [(100, 100), (400, 100), (2000, 2000)], ids=str)
def test_difference_covers_the_truth_as_often_as_it_says(sides: tuple[int, int]) -> None:
    """Two lognormal samples of one distribution: p95 of both is the same, whatever the interval says."""
    random = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        new, old = (estimate_times(P95, Sample(_lognormal(random, n))) for n in sides)
        assert new is not None
        assert old is not None
        low, high = difference(new, old, 1)
        covered += (low is None or low <= 0) and (high is None or high >= 0)
    assert covered >= 0.945 * 400


def _lognormal(random: np.random.Generator, n: int) -> list[int]:
    return sorted(int(value) for value in random.lognormal(18, 0.5, n))
