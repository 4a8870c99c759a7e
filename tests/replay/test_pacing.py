"""Turns, pauses and addresses: tables whose every row says what it means, and what holds of every number."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.durations import SECOND_NS
from replay.pacing import (
    NONE,
    Load,
    Pace,
    Think,
    chance_of,
    forwarded_address,
    session_of,
    source_address,
)
from replay.profile import Stage

MS = 1_000_000

TURNS = [
    ("one user repeats each session once", Load(), 3, [[0, 1, 2, None]]),
    ("as many users as sessions: one each", Load(users=2), 2, [[0, None], [1, None]]),
    ("more users than sessions: once each", Load(users=3), 2, [[0, None], [1, None], [2, None]]),
    ("fewer users than sessions: they share them out", Load(users=2), 3, [[0, 2, None], [1, None]]),
    ("with a duration nobody is ever through", Load(users=2, duration_ns=10), 3, [[0, 2, 4, 6, 8], [1, 3, 5, 7, 9]]),
    ("in stages neither", Load(users=1, stages=(Stage(1, 10),)), 1, [[0, 1, 2]]),
    ("two loops: everything twice", Load(users=2, loops=2), 3, [[0, 2, 4, None], [1, 3, 5, None]]),
    ("two loops of more users than sessions", Load(users=2, loops=2), 1, [[0, 2, None], [1, 3, None]]),
    ("loops end a run with a duration too", Load(users=1, loops=2, duration_ns=10), 1, [[0, 1, None]]),
]


@pytest.mark.parametrize(("load", "sessions", "expected"), [row[1:] for row in TURNS], ids=[row[0] for row in TURNS])
def test_turns_of_a_table_are_exact(load: Load, sessions: int, expected: list[list[int | None]]) -> None:
    turns = [[load.visit_of(user, n, sessions) for n in range(len(row))] for user, row in enumerate(expected)]
    assert turns == expected


def test_sessions_take_turns() -> None:
    assert [session_of(visit, 3) for visit in range(5)] == [(0, 0), (1, 0), (2, 0), (0, 0), (1, 0)]


@given(seed=st.integers(0, 1000), sessions=st.integers(1, 5), sides=st.integers(2, 3))
def test_every_session_goes_to_each_side_before_the_next_ones_turn(seed: int, sessions: int, sides: int) -> None:
    turns = [session_of(visit, sessions, sides, seed) for visit in range(30 * sides)]
    for turn in range(30):
        block = turns[turn * sides : (turn + 1) * sides]
        assert {session for session, _ in block} == {turn % sessions}
        assert sorted(side for _, side in block) == list(range(sides))
    assert turns == [session_of(visit, sessions, sides, seed) for visit in range(30 * sides)]


def test_each_side_comes_first_about_as_often_as_the_other() -> None:
    first = Counter(session_of(2 * turn, 1, 2, 7)[1] for turn in range(1000))
    assert 430 < first[0] < 570


PAUSES = [
    ("as recorded", Load(), 1000, 1000),
    ("none", Load(think=NONE), 1000, 0),
    ("half", Load(think=Think(0.5)), 1000, 500),
    ("twice as fast", Load(speed=2.0), 1000, 500),
    ("twice as fast, with longer pauses", Load(speed=2.0, think=Think(3.0)), 1000, 1500),
    ("no longer than", Load(max_idle_ns=300), 1000, 300),
    ("no longer than, of what is left of it", Load(max_idle_ns=300, speed=4.0), 1000, 250),
]


@pytest.mark.parametrize(("load", "think", "expected"), [row[1:] for row in PAUSES], ids=[row[0] for row in PAUSES])
def test_pauses_of_a_table_are_exact(load: Load, think: int, expected: int) -> None:
    assert load.pace(3, 1).pause_ns(think, 7) == expected


def test_speed_shortens_how_long_streams_are_held_and_think_does_not() -> None:
    assert Load(speed=2.0).pace(0, 0).hold_ns(1000) == 500
    assert Load(think=NONE).pace(0, 0).hold_ns(1000) == 1000


@given(seed=st.integers(0, 2**32), user=st.integers(0, 65_000), iteration=st.integers(0, 100), step=st.integers(0, 999))
def test_jitter_is_bounded_and_the_same_for_the_same_seed(seed: int, user: int, iteration: int, step: int) -> None:
    load = Load(think=Think(jitter=True), seed=seed)
    pause = load.pace(user, iteration).pause_ns(1000 * MS, step)
    assert 500 * MS <= pause <= 1500 * MS
    assert load.pace(user, iteration).pause_ns(1000 * MS, step) == pause


def test_jitter_differs_between_users_visits_and_steps_and_keeps_the_mean() -> None:
    load = Load(think=Think(jitter=True))
    pauses = [
        load.pace(user, n).pause_ns(1000 * MS, step) for user in range(10) for n in range(10) for step in range(10)
    ]
    assert len(set(pauses)) == 1000
    assert 970 * MS < sum(pauses) / 1000 < 1030 * MS


def test_chances_are_uniform() -> None:
    tenths = Counter(int(chance_of(1, number) * 10) for number in range(10_000))
    assert set(tenths) == set(range(10))
    assert min(tenths.values()) > 850
    assert max(tenths.values()) < 1150


def test_only_a_closed_load_without_pauses_has_no_pace_of_its_own() -> None:
    assert Load().is_paced
    assert not Load(think=NONE).is_paced
    assert Load(think=NONE, model="rate", stages=(Stage(5, SECOND_NS),)).is_paced


def test_pace_without_anything_is_the_recording() -> None:
    assert Pace().pause_ns(123, 0) == 123


def test_addresses_of_users_are_distinct_and_well_formed() -> None:
    addresses = [source_address(user, 7) for user in range(65_024)]
    assert len(set(addresses)) == len(addresses)
    assert addresses[0] == "127.7.0.1"
    assert not any(address.endswith((".0", ".255")) for address in addresses)
    assert forwarded_address(0, 7) == "198.19.0.1"
