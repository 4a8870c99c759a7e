"""The level over time and the moments that follow from it: exact where time is, statistical where chance is."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestperf.durations import SECOND_NS
from replay.profile import Phase, Profile, Stage, build_profile

S = SECOND_NS

LENGTHS = st.integers(1, 200).map(lambda tenths: tenths * S // 10)
STAGES = st.lists(st.tuples(st.floats(0.01, 30), LENGTHS), min_size=1, max_size=4).map(
    lambda rows: tuple(Stage(level, length_ns) for level, length_ns in rows)
)


def plateau(rate: float, seconds: float) -> Profile:
    return build_profile((Stage(rate, round(seconds * S)),))


def test_slots_of_a_plateau_are_evenly_spaced_and_as_many_as_asked() -> None:
    slots = [slot.due_ns for slot in plateau(1000 / 60, 60).slots()]
    assert len(slots) == 1000
    assert slots == [round(number * 0.06 * S) for number in range(1000)]


def test_slots_of_a_slow_rate_keep_their_spacing() -> None:
    assert [slot.due_ns / S for slot in plateau(0.5, 7).slots()] == [0, 2, 4, 6]


def test_slots_of_a_ramp_come_closer_as_the_level_rises() -> None:
    slots = [slot.due_ns for slot in build_profile((Stage(10, 10 * S),), ramp_ns=10 * S).slots()]
    # The integral of a ramp to 10/s in 10 s is t²/2: slot k stands at sqrt(2k).
    assert slots[:50] == [round(math.sqrt(2 * number) * S) for number in range(50)]
    assert len(slots) == 50 + 100
    assert slots[50:] == [round((10 + number / 10) * S) for number in range(100)]


def test_slots_go_on_across_stages_without_a_gap_or_a_pair() -> None:
    slots = [slot.due_ns / S for slot in build_profile((Stage(0.4, 3 * S), Stage(1, 3 * S))).slots()]
    # 1.2 requests are due after 3 s: the third one falls 0.8 of a request later, at 1 a second.
    assert slots == [0, 2.5, 3.8, 4.8, 5.8]


@settings(deadline=None, max_examples=60)
@given(stages=STAGES, ramp_ns=st.sampled_from([0, S, 7 * S]), warm_up_ns=st.sampled_from([0, 3 * S]))
def test_slots_ascend_within_the_run_and_are_as_many_as_the_integral_says(
    stages: tuple[Stage, ...], ramp_ns: int, warm_up_ns: int
) -> None:
    profile = build_profile(stages, ramp_ns=ramp_ns, warm_up_ns=warm_up_ns)
    slots = list(profile.slots())
    assert all(a.due_ns <= b.due_ns for a, b in itertools.pairwise(slots))
    quantity = sum(piece.quantity for piece in profile.pieces)
    assert abs(len(slots) - quantity) <= 1
    assert profile.end_ns is not None
    assert all(0 <= slot.due_ns <= profile.end_ns for slot in slots)
    for slot in slots:
        if slot.counts:
            assert any(p.name == "load" and p.begin_ns <= slot.due_ns <= (p.end_ns or 0) for p in profile.phases)


@settings(deadline=None, max_examples=60)
@given(stages=STAGES, seed=st.integers(0, 2**32))
def test_arrivals_are_the_same_for_the_same_seed_ascend_and_are_as_many_as_slots(
    stages: tuple[Stage, ...], seed: int
) -> None:
    profile = build_profile(stages)
    arrivals = list(profile.arrivals(seed))
    assert arrivals == list(profile.arrivals(seed))
    assert all(a.due_ns <= b.due_ns for a, b in itertools.pairwise(arrivals))
    assert len(arrivals) == len(list(profile.slots()))
    assert profile.end_ns is not None
    assert all(0 <= arrival.due_ns <= profile.end_ns for arrival in arrivals)


def test_arrivals_of_another_seed_are_others() -> None:
    assert list(plateau(5, 60).arrivals(1)) != list(plateau(5, 60).arrivals(2))


def test_arrivals_have_the_spread_of_a_poisson_process() -> None:
    arrivals = [arrival.due_ns / S for arrival in plateau(100, 100).arrivals(3)]
    gaps = [b - a for a, b in itertools.pairwise(arrivals)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(0.01, rel=0.02)
    # Exponential gaps: the standard deviation is the mean, and a share of 1/e of them is longer than it.
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert deviation == pytest.approx(mean, rel=0.05)
    assert sum(gap > mean for gap in gaps) / len(gaps) == pytest.approx(1 / math.e, abs=0.02)


def test_arrivals_of_a_ramp_follow_the_level() -> None:
    profile = build_profile((Stage(200, 10 * S),), ramp_ns=20 * S)
    arrivals = [arrival.due_ns / S for arrival in profile.arrivals(1)]
    early, late = (sum(a <= at < b for at in arrivals) for a, b in ((0, 10), (10, 20)))
    # Of a straight rise three quarters lie in the second half.
    assert early + late == 2000
    assert 430 < early < 570


def test_users_of_a_ramp_come_evenly_and_without_one_within_the_spread() -> None:
    ramped = build_profile((Stage(5, 10 * S),), ramp_ns=10 * S).comings(3 * S, 1)
    assert [(coming.due_ns / S, coming.user) for coming in ramped] == [(0, 0), (2, 1), (4, 2), (6, 3), (8, 4)]
    spread = plateau(1000, 60).comings(10 * S, 1)
    assert [coming.user for coming in spread] == list(range(1000))
    assert 9 * S < spread[-1].due_ns < 10 * S
    tenths = [sum(1 for coming in spread if coming.due_ns // S == second) for second in range(10)]
    # Uniform: each second has about a tenth of the users.
    assert min(tenths) > 60
    assert max(tenths) < 140
    assert spread == plateau(1000, 60).comings(10 * S, 1) != plateau(1000, 60).comings(10 * S, 2)


def test_users_together_or_alone_come_at_once() -> None:
    assert {coming.due_ns for coming in plateau(7, 10).comings(0, 1)} == {0}
    assert [coming.due_ns for coming in plateau(1, 10).comings(5 * S, 1)] == [0]
    assert [coming.due_ns for coming in build_profile((Stage(1, None),)).comings(5 * S, 1)] == [0]


def test_users_of_stages_come_leave_and_come_again() -> None:
    profile = build_profile((Stage(3, 10 * S), Stage(1, 10 * S), Stage(2, 10 * S)))
    assert [(coming.due_ns // S, coming.user) for coming in profile.comings(0, 1)] == [(0, 0), (0, 1), (0, 2), (20, 1)]
    wanted = [[user for user in range(3) if profile.wants(user, second * S)] for second in (5, 15, 25, 99)]
    assert wanted == [[0, 1, 2], [0], [0, 1], [0, 1]]


@settings(deadline=None, max_examples=60)
@given(stages=st.lists(st.tuples(st.integers(0, 50), LENGTHS), min_size=1, max_size=5), ramp_ns=st.sampled_from([0, S]))
def test_users_that_come_are_wanted_and_all_who_are_wanted_have_come(
    stages: list[tuple[int, int]], ramp_ns: int
) -> None:
    profile = build_profile(tuple(Stage(*stage) for stage in stages), ramp_ns=ramp_ns)
    comings = profile.comings(2 * S, 1)
    last = stages[-1][0]
    assert {coming.user for coming in comings} == set(range(max(level for level, _ in stages)))
    assert profile.end_ns is not None
    assert [user for user in range(60) if profile.wants(user, profile.end_ns)] == list(range(last))


def test_phases_say_what_counts() -> None:
    profile = build_profile((Stage(5, 10 * S), Stage(5, 5 * S), Stage(9, 5 * S)), ramp_ns=2 * S, warm_up_ns=3 * S)
    assert profile.phases == (
        Phase("ramp", 0, 2 * S),
        Phase("warm-up", 2 * S, 5 * S),
        Phase("load", 5 * S, 20 * S),
        Phase("ramp", 20 * S, 22 * S),
        Phase("load", 22 * S, 27 * S),
    )
    assert profile.highest == 9
    assert [profile.level_at(round(second * S)) for second in (0, 1, 2, 21, 30)] == [0, 2.5, 5, 7, 9]
