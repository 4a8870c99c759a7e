"""The load's judgement: by thresholds over its capture, with what failed and what was limited said apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from nestperf.capture.model import Client, Exchange, Kind, Outcome, Run, Session, Upstream
from nestperf.capture.reader import Capture
from nestperf.capture.writer import CaptureWriter
from nestperf.cli import run as nestperf
from nestperf.durations import SECOND_NS
from nestperf.verdicts import Verdict
from replay.checks.contract import Finding, Rows, Source
from replay.checks.load import LoadContract
from replay.checks.performance import rows_of
from replay.checks.suite import parse_suite
from replay.steps import Plan
from tests.conftest import serving
from tests.replay.checks.conftest import MS, call, exchange, session
from tests.replay.conftest import Recording

SUITE = """
[[contract]]
kind = "load"
users = 2
rate = "50/s"

[[contract.promise]]
name = "Calls"
expression = "p95(latency) < 500ms"
kind = "call"

[[contract.promise]]
name = "Failures"
expression = "rate(failed) < 5%"
"""
VISIT = Source(plan=Plan(sessions=(session(call(1, "GET /items")),), skipped=()))


def contract() -> LoadContract:
    (entry,) = parse_suite(SUITE, "suite.toml").entries
    assert isinstance(entry.contract, LoadContract)
    return entry.contract


def sent(count: int, ms: float = 10, outcome: Outcome = Outcome.OK, *, every_ms: float = 10) -> list[Exchange]:
    """So many answers after so long, one due every 10 ms."""
    return [
        exchange(n * every_ms, n * every_ms + ms, outcome)._replace(
            id=n + 1, session_id=n % 2 + 1, client_id=1, upstream=0, kind=Kind.CALL, server_call=False, method="GET",
            authority="localhost", target="/items", route="/items", http_version="HTTP/1.1", request_bytes=0,
            response_bytes=0, status=200, detail="answered 500" if outcome is Outcome.HTTP_ERROR else None,
        )
        for n in range(count)
    ]  # fmt: skip


def judge(path: Path, exchanges: Sequence[Exchange], **certificate: Any) -> Finding:
    """Write the capture that such a load would have left, and judge it."""
    run = Run(
        uid="check",
        purpose="check",
        vantage="client",
        state="finished",
        version="0",
        started_unix_ns=1,
        upstreams=(Upstream("http://127.0.0.1:1"),),
        settings={"users": 2, "phases": [["load", 0, 10 * SECOND_NS]]},
        certificate=certificate,
    )
    writer = CaptureWriter.create(path, run)
    writer.add(Client(1, "127.0.0.1", "Tester/1"))
    for number in (1, 2):
        writer.add(Session(number, 1, f"user {number}", vu=number - 1, started_ns=0, ended_ns=5 * SECOND_NS))
    for one in exchanges:
        writer.add(one)
    writer.close()
    asked = contract()
    with Capture.open(path) as capture:
        return asked.judge(asked.prepare(VISIT), rows_of(capture))


def test_load_that_is_kept_passes_with_its_numbers(tmp_path: Path) -> None:
    found = judge(tmp_path / "check.db", sent(400))
    assert found.verdict is Verdict.PASS, found.sentences
    numbers = {number.name: number.value for number in found.numbers}
    assert numbers == {"2 users at once": 2, "50 requests a second": 100, "Calls": 10 * MS, "Failures": 0}


def test_load_that_is_slow_or_comes_too_seldom_fails(tmp_path: Path) -> None:
    slow = judge(tmp_path / "slow.db", sent(400, 700))
    assert slow.verdict is Verdict.FAIL
    assert slow.sentences[0].startswith("Calls: p95 is 700 ms")
    seldom = judge(tmp_path / "seldom.db", sent(200, every_ms=40))
    assert seldom.verdict is not Verdict.PASS


def test_load_names_what_failed_and_how_often(tmp_path: Path) -> None:
    mixed = [*sent(300), *(one._replace(id=one.id + 300) for one in sent(100, outcome=Outcome.HTTP_ERROR))]
    found = judge(tmp_path / "check.db", mixed)
    assert found.verdict is Verdict.FAIL
    assert "100 of 400 requests failed: 100 http_error." in found.sentences
    assert "Most often (100 times) GET /items: answered 500." in found.sentences


def test_limited_requests_are_neither_failures_nor_latency(tmp_path: Path) -> None:
    limited = [one._replace(id=one.id + 400) for one in sent(100, 5000, Outcome.LIMITED)]
    found = judge(tmp_path / "check.db", [*sent(400), *limited])
    assert found.verdict is Verdict.PASS, found.sentences
    assert found.sentences == ("100 requests were refused by a rate limit.",)


def test_load_that_was_over_before_anybody_did_much_says_what_it_did_not_ask_for(tmp_path: Path) -> None:
    found = judge(tmp_path / "a.db", sent(1000), routes=9, never_asked=1, never_asked_first=["POST /orders"])
    assert found.verdict is Verdict.PASS
    assert found.sentences[-1].startswith("No user got as far as 1 of 9 recorded routes, such as POST /orders")


def test_load_that_never_asked_for_most_of_what_was_recorded_proves_nothing(tmp_path: Path) -> None:
    half = judge(tmp_path / "half.db", sent(1000), routes=8, never_asked=4, never_asked_first=["POST /orders"])
    assert half.verdict is Verdict.PASS
    most = judge(tmp_path / "most.db", sent(1000), routes=8, never_asked=5, never_asked_first=["POST /orders"])
    assert most.verdict is Verdict.INCONCLUSIVE
    failed = judge(tmp_path / "slow.db", sent(400, 700), routes=8, never_asked=5, never_asked_first=["POST /orders"])
    assert failed.verdict is Verdict.FAIL


class _Steps(BaseHTTPRequestHandler):
    """Counts how often each step of a visit was asked for."""

    protocol_version = "HTTP/1.1"
    asked: Counter[str]

    def do_GET(self) -> None:
        self.asked[self.path] += 1
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def test_somebody_comes_to_the_end_of_a_long_visit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With 80 requests 20 users in turns come to their fourth of eight; a quarter of them, who get half, to all."""
    _Steps.asked = Counter()
    suite = tmp_path / "suite.toml"
    suite.write_text('[[contract]]\nkind = "load"\nusers = 20\nrate = "10/s"\nfor = "8s"\n')
    with serving(_Steps) as port:
        recording = Recording(tmp_path / "qa.db", f"http://127.0.0.1:{port}")
        for number in range(1, 9):
            recording.exchange("GET", f"/step/{number}", number * 10, number * 10 + 1)
        recording.finish(100)
        nestperf(["check", str(tmp_path / "qa.db"), "--suite", str(suite), "-o", str(tmp_path / "check.db")])
    printed = capsys.readouterr().out
    asked = [_Steps.asked[f"/step/{number}"] for number in range(1, 9)]
    assert sum(asked) == 80, printed
    assert asked[0] >= 20  # all users are there
    assert asked[7] >= 4
    assert "No user got as far" not in printed


def test_load_without_traffic_is_not_measured(tmp_path: Path) -> None:
    assert judge(tmp_path / "check.db", []).verdict is Verdict.NOT_MEASURED
    asked = contract()
    empty = Rows(run=Run("x", "check", "client", "finished", "0", 1))
    assert asked.judge(asked.prepare(VISIT), empty).verdict is Verdict.NOT_MEASURED


def test_generator_may_be_late_by_a_tenth_of_the_shortest_promise() -> None:
    assert contract().prepare(VISIT).lateness_ns == 50 * MS
