"""Which recorded queries can be asked again: exactly those of which the capture holds everything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nestperf.capture import model
from nestperf.capture.statements import statement_of
from nestperf.capture.vault import Vault
from nestperf.capture.wordings import wording_of
from nestperf.wire.postgres_sent import Value
from replay.database.reads import LeftOut, Reads, Reason, Recorded, choose_reads
from tests.reports.conftest import query


def chosen(sql: str, *, values: bool = True, reveal: Any = str, types: tuple[int, ...] = (), **changes: Any) -> Reads:
    """What becomes of one query of this text; `values`: it was recorded with --pg-parameters."""
    wordings, literals = {}, {}
    wording = wording_of(sql)
    if values and wording is not None:
        wordings[7] = model.Wording(7, json.dumps(wording.pieces), json.dumps(types))
        literals[1] = model.Literals(1, 7, json.dumps(wording.literals))
    recorded = Recorded(
        queries=[query(1, 0, statement_id=3, **changes)],
        statements={3: model.Statement(3, statement_of(sql).text, "f" * 16)},
        wordings=wordings,
        literals=literals,
        with_values=values,
    )
    return choose_reads(recorded, reveal)


def reason(sql: str, **changes: Any) -> Reason:
    reads = chosen(sql, **changes)
    assert reads.reads == ()
    (left,) = reads.left_out
    return left.reason


def test_read_has_its_text_types_and_values_as_they_were_sent() -> None:
    sql = "select * from \"Users\" where id = $1 and name like 'a''b%' and x ? 'k' limit 5"
    given = json.dumps([{"hex": "0007"}, {"binary": "yes"}, None, "text"])
    (read,) = chosen(sql, types=(21, 16, 0, 25), parameters=given, protocol="prepared").reads
    assert (read.text, read.types, read.source, read.statement) == (sql, (21, 16, 0, 25), 1, 3)
    assert read.values == (Value(1, b"\0\7"), Value(1, b"yes"), Value(0, None), Value(0, b"text"))
    assert read.prepared


@pytest.mark.parametrize(
    "sql",
    ["select 1", "WITH a AS (select 1) select * from a", "(select 1) union (select 2)", "values (1)", "table users",
     "show server_version", "explain select 1", "  -- why\n select 1"],
)  # fmt: skip
def test_what_begins_like_a_read_is_one(sql: str) -> None:
    assert len(chosen(sql).reads) == 1


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("insert into t values (1)", Reason.WRITES),
        ("copy t to stdout", Reason.WRITES),
        ("BEGIN", Reason.TRANSACTION),
        ("commit", Reason.TRANSACTION),
        ("set search_path = a", Reason.SESSION),
        ("fetch 5 from c", Reason.ELSEWHERE),
        ("execute s(1)", Reason.ELSEWHERE),
        ("select pg_advisory_lock(1)", Reason.STAYS),
        ("select PG_Sleep (1)", Reason.STAYS),
        ("select pg_terminate_backend(pid) from pg_stat_activity", Reason.STAYS),
        ("", Reason.NO_TEXT),
    ],
)
def test_what_is_no_read_is_left_out_and_says_why(sql: str, why: Reason) -> None:
    assert reason(sql) is why


def test_lock_that_ends_with_its_transaction_is_a_read() -> None:
    assert len(chosen("select pg_advisory_xact_lock(1)").reads) == 1


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"protocol": "prepare"}, Reason.PREPARATION),
        ({"outcome": "error", "sqlstate": "42P01"}, Reason.UNANSWERED),
        ({"outcome": "unfinished"}, Reason.UNANSWERED),
        ({"types": (25,), "parameters": None}, Reason.CUT),
        ({"parameters": '["\ufffd"]'}, Reason.NO_BYTES),
        ({"parameters": '["nps_abcdef_0_"]'}, Reason.SECRET),
    ],
)
def test_read_that_is_not_whole_is_left_out(changes: dict[str, Any], why: Reason) -> None:
    assert reason("select * from t where a = $1", **changes) is why


def test_without_values_only_texts_that_hold_none_are_asked() -> None:
    (read,) = chosen('select  count(*)\nfrom "users"', values=False).reads
    assert (read.text, read.values) == ('select count(*) from "users"', ())
    assert reason("select * from t where a = $1", values=False) is Reason.NO_VALUES
    assert reason("select * from t limit 5", values=False) is Reason.NO_VALUES
    assert reason('select "a  b" from t', values=False) is Reason.NO_VALUES


def test_secrets_go_out_as_they_were_whatever_they_hold() -> None:
    """They are put in before a list is read as JSON, as they were taken out of JSON."""
    vault = Vault.in_memory()
    concealed = vault.conceal('it\'s "one" \\ é')
    stored = json.dumps([concealed])
    reads = chosen("select * from t where token = $1", parameters=stored, reveal=lambda text: text.replace(
        concealed, json.dumps("it's \"one\" \\ é")[1:-1]))  # fmt: skip
    assert reads.reads[0].values == (Value(0, 'it\'s "one" \\ é'.encode()),)


def test_reads_keep_their_order_and_what_is_left_out_is_counted() -> None:
    texts = {1: "select now()", 2: "delete from t"}
    recorded = Recorded(
        queries=[query(1, 30, statement_id=1), query(2, 10, statement_id=1), query(3, 5, statement_id=2),
                 query(4, 6, statement_id=2), query(5, 7, statement_id=None)],
        statements={n: model.Statement(n, text, str(n) * 16) for n, text in texts.items()},
        wordings={}, literals={}, with_values=False,
    )  # fmt: skip
    reads = choose_reads(recorded, str)
    assert [read.source for read in reads.reads] == [2, 1]
    assert [statement.text for statement in reads.statements] == ["select now()"]
    assert reads.left_out == (LeftOut(Reason.WRITES, 2, "delete from t"), LeftOut(Reason.NO_TEXT, 1, ""))
