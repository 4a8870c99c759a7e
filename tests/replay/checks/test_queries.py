"""Rounds of queries: which reads are chosen for them, and what is judged of their rows."""

from __future__ import annotations

from typing import Any

import pytest

from nestperf.capture.model import Query, Run
from nestperf.durations import SECOND_NS
from nestperf.verdicts import Verdict
from replay.checks.contract import NothingSuch, Rows, Source
from replay.checks.queries import KIND, Queries, judge_rounds
from replay.checks.table import Table
from replay.database.reads import Read, Reads
from replay.steps import Plan
from tests.reports.conftest import MS, query

NO_PLAN = Plan(sessions=(), skipped=())
RUN = Run(uid="u", purpose="check", vantage="client", state="finished", version="0", started_unix_ns=0)


def reads_of(count: int) -> Reads:
    reads = tuple(Read(number, 1, f"select {number}", (), (), False) for number in range(count))
    return Reads(reads=reads, left_out=(), statements=())


def rounds(*took_ms: float, users: int = 2, **last: Any) -> list[Query]:
    """Rounds a second apart, in each of which connection 1 takes 1 ms and the others so long; `last`: of the last."""
    rows: list[Query] = []
    for turn, ms in enumerate(took_ms):
        for connection in range(1, users + 1):
            took = 1 if connection == 1 else ms
            rows.append(query(len(rows) + 1, turn * 1000 + connection / 100, took, connection=connection))
    rows[-1] = rows[-1]._replace(**last)
    return rows


def source(reads: Reads | None, *, asks: bool = True) -> Source:
    return Source(plan=NO_PLAN, reads=reads, asks_database=asks)


@pytest.mark.parametrize(
    ("recorded", "asked"),
    [(2, [0, 1, 0, 1, 0, 1]), (6, [0, 1, 2, 3, 4, 5]), (7, [0, 1, 2, 3, 4, 5]), (13, [0, 2, 4, 6, 8, 10])],
)
def test_reads_come_from_all_over_the_recording(recorded: int, asked: list[int]) -> None:
    traffic = Queries(users=3, rounds=2, within_ns=SECOND_NS).prepare(source(reads_of(recorded)))
    assert traffic.asks is not None
    assert [read.source for read in traffic.asks.reads.reads] == asked
    assert traffic.asks.concurrency == traffic.load.users == 3


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (source(None), "has no query that can be asked again"),
        (source(reads_of(0)), "has no query that can be asked again"),
        (source(reads_of(5), asks=False), "name it with --database URL"),
    ],
)
def test_nothing_to_ask_or_nobody_to_ask_is_said(given: Source, sentence: str) -> None:
    with pytest.raises(NothingSuch, match=sentence):
        Queries(users=10, rounds=20, within_ns=SECOND_NS).prepare(given)


def test_rounds_in_time_pass_and_are_measured_from_first_byte_to_last_answer() -> None:
    found = judge_rounds(rounds(5, 30, 20), 2, 3, 50 * MS)
    assert (found.verdict, found.n, found.measured) == (Verdict.PASS, 3, "2 at once in 30.0 ms")
    numbers = {number.name: number.value for number in found.numbers}
    assert numbers["slowest round"] == pytest.approx(30.01 * MS)
    assert numbers["median round"] == pytest.approx(20.01 * MS)
    assert numbers["queries"] == 6


@pytest.mark.parametrize(("took_ms", "verdict"), [(499.99, Verdict.PASS), (500.0, Verdict.FAIL)])
def test_limit_is_kept_to_the_nanosecond(took_ms: float, verdict: Verdict) -> None:
    assert judge_rounds(rounds(1, took_ms), 2, 2, 500 * MS).verdict is verdict


def test_late_round_and_failed_read_break_it() -> None:
    found = judge_rounds(rounds(5, 700), 2, 2, 500 * MS)
    assert (found.verdict, found.sentences) == (Verdict.FAIL, ("1 of 2 rounds took longer than 500 ms.",))
    found = judge_rounds(rounds(5, 7, outcome="error", sqlstate="42P01"), 2, 2, 500 * MS)
    assert found.verdict is Verdict.FAIL
    assert found.sentences == ("1 of 4 reads that went well when recorded failed: SQLSTATE 42P01.",)


def test_refused_write_is_said_and_breaks_nothing() -> None:
    found = judge_rounds(rounds(5, 7, outcome="error", sqlstate="25006"), 2, 2, 500 * MS)
    assert found.verdict is Verdict.PASS
    assert "1 write refused by the server" in found.sentences[0]


def test_fewer_rounds_than_promised_are_inconclusive_and_none_not_measured() -> None:
    assert judge_rounds(rounds(5, 7), 2, 20, 500 * MS).verdict is Verdict.INCONCLUSIVE
    assert judge_rounds([], 2, 20, 500 * MS).verdict is Verdict.NOT_MEASURED
    # A round that a lost connection cut short counts for nothing.
    assert judge_rounds(rounds(5, 7)[:-1], 2, 2, 500 * MS).n == 1


def test_suite_names_how_many_how_often_and_within_what() -> None:
    contract = KIND.read(Table("a suite", {"kind": "queries", "queries": 5, "rounds": 3, "within": "2s"}))
    assert contract == Queries(users=5, rounds=3, within_ns=2 * SECOND_NS)
    rows = Rows(run=RUN, queries=tuple(rounds(1, 1, 1, users=5)))
    found = contract.judge(contract.prepare(source(reads_of(1))), rows)
    assert found.verdict is Verdict.PASS
    (suggested,) = KIND.suggest(source(reads_of(4), asks=False))
    assert 'kind = "queries"  # 4 recorded reads; needs --database URL' in suggested
    assert KIND.suggest(source(None)) == []
