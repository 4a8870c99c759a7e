"""The burst's judgement over rows: all served, one missing, one late, exactly at the limit, no traffic."""

from __future__ import annotations

import pytest

from nestperf.capture.model import Exchange, Outcome
from nestperf.durations import SECOND_NS
from nestperf.verdicts import Verdict
from replay.checks.burst import judge_burst

MS = 1_000_000


def copy(
    done_ms: float | None = 10, outcome: Outcome = Outcome.OK, *, sent_ms: float = 0.1, detail: str = ""
) -> Exchange:
    """One copy, released at 0."""
    return Exchange._make([None] * len(Exchange._fields))._replace(
        intended_ns=0,
        sent_ns=round(sent_ms * MS),
        done_ns=None if done_ms is None else round(done_ms * MS),
        outcome=outcome,
        detail=detail or None,
        source_exchange=1,
    )


def test_burst_served_in_time_passes_and_measures_the_skew() -> None:
    found = judge_burst([copy(sent_ms=0.1), copy(30, sent_ms=0.4)], 2, SECOND_NS)
    assert found.verdict is Verdict.PASS
    numbers = {number.name: number.value for number in found.numbers}
    assert numbers == {"served": 2, "slowest": 30 * MS, "median": 10 * MS, "release skew": 300_000}


def test_burst_without_traffic_is_not_measured() -> None:
    assert judge_burst([], 20, SECOND_NS).verdict is Verdict.NOT_MEASURED
    assert judge_burst([copy(None, Outcome.DROPPED)], 20, SECOND_NS).verdict is Verdict.NOT_MEASURED


@pytest.mark.parametrize(("done_ms", "verdict"), [(1000, Verdict.PASS), (1000.001, Verdict.FAIL)])
def test_burst_exactly_at_the_limit_keeps_it(done_ms: float, verdict: Verdict) -> None:
    assert judge_burst([copy(done_ms)] * 20, 20, SECOND_NS).verdict is verdict


def test_burst_with_one_late_answer_names_how_late() -> None:
    found = judge_burst([*[copy()] * 19, copy(6000)], 20, 5 * SECOND_NS)
    assert found.verdict is Verdict.FAIL
    assert found.sentences == ("1 of 20 answers came after 5 s, the last after 6.00 s.",)


def test_burst_with_failures_names_each_kind_with_its_count() -> None:
    broken = [copy(5, Outcome.HTTP_ERROR, detail="answered 500"), *[copy(5, Outcome.LIMITED)] * 3]
    found = judge_burst([*[copy()] * 16, *broken], 20, SECOND_NS)
    assert found.verdict is Verdict.FAIL
    assert found.measured == "16 of 20 in 10.0 ms"
    assert found.sentences == (
        "3 of 20 requests: refused by a rate limit (429).",
        "1 of 20 requests: answered 500.",
    )


def test_burst_of_which_some_never_went_out_is_inconclusive() -> None:
    found = judge_burst([copy()] * 19, 20, SECOND_NS)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "19 of 20" in found.sentences[0]
