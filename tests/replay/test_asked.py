"""How a load is written, and what goes together."""

from __future__ import annotations

import pytest

from nestperf.durations import SECOND_NS
from nestperf.errors import UsageError
from replay.asked import (
    OPEN_USERS,
    Asked,
    build_load,
    parse_rate,
    parse_rates,
    parse_speed,
    parse_stages,
    parse_think,
)
from replay.pacing import NONE, RECORDED, Load, Think
from replay.profile import Stage

S = SECOND_NS


@pytest.mark.parametrize(("text", "expected"), [("5/s", 5), ("1000/m", 1000 / 60), ("36/h", 0.01), (" 2.5 / S", 2.5)])
def test_rate_is_a_number_a_second(text: str, expected: float) -> None:
    assert parse_rate(text) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "5", "0/s", "-1/s", "5/d", "s"])
def test_rate_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="5/s"):
        parse_rates(text)


def test_stages_are_levels_with_lengths() -> None:
    assert parse_stages("10@30s, 50@2m") == (Stage(10, 30 * S), Stage(50, 120 * S))
    assert parse_rates("60/m@30s,5/s@1m") == (Stage(1, 30 * S), Stage(5, 60 * S))
    assert parse_rates("5/s") == (Stage(5, None),)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("10", "is no stage"), ("@30s", "is no stage"), ("10@", "is no duration"), ("5/s@30s", "belong to --rate"),
     ("-3@30s", "no number of users"), ("1@1s,", "is no stage"), ("99999@1s", "no number of users"),
     ("0@1s", "no stage with a user")],
)  # fmt: skip
def test_stages_that_are_none_are_refused(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse_stages(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("recorded", RECORDED), ("none", NONE), ("0.5x", Think(0.5)), ("jitter", Think(jitter=True)), ("0x", NONE)],
)
def test_think_is_understood_and_written_back(text: str, expected: Think) -> None:
    assert parse_think(text) == expected
    assert parse_think(str(expected)) == expected


def test_think_and_speed_that_are_none_are_refused() -> None:
    for bad in ("fast", "x", "-1x", "2"):
        with pytest.raises(UsageError, match=r"0\.5x"):
            parse_think(bad)
        with pytest.raises(UsageError, match="2x"):
            parse_speed(bad)
    with pytest.raises(UsageError, match="2x"):
        parse_speed("0x")


RATE = (Stage(5.0, None),)

LOADS = [
    ("nothing asked: one user, every session once", Asked(), Load()),
    ("users for a while", Asked(users=9, duration_ns=S), Load(users=9, duration_ns=S)),
    ("stages: as many users as the highest", Asked(stages=(Stage(2, S), Stage(7, S))),
     Load(users=7, stages=(Stage(2, S), Stage(7, S)))),
    ("requests at a rate", Asked(rate=RATE, duration_ns=S),
     Load(model="rate", users=OPEN_USERS, stages=(Stage(5, S),))),
    ("arrivals in stages", Asked(sessions=(Stage(5, S),), max_users=3),
     Load(model="sessions", users=3, stages=(Stage(5, S),))),
    ("arrivals without a length: every session twice", Asked(sessions=RATE, loops=2),
     Load(model="sessions", users=OPEN_USERS, stages=(Stage(5, 4 * S),), loops=2, until_through=True)),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "expected"), [row[1:] for row in LOADS], ids=[row[0] for row in LOADS])
def test_loads_of_a_table_are_exact(asked: Asked, expected: Load) -> None:
    assert build_load(asked, 10) == expected


REFUSED = [
    (Asked(users=2, rate=RATE), "--users and --rate are different load models"),
    (Asked(stages=(Stage(2, S),), sessions=RATE), "--stages and --sessions are different load models"),
    (Asked(rate=RATE), "add --duration"),
    (Asked(rate=(Stage(5, S),), duration_ns=S), "says how long already"),
    (Asked(stages=(Stage(5, S),), duration_ns=S), "says how long already"),
    (Asked(rate=RATE, duration_ns=S, loops=2), "--loops counts whole sessions"),
    (Asked(users=5, max_users=3), "--max-users bounds --rate"),
    (Asked(ramp_ns=S, start="together"), "--start is about"),
    (Asked(users=5, warm_up_ns=S), "--warm-up needs a run that goes on"),
]


@pytest.mark.parametrize(("asked", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_contradictions_are_refused_in_a_sentence(asked: Asked, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        build_load(asked, 10)
