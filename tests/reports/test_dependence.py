"""The worth of dependent samples: against processes whose inflation is known, and by how often intervals cover."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.signal
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from nestperf.percentiles import rank_of
from reports.dependence import INDEPENDENT, Floats, dependences, midranks, of_percentile
from reports.statistics import percentile_ranks

P50, P95 = Fraction(1, 2), Fraction(95, 100)


def autoregression(phi: float, rows: int, n: int) -> Floats:
    """Rows of a stationary normal AR(1)."""
    noise = np.random.default_rng(3).standard_normal((rows, n + 300)) * math.sqrt(1 - phi * phi)
    made: Floats = scipy.signal.lfilter([1], [1, -phi], noise, axis=1)[:, 300:]
    return made


@given(arrays.arrays(np.float64, st.integers(1, 60), elements=st.integers(0, 9).map(float)))
def test_midranks_of_any_sample_are_scipys(values: Floats) -> None:
    assert midranks(values).tolist() == scipy.stats.rankdata(values).tolist()


@pytest.mark.parametrize(("phi", "expected"), [(0.3, 1.857), (0.6, 4.0), (0.9, 19.0)])
def test_dependence_of_an_autoregression_is_found(phi: float, expected: float) -> None:
    row = autoregression(phi, 1, 20_000)
    assert dependences([row])[0].inflation == pytest.approx(expected, rel=0.15)


def test_dependence_of_several_runs_is_that_of_each() -> None:
    runs = autoregression(0.6, 10, 1_000)
    shifted = [runs[place : place + 1] + 100 * place for place in range(10)]
    assert dependences(shifted)[0].inflation == pytest.approx(4.0, rel=0.2)


@pytest.mark.parametrize("wary", [True, False])
def test_dependence_of_bursts_longer_than_any_lag_is_found(wary: bool) -> None:
    bursts = np.repeat(np.random.default_rng(1).random(400) < 0.1, 100).astype(float)
    assert dependences([bursts[np.newaxis, :]], wary=wary)[0].inflation > 60


@pytest.mark.parametrize(("phi", "expected"), [(0.3, 1.857), (0.5, 3.0), (0.7, 5.667)])
def test_what_a_test_takes_for_dependence_is_right_on_average(phi: float, expected: float) -> None:
    rows = autoregression(phi, 200, 1_000)
    found = [dependences(np.split(row[np.newaxis, :], 2, axis=1), wary=False)[0].inflation for row in rows]
    assert np.mean(found) == pytest.approx(expected, rel=0.06)


@given(st.floats(0, 0.95), st.integers(1, 6), st.integers(0, 99))
def test_a_test_takes_samples_for_no_more_dependent_than_an_interval_does(phi: float, runs: int, seed: int) -> None:
    noise = np.random.default_rng(seed).standard_normal((1, 1_200))
    series = np.split(np.stack((made := scipy.signal.lfilter([1], [1, -phi], noise)[0], made > 1)), runs, axis=1)
    for by_test, by_interval in zip(dependences(series, wary=False), dependences(series), strict=True):
        assert 1 <= by_test.inflation <= by_interval.inflation
        assert by_test.freedom >= by_interval.freedom


@pytest.mark.parametrize(
    "row",
    [np.zeros(0), np.ones(5), np.ones(500), np.random.default_rng(1).random(5_000), np.tile([1.0, 2.0], 250)],
    ids=["nothing", "five", "constant", "independent", "alternating"],
)
@pytest.mark.parametrize("wary", [True, False])
def test_dependence_of_what_is_not_positively_dependent_is_none(row: Floats, wary: bool) -> None:
    assert dependences([row[np.newaxis, :]], wary=wary) == [INDEPENDENT]


def coverage(samples: Floats, share: Fraction, truth: float) -> float:
    """How often the interval of a percentile contains the truth."""
    covered = 0
    for sample in samples:
        ordered = np.sort(sample)
        worth = of_percentile(sample, ordered[rank_of(len(sample), share) - 1])
        low, high = percentile_ranks(len(sample), share, inflation=round(worth.for_an_interval, 2))
        above = low is None or ordered[low - 1] <= truth
        covered += above and (high is None or truth <= ordered[high - 1])
    return covered / len(samples)


@pytest.mark.parametrize("share", [P50, P95])
@pytest.mark.parametrize(("phi", "n"), [(0.3, 200), (0.6, 200), (0.6, 1_000), (0.9, 1_000)])
def test_intervals_of_an_autoregression_cover_92_percent(phi: float, n: int, share: Fraction) -> None:
    # 600 runs: one standard error is 1.1 %, and benchmarks/verdicts.py shows the same with ten times as many.
    truth = float(scipy.stats.norm.ppf(float(share)))
    assert coverage(autoregression(phi, 600, n), share, truth) >= 0.905


@pytest.mark.parametrize("share", [P50, P95])
def test_intervals_of_independent_samples_stay_exact(share: Fraction) -> None:
    samples = np.random.default_rng(7).lognormal(size=(1_500, 200))
    truth = float(np.exp(scipy.stats.norm.ppf(float(share))))
    assert 0.945 <= coverage(samples, share, truth) <= 0.98
