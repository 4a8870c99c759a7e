"""SQL as it was asked: literals come out and go back in, and are called what the text compares them with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.statements import statement_of
from nestperf.capture.wordings import Wording, parameter_names, unquoted, wording_of


def wording(sql: str, part: int = 0) -> Wording:
    found = wording_of(sql, part)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("sql", "pieces", "literals"),
    [
        ("select a from t where b = $1", ("select a from t where b = $1",), ()),
        ("select 1", ("select ", ""), ("1",)),
        ("  select 'it''s', $2 limit 10 ;", ("select ", ", $2 limit ", ""), ("'it''s'", "10")),
        ('select $tag$ $1 ; $tag$ from "a  b"', ("select ", ' from "a  b"'), ("$tag$ $1 ; $tag$",)),
        ("select /* 7 'x' */ a -- 8\nfrom t", ("select   a   from t",), ()),
        ("select a ? 'key' from t", ("select a ? ", " from t"), ("'key'",)),
        ("select E'a\\'b', 1.5e-3", ("select ", ", ", ""), ("E'a\\'b'", "1.5e-3")),
    ],
)
def test_literals_are_taken_out_and_parameters_stay(
    sql: str, pieces: tuple[str, ...], literals: tuple[str, ...]
) -> None:
    assert wording(sql) == (pieces, literals)


def test_statements_of_one_text_are_counted_as_their_shapes_are() -> None:
    sql = ";select 1; ; select b from t;;"
    found = [wording(sql, part) for part in (0, 1)]
    assert [one.filled(one.literals) for one in found] == ["select 1", "select b from t"]
    assert [statement_of(sql, part).text for part in (0, 1)] == ["select ?", "select b from t"]
    assert wording_of(sql, 2) is None
    assert wording_of(" -- nothing\n") is None


@given(st.text(alphabet="abE'$\"1?;-/* \n\\x", max_size=40))
def test_any_text_filled_again_is_the_same_statement(sql: str) -> None:
    found = wording_of(sql)
    if found is not None:
        again = found.filled(found.literals)
        assert statement_of(again).fingerprint == statement_of(sql).fingerprint
        assert all("".join(unquoted(literal)) == literal for literal in found.literals)


def test_literals_are_called_what_the_text_compares_them_with() -> None:
    sql = 'UPDATE "users" SET "plex_token" = \'abc\', n = 5 WHERE "id" = $1 AND name like \'x%\' LIMIT 3'
    assert wording(sql).names() == ("plex_token", "n", "name", "")
    assert wording("insert into t (id, token) values ($1, 'x'), (2, 'y')").names() == ("token", "id", "token")


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ('SET "plex_token" = $1 WHERE ("u"."id" = $2 AND 1=1)', {1: "plex_token", 2: "id"}),
        ('INSERT INTO "t" ("id", "token") VALUES ($1,$2), ($3,$4)', {1: "id", 2: "token", 3: "id", 4: "token"}),
        ("select $1 where name like $2 and age >= $3", {2: "name", 3: "age"}),
        ("select 1", {}),
    ],
)
def test_parameters_are_called_what_the_text_compares_them_with(sql: str, names: dict[int, str]) -> None:
    assert parameter_names(sql) == names


@pytest.mark.parametrize(
    ("literal", "parts"),
    [
        ("'abc'", ("'", "abc", "'")),
        ("E'a\\nb'", ("E'", "a\\nb", "'")),
        ("$$a$$", ("$$", "a", "$$")),
        ("$x$a$$b$x$", ("$x$", "a$$b", "$x$")),
        ("1234", ("", "1234", "")),
        ("'cut off", ("", "'cut off", "")),
    ],
)
def test_value_of_a_literal_is_what_stands_between_its_quotes(literal: str, parts: tuple[str, str, str]) -> None:
    assert unquoted(literal) == parts
