"""When a run is given up: tables of answers over a clock that only the test moves."""

from __future__ import annotations

import pytest

from nestperf.capture.model import Outcome
from nestperf.cli import run as nestperf
from nestperf.errors import UsageError
from replay.options import parse_condition
from replay.watch import FEWEST, WINDOW_S, Stamps, Watch

MS = 1_000_000
SECOND = 1000 * MS


def watch(text: str, *groups: tuple[int, Outcome, int], at: float = 0.5) -> Watch:
    """Told of so many answers of an outcome that took so many milliseconds, due 10 ms before they were sent."""
    made = Watch(parse_condition(text))
    for count, outcome, took in groups:
        for _ in range(count):
            done_ns = round(at * SECOND)
            sent_ns = done_ns - took * MS
            made.note(done_ns, outcome, Stamps(sent_ns - 10 * MS, sent_ns, sent_ns + 1 * MS, done_ns))
    return made


OK, BAD, LIMITED = Outcome.OK, Outcome.HTTP_ERROR, Outcome.LIMITED

TABLE = [
    ("half fail", "rate(failed) > 40%", [(10, OK, 5), (10, BAD, 5)], True),
    ("exactly half is not more than half", "rate(failed) > 50%", [(10, OK, 5), (10, BAD, 5)], False),
    ("too few to say", "rate(failed) > 40%", [(9, OK, 5), (10, BAD, 5)], False),
    ("what was limited is no failure", "rate(failed) > 40%", [(10, OK, 5), (10, LIMITED, 5)], False),
    ("but it has a rate of its own", "rate(limited) > 40%", [(10, OK, 5), (10, LIMITED, 5)], True),
    ("a count needs no twenty", "count(failed) >= 3", [(3, BAD, 5)], True),
    ("all answers", "count(exchanges) < 5", [(4, OK, 5)], True),
    ("slow at the 95th", "p95(service_time) > 100ms", [(18, OK, 5), (2, OK, 200)], True),
    ("one slow one in twenty is not the 95th", "p95(service_time) > 100ms", [(19, OK, 5), (1, OK, 200)], False),
    ("what failed is slower than any limit", "p95(latency) > 10s", [(18, OK, 5), (2, BAD, 1)], True),
    ("latency is from when it was due", "p50(latency) > 14ms", [(20, OK, 5)], True),
    ("service time is not", "p50(service_time) > 14ms", [(20, OK, 5)], False),
    ("first byte", "max(ttfb) > 2ms", [(20, OK, 5)], False),
    ("the longest", "max(latency) > 100ms", [(19, OK, 5), (1, OK, 200)], True),
    ("the mean", "avg(service_time) > 20ms", [(18, OK, 10), (2, OK, 200)], True),
    ("the shortest", "min(service_time) > 4ms", [(20, OK, 5)], True),
    ("our own lag", "p50(send_lag) > 9ms", [(20, OK, 5)], True),
]


@pytest.mark.parametrize(("text", "answers", "given_up"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_conditions_of_a_table_are_exact(text: str, answers: list[tuple[int, Outcome, int]], given_up: bool) -> None:
    sentence = watch(text, *answers).verdict(1 * SECOND)
    assert (sentence is not None) is given_up
    if sentence is not None:
        assert sentence == f"Given up: {text} held over the last {WINDOW_S} s ({sum(a[0] for a in answers)} answers)."


def test_window_forgets_what_is_older() -> None:
    made = watch("rate(failed) > 40%", (FEWEST, BAD, 5))
    assert made.verdict(9 * SECOND) is not None
    assert made.verdict((WINDOW_S + 1) * SECOND) is None


def test_nothing_answered_is_no_reason() -> None:
    for text in ("rate(failed) > 0%", "p95(latency) > 1ms", "avg(latency) > 1ms"):
        assert watch(text).verdict(SECOND) is None


@pytest.mark.parametrize(
    "text", ["reach(x) < 50%", "p95(session_time) > 1s", "count(users) < 5", "count(exchanges) < 10 per 1m"]
)
def test_what_only_the_end_tells_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="cannot be watched"):
        parse_condition(text)


def test_condition_that_is_none_is_refused_with_a_caret(capsys: pytest.CaptureFixture[str]) -> None:
    assert nestperf(["replay", "x.db", "--abort-on", "p95(latency) > 1"]) == 2
    assert "^" in capsys.readouterr().err
