"""Decisions of whole reports: false alarms and power in small; benchmarks/verdicts.py shows them in large."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from reports.compare.decide import DEFAULT_FLOOR, LEAST_EFFECT, Decision, decide, floor_of
from reports.compare.evidence import TESTS, Evidence, weigh_evidence
from reports.compare.noise import measure_noise, no_noise
from reports.dependence import Floats
from tests.reports.compare.conftest import MS, lognormal, report_of

RANK, P95 = TESTS.index("rank"), TESTS.index(0.95)


def decided(evidence: list[Evidence], runs: int = 3) -> list[Decision]:
    noise = measure_noise(evidence, runs) if runs > 1 else no_noise(len(evidence), runs)
    return decide(evidence, noise, floor=floor_of(runs, interleaved=runs == 1))


@pytest.mark.parametrize(("by_route", "by_run"), [(0, 0), (0.05, 0), (0, 0.05)], ids=["none", "by route", "by run"])
def test_reports_in_which_nothing_changed_cry_wolf_rarely(by_route: float, by_run: float) -> None:
    # 30 reports with 30 routes: at 1 %, three false ones have a chance of 0.3 %.
    chance = np.random.default_rng(11)
    false = 0
    for _ in range(30):
        false += any(
            decision.slower.any() for decision in decided(report_of(chance, n=100, by_route=by_route, by_run=by_run))
        )
    assert false <= 2


def found(changed: list[Evidence], runs: int) -> float:
    """How often the first route of a report is called slower, its others being quiet."""
    others = report_of(np.random.default_rng(12), routes=29, n=500, runs=runs)
    return float(np.mean([decided([one, *others], runs)[0].slower.any() for one in changed]))


@pytest.mark.parametrize("runs", [1, 3], ids=["interleaved", "three baselines"])
def test_a_slowdown_of_everything_by_20_percent_is_found_with_500(runs: int) -> None:
    chance = np.random.default_rng(13)
    changed = [
        weigh_evidence([lognormal(chance, 500) for _ in range(runs)], 1.2 * lognormal(chance, 500)) for _ in range(40)
    ]
    assert found(changed, runs) >= 0.9


@pytest.mark.parametrize(("sigma", "n"), [(0.5, 2_000), (1.0, 8_000)])
def test_a_slowdown_above_p90_is_found(sigma: float, n: int) -> None:
    chance = np.random.default_rng(14)
    p90 = 20 * MS * math.exp(sigma * scipy.stats.norm.ppf(0.9))

    def slowed() -> Floats:
        new = lognormal(chance, n, sigma)
        return np.where(new > p90, 1.2 * new, new)

    changed = [weigh_evidence([lognormal(chance, n, sigma) for _ in range(3)], slowed()) for _ in range(40)]
    assert found(changed, 3) >= 0.9


def test_a_second_mode_is_found_though_p95_stays() -> None:
    chance = np.random.default_rng(15)

    def old() -> Floats:
        return np.where(chance.random(1_000) < 0.9, 10, 100) * MS * np.exp(0.1 * chance.standard_normal(1_000))

    new = old()
    new = np.where((new < 20 * MS) & (chance.random(1_000) < 0.2), 4 * new, new)
    evidence = weigh_evidence([old() for _ in range(3)], new)
    decision = decided([evidence, *report_of(chance, routes=10)])[0]
    assert abs(evidence.effect[P95]) < 0.05
    assert not decision.slower[P95]
    assert decision.slower.any()


def test_faster_is_an_improvement_and_no_alarm() -> None:
    chance = np.random.default_rng(16)
    evidence = weigh_evidence([lognormal(chance, 500) for _ in range(3)], 0.7 * lognormal(chance, 500))
    decision = decided([evidence, *report_of(chance, routes=10)])[0]
    assert decision.faster.any()
    assert not decision.slower.any()


@pytest.mark.parametrize(("factor", "proven"), [(1.15, False), (1.5, True)])
def test_with_one_baseline_only_changes_above_the_default_floor_count(factor: float, proven: bool) -> None:
    chance = np.random.default_rng(17)
    evidence = weigh_evidence([lognormal(chance, 2_000, 0.2)], factor * lognormal(chance, 2_000, 0.2))
    decision = decide([evidence], no_noise(1, 1), floor=floor_of(1))[0]
    assert decision.slower.any() == proven
    assert decision.unproven.any() != proven


def test_a_change_too_small_to_matter_is_none_however_certain() -> None:
    chance = np.random.default_rng(18)
    evidence = weigh_evidence([lognormal(chance, 200_000, 0.2)], 1.03 * lognormal(chance, 200_000, 0.2))
    assert evidence.z[RANK] > 20
    decision = decided([evidence], 1)[0]
    assert not decision.slower.any()
    assert not decision.unproven.any()


def test_every_route_slower_at_once_may_be_the_machine() -> None:
    chance = np.random.default_rng(19)
    evidence = report_of(chance, by_run=0.05, n=300)
    slowed = [
        weigh_evidence([f * lognormal(chance, 300) for f in (0.93, 1.0, 1.07)], 1.15 * lognormal(chance, 300))
        for _ in evidence
    ]
    decisions = decided(slowed)
    assert not any(decision.slower.any() for decision in decisions)
    assert np.mean([decision.unproven.any() for decision in decisions]) > 0.5


def test_detectable_changes_shrink_with_samples_and_grow_with_noise() -> None:
    chance = np.random.default_rng(20)
    few, many, noisy = (
        float(np.median([d.detectable[RANK] for d in decided(report_of(chance, n=n, by_route=noise))]))
        for n, noise in ((100, 0.0), (1_000, 0.0), (1_000, 0.05))
    )
    assert LEAST_EFFECT < many < few / 2
    assert noisy > 2 * many


def test_no_slowest_tenth_of_few_samples_is_detectable() -> None:
    chance = np.random.default_rng(21)
    decision = decided(report_of(chance, routes=10, n=40))[0]
    assert math.isinf(decision.detectable[P95])
    assert math.isfinite(decision.detectable[RANK])


def test_floors_follow_from_what_is_known_of_the_noise() -> None:
    assert [floor_of(1), floor_of(2), floor_of(3), floor_of(1, interleaved=True)] == [
        DEFAULT_FLOOR, DEFAULT_FLOOR, LEAST_EFFECT, LEAST_EFFECT,
    ]  # fmt: skip


def test_nothing_to_decide_is_decided_at_once() -> None:
    assert decide([], no_noise(0, 1)) == []
