"""Fan-out's judgement: all reached, one missed, one late, once more, unasked broadcasts, no traffic."""

from __future__ import annotations

from collections.abc import Sequence

from nestperf.capture.model import Run
from nestperf.durations import SECOND_NS
from nestperf.verdicts import Verdict
from replay.checks.contract import Finding, Rows
from replay.checks.deliveries import Receipt, assign, broadcasts_of, missed, tells_apart
from replay.checks.fanout import judge_fan_out
from replay.checks.findings import cut_short

MS = 1_000_000
ALL = list(range(1, 21))


def heard(number: int, at_ms: float, receivers: Sequence[int] = ALL, payload: str | None = None) -> list[Receipt]:
    """One broadcast, to every receiver a tenth of a millisecond after the one before."""
    told = f"[{number}]" if payload is None else payload
    return [Receipt(who, round(at_ms * MS) + place * 100_000, told) for place, who in enumerate(receivers)]


def judged(receipts: list[Receipt], causes_ms: Sequence[float] = (0, 1000, 2000)) -> Finding:
    return judge_fan_out([round(ms * MS) for ms in causes_ms], receipts, ALL, 20, SECOND_NS, "news")


def numbers(found: Finding) -> dict[str, float | None]:
    return {number.name: number.value for number in found.numbers}


def test_fan_out_that_reaches_all_in_time_passes_with_its_times() -> None:
    found = judged([*heard(1, 5), *heard(2, 1010), *heard(3, 2005)])
    assert (found.verdict, found.n, found.sentences) == (Verdict.PASS, 60, ())
    assert numbers(found)["slowest"] == 11_900_000
    assert numbers(found)["skew"] == 1_900_000
    assert found.measured == "20 of 20 within 11.9 ms"


def test_fan_out_names_what_never_came_and_where() -> None:
    found = judged([*heard(1, 5, ALL[:-1]), *heard(2, 1005), *heard(3, 2005, ALL[1:-1])])
    assert found.verdict is Verdict.FAIL
    assert found.sentences == ("3 of 60 deliveries of news never came (2 receivers; receiver 20 missed 2).",)
    assert found.measured.startswith("18 of 20")


def test_fan_out_names_who_had_it_late() -> None:
    late = [Receipt(20, 2005 * MS, "[1]")]
    found = judged([*heard(1, 5, ALL[:-1]), *late, *heard(2, 3000)], (0, 2900))
    assert found.sentences == ("1 of 40 deliveries came after 1 s, the slowest after 2.00 s (receiver 20).",)


def test_fan_out_exactly_at_the_limit_keeps_it() -> None:
    assert judged([Receipt(who, SECOND_NS, "[1]") for who in ALL], (0,)).verdict is Verdict.PASS
    assert judged([Receipt(who, SECOND_NS + 1, "[1]") for who in ALL], (0,)).verdict is Verdict.FAIL


def test_fan_out_that_comes_twice_fails() -> None:
    found = judged([*heard(1, 5), Receipt(3, 300 * MS, "[1]"), *heard(2, 1005), *heard(3, 2005)])
    assert found.sentences == ("news came again 1 time to receivers that had it already.",)


def test_broadcast_that_nobody_asked_for_hides_no_lost_one() -> None:
    found = judged([*heard(7, 3), *heard(1, 5, ALL[1:]), *heard(2, 1005), *heard(3, 2005)])
    assert found.verdict is Verdict.FAIL
    assert found.sentences[0].startswith("1 of 80 deliveries")
    assert numbers(found)["unasked broadcasts"] == 1


def test_cause_that_nobody_heard_of_reaches_none() -> None:
    found = judged([*heard(1, 5), *heard(3, 2005)])
    assert found.measured.startswith("0 of 20")
    assert found.sentences[0].startswith("20 of 60 deliveries of news never came")


def test_fan_out_without_traffic_is_not_measured_and_without_an_event_fails() -> None:
    assert judge_fan_out([], [], ALL, 20, SECOND_NS).verdict is Verdict.NOT_MEASURED
    assert judge_fan_out([1], [], [], 20, SECOND_NS).verdict is Verdict.NOT_MEASURED
    assert judge_fan_out([1], [], ALL, 20, SECOND_NS).verdict is Verdict.FAIL


def test_fan_out_with_fewer_receivers_than_asked_is_inconclusive() -> None:
    found = judge_fan_out([0], heard(1, 5, ALL[:-1]), ALL[:-1], 20, SECOND_NS)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.sentences == ("Only 19 of 20 receivers were connected.",)


def test_run_that_was_interrupted_breaks_no_promise_by_what_is_missing() -> None:
    run = Run(uid="x", purpose="check", vantage="client", state="interrupted", version="0", started_unix_ns=1)
    broken, kept = judged(heard(1, 5)), judged([*heard(1, 5), *heard(2, 1010), *heard(3, 2005)])
    assert broken.verdict is Verdict.FAIL
    assert cut_short(broken, Rows(run=run)).verdict is Verdict.INCONCLUSIVE
    assert cut_short(broken, Rows(run=run)).sentences == ()
    assert cut_short(broken, Rows(run=run._replace(state="finished"))) == broken
    assert cut_short(kept, Rows(run=run)) == kept


def test_payloads_that_are_always_the_same_are_told_apart_by_hearing_again() -> None:
    receipts = [*heard(1, 5, ALL[:-1], "[]"), *heard(2, 1005, ALL, "[]")]
    assert not tells_apart(receipts, 2)
    first, second = broadcasts_of(receipts, 2)
    assert (len(first.stamps), len(second.stamps)) == (19, 20)
    assert missed(assign([0, 1000 * MS], [first, second]), ALL) == {20: 1}


def test_payloads_of_each_receivers_own_are_told_apart_by_turns() -> None:
    receipts = [Receipt(who, at * MS + who, f"[{who},{at}]") for at in (5, 1005) for who in ALL]
    assert [len(one.stamps) for one in broadcasts_of(receipts, 2)] == [20, 20]
