"""What samples that follow each other are worth."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from nestperf.capture.model import Row
from nestperf.verdicts import Verdict
from reports.columns import Stamps
from reports.effective import inflation_of
from reports.thresholds import parse_thresholds
from reports.verdict import judge_capture
from tests.reports.conftest import MS, Write, exchange

P95 = Fraction(95, 100)


def autoregressive(n: int, rho: float, seed: int) -> Stamps:
    random = np.random.default_rng(seed)
    noise = random.normal(size=n)
    values = np.empty(n)
    values[0] = noise[0]
    for place in range(1, n):
        values[place] = rho * values[place - 1] + (1 - rho**2) ** 0.5 * noise[place]
    return np.asarray(np.exp(18 + 0.5 * values))


@pytest.mark.parametrize("n", [100, 1000, 50_000])
def test_inflation_of_independent_samples_is_mostly_one(n: int) -> None:
    found = [inflation_of(autoregressive(n, 0, seed), P95) for seed in range(20)]
    assert float(np.median(found)) == 1


@pytest.mark.parametrize("n", [1000, 50_000])
def test_inflation_of_dependent_samples_is_well_over_one(n: int) -> None:
    found = [inflation_of(autoregressive(n, 0.9, seed), P95) for seed in range(10)]
    assert min(found) > 2


def test_inflation_of_few_samples_is_one() -> None:
    assert inflation_of(np.arange(19.0), P95) == 1


def test_inflation_of_equal_samples_is_one() -> None:
    assert inflation_of(np.full(500, 7.0), P95) == 1


def test_judge_of_one_burst_of_slow_answers_takes_it_for_less_than_so_many_witnesses(written: Write) -> None:
    """One hundred slow ones among a thousand: spread out they break p95; as one burst nobody can tell."""
    threshold = parse_thresholds("[[threshold]]\nexpression = 'p95(latency) < 500ms'", "t.toml")
    random = np.random.default_rng(3)
    times = random.lognormal(3, 0.3, 1000)
    spread, burst = times.copy(), times.copy()
    spread[random.choice(1000, 75, replace=False)] = 900
    burst[400:475] = 900
    found = []
    for name, ms in (("spread", spread), ("burst", burst)):
        rows: list[Row] = [exchange(n, float(t), sent_ns=n * 50 * MS) for n, t in enumerate(ms, 1)]
        (judged,) = judge_capture(written(rows, name=f"{name}.db"), threshold).judged
        found.append((judged.verdict, judged.inflation > 5))
    assert found == [(Verdict.FAIL, False), (Verdict.INCONCLUSIVE, True)]
