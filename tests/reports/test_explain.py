"""What is behind a broken promise: which rows are its worst, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest

from nestperf.capture.model import Outcome, Row
from reports.breakdown import Part
from reports.causes.evidence import Cause, CauseKind
from reports.explain import Explanation, explain
from reports.render.explanations import cause_sentence, cause_sentences
from reports.samples import Samples
from reports.thresholds import parse_thresholds
from reports.verdict import judge_capture, judge_samples
from tests.reports.conftest import MS, RUN, S, Write, exchange, exchanges, packet, query, socket


def explained(written: Write, rows: list[Row], expression: str, keys: str = "", **run: Any) -> list[Explanation]:
    capture = written(rows, **run)
    thresholds = parse_thresholds(f"[[threshold]]\nexpression = '{expression}'\n{keys}", "t.toml")
    return list(judge_capture(capture, thresholds).explanations)


def worst(explanation: Explanation) -> list[str]:
    return [item.ref for item in explanation.worst]


def test_explain_of_promises_that_hold_is_nothing(written: Write) -> None:
    assert explained(written, list(exchanges([10] * 100)), "p95(latency) < 1s") == []
    assert explained(written, list(exchanges([10] * 3)), "p95(latency) < 1s", name="few.db") == []


def test_explain_of_slowness_shows_the_slowest_with_their_parts(written: Write) -> None:
    rows: list[Row] = [*exchanges([10] * 60), *(exchange(100 + n, 2000 + n, relay_ns=5 * MS) for n in range(40))]
    (explanation,) = explained(written, rows, "p95(latency) < 1s")
    assert worst(explanation) == ["139", "138", "137"]
    first = explanation.worst[0]
    assert (first.title, first.outcome, first.value_ns, first.added_ns) == (
        "GET /api/health", "ok 200", 2039 * MS, 5 * MS,
    )  # fmt: skip
    assert [stretch.part for stretch in first.stretches] == [Part.WAIT]


def test_explain_of_failures_among_latency_shows_them_first(written: Write) -> None:
    rows: list[Row] = [*exchanges([10] * 60), *(exchange(100 + n, 1, outcome=Outcome.RESET) for n in range(40))]
    (explanation,) = explained(written, rows, "p95(latency) < 1s")
    assert worst(explanation) == ["100", "101", "102"]
    assert (explanation.worst[0].outcome, explanation.worst[0].value_ns) == ("reset 200", None)


def test_explain_of_a_few_failures_shows_the_slow_ones_first(written: Write) -> None:
    rows: list[Row] = [*exchanges([2000] * 60), *(exchange(100 + n, 1, outcome=Outcome.RESET) for n in range(2))]
    (explanation,) = explained(written, rows, "p95(latency) < 1s")
    assert worst(explanation) == ["1", "2", "3"]


def test_explain_of_a_rate_shows_what_counts(written: Write) -> None:
    rows: list[Row] = [*exchanges([10] * 60)]
    rows += [exchange(100 + n, 5 + n, outcome=Outcome.HTTP_ERROR, status=502) for n in range(40)]
    (explanation,) = explained(written, rows, "rate(failed) < 1%")
    assert worst(explanation) == ["139", "138", "137"]
    assert [cause.kind for cause in explanation.causes] == [CauseKind.SERVER_ERRORS]


def test_explain_of_too_few_answers_shows_what_was_none(written: Write) -> None:
    rows: list[Row] = [*exchanges([10] * 10), exchange(50, 5, outcome=Outcome.LIMITED, status=429)]
    (explanation,) = explained(written, rows, "count(exchanges) >= 11")
    assert worst(explanation) == ["50"]
    assert explanation.causes == ()


def test_explain_of_a_lower_limit_shows_the_fastest(written: Write) -> None:
    (explanation,) = explained(written, list(exchanges([10, 20] * 40)), "p50(latency) > 1s")
    assert len(explanation.worst) == 3
    assert explanation.worst[0].value_ns == 10 * MS


def test_explain_of_acks_shows_the_missing_first(written: Write) -> None:
    rows: list[Row] = [socket(1, closed_ns=90 * S)]
    for n in range(30):
        rows.append(packet(100 + n, 1, n * 1000, sender="client", event="ping", ack_id=n))
        if n != 7:
            rows.append(packet(200 + n, 1, n * 1000 + 500 + n, type="ack", event=None, answers=100 + n))
    (explanation,) = explained(written, rows, "p95(latency) < 100ms", "event = 'ping'")
    assert worst(explanation) == ["packet:107", "packet:129", "packet:128"]
    assert [item.outcome for item in explanation.worst] == ["no ack", "acknowledged", "acknowledged"]


def test_explain_of_lost_sockets_shows_the_first(written: Write) -> None:
    rows: list[Row] = [socket(n, closed_by="cut", closed_ns=(40 - n) * S) for n in range(1, 31)]
    (explanation,) = explained(written, rows, "rate(lost) < 1%")
    assert worst(explanation) == ["socket:30", "socket:29", "socket:28"]


def test_explain_of_a_gap_claims_nothing(written: Write) -> None:
    rows: list[Row] = [socket(1, closed_ns=500 * S), *(packet(n, 1, n * 9000) for n in range(1, 40))]
    (explanation,) = explained(written, rows, "max(gap(service:status)) <= 5s")
    assert (explanation.worst, explanation.causes) == ((), ())


def test_explain_puts_required_promises_first(written: Write) -> None:
    capture = written(list(exchanges([2000] * 100)))
    text = "[[threshold]]\nname = '{}'\nexpression = 'p95(latency) < 1s'\nrequired = {}\n"
    thresholds = parse_thresholds(text.format("A", "false") + text.format("B", "true"), "t.toml")
    samples = Samples.read(capture)
    found = explain(judge_samples(samples, (), thresholds, "run.db"), samples, capture)
    assert [explanation.judged.threshold.name for explanation in found] == ["B", "A"]


def test_explain_of_a_relative_promise_takes_the_baselines_limit(written: Write) -> None:
    capture = written(list(exchanges([10] * 50 + [30] * 50)))
    old = Samples.read(written(list(exchanges([10] * 100)), name="old.db"))
    thresholds = parse_thresholds("[[threshold]]\nexpression = 'p95 <= 1.2 * baseline'", "t.toml")
    samples = Samples.read(capture)
    (explanation,) = explain(judge_samples(samples, (), thresholds, "run.db", [old]), samples, capture)
    assert worst(explanation) == ["51", "52", "53"]


def causes_of(written: Write, rows: list[Row], **run: Any) -> list[str]:
    capture = written(rows, **run)
    thresholds = parse_thresholds("[[threshold]]\nexpression = 'rate(failed) < 1%'", "t.toml")
    judgement = judge_capture(capture, thresholds)
    (explanation,) = judgement.explanations
    return [*cause_sentences(explanation, judgement)]


OUTAGE: list[Row] = [
    *(exchange(n, 5, sent_ns=n * 50 * MS) for n in range(1, 100)),
    *(exchange(100 + n, None, sent_ns=(5000 + n * 50) * MS, outcome=Outcome.CONNECT_ERROR) for n in range(20)),
]
SENTENCES: list[tuple[CauseKind, list[Row], str]] = [
    (CauseKind.GONE, OUTAGE, "the application went away. From 5.00 s (22:13:25 UTC) on nothing could connect any"),
    (CauseKind.RESTART, [*OUTAGE, exchange(900, 5, sent_ns=8 * S)],
     "the application restarted. Nothing could connect from 5.00 s (22:13:25 UTC) on, for 3.00 s; before and after"),
    (CauseKind.SERVER_ERRORS, [exchange(n, 5, outcome=Outcome.HTTP_ERROR, status=502) for n in range(9)],
     "the application answers 502 on GET /api/health, first at 0 ms (22:13:20 UTC)."),
    (CauseKind.TIMEOUTS, [exchange(n, None, outcome=Outcome.TIMEOUT) for n in range(9)],
     "no answer in time on GET /api/health, first at 0 ms (22:13:20 UTC)."),
    (CauseKind.MISMATCHES, [exchange(n, 5, outcome=Outcome.MISMATCH, status=404) for n in range(9)],
     "another answer than recorded: mostly 404 on GET /api/health, first at 0 ms (22:13:20 UTC)."),
    (CauseKind.UNAUTHORIZED, [exchange(n, 5, outcome=Outcome.MISMATCH, status=401) for n in range(9)],
     "credentials that were never accepted. 401 was answered on GET /api/health from 0 ms"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "rows", "sentence"), SENTENCES, ids=[case[0] for case in SENTENCES])
def test_cause_sentences_say_where_and_when(written: Write, kind: CauseKind, rows: list[Row], sentence: str) -> None:
    first, last = causes_of(written, rows)
    assert first.startswith(f"Likely cause: {sentence}")
    assert last.startswith("Next: nestperf show ")


FACTS: dict[str, Any] = {
    "method": "GET", "route": "/api/me", "status": 401, "begin_ns": 5 * S, "end_ns": 8 * S, "usual_ns": 10 * MS,
    "broken_ns": 900 * MS, "usual": 2.0, "busy": 40.0, "size": 5_000_000,
}  # fmt: skip


@pytest.mark.parametrize("kind", CauseKind)
def test_cause_sentence_of_every_kind_ends_with_what_it_accounts_for(kind: CauseKind) -> None:
    text = cause_sentence(Cause(kind=kind, explained=9, broken=10, **FACTS), RUN)
    assert text.endswith("(accounts for 9 of 10)")
    assert "None" not in text


OF_SLOWNESS = [
    (CauseKind.QUEUEING, "With 2 under way an answer takes 10.0 ms, with 40 it takes 900 ms (medians)."),
    (CauseKind.QUEUEING, "With fewer users it should go: replay with --users 25."),
    (CauseKind.ONE_ROUTE, "one slow route. GET /api/me takes 900 ms where the others take 10.0 ms (medians)."),
    (CauseKind.EXPIRED, "401 was answered on GET /api/me from 5.00 s (22:13:25 UTC) on, to users who had been let in"),
    (CauseKind.LIMITED, "The first 429 came at 5.00 s (22:13:25 UTC), after 40 requests of that user within a minute."),
    (CauseKind.TRANSFER, "answers of 5.0 MB (median) took 900 ms from first to last byte."),
    (CauseKind.PAUSE, "At 5.00 s (22:13:25 UTC) nothing was answered for 3.00 s"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "sentence"), OF_SLOWNESS)
def test_cause_sentence_holds_its_evidence(kind: CauseKind, sentence: str) -> None:
    run = RUN._replace(settings={"users": 50})
    assert sentence in cause_sentence(Cause(kind=kind, explained=9, broken=10, **FACTS), run)


def test_cause_sentence_of_a_hostile_route_is_printable() -> None:
    cause = Cause(kind=CauseKind.ONE_ROUTE, explained=9, broken=10, **{**FACTS, "route": "/\x1b[2J\n"})
    assert "\x1b" not in cause_sentence(cause, RUN)


def test_explain_of_queries_shows_the_slowest(written: Write) -> None:
    rows: list[Row] = [exchange(1, 5), *(query(n, 5, n * 10) for n in range(1, 40))]
    (explanation,) = explained(written, rows, "max(query_time) < 100ms")
    assert worst(explanation) == ["query:39", "query:38", "query:37"]
    assert explanation.worst[0].value_ns == 390 * MS
