"""The interval of a ratio of percentiles."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from reports.compare.ratios import percentile_ratio
from tests.reports.compare.conftest import lognormal

P95 = Fraction(95, 100)


def test_ratio_of_percentiles_is_new_over_old() -> None:
    old, new = np.arange(1.0, 201.0) * 1e6, np.arange(1.0, 201.0) * 1.5e6
    ratio = percentile_ratio(old, new, P95)
    assert ratio.value == pytest.approx(1.5)
    assert ratio.low is not None
    assert ratio.high is not None
    assert ratio.low < 1.5 < ratio.high


def test_ratio_of_few_samples_has_no_bounds_where_there_are_none() -> None:
    ratio = percentile_ratio(np.arange(1.0, 31.0) * 1e6, np.arange(1.0, 31.0) * 1e6, P95)
    assert ratio == (1.0, None, None)


def test_ratio_is_less_certain_with_dependence_and_with_noise_between_runs() -> None:
    old, new = (np.sort(lognormal(np.random.default_rng(seed), 1_000)) for seed in (1, 2))
    widths = []
    for inflation, variance in ((1.0, 0.0), (3.0, 0.0), (3.0, 0.01)):
        ratio = percentile_ratio(old, new, P95, inflation, variance)
        assert ratio.low is not None
        assert ratio.high is not None
        widths.append(ratio.high / ratio.low)
    assert widths == sorted(widths)
    assert widths[0] < widths[2] / 1.3


def test_interval_of_a_ratio_holds_the_truth() -> None:
    # 300 pairs: one standard error is 1.3 %.
    chance = np.random.default_rng(3)
    held = 0
    for _ in range(300):
        ratio = percentile_ratio(np.sort(lognormal(chance, 300)), np.sort(1.2 * lognormal(chance, 300)), P95)
        assert ratio.low is not None
        assert ratio.high is not None
        held += ratio.low <= 1.2 <= ratio.high
    assert held / 300 >= 0.92
