"""`Server-Timing` fields: which metrics speak of a database, and nothing but numbers for any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.server_timing import database_times


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("db;dur=53.2", [("db", "", 53_200_000)]),
        ('cache;desc="Cache Read";dur=23.2, db;dur=53, app;dur=47.2', [("db", "", 53_000_000)]),
        ('sql-main;desc="users, \\"all\\" of them" ; dur = .5', [("sql-main", 'users, "all" of them', 500_000)]),
        ("DB_1;dur=1,database;dur=3", [("DB_1", "", 1_000_000), ("database", "", 3_000_000)]),
        ("db.2 ; dur=2", [("db.2", "", 2_000_000)]),
        ("db;dur=1;dur=9", [("db", "", 1_000_000)]),
        ("db;dur=0", [("db", "", 0)]),
        ("db", []),
        ("db;desc=x", []),
        ("db;dur=-1, db;dur=1e9, db;dur=nan, db;dur=", []),
        ("mydb;dur=1, dbx;dur=1, total;dur=1", []),
        ("x@db;dur=5", []),
        ("", []),
    ],
)  # fmt: skip
def test_metrics_of_databases_are_told_with_their_durations(field: str, told: list[tuple[str, str, int]]) -> None:
    assert [tuple(time) for time in database_times((("server-timing", field),))] == told


def test_several_fields_count_and_others_do_not() -> None:
    fields = (("Server-Timing", "db;dur=1"), ("X-Timing", "db;dur=2"), ("SERVER-TIMING", "db;dur=3"))
    assert [time.duration_ns for time in database_times(fields)] == [1_000_000, 3_000_000]


def test_endless_fields_are_read_to_a_bound() -> None:
    assert len(database_times((("server-timing", "db;dur=1," * 100_000),))) == 100


@given(st.text(alphabet='db;ur=,. "\\1x\t') | st.text())
def test_any_text_gives_durations_or_nothing(field: str) -> None:
    assert all(time.duration_ns >= 0 and time.name for time in database_times((("server-timing", field),)))
