"""What makes a verdict of numbers: every row of the tables is a sentence."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.verdicts import Verdict
from reports.grammar import parse_expression
from reports.rules import Judged, Why, judge_number, judge_share, judge_times
from reports.thresholds import Selector, Threshold

MS = 1_000_000
PASS, FAIL, OPEN, NONE = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE, Verdict.NOT_MEASURED


class Times(NamedTuple):
    ordered: list[int]
    failed: int


def threshold(expression: str) -> Threshold:
    return Threshold(name="promise", expression=parse_expression(expression), selector=Selector())


def judged_times(expression: str, groups: list[tuple[int, float]], failed: int) -> Judged:
    """Judge so many samples of so many milliseconds each."""
    ordered = sorted(round(ms * MS) for count, ms in groups for _ in range(count))
    return judge_times(threshold(expression), Times(ordered, failed))


TIMES = [
    ("nothing measured is never a pass", "p95(latency) < 1s", [], 0, NONE, Why.NOTHING_SELECTED),
    ("a thousand fast ones pass", "p95(latency) < 1s", [(1000, 400)], 0, PASS, Why.INTERVAL),
    ("3 % of slow ones among a thousand still pass", "p95(latency) < 1s", [(970, 400), (30, 2000)], 0, PASS,
     Why.INTERVAL),
    ("4.5 % of slow ones among a thousand leave it open", "p95(latency) < 1s", [(955, 400), (45, 2000)], 0, OPEN,
     Why.STRADDLES),
    ("5.5 % of slow ones among a thousand leave it open", "p95(latency) < 1s", [(945, 400), (55, 2000)], 0, OPEN,
     Why.STRADDLES),
    ("8 % of slow ones among a thousand fail", "p95(latency) < 1s", [(920, 400), (80, 2000)], 0, FAIL, Why.INTERVAL),
    ("a sample that equals the limit is not below it", "p95(latency) < 1s", [(100, 1000)], 0, FAIL, Why.INTERVAL),
    ("but at most it", "p95(latency) <= 1s", [(100, 1000)], 0, PASS, Why.INTERVAL),
    ("72 fast ones bound p95 from above", "p95(latency) < 1s", [(72, 400)], 0, PASS, Why.INTERVAL),
    ("71 do not, yet all of them keep it", "p95(latency) < 1s", [(71, 400)], 0, PASS, Why.EVERY_SAMPLE),
    ("20 fast ones are just enough", "p95(latency) < 1s", [(20, 400)], 0, PASS, Why.EVERY_SAMPLE),
    ("19 are too few", "p95(latency) < 1s", [(19, 400)], 0, OPEN, Why.TOO_FEW),
    ("one slow one among 71 leaves it open", "p95(latency) < 1s", [(70, 400), (1, 2000)], 0, OPEN, Why.STRADDLES),
    ("a single slow one is too few to fail", "p95(latency) < 1s", [(1, 2000)], 0, OPEN, Why.TOO_FEW),
    ("two of two slow ones fail", "p95(latency) < 1s", [(2, 2000)], 0, FAIL, Why.INTERVAL),
    ("two of five slow ones fail", "p95(latency) < 1s", [(3, 400), (2, 2000)], 0, FAIL, Why.INTERVAL),
    ("one of five is too few to fail", "p95(latency) < 1s", [(4, 400), (1, 2000)], 0, OPEN, Why.TOO_FEW),
    ("failures are slower than any limit", "p95(latency) < 1s", [(900, 400)], 100, FAIL, Why.INTERVAL),
    ("a few failures do not matter to p95", "p95(latency) < 1s", [(990, 400)], 10, PASS, Why.INTERVAL),
    ("one failure among few leaves p95 open", "p95(latency) < 1s", [(40, 400)], 1, OPEN, Why.STRADDLES),
    ("nothing but failures fails", "p95(latency) < 1s", [], 20, FAIL, Why.INTERVAL),
    ("p50 of ten is bounded on both sides, and yet of too few", "p50(latency) < 1s", [(10, 400)], 0, OPEN,
     Why.TOO_FEW),
    ("p99 of 100 fast ones passes on every sample", "p99(latency) < 1s", [(100, 400)], 0, PASS, Why.EVERY_SAMPLE),
    ("a lower limit passes from above", "p50(latency) > 100ms", [(100, 400)], 0, PASS, Why.INTERVAL),
    ("and fails from below", "p50(latency) > 500ms", [(100, 400)], 0, FAIL, Why.INTERVAL),
    ("and failures do not help it", "p50(latency) > 100ms", [], 50, NONE, Why.NOTHING_SELECTED),
    ("a maximum holds when every sample does", "max(latency) < 1s", [(20, 400)], 0, PASS, Why.EVERY_SAMPLE),
    ("one sample breaks a maximum, however few there are", "max(latency) < 1s", [(1, 1000)], 0, FAIL, Why.ONE_SAMPLE),
    ("so does one failure", "max(latency) < 1s", [(1000, 400)], 1, FAIL, Why.ONE_SAMPLE),
    ("19 are too few for a maximum", "max(latency) < 1s", [(19, 400)], 0, OPEN, Why.TOO_FEW),
    ("a minimum above holds when every sample does", "min(latency) > 100ms", [(20, 400)], 0, PASS, Why.EVERY_SAMPLE),
    ("and one sample breaks it", "min(latency) > 100ms", [(20, 400), (1, 50)], 0, FAIL, Why.ONE_SAMPLE),
    ("that some sample is long is certain once one is", "max(latency) > 1s", [(2, 1001)], 0, PASS, Why.EXACT),
    ("and else it is not", "max(latency) > 1s", [(2, 999)], 0, FAIL, Why.EXACT),
    ("an average far below passes", "avg(latency) < 1s", [(50, 300), (50, 500)], 0, PASS, Why.INTERVAL),
    ("one far above fails", "avg(latency) < 200ms", [(50, 300), (50, 500)], 0, FAIL, Why.INTERVAL),
    ("one near the limit is open", "avg(latency) < 402ms", [(50, 300), (50, 500)], 0, OPEN, Why.STRADDLES),
    ("an average of 19 is of too few", "avg(latency) < 1s", [(19, 400)], 0, OPEN, Why.TOO_FEW),
]  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "groups", "failed", "verdict", "why"), [case[1:] for case in TIMES], ids=[case[0] for case in TIMES]
)
def test_judge_times_of_a_table_gives_its_verdict(
    expression: str, groups: list[tuple[int, float]], failed: int, verdict: Verdict, why: Why
) -> None:
    judged = judged_times(expression, groups, failed)
    assert (judged.verdict, judged.why) == (verdict, why)


SHARES = [
    ("nothing is no pass", "rate(failed) < 1%", 0, 0, NONE, Why.NOTHING_SELECTED),
    ("none of a thousand", "rate(failed) < 1%", 0, 1000, PASS, Why.INTERVAL),
    ("three of a thousand are surely below 1 %", "rate(failed) < 1%", 3, 1000, PASS, Why.INTERVAL),
    ("six of a thousand may not be", "rate(failed) < 1%", 6, 1000, OPEN, Why.STRADDLES),
    ("thirty of a thousand are surely above", "rate(failed) < 1%", 30, 1000, FAIL, Why.INTERVAL),
    ("none of 367, too few to bound it, passes on every sample", "rate(failed) < 1%", 0, 367, PASS, Why.EVERY_SAMPLE),
    ("none of 368 bounds it", "rate(failed) < 1%", 0, 368, PASS, Why.INTERVAL),
    ("one of 50 is open", "rate(failed) < 1%", 1, 50, OPEN, Why.STRADDLES),
    ("one of one is enough to fail 1 %", "rate(failed) < 1%", 1, 1, FAIL, Why.INTERVAL),
    ("one of five is not enough to fail 1 %", "rate(failed) < 1%", 1, 5, OPEN, Why.TOO_FEW),
    ("none of 19 is too few", "rate(failed) < 1%", 0, 19, OPEN, Why.TOO_FEW),
    ("no failure may be: one is enough", "rate(failed) == 0%", 1, 10_000, FAIL, Why.ONE_SAMPLE),
    ("no failure may be: none of 20", "rate(failed) <= 0%", 0, 20, PASS, Why.EVERY_SAMPLE),
    ("all must be reached: all of 20 were", "reach(e) == 100%", 20, 20, PASS, Why.EVERY_SAMPLE),
    ("all must be reached: one was not", "reach(e) == 100%", 19, 20, FAIL, Why.ONE_SAMPLE),
    ("all must be reached: all of 5 were, too few", "reach(e) >= 100%", 5, 5, OPEN, Why.TOO_FEW),
    ("most must be reached: surely", "reach(e) > 90%", 990, 1000, PASS, Why.INTERVAL),
    ("most must be reached: surely not", "reach(e) > 90%", 800, 1000, FAIL, Why.INTERVAL),
    ("most must be reached: all of 30 were", "reach(e) > 90%", 30, 30, PASS, Why.EVERY_SAMPLE),
]


@pytest.mark.parametrize(
    ("expression", "hits", "n", "verdict", "why"), [case[1:] for case in SHARES], ids=[case[0] for case in SHARES]
)
def test_judge_share_of_a_table_gives_its_verdict(
    expression: str, hits: int, n: int, verdict: Verdict, why: Why
) -> None:
    judged = judge_share(threshold(expression), hits, n)
    assert (judged.verdict, judged.why) == (verdict, why)
    if n:
        assert judged.low is not None
        assert judged.high is not None
        assert judged.measured is not None
        assert judged.low <= judged.measured <= judged.high


def test_judge_number_of_a_count_is_exact() -> None:
    assert judge_number(threshold("count(users) >= 50"), 50).verdict is PASS
    assert judge_number(threshold("count(users) >= 50"), 49).verdict is FAIL
    assert judge_number(threshold("count(failed) == 0"), 0).why is Why.EXACT


def test_judge_times_on_few_samples_says_how_sure_the_pass_is() -> None:
    assert judged_times("p95(latency) < 1s", [(20, 400)], 0).confidence == pytest.approx(0.6415, abs=1e-4)
    assert judged_times("p99(latency) < 1s", [(20, 400)], 0).confidence == pytest.approx(0.1821, abs=1e-4)
    assert judged_times("p5(latency) > 1ms", [(20, 400)], 0).confidence == pytest.approx(0.6415, abs=1e-4)
    assert judged_times("p95(latency) < 1s", [(72, 400)], 0).confidence is None
    assert judge_share(threshold("rate(failed) < 1%"), 0, 20).confidence == pytest.approx(0.1821, abs=1e-4)


def test_judge_times_of_a_percentile_gives_measured_value_and_order_statistics() -> None:
    judged = judge_times(threshold("p95(latency) < 1s"), Times([number * MS for number in range(1, 101)], 0))
    assert (judged.measured, judged.low, judged.high, judged.n) == (95 * MS, 90 * MS, 100 * MS, 100)
    assert (judged.breaking, judged.failed) == (0, 0)


def test_judge_times_among_failures_has_no_measured_value() -> None:
    judged = judged_times("p95(latency) < 1s", [(90, 400)], 10)
    assert (judged.measured, judged.n, judged.failed, judged.breaking) == (None, 100, 10, 10)
    assert judged.low is None or judged.low == 400 * MS


def test_judge_times_that_is_inconclusive_says_how_many_more_samples_it_takes() -> None:
    assert judged_times("p95(latency) < 1s", [(12, 400)], 0).more_samples == 8
    more = judged_times("p95(latency) < 1s", [(955, 400), (45, 2000)], 0).more_samples
    assert more is not None
    settled = judged_times(
        "p95(latency) < 1s", [((1000 + more) * 955 // 1000, 400), ((1000 + more) * 45 // 1000, 2000)], 0
    )
    assert settled.verdict is PASS


@given(
    st.lists(st.integers(0, 3_000), max_size=120),
    st.integers(0, 30),
    st.sampled_from(["p50(latency) < 1s", "p95(latency) < 1s", "p99(latency) <= 1s", "max(latency) < 1s"]),
)
def test_judge_times_of_faster_samples_is_never_worse(ms: list[int], failed: int, expression: str) -> None:
    rank = {FAIL: 0, OPEN: 1, PASS: 2, NONE: 1}
    slow = judge_times(threshold(expression), Times(sorted(value * MS for value in ms), failed))
    fast = judge_times(threshold(expression), Times(sorted(value * MS // 2 for value in ms), failed))
    assert rank[fast.verdict] >= rank[slow.verdict]


@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=120), st.integers(0, 30))
def test_judge_times_passes_nothing_on_fewer_than_20_samples(ms: list[int], failed: int) -> None:
    judged = judge_times(threshold("p95(latency) < 1s"), Times(sorted(value * MS for value in ms), failed))
    assert judged.n == len(ms) + failed
    if judged.n < 20:
        assert judged.verdict in (OPEN, FAIL)
