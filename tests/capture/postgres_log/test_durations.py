"""Queries out of a log's messages: which durations are one query, and which are left alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.postgres_log.durations import Durations, LoggedMessage, LoggedQuery


def queries(*messages: tuple[str, str] | str) -> tuple[list[LoggedQuery], Durations]:
    """Of messages, each of session `a` or (session, message); a message a microsecond."""
    durations = Durations()
    found: list[LoggedQuery] = []
    for at, one in enumerate(messages):
        session, text = ("a", one) if isinstance(one, str) else one
        severity, _, message = text.partition(":  ")
        found += durations.take(LoggedMessage(at * 1000, session, "", "", severity, message))
    return [*found, *durations.finish()], durations


def told(found: list[LoggedQuery]) -> list[tuple[str, str | None, int]]:
    return [(query.protocol, query.text, query.duration_ns // 1_000_000) for query in found]


def test_parse_bind_and_execute_are_one_query_even_where_sessions_take_turns() -> None:
    found, _ = queries(
        ("a", "LOG:  duration: 1.000 ms  parse <unnamed>: select $1"),
        ("b", "LOG:  duration: 9.000 ms  statement: select 2"),
        ("a", "LOG:  duration: 2.000 ms  bind <unnamed>: select $1"),
        ("b", "LOG:  duration: 8.000 ms  bind s1: select 3"),
        ("a", "LOG:  duration: 4.000 ms  execute <unnamed>: select $1"),
        ("b", "LOG:  duration: 1.000 ms  execute s1: select 3"),
        ("b", "LOG:  duration: 5.000 ms  execute fetch from s1/c: select 3"),
    )
    assert told(found) == [
        ("simple", "select 2", 9),
        ("extended", "select $1", 7),
        ("prepared", "select 3", 9),
        ("prepared", "select 3", 5),
    ]


def test_parse_without_an_execute_is_a_preparation() -> None:
    found, _ = queries(
        "LOG:  duration: 1.000 ms  parse s1: select 1",
        "LOG:  duration: 1.000 ms  parse s2: select 2",
        "LOG:  duration: 3.000 ms  execute s2: select 2",
    )
    assert told(found) == [("prepare", "select 1", 1), ("extended", "select 2", 4)]


def test_durations_alone_are_queries_without_a_statement() -> None:
    found, _ = queries(*["LOG:  duration: 1.000 ms"] * 4)
    assert told(found) == [("", None, 1)] * 4


def test_statement_before_its_duration_takes_it() -> None:
    found, _ = queries(
        "LOG:  duration: 6.000 ms",  # of nothing that was logged
        "LOG:  statement: select 1",
        "LOG:  duration: 1.000 ms",
        "LOG:  duration: 1.000 ms",
        "LOG:  duration: 2.000 ms",
        "LOG:  execute <unnamed>: select $1",
        "LOG:  duration: 4.000 ms",
    )
    assert told(found) == [("", None, 6), ("simple", "select 1", 1), ("extended", "select $1", 7)]


def test_failed_statements_are_counted_and_take_nothing_along() -> None:
    found, durations = queries(
        "LOG:  duration: 1.000 ms  parse <unnamed>: select 1/0",
        "ERROR:  division by zero",
        "STATEMENT:  select 1/0",
        "LOG:  duration: 2.000 ms  statement: select 1",
    )
    assert durations.failed == 1
    assert told(found) == [("prepare", "select 1/0", 1), ("simple", "select 1", 2)]


def test_plans_and_other_messages_are_no_queries() -> None:
    found, _ = queries(
        "LOG:  duration: 5.000 ms  plan:\nQuery Text: select 1",
        "LOG:  checkpoint complete: wrote 3 buffers",
        "WARNING:  duration: 1.000 ms  statement: select 1",
        "LOG:  duration: lots",
    )
    assert found == []


@given(st.lists(st.text(alphabet="duration: 1.0ms statement parse bind execute<>") | st.text(), max_size=20))
def test_any_messages_give_queries_or_nothing(messages: list[str]) -> None:
    found, _ = queries(*(f"LOG:  {message}" for message in messages))
    assert all(query.duration_ns >= 0 for query in found)
