from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.thinning import COLUMNS, GREATEST, LEVELS, MOST, thin


def cloud(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    return np.sort(chance.uniform(0, 60e9, n)), chance.lognormal(17, 0.6, n)


def test_few_points_are_all_drawn() -> None:
    when, took = cloud(MOST)
    assert thin(when, took).tolist() == list(range(MOST))


def test_points_without_a_time_or_a_duration_are_none() -> None:
    assert thin(np.array([0.0, np.nan, 2.0]), np.array([1.0, 1.0, np.nan])).tolist() == [0]


def test_many_points_become_few_in_ascending_order() -> None:
    when, took = cloud(100_000)
    kept = thin(when, took)
    assert 1_000 < len(kept) < COLUMNS * LEVELS
    assert (np.diff(kept) > 0).all()


def test_every_point_has_a_drawn_one_in_its_place_of_the_grid() -> None:
    when, took = cloud(50_000)
    kept = thin(when, took)

    def places(rows: np.ndarray) -> set[tuple[int, int]]:
        level = np.log(took)
        across = (when - when.min()) / (when.max() - when.min()) * COLUMNS
        up = (level - level.min()) / (level.max() - level.min()) * LEVELS
        cells = zip(np.minimum(across, COLUMNS - 1).astype(int), np.minimum(up, LEVELS - 1).astype(int), strict=True)
        every = list(cells)
        return {every[row] for row in rows}

    assert places(kept) == places(np.arange(len(when)))


def test_the_slowest_and_the_fastest_of_each_moment_are_drawn() -> None:
    when, took = cloud(50_000)
    kept = set(thin(when, took).tolist())
    column = np.minimum((when - when.min()) / (when.max() - when.min()) * COLUMNS, COLUMNS - 1).astype(int)
    for place in range(COLUMNS):
        rows = np.flatnonzero(column == place)
        assert int(rows[np.argmax(took[rows])]) in kept
        assert int(rows[np.argmin(took[rows])]) in kept


def test_the_slowest_of_all_are_drawn() -> None:
    when, took = cloud(50_000)
    assert set(np.argsort(-took)[:GREATEST].tolist()) <= set(thin(when, took).tolist())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 39_999), st.floats(2.0, 1e4))
def test_a_single_outlier_anywhere_is_drawn(seed: int, place: int, factor: float) -> None:
    when, took = cloud(40_000, seed)
    took[place] = took.max() * factor
    assert place in thin(when, took)


def test_equal_durations_at_one_moment_are_drawn_once_or_more() -> None:
    assert len(thin(np.zeros(10_000), np.full(10_000, 5e6))) >= 1
