"""The noise between runs, of baselines whose noise is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reports.compare.evidence import TESTS, weigh_evidence
from reports.compare.noise import measure_noise, no_noise, weighted_median
from tests.reports.compare.conftest import lognormal, report_of


def test_noise_of_runs_that_do_not_differ_is_small() -> None:
    noise = measure_noise(report_of(np.random.default_rng(1), n=500), 3)
    assert np.median(noise.variance[:, 0]) < 0.02**2
    assert noise.deviation is not None
    assert noise.deviation < 0.02
    assert abs(noise.shift) < 0.05
    assert not noise.is_shifted


def test_noise_of_routes_that_differ_between_runs_is_found() -> None:
    noise = measure_noise(report_of(np.random.default_rng(2), by_route=0.1, n=300), 3)
    deviation = math.sqrt(np.median(noise.variance[:, 0]) / (1 + 1 / 3))
    assert 0.07 < deviation < 0.13
    assert noise.freedom == 2 * 29


def test_noise_of_whole_runs_is_their_shift_and_not_that_of_routes() -> None:
    noise = measure_noise(report_of(np.random.default_rng(3), by_run=0.2, n=300), 3)
    assert np.median(noise.variance[:, 0]) < 0.03**2
    assert noise.shift_limit > 0.4
    assert not noise.is_shifted


def test_a_shift_far_beyond_the_baselines_is_one() -> None:
    chance = np.random.default_rng(4)
    evidence = [
        weigh_evidence([lognormal(chance, 500) for _ in range(3)], 1.5 * lognormal(chance, 500)) for _ in range(30)
    ]
    noise = measure_noise(evidence, 3)
    assert noise.shift == pytest.approx(math.log(1.5), abs=0.05)
    assert noise.is_shifted
    assert noise.unproven_shift == 0


def test_a_route_that_differs_more_than_the_others_is_judged_by_its_own_noise() -> None:
    chance = np.random.default_rng(5)
    flaky = weigh_evidence([f * lognormal(chance, 300) for f in (0.5, 1.0, 2.0)], lognormal(chance, 300))
    noise = measure_noise([flaky, *report_of(chance, routes=29, n=300)], 3)
    assert noise.variance[0, 0] > 20 * np.max(noise.variance[1:, 0])


def test_routes_that_some_runs_lack_get_the_noise_of_the_others() -> None:
    chance = np.random.default_rng(6)
    partial = weigh_evidence([lognormal(chance, 300)], lognormal(chance, 300))
    noise = measure_noise([partial, *report_of(chance, routes=10, by_route=0.2, n=300)], 3)
    assert noise.variance[0, 0] > 0
    assert noise.variance[0, 0] == pytest.approx(np.median(noise.variance[1:, 0]) * 2 / (4 / 3))


def test_one_route_with_three_runs_has_two_degrees_of_freedom() -> None:
    noise = measure_noise(report_of(np.random.default_rng(7), routes=1, by_route=0.3, n=300), 3)
    assert (noise.freedom, noise.shift_known, noise.unproven_shift) == (2, False, 0)


def test_no_noise_is_none() -> None:
    assert not no_noise(4, 1).variance.any()
    assert no_noise(4, 1).variance.shape == (4, len(TESTS))


@pytest.mark.parametrize(
    ("values", "weights", "median"), [([3, 1, 2], [1, 1, 1], 2), ([1, 2, 9], [1, 1, 5], 9), ([4], [0.1], 4)]
)
def test_weighted_median_has_half_of_the_weight_on_either_side(
    values: list[float], weights: list[float], median: float
) -> None:
    assert weighted_median(np.array(values, dtype=float), np.array(weights, dtype=float)) == median
