"""The tests of one route: against scipy's, and by how they are distributed where nothing changed."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from reports.compare.evidence import LEVELS, TESTS, WEIGHTS, signed_roots, weigh_evidence
from tests.reports.compare.conftest import MS, lognormal

RANK, P95 = TESTS.index("rank"), TESTS.index(0.95)


def test_weights_share_the_permitted_error() -> None:
    assert WEIGHTS.sum() == pytest.approx(1)
    assert len(WEIGHTS) == len(TESTS)


@given(st.lists(st.integers(1, 9), min_size=2, max_size=40), st.lists(st.integers(1, 9), min_size=2, max_size=40))
def test_rank_score_with_any_ties_is_that_of_mann_and_whitney(old: list[int], new: list[int]) -> None:
    evidence = weigh_evidence([np.array(old, dtype=float)], np.array(new, dtype=float))
    score = evidence.z[RANK] * evidence.inflation[RANK] ** 0.5
    if len({*old, *new}) == 1:
        assert score == 0
        return
    u = scipy.stats.mannwhitneyu(new, old).statistic
    total = len(old) + len(new)
    spread = scipy.stats.rankdata([*old, *new]).std(ddof=1) * (len(old) * len(new) / total) ** 0.5
    assert score * spread == pytest.approx(u - len(old) * len(new) / 2, abs=1e-6)


@pytest.mark.parametrize(("old", "new", "expected"), [(5, 5, 0), (0, 30, 1), (30, 0, -1)])
def test_signed_root_points_to_the_larger_share(old: int, new: int, expected: int) -> None:
    root = signed_roots(np.array([float(old)]), 100, np.array([float(new)]), 100)[0]
    assert np.sign(root) == expected


@pytest.mark.parametrize(("old", "n_old", "new", "n_new"), [(40, 1500, 35, 500), (5, 300, 14, 100), (60, 500, 30, 500)])
def test_signed_root_is_as_rare_as_the_exact_test_says(old: int, n_old: int, new: int, n_new: int) -> None:
    root = float(signed_roots(np.array([float(old)]), n_old, np.array([float(new)]), n_new)[0])
    exact = scipy.stats.hypergeom(n_old + n_new, old + new, n_new)
    tail = exact.sf(new - 1) if root > 0 else exact.cdf(new)
    middle = tail - exact.pmf(new) / 2
    assert 0.6 * middle <= scipy.stats.norm.sf(abs(root)) <= 1.4 * tail


def test_scores_of_no_change_are_standard() -> None:
    chance = np.random.default_rng(1)
    scores = np.array([weigh_evidence([lognormal(chance, 300)], lognormal(chance, 300)).z for _ in range(400)])
    assert np.abs(scores.mean(axis=0)).max() < 0.15
    assert 0.5 < np.min(scores.std(axis=0)) <= np.max(scores.std(axis=0)) < 1.1


def test_errors_are_what_effects_vary_by() -> None:
    chance = np.random.default_rng(2)
    found = [weigh_evidence([lognormal(chance, 400) for _ in range(3)], lognormal(chance, 400)) for _ in range(200)]
    assert np.mean([e.error for e in found], axis=0) == pytest.approx(
        np.std([e.effect for e in found], axis=0), rel=0.2
    )
    between = np.std([e.run_effects for e in found], axis=(0, 1)) * 1.5**0.5
    assert np.mean([e.run_errors for e in found], axis=(0, 1)) == pytest.approx(between, rel=0.25)


def test_effects_of_a_slowdown_are_its_logarithm() -> None:
    chance = np.random.default_rng(3)
    found = weigh_evidence([lognormal(chance, 20_000)], 1.2 * lognormal(chance, 20_000))
    assert found.effect == pytest.approx(np.full(len(TESTS), np.log(1.2)), abs=0.06)
    assert (found.z > 4).all()


def test_constants_are_tested_like_everything_else() -> None:
    same = weigh_evidence([np.full(100, 10 * MS)], np.full(100, 10 * MS))
    slower = weigh_evidence([np.full(100, 10 * MS)], np.full(100, 12 * MS))
    assert not same.z.any()
    assert not same.effect.any()
    assert slower.z[RANK] > 10
    assert slower.effect[RANK] == pytest.approx(np.log(1.2))


def test_a_single_sample_proves_nothing() -> None:
    found = weigh_evidence([np.array([10 * MS])], np.array([90 * MS]))
    assert (np.abs(found.z) < 2).all()
    assert np.isfinite(found.effect).all()


def test_bursts_count_for_less() -> None:
    chance = np.random.default_rng(4)
    slow = np.repeat(chance.random(100) < 0.2, 20)
    burst = np.where(slow, 5.0, 1.0) * lognormal(chance, 2_000)
    shuffled = chance.permutation(burst)
    old = lognormal(chance, 2_000)
    together, apart = weigh_evidence([old], burst), weigh_evidence([old], shuffled)
    assert together.effect == pytest.approx(apart.effect)
    assert together.z[P95] < apart.z[P95] / 2


def test_a_drift_that_hits_both_sides_at_once_hides_nothing() -> None:
    chance = np.random.default_rng(5)
    drift = np.exp(np.sin(np.arange(1_000) / 60))
    blocks = np.tile(np.arange(1_000) // 40, 2)
    old, new = drift * lognormal(chance, 1_000, 0.2), 1.1 * drift * lognormal(chance, 1_000, 0.2)
    assert weigh_evidence([old], new).z[RANK] < 3
    assert weigh_evidence([old], new, blocks).z[RANK] > 5


def test_sides_that_took_turns_without_a_drift_are_as_uncertain_as_ever() -> None:
    chance = np.random.default_rng(6)
    blocks = np.tile(np.arange(400) // 20, 2)
    scores = [weigh_evidence([lognormal(chance, 400)], lognormal(chance, 400), blocks).z[RANK] for _ in range(400)]
    assert 0.9 < np.std(scores) < 1.12


def test_levels_are_percentiles_in_the_order_of_the_tests() -> None:
    assert TESTS[1:] == LEVELS
