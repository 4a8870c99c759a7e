"""SQL without its values: fingerprints, several statements in a text, traces, and no literal ever left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.statements import statement_of

TRACE = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT 1", "SELECT ?"),
        ("select * from t1\n  where a2 = 'x''y'", "select * from t1 where a2 = ?"),
        (r"select E'it\'s' , e'\\'", "select ? , ?"),
        ("select b'01', X'ff', U&'\\0441', n'x'", "select ?, ?, ?, ?"),
        ("select $$it's$$, $tag$ $$ in $tag$, $1", "select ?, ?, ?"),
        ("select 1.5e-3, .5, 0x1F, 1_000, 1e5, -2", "select ?, ?, ?, ?, ?, -?"),
        ("select a -- 'secret'\n, b /* 'secret' /* nested */ 4 */ from t", "select a , b from t"),
        ('select "a 1", "q""2" from "T3"', 'select "a 1", "q""2" from "T3"'),
        ("where id in ($1, $2,$3)", "where id in (?)"),
        ("insert into t values (1,'a'), (2,'b')", "insert into t values (?), ..."),
        ("select x::int4, a[1], f(1, 2)", "select x::int4, a[?], f(?)"),
        ("select 'cut off in the mid", "select ?"),
        ("select $x$ cut off", "select ?"),
        ("", ""),
    ],
)
def test_values_and_comments_are_taken_out(sql: str, text: str) -> None:
    assert statement_of(sql).text == text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("select 1", "SELECT  2"),
        ("select * from t where a in (1)", "select * from t where a in (1, 2)"),
        ("insert into t values (1)", "insert into t values ($1)"),
        ("select a from t", "select a /* from here */ from t"),
    ],
)
def test_statements_of_one_shape_share_a_fingerprint(one: str, other: str) -> None:
    assert statement_of(one).fingerprint == statement_of(other).fingerprint


@pytest.mark.parametrize(
    ("one", "other"),
    [("select a", "select b"), ('select "a"', 'select "A"'), ("select a from t", "select a from t limit 1")],
)
def test_statements_of_another_shape_do_not(one: str, other: str) -> None:
    assert statement_of(one).fingerprint != statement_of(other).fingerprint


def test_text_of_several_statements_is_read_part_by_part() -> None:
    text = "begin; insert into t values (';'); ; select $$;$$; commit;"
    assert [statement_of(text, part).text for part in range(5)] == [
        "begin",
        "insert into t values (?)",
        "select ?",
        "commit",
        "",
    ]


@pytest.mark.parametrize(
    "sql",
    [
        f"select 1 /*traceparent='00-{TRACE}-01'*/",
        f"/* app='x', traceparent='00-{TRACE.upper()}-00' */ select 1",
        f"select 1 -- traceparent=00-{TRACE}-01",
    ],
)
def test_trace_in_a_comment_is_found(sql: str) -> None:
    assert statement_of(sql).trace == TRACE


def test_trace_in_a_literal_is_no_comment() -> None:
    assert statement_of(f"select '/*traceparent=''00-{TRACE}-01''*/'").trace is None


QUOTES = [("'", "'"), ("E'", "'"), ("$$", "$$"), ("$q$", "$q$"), ("/*", "*/"), ("--", "\n"), ("'", ""), ("/*", "")]


@given(st.sampled_from(QUOTES), st.text("abc é;", max_size=5), st.text("abc é\n;", max_size=5))
def test_no_value_is_left_whatever_stands_around_it(quote: tuple[str, str], before: str, after: str) -> None:
    begin, end = quote
    sql = f"select {begin}{before}SECRET9{end} {after}"
    assert "SECRET9" not in "".join(statement_of(sql, part).text for part in range(4))


@given(st.text(st.sampled_from("a1'\"$-/*\\;(), \nEeUu&x."), max_size=60))
def test_any_text_has_a_shape(sql: str) -> None:
    for part in range(3):
        shape = statement_of(sql, part)
        assert len(shape.fingerprint) == 16
        assert shape.text == shape.text.strip()
