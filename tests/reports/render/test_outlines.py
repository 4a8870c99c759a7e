"""SQL in short: lists of columns go, tables and conditions stay."""

from __future__ import annotations

import pytest

from nestperf.printable import clip
from reports.render.outlines import outline
from reports.render.table import Row, render_table

FOUND = (
    'SELECT "public"."users"."id", "public"."users"."plex_id", "public"."users"."role"::text, '
    '"public"."users"."created_at" FROM "public"."users" '
    'WHERE ("public"."users"."id" = ? AND ?=?) LIMIT ? OFFSET ?'
)
"""As Prisma asks."""


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (FOUND, "SELECT … FROM users WHERE (id = ? AND ?=?) LIMIT ? OFFSET ?"),
        (
            'SELECT COUNT(*) AS "_count" FROM (SELECT "public"."users"."id" FROM "public"."users" WHERE ?=?) AS "sub"',
            "SELECT COUNT(*) AS _count FROM (SELECT id FROM users WHERE ?=?) AS sub",
        ),
        (
            'INSERT INTO "public"."users" ("id","plex_id","username","email","created_at") VALUES (?) RETURNING "id"',
            "INSERT INTO users (…) VALUES (?) RETURNING id",
        ),
        (
            "WITH old AS (SELECT a.first_name, a.last_name, a.middle_name FROM app.people a) DELETE FROM app.people",
            "WITH old AS (SELECT … FROM app.people a) DELETE FROM app.people",
        ),
        (
            'select u.id, o.total from "Users" u join orders o on u.id = o.user_id',
            'select u.id, o.total from "Users" u join orders o on u.id = o.user_id',
        ),
        ("SELECT first_column, second_column, extract(year from third)", "SELECT …"),
        ("COMMIT", "COMMIT"),
        ('SELECT (((") FROM', 'SELECT (((") FROM'),
        ("", ""),
    ],
)
def test_lists_of_columns_go_tables_and_conditions_stay(statement: str, expected: str) -> None:
    assert outline(statement) == expected


def test_statement_in_a_table_is_cut_at_its_end() -> None:
    (*_, line) = render_table(("n",), [Row(outline(FOUND), ("7",))], 40, cut=clip)
    assert line == "  SELECT … FROM users WHERE (id = ? …  7"
