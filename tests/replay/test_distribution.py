"""Durations in bounded memory: never too low, at most 0.8 % too high, whatever the numbers."""

from __future__ import annotations

import math
import random
from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from replay.distribution import Distribution

NUMBERS = st.lists(st.integers(0, 10**13), min_size=1, max_size=200)


def of(numbers: list[int]) -> Distribution:
    made = Distribution()
    made.extend(numbers)
    return made


@settings(deadline=None)
@given(numbers=NUMBERS, percent=st.integers(1, 100))
def test_percentile_is_the_nearest_rank_or_up_to_a_bucket_more(numbers: list[int], percent: int) -> None:
    exact = sorted(numbers)[math.ceil(percent * len(numbers) / 100) - 1]
    told = of(numbers).percentile(percent / 100)
    assert told is not None
    assert exact <= told <= exact + exact // 128
    assert of(numbers).percentile(1.0) == max(numbers)


@settings(deadline=None)
@given(numbers=NUMBERS, limit=st.integers(0, 10**13))
def test_over_counts_what_is_longer_and_nothing_that_is_not(numbers: list[int], limit: int) -> None:
    told = of(numbers).over(limit)
    assert told <= sum(number > limit for number in numbers)
    assert told >= sum(number > limit + limit // 128 + 1 for number in numbers)


@given(first=NUMBERS, second=NUMBERS)
def test_merged_is_as_if_all_had_been_one(first: list[int], second: list[int]) -> None:
    merged, whole = of(first), of(first + second)
    merged.merge(of(second))
    assert len(merged) == len(whole)
    assert [merged.percentile(share / 10) for share in range(1, 11)] == [
        whole.percentile(share / 10) for share in range(1, 11)
    ]


def test_nothing_has_no_percentile() -> None:
    assert Distribution().percentile(0.5) is None
    assert Distribution().max_ns is None
    assert len(Distribution()) == 0


def test_small_numbers_are_exact_and_negative_ones_are_nothing() -> None:
    made = of([-5, 0, 1, 200, 255])
    assert [made.percentile(share) for share in (0.2, 0.6, 0.8, 1.0)] == [0, 1, 200, 255]


def test_memory_does_not_grow_with_the_number_of_samples() -> None:
    made, chance = Distribution(), random.Random(1)
    sizes = []
    for _ in range(4):
        for _ in range(20_000):
            made.append(round(chance.lognormvariate(14, 1)))
            if chance.random() < 0.01:
                made.fold()
        made.fold()
        sizes.append(len(made._counts))
        assert len(made._fresh) < 4000
    assert len(made) == 80_000
    assert sizes[3] < 1.2 * sizes[1] < 5000
    assert made._fresh == array("q")


def test_many_numbers_are_told_as_few_are_whether_folded_in_between_or_not() -> None:
    chance = random.Random(3)
    numbers = [round(chance.lognormvariate(15, 2)) for _ in range(20_000)]
    folded, whole = Distribution(), of(numbers)
    for number in numbers:
        folded.append(number)
        folded.fold()
    assert len(folded) == len(whole) == len(numbers)
    assert [folded.percentile(share / 10) for share in range(1, 11)] == [
        whole.percentile(share / 10) for share in range(1, 11)
    ]


def test_largest_and_smallest_numbers_have_buckets() -> None:
    edges = [0, 255, 256, 2**53 - 1, 2**53, 2**62, 2**63 - 1]
    made = of(edges)
    for rank, edge in enumerate(edges, 1):
        assert edge <= made.ranked(rank) <= edge + edge // 128
