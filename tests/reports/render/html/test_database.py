from __future__ import annotations

from typing import Any

from nestperf.capture.model import Row, Statement
from reports.queries import read_queries, summarize_queries
from reports.render.html.database import MOST_STATEMENTS, statements
from tests.reports.conftest import MS, Write, exchange, query


def made(written: Write, rows: list[Row]) -> str:
    capture = written(rows)
    return str(statements(summarize_queries(capture, read_queries(capture)), "run.db"))


def asked(statement: str, times: int, **changes: Any) -> list[Row]:
    return [Statement(1, statement, "a"), *(query(number, 10 * number, 2, **changes) for number in range(1, times + 1))]


def test_no_queries_are_no_table() -> None:
    assert statements(None, "run.db") is None


def test_one_statement_many_times_is_a_finding_with_its_command(written: Write) -> None:
    page = made(written, [exchange(7, 500, sent_ns=0, route="/list"), *asked("select * from titles where id = ?", 8)])
    assert "<b>N+1</b> GET /list asked 8 times for one statement, 16.0 ms in 1 exchange:" in page
    assert "nestperf show run.db 7" in page


def test_a_transaction_left_open_is_a_finding(written: Write) -> None:
    rows: list[Row] = [
        Statement(1, "update users set seen = now()", "a"),
        query(1, 0, 2, transaction_state="open"),
        query(2, 500, 2),
    ]
    page = made(written, rows)
    assert "<b>idle in transaction</b> for 498 ms, after" in page
    assert "nestperf show run.db query:1" in page


def test_the_rest_of_very_many_statements_is_counted(written: Write) -> None:
    rows: list[Row] = []
    for number in range(1, MOST_STATEMENTS + 4):
        rows += [
            Statement(number, f"select {number} from t", str(number)),
            query(number, number, 2, statement_id=number),
        ]
    assert "3 more statements" in made(written, rows)


def test_statements_are_text(written: Write) -> None:
    page = made(written, asked("select '<script>' from t", 3))
    assert "<script>" not in page
    assert f"{3 * 2 * MS}" in page  # what the total sorts by
