"""Every verdict has a sentence that says what it rests on and what to do next."""

from __future__ import annotations

from typing import Any

import pytest

from nestperf.capture.model import Outcome, Row
from reports.render import sentences
from reports.rules import Why
from reports.samples import Samples
from reports.thresholds import parse_thresholds
from reports.verdict import judge_samples
from tests.reports.conftest import S, Write, exchange, exchanges, packet, session, socket
from tests.reports.render.conftest import Reported

HUNDRED: list[Row] = list(exchanges([400] * 100))
SLOW: list[Row] = list(exchanges([400] * 80 + [2000] * 20))
SOME_FAILED: list[Row] = [*exchanges([400] * 60), *(exchange(100 + n, 1, outcome=Outcome.RESET) for n in range(40))]
USERS: list[Row] = [exchange(1, 5), *(session(n, started_ns=n * 2 * S, ended_ns=n * 2 * S + S) for n in range(3))]
REPLAY: dict[str, Any] = {"purpose": "replay", "settings": {"users": 3}}

REASONS: list[tuple[Why, list[Row], str, str, dict[str, Any], str]] = [
    (Why.INTERVAL, HUNDRED, "p95(latency) < 1s", "", {}, "p95 is 400 ms (400 … 400 ms, n 100) and keeps < 1 s."),
    (Why.INTERVAL, SLOW, "p95(latency) < 1s", "", {}, "p95 is 2.00 s (2.00 … 2.00 s, n 100) and was to be < 1 s."),
    (Why.INTERVAL, SOME_FAILED, "p95(latency) < 1s", "", {},
     "p95 falls among the 40 of 100 that failed and was to be < 1 s."),
    (Why.INTERVAL, SOME_FAILED, "rate(failed) < 1%", "", {},
     "the rate is 40 % (30.3 … 50.3 %, n 100) and was to be < 1 %."),
    (Why.EVERY_SAMPLE, HUNDRED[:20], "p95(latency) < 1s", "", {}, "all 20 samples keep it, which makes it 64 % sure."),
    (Why.EVERY_SAMPLE, HUNDRED[:20], "max(latency) < 1s", "", {}, "all 20 samples keep it."),
    (Why.ONE_SAMPLE, SLOW[:81], "max(latency) < 1s", "", {}, "1 of 81 samples breaks it, and none may."),
    (Why.EXACT, HUNDRED, "count(exchanges) >= 200", "", {}, "100 was to be >= 200."),
    (Why.EXACT, HUNDRED, "count(exchanges) >= 50", "", {}, "100 keeps >= 50."),
    (Why.TOO_FEW, HUNDRED[:1], "p95(latency) < 1s", "", {},
     "1 sample, none of which breaks it; a verdict needs 20. Record more, or replay with more --users or a longer"),
    (Why.TOO_FEW, SLOW[75:81], "p95(latency) < 1s", "", {}, "6 samples, 1 of which breaks it; a verdict needs 20."),
    (Why.STRADDLES, SLOW[:84], "p95(latency) < 1s", "", {},
     "the limit 1 s lies within what 84 samples (worth 8) leave open (over 400 ms); about"),
    (Why.NOTHING_SELECTED, HUNDRED, "p95(latency) < 1s", "route = '/none'", {},
     "no route in this capture is /none."),
    (Why.NOTHING_SELECTED, HUNDRED, "p95(latency) < 1s", "route = '/api/helth'", {},
     "no route in this capture is /api/helth; the nearest is /api/health."),
    (Why.NOTHING_SELECTED, [exchange(1, 5, method="POST"), exchange(2, 5, route="/b")], "p95(latency) < 1s",
     "route = '/b'\nmethod = 'POST'", {}, "nothing in this capture is all of that at once."),
    (Why.NOT_RECORDED, HUNDRED, "max(query_time) < 100ms", "", {}, "no database was recorded: nestperf record URL postgres://HOST:PORT."),
    (Why.NOT_RECORDED, HUNDRED, "p95(latency) < 1s", "mark = 'request'", {}, "nothing was named while it was"),
    (Why.NOT_RECORDED, HUNDRED, "max(send_lag) < 1s", "", {}, "only a replay knows when a request was due"),
    (Why.NOT_RECORDED, HUNDRED, "max(session_time) < 1s", "", {}, "only a replay stores sessions"),
    (Why.NOT_RECORDED, HUNDRED, "rate(lost) < 1%", "", {}, "no WebSocket or Socket.IO connection was opened."),
    (Why.NOT_RECORDED, [socket(1), packet(1, 1, 5)], "reach(service:status) == 100%", "", {},
     "no event reached two sockets: replay with --users 2 or more."),
    (Why.NO_BASELINE, HUNDRED, "p95 <= 1.2 * baseline", "", {},
     "is relative to a baseline, and none was given: --baseline OLD.db."),
    (Why.OTHER_RUN, HUNDRED, "p95(latency) < 1s", "applies = ['replay', 'check']", {},
     "applies to replay and check only."),
    (Why.ONLY_QUERIES, HUNDRED, "p95 < 1s", "", {"purpose": "replay", "settings": {"model": "queries"}},
     "this run asked a database and nothing else."),
    (Why.BY_HAND, HUNDRED, "count(users) >= 50", "", {}, "is about load, and this was recorded by hand"),
    (Why.LOAD_NOT_PUT_ON, USERS, "count(users) >= 50", "", REPLAY,
     "the run had 1 at once: replay with --users 50."),
    (Why.LOAD_NOT_PUT_ON, USERS, "count(users) >= 3", "", REPLAY,
     "3 users, but at most 1 at once: give a longer --duration, or --start together."),
    (Why.LOAD_NOT_PUT_ON, USERS, "p95(latency) < 1s", "users = 20", REPLAY,
     "is about 20 users, the run had 3: --users 20."),
    (Why.LOAD_NOT_PUT_ON, [exchange(1, 5), exchange(2, 5, sent_ns=70 * S)], "count(exchanges) > 9 per 1m", "", REPLAY,
     "the run asked for 1 in its busiest 60 s, not for 9: replay with more --users or a higher --rate."),
    (Why.RUN_TOO_SHORT, HUNDRED, "count(exchanges) >= 1000 per 1m", "", REPLAY,
     "100, but the run was shorter than 60 s: give a longer --duration."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("why", "rows", "expression", "keys", "run", "sentence"),
    REASONS,
    ids=[f"{case[0]}-{place}" for place, case in enumerate(REASONS)],
)
def test_reason_of_a_verdict_is_a_sentence(
    reported: Reported, why: Why, rows: list[Row], expression: str, keys: str, run: dict[str, Any], sentence: str
) -> None:
    judgement = reported(rows, f"[[threshold]]\nexpression = '{expression}'\n{keys}", **run).judgement
    (judged,) = judgement.judged
    assert judged.why is why
    assert sentences.reason(judged).startswith(sentence)


RELATIVE: list[tuple[Why, list[Row], list[Row], str, str]] = [
    (Why.INTERVAL, SLOW, HUNDRED, "p95 <= 1.2 * baseline",
     "p95 is 2.00 s (2.00 … 2.00 s, n 100), in the baseline 400 ms (n 100), and was to be <= 1.2 times the baseline."),
    (Why.INTERVAL, HUNDRED, HUNDRED, "p95 <= baseline",
     "p95 is 400 ms (400 … 400 ms, n 100), in the baseline 400 ms (n 100), and keeps <= the baseline."),
    (Why.EXACT, HUNDRED, SLOW, "count(exchanges) >= 0.9 * baseline",
     "it is 100, in the baseline 100, and keeps >= 0.9 times the baseline."),
    (Why.EVERY_SAMPLE, SLOW[80:] * 2, HUNDRED[:40], "p95 <= 2 * baseline",
     "p95 is 2.00 s (over 2.00 s, n 40), in the baseline 400 ms (n 40), and was to be <= 2 times the baseline (87"),
    (Why.EVERY_SAMPLE, HUNDRED[:40], SLOW[80:] * 2, "p95 <= baseline",
     "p95 is 400 ms (over 400 ms, n 40), in the baseline 2.00 s (n 40), and keeps <= the baseline (87 % sure)."),
    (Why.EVERY_SAMPLE, HUNDRED, HUNDRED, "rate(failed) <= baseline",
     "the rate is 0 % (0 … 3.62 %, n 100), in the baseline 0 % (n 100), and keeps <= the baseline."),
    (Why.TOO_FEW, HUNDRED[:3], SLOW, "p95 <= baseline", "p95 is 400 ms (over 400 ms, n 3), in the baseline 2"),
    (Why.STRADDLES, SLOW, SLOW, "p80 <= baseline", "p80 is 400 ms (over 400 ms, n 100), in the baseline 4"),
    (Why.NOT_IN_BASELINE, HUNDRED, [exchange(1, 5, route="/b")], "p95 <= baseline", "nothing in the baseline is sel"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("why", "rows", "old", "expression", "sentence"),
    RELATIVE,
    ids=[f"{case[0]}-{place}" for place, case in enumerate(RELATIVE)],
)
def test_reason_of_a_relative_verdict_names_both_sides(
    written: Write, why: Why, rows: list[Row], old: list[Row], expression: str, sentence: str
) -> None:
    numbered = [[row._replace(id=n) for n, row in enumerate(some, 1)] for some in (rows, old)]
    samples, baseline = (Samples.read(written(some, name=f"{n}.db")) for n, some in enumerate(numbered))
    thresholds = parse_thresholds(f"[[threshold]]\nexpression = '{expression}'\nroute = '/api/health'", "t.toml")
    (judged,) = judge_samples(samples, (), thresholds, "run.db", [baseline]).judged
    assert judged.why is why
    assert sentences.reason(judged).startswith(sentence)


def test_reasons_cover_every_why() -> None:
    # What several runs come to together is said in tests/reports/test_consistency.py.
    assert {case[0] for case in REASONS} | {case[0] for case in RELATIVE} == set(Why) - {Why.SOMETIMES}


def test_remarks_say_alike_things_together(reported: Reported) -> None:
    tables = "".join(f"[[threshold]]\nname = '{name}'\nexpression = 'p95(latency) < 1s'\n" for name in ("A", "B"))
    remarks = list(sentences.remarks(reported(HUNDRED[:3], tables).judgement))
    assert len(remarks) == 1
    assert "A (3); B (3)" in remarks[0]


def test_remarks_give_the_note_of_what_was_judged(reported: Reported) -> None:
    table = "[[threshold]]\nname = 'Pages'\nexpression = 'p95(latency) < 1s'\nnote = 'not over 3G'\n"
    assert list(sentences.remarks(reported(HUNDRED, table).judgement)) == ["Pages: not over 3G."]


def test_verdict_of_a_pass_never_rounds_its_confidence_up(reported: Reported) -> None:
    (judged,) = reported(HUNDRED[:71], "[[threshold]]\nexpression = 'p95(latency) < 1s'").judgement.judged
    assert judged.confidence is not None
    assert 0.97 < judged.confidence < 0.975
    assert sentences.verdict_of(judged) == "pass (97 %)"
