"""What all contracts' findings are made of: verdicts, times as numbers, and the sentence about those that came late."""

from __future__ import annotations

import pytest

from nestperf.verdicts import Verdict
from replay.checks.contract import Number
from replay.checks.findings import late_sentence, measured, time_numbers, verdict_of
from tests.replay.checks.conftest import MS, SECOND


@pytest.mark.parametrize(
    ("broken", "missing", "verdict"),
    [
        (False, False, Verdict.PASS),
        (False, True, Verdict.INCONCLUSIVE),
        (True, False, Verdict.FAIL),
        (True, True, Verdict.FAIL),
    ],
)
def test_what_is_broken_fails_whatever_is_missing(broken: bool, missing: bool, verdict: Verdict) -> None:
    assert verdict_of(broken=broken, missing=missing) is verdict


def test_times_are_told_with_their_limit_and_nothing_where_there_are_none() -> None:
    times = [10 * MS, 20 * MS, 30 * MS, 40 * MS]
    assert measured(4, 5, times[-1]) == "4 of 5 in 40.0 ms"
    assert measured(0, 5, None) == "0 of 5"
    assert time_numbers(times, SECOND) == (Number("slowest", 40 * MS, "ns", SECOND), Number("median", 20 * MS, "ns"))
    assert time_numbers([], SECOND, median="median round")[1] == Number("median round", None, "ns")


def test_only_times_beyond_the_limit_are_late() -> None:
    times = [10 * MS, SECOND, SECOND + MS]
    assert late_sentence(times, SECOND, 3, "answers came") == ["1 of 3 answers came after 1 s, the last after 1.00 s."]
    assert late_sentence(times[:2], SECOND, 3, "answers came") == []
    assert late_sentence([], SECOND, 3, "answers came") == []
