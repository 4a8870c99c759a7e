"""Arrivals, turns and durations: tables whose every row says what it means."""

from __future__ import annotations

import pytest

from nestperf.errors import UsageError
from replay.pacing import SECOND_NS, Load, forwarded_address, parse_duration, source_address


def test_arrivals_of_many_users_are_spread_over_ten_seconds_at_most() -> None:
    arrivals = Load(users=1000).arrivals(60 * SECOND_NS)
    assert len(arrivals) == 1000
    assert list(arrivals) == sorted(arrivals)
    assert arrivals[0] >= 0
    assert arrivals[-1] < 10 * SECOND_NS
    # Uniform: each tenth of the time has about a tenth of the users.
    tenths = [sum(1 for ns in arrivals if ns // SECOND_NS == second) for second in range(10)]
    assert min(tenths) > 60
    assert max(tenths) < 140


def test_arrivals_of_a_short_session_are_spread_over_the_session() -> None:
    arrivals = Load(users=100).arrivals(2 * SECOND_NS)
    assert SECOND_NS < max(arrivals) < 2 * SECOND_NS


def test_arrivals_are_the_same_for_the_same_seed_and_others_for_another() -> None:
    first, again, other = (Load(users=20, seed=seed).arrivals(SECOND_NS) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("load", [Load(users=1), Load(users=1, duration_ns=5)], ids=["once", "for a while"])
def test_one_user_alone_arrives_at_once(load: Load) -> None:
    assert load.arrivals(60 * SECOND_NS) == (0,)


def test_users_that_start_together_all_arrive_at_once() -> None:
    assert Load(users=3, start="together").arrivals(60 * SECOND_NS) == (0, 0, 0)


TURNS = [
    ("one user repeats each session once", 1, None, 3, [[0, 1, 2, None]]),
    ("as many users as sessions: one each", 2, None, 2, [[0, None], [1, None]]),
    ("more users than sessions: once each, sessions shared", 3, None, 2, [[0, None], [1, None], [0, None]]),
    ("fewer users than sessions: they share them out", 2, None, 3, [[0, 2, None], [1, None]]),
    ("with a duration nobody is ever through", 2, 10, 3, [[0, 2, 1, 0, 2], [1, 0, 2, 1, 0]]),
]


@pytest.mark.parametrize(
    ("users", "duration_ns", "sessions", "expected"), [case[1:] for case in TURNS], ids=[case[0] for case in TURNS]
)
def test_turns_of_a_table_are_exact(
    users: int, duration_ns: int | None, sessions: int, expected: list[list[int | None]]
) -> None:
    load = Load(users=users, duration_ns=duration_ns)
    turns = [[load.session_for(user, n, sessions) for n in range(len(row))] for user, row in enumerate(expected)]
    assert turns == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30s", 30), ("2m", 120), ("1h", 3600), ("500ms", 0.5), ("1m30s", 90), ("1.5s", 1.5), (" 10S ", 10)],
)
def test_duration_is_understood(text: str, expected: float) -> None:
    assert parse_duration(text) == round(expected * SECOND_NS)


@pytest.mark.parametrize("text", ["", "30", "s", "-5s", "0s", "5 minutes", "1s2", "nan"])
def test_duration_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="30s"):
        parse_duration(text)


def test_addresses_of_users_are_distinct_and_well_formed() -> None:
    addresses = [source_address(user, 7) for user in range(65_024)]
    assert len(set(addresses)) == len(addresses)
    assert addresses[0] == "127.7.0.1"
    assert not any(address.endswith((".0", ".255")) for address in addresses)
    assert forwarded_address(0, 7) == "198.19.0.1"
