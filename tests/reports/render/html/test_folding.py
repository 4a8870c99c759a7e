from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.render.html.folding import FOLDED, MOST_FOLDED, Fold
from tests.reports.conftest import MS, S


def test_short_pauses_are_as_long_as_they_were() -> None:
    fold = Fold([(0, 100 * MS), (140 * MS, 200 * MS)], 200 * MS)
    assert fold.pauses == ()
    assert fold.at(150 * MS) == pytest.approx(0.15)


def test_a_long_pause_is_folded_and_the_rest_moves_up() -> None:
    fold = Fold([(0, 100 * MS), (10 * S, 10 * S + 100 * MS)], 10 * S + 100 * MS)
    assert fold.pauses == ((100 * MS, 10 * S),)
    width = FOLDED * 0.2
    assert fold.at(100 * MS) == pytest.approx(0.1)
    assert fold.at(10 * S) == pytest.approx(0.1 + width)
    assert fold.end == pytest.approx(0.2 + width)
    assert fold.at(5 * S) == pytest.approx(0.1 + width * (4.9 / 9.9))


def test_labels_say_the_true_time_after_each_pause() -> None:
    fold = Fold([(0, 100 * MS), (10 * S, 10 * S + 100 * MS)], 10 * S + 100 * MS)
    assert fold.labels() == ([0.0, fold.at(10 * S)], ["0 s", "10.0 s"])


def test_what_overlaps_is_one_stretch() -> None:
    fold = Fold([(0, 3 * S), (1 * S, 2 * S), (4 * S, 5 * S)], 5 * S)
    assert fold.pauses == ((3 * S, 4 * S),)


def test_the_time_before_the_first_is_a_pause_as_well() -> None:
    assert Fold([(5 * S, 6 * S)], 9 * S).pauses == ((0, 5 * S), (6 * S, 9 * S))


def test_only_the_longest_pauses_are_folded() -> None:
    busy = [(number * 10 * S + number * number * 10 * MS, number * 10 * S + number * number * 10 * MS + MS)
            for number in range(100)]  # fmt: skip
    fold = Fold(busy, busy[-1][1])
    assert len(fold.pauses) == MOST_FOLDED
    assert min(pause.begin_ns for pause in fold.pauses) > 70 * 10 * S


def test_nothing_under_way_folds_nothing() -> None:
    fold = Fold([], 5 * S)
    assert fold.pauses == ()
    assert fold.at(2 * S) == 2.0


@given(
    st.lists(st.tuples(st.integers(0, 60 * S), st.integers(0, 2 * S)), min_size=1, max_size=30),
    st.lists(st.integers(0, 70 * S), min_size=2, max_size=20),
)
def test_time_only_goes_forward_and_never_faster_than_it_went(spans: list[tuple[int, int]], moments: list[int]) -> None:
    fold = Fold([(begin, begin + length) for begin, length in spans], 70 * S)
    for one, other in zip(sorted(moments), sorted(moments)[1:], strict=False):
        assert fold.at(other) - fold.at(one) + 1e-9 >= 0
        assert fold.at(other) - fold.at(one) <= (other - one) / S + 1e-6
