"""Which numbers a threshold is judged by in a capture, whether it is required of it, and the exit code of them all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from nestperf.capture.model import Kind, Outcome, Row
from nestperf.errors import ExitCode
from nestperf.verdicts import Verdict
from reports.rules import Why
from reports.thresholds import load_thresholds, parse_thresholds
from reports.verdict import Judgement, judge_capture
from tests.reports.conftest import MS, S, Write, exchange, exchanges, packet, session, socket

PASS, FAIL, OPEN = Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE
NONE, NOT_HERE = Verdict.NOT_MEASURED, Verdict.NOT_APPLICABLE


def judge(written: Write, rows: list[Row], *tables: str, **run: Any) -> Judgement:
    text = "\n".join(f"[[threshold]]\n{table}" for table in tables)
    return judge_capture(written(rows, **run), parse_thresholds(text, "test"))


def verdict(written: Write, rows: list[Row], expression: str, keys: str = "", **run: Any) -> tuple[Verdict, Why, int]:
    (judged,) = judge(written, rows, f"expression = '{expression}'\n{keys}", **run).judged
    return judged.verdict, judged.why, judged.n


def users(count: int) -> list[Row]:
    return [session(number, started_ns=0, ended_ns=S) for number in range(1, count + 1)]


def broadcast(receivers: int, joined: int, skew_ms: float = 10) -> list[Row]:
    rows: list[Row] = []
    for number in range(1, joined + 1):
        rows += [socket(number), packet(number, number, 0, type="connect", event=None)]
        if number <= receivers:
            at_ms = 5000 + (skew_ms if number == receivers else 0)
            rows.append(packet(1000 + number, number, at_ms))
    return rows


def test_judge_of_failures_counts_them_as_slower_than_any_limit(written: Write) -> None:
    rows: list[Row] = [*exchanges([10] * 80)]
    rows += [exchange(100 + number, 1, outcome=Outcome.HTTP_ERROR) for number in range(20)]
    assert verdict(written, rows, "p95(latency) < 1s") == (FAIL, Why.INTERVAL, 100)


def test_judge_of_limited_ones_counts_them_neither_as_latency_nor_as_failure(written: Write) -> None:
    rows: list[Row] = [*exchanges([10] * 30)]
    rows += [exchange(100 + number, 9000, outcome=Outcome.LIMITED, status=429) for number in range(30)]
    assert verdict(written, rows, "p95(latency) < 1s")[::2] == (PASS, 30)


RATES = [
    ("failed ones of what was answered or failed", "rate(failed) < 50%", 40),
    ("limited ones", "rate(limited) < 50%", 40),
    ("refused ones", "rate(refused) < 90%", 40),
    ("aborted ones are counted with the rest only here", "rate(aborted) < 90%", 50),
]


@pytest.mark.parametrize(("expression", "n"), [case[1:] for case in RATES], ids=[case[0] for case in RATES])
def test_judge_of_a_rate_leaves_out_what_never_was_to_be_answered(written: Write, expression: str, n: int) -> None:
    outcomes = [Outcome.OK, Outcome.REFUSED, Outcome.LIMITED, Outcome.RESET, Outcome.ABORTED, Outcome.DROPPED]
    rows: list[Row] = [exchange(number, 5, outcome=outcomes[number % 6]) for number in range(60)]
    assert verdict(written, rows, expression)[2] == n


def test_judge_of_lost_sockets_counts_sockets(written: Write) -> None:
    rows: list[Row] = [socket(number, closed_by="cut" if number < 15 else "client") for number in range(30)]
    assert verdict(written, rows, "rate(lost) < 10%") == (FAIL, Why.INTERVAL, 30)
    assert verdict(written, [], "rate(lost) < 10%", name="other.db") == (NONE, Why.NOT_RECORDED, 0)


def test_judge_of_reach_counts_receipts(written: Write) -> None:
    assert verdict(written, broadcast(20, 20), "reach(service:status) == 100%") == (PASS, Why.EVERY_SAMPLE, 20)


def test_judge_of_reach_with_one_left_out_fails(written: Write) -> None:
    assert verdict(written, broadcast(19, 20), "reach(service:*) == 100%") == (FAIL, Why.ONE_SAMPLE, 20)


def test_judge_of_delivery_is_from_the_first_receipt_and_what_is_missing_breaks_it(written: Write) -> None:
    assert verdict(written, broadcast(20, 20, 900), "max(delivery(service:status)) < 1s")[0] is PASS
    rows = broadcast(20, 20, 1000)
    assert verdict(written, rows, "max(delivery(service:status)) < 1s", name="late.db")[0] is FAIL
    rows = broadcast(20, 21)
    assert verdict(written, rows, "max(delivery(service:status)) < 1s", name="lost.db")[:2] == (FAIL, Why.ONE_SAMPLE)


def test_judge_of_an_event_with_latency_measures_acks(written: Write) -> None:
    rows: list[Row] = [socket(1, closed_ns=60 * S)]
    for number in range(1, 41):
        rows.append(packet(number, 1, number, sender="client", event="client:ping", ack_id=number))
        rows.append(packet(100 + number, 1, number + 30, type="ack", event=None, answers=number))
    assert verdict(written, rows, "p95(latency) < 31ms", 'event = "client:*"') == (PASS, Why.EVERY_SAMPLE, 40)


def test_judge_of_gaps_and_sessions_measures_them(written: Write) -> None:
    rows: list[Row] = [socket(1, closed_ns=200 * S), packet(1, 1, 0), packet(2, 1, 70_000), *users(30)]
    assert verdict(written, rows, "max(gap(service:status)) <= 60s", purpose="replay")[:2] == (FAIL, Why.ONE_SAMPLE)
    assert verdict(written, rows, "p95(session_time) < 2s", purpose="replay", name="b.db")[::2] == (PASS, 30)


def test_judge_of_queries_finds_none_yet(written: Write) -> None:
    assert verdict(written, list(exchanges([1])), "max(query_time) < 100ms")[:2] == (NONE, Why.NOT_RECORDED)


def test_judge_of_intended_times_in_a_recording_is_not_measured(written: Write) -> None:
    assert verdict(written, list(exchanges([1] * 30)), "p95(response_time) < 1s")[0] is NONE


LOAD: list[tuple[str, str, int, int, Verdict, Why]] = [
    ("as many users as promised", "count(users) >= 50", 50, 50, PASS, Why.EXACT),
    ("fewer were asked for: nothing is known", "count(users) >= 50", 20, 20, NONE, Why.LOAD_NOT_PUT_ON),
    ("enough were asked for, and came one by one", "count(users) >= 50", 50, 9, NONE, Why.LOAD_NOT_PUT_ON),
    ("at most so many", "count(users) <= 10", 20, 20, FAIL, Why.EXACT),
]


@pytest.mark.parametrize(
    ("expression", "asked", "came", "expected", "why"), [case[1:] for case in LOAD], ids=[case[0] for case in LOAD]
)
def test_judge_of_users_of_a_table_gives_its_verdict(
    written: Write, expression: str, asked: int, came: int, expected: Verdict, why: Why
) -> None:
    judgement = judge(written, users(came), f"expression = '{expression}'", purpose="replay", settings={"users": asked})
    assert (judgement.judged[0].verdict, judgement.judged[0].why) == (expected, why)


def requests(count: int, over_s: float, latency_ms: float = 10, **changes: Any) -> list[Row]:
    step_ns = round(over_s * S / max(count - 1, 1))
    return [
        exchange(number, latency_ms, sent_ns=number * step_ns, intended_ns=number * step_ns, **changes)
        for number in range(count)
    ]


PER_MINUTE = "count(exchanges) >= 1000 per 1m"
RATE_OF_COUNT = [
    ("enough in two minutes", requests(2200, 120), PASS, Why.EXACT),
    ("enough in half a minute", requests(1000, 30), PASS, Why.EXACT),
    ("too few in half a minute", requests(900, 30), NONE, Why.RUN_TOO_SHORT),
    ("asked for too few", requests(900, 90), NONE, Why.LOAD_NOT_PUT_ON),
    ("asked for enough, and they failed", requests(1100, 59, outcome=Outcome.RESET), FAIL, Why.EXACT),
]


@pytest.mark.parametrize(
    ("rows", "expected", "why"), [case[1:] for case in RATE_OF_COUNT], ids=[case[0] for case in RATE_OF_COUNT]
)
def test_judge_of_requests_a_minute_of_a_table_gives_its_verdict(
    written: Write, rows: list[Row], expected: Verdict, why: Why
) -> None:
    assert verdict(written, rows, PER_MINUTE, purpose="replay")[:2] == (expected, why)


COUNTS = [
    ("exchanges that were answered", "count(exchanges) == 2", ""),
    ("failed ones", "count(failed) == 1", ""),
    ("failed ones of a route", "count(failed) == 0", 'route = "/none"'),
    ("sockets", "count(sockets) == 2", ""),
    ("lost sockets", "count(lost) == 1", ""),
    ("events", "count(events) == 3", ""),
    ("events by name", "count(events) == 1", 'event = "other"'),
]


@pytest.mark.parametrize(("expression", "keys"), [case[1:] for case in COUNTS], ids=[case[0] for case in COUNTS])
def test_judge_of_a_count_is_exact(written: Write, expression: str, keys: str) -> None:
    rows: list[Row] = [
        exchange(1, 5), exchange(2, 5, outcome=Outcome.REFUSED), exchange(3, 5, outcome=Outcome.TIMEOUT),
        exchange(4, 5, outcome=Outcome.LIMITED), socket(1), socket(2, closed_by="cut", closed_ns=S),
        packet(1, 1, 5), packet(2, 1, 6), packet(3, 1, 7, event="other"),
    ]  # fmt: skip
    assert verdict(written, rows, expression, keys)[0] is PASS


def test_judge_of_load_on_a_recording_by_hand_is_not_applicable(written: Write) -> None:
    rows: list[Row] = list(exchanges([10] * 30))
    for place, (expression, keys) in enumerate(
        [("count(users) >= 50", ""), (PER_MINUTE, ""), ("count(sessions) > 1", ""), ("p95(latency) < 1s", "users = 20")]
    ):
        assert verdict(written, rows, expression, keys, name=f"{place}.db")[:2] == (NOT_HERE, Why.BY_HAND)


def test_judge_of_another_kind_of_run_is_not_applicable(written: Write) -> None:
    judgement = judge(written, list(exchanges([10])), "expression = 'p95(latency) < 1s'\napplies = 'check'")
    assert (judgement.judged[0].verdict, judgement.judged[0].required) == (NOT_HERE, False)
    assert judgement.exit_code is ExitCode.OK


def test_judge_of_a_promise_about_more_users_than_the_run_had_is_not_measured(written: Write) -> None:
    rows = users(5) + broadcast(5, 5)
    judgement = judge(written, rows, "expression = 'reach(service:status) == 100%'\nusers = 20\nrequired_if = 'load'",
                      purpose="replay", settings={"users": 5})  # fmt: skip
    judged = judgement.judged[0]
    assert (judged.verdict, judged.why, judged.asked, judged.required) == (NONE, Why.LOAD_NOT_PUT_ON, 5, False)


CONDITIONS = [
    ("pages without any", "pages", [exchange(1, 5)], False),
    ("pages with one", "pages", [exchange(1, 5, kind=Kind.PAGE)], True),
    ("sockets without any", "sockets", [exchange(1, 5)], False),
    ("sockets with one", "sockets", [socket(1)], True),
    ("broadcasts without any", "broadcasts", [socket(1), packet(1, 1, 5)], False),
    ("broadcasts with one", "broadcasts", broadcast(2, 2), True),
    ("samples where nothing has that route", "samples", [exchange(1, 5)], False),
    ("samples where something has", "samples", [exchange(1, 5, route="/none", kind=Kind.PAGE)], True),
    ("queries, of which there are none yet", "queries", [exchange(1, 5)], False),
]


@pytest.mark.parametrize(
    ("condition", "rows", "required"), [case[1:] for case in CONDITIONS], ids=[case[0] for case in CONDITIONS]
)
def test_judge_requires_what_the_capture_has(written: Write, condition: str, rows: list[Row], required: bool) -> None:
    judgement = judge(written, rows, f"expression = 'p95(latency) < 1s'\nrequired_if = '{condition}'\nroute = '/none'")
    assert judgement.judged[0].required is required
    assert judgement.exit_code is (ExitCode.INVALID if required else ExitCode.OK)


GOOD, BAD, FEW, NOTHING = (
    "expression = 'p95(latency) < 1s'",
    "expression = 'p95(latency) < 1ms'",
    "expression = 'p95(latency) < 1s'\nroute = '/few'",
    "expression = 'p95(latency) < 1s'\nroute = '/none'",
)
OPTIONAL = "\nrequired = false"
EXITS: list[tuple[str, tuple[str, ...], dict[str, Any], ExitCode]] = [
    ("everything holds", (GOOD,), {}, ExitCode.OK),
    ("one is broken", (GOOD, BAD), {}, ExitCode.FAILED),
    ("one is broken, but optional", (GOOD, BAD + OPTIONAL), {}, ExitCode.OK),
    ("one is open", (GOOD, FEW), {}, ExitCode.INVALID),
    ("one selects nothing", (GOOD, NOTHING), {}, ExitCode.INVALID),
    ("one selects nothing, but is optional", (GOOD, NOTHING + OPTIONAL), {}, ExitCode.OK),
    ("one is required of replays only", (GOOD, NOTHING + "\nrequired = ['replay']"), {}, ExitCode.OK),
    ("broken goes before open", (FEW, BAD, NOTHING), {}, ExitCode.FAILED),
    ("invalid goes before everything", (GOOD, BAD), {"invalid": ("The generator was late.",)}, ExitCode.INVALID),
    ("invalid though all holds", (GOOD,), {"invalid": ("The generator was late.",)}, ExitCode.INVALID),
    ("what was lost makes it invalid", (GOOD,), {"losses": {"frames": 3}}, ExitCode.INVALID),
    ("nothing of a kind was lost", (GOOD,), {"losses": {"frames": 0}}, ExitCode.OK),
    ("an interrupted run is judged as it is", (GOOD,), {"state": "interrupted"}, ExitCode.OK),
]


@pytest.mark.parametrize(("tables", "run", "code"), [case[1:] for case in EXITS], ids=[case[0] for case in EXITS])
def test_exit_code_follows_the_precedence(
    written: Write, tables: tuple[str, ...], run: dict[str, Any], code: ExitCode
) -> None:
    rows: list[Row] = [*exchanges([10] * 100), exchange(500, 10, route="/few")]
    assert judge(written, rows, *tables, **run).exit_code is code


def test_judge_capture_says_what_was_lost(written: Write) -> None:
    judgement = judge(written, list(exchanges([10])), GOOD, losses={"frames": 1200, "bodies": 2}, invalid=("Late.",))
    assert judgement.invalid == ("Late.", "Not everything was stored; lost: 2 bodies, 1,200 frames.")


def test_judge_capture_by_the_built_in_promises_passes_a_good_replay(written: Write, tmp_path: Path) -> None:
    rows: list[Row] = users(20) + broadcast(20, 20)
    for number in range(600):
        route = "/api/v1/auth/session" if number % 3 else "/api/v1/dashboard/status"
        rows.append(exchange(number, 40, route=route, sent_ns=number * 10 * MS, intended_ns=number * 10 * MS))
    rows += [exchange(1000 + number, 90, kind=Kind.PAGE, route="/dashboard", intended_ns=S) for number in range(30)]
    capture = written(rows, purpose="replay", settings={"users": 20})
    judgement = judge_capture(capture, load_thresholds(None, tmp_path))
    assert judgement.exit_code is ExitCode.OK
    verdicts = {judged.threshold.name: judged.verdict for judged in judgement.judged}
    assert verdicts["API answers within 1 s"] is PASS
    assert verdicts["Authentication within 500 ms"] is PASS
    assert verdicts["Status reaches every client"] is PASS
    assert verdicts["50 users at once"] is NONE
