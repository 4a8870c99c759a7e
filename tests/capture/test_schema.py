"""The file's tables are exactly the model's rows, and migrations lead there."""

from __future__ import annotations

import sqlite3

import pytest
from sqlite_utils import Database
from sqlite_utils.db import Table

from nestperf.capture import model, schema


@pytest.fixture
def db() -> Database:
    database = Database(memory=True)
    schema.migrate(database)
    return database


@pytest.mark.parametrize(("row_type", "table"), list(schema.TABLES.items()))
def test_table_columns_are_the_rows_fields_in_order(db: Database, row_type: type[model.Row], table: str) -> None:
    stored = db[table]
    assert isinstance(stored, Table)
    assert tuple(column.name for column in stored.columns) == row_type._fields


def test_run_columns_are_the_runs_fields(db: Database) -> None:
    run = db["run"]
    assert isinstance(run, Table)
    assert tuple(column.name for column in run.columns) == ("id", *model.Run._fields)


def test_migrate_marks_the_file_and_its_version(db: Database) -> None:
    assert db.conn.execute("pragma application_id").fetchone()[0] == schema.APPLICATION_ID
    assert db.conn.execute("pragma user_version").fetchone()[0] == schema.FORMAT


def test_migrate_twice_changes_nothing(db: Database) -> None:
    before = db.schema
    schema.migrate(db)
    assert db.schema == before


def test_format_counts_the_migrations() -> None:
    database = Database(memory=True)
    assert len(schema.migrations.pending(database)) == schema.FORMAT


def test_views_give_milliseconds(db: Database) -> None:
    db.conn.execute(
        "insert into exchanges (id, intended_ns, sent_ns, first_byte_ns, done_ns) values (1, 1e6, 2e6, 3e6, 5e6)"
    )
    row = db.conn.execute("select service_ms, response_ms, first_byte_ms, send_lag_ms from latencies").fetchone()
    assert row == (3.0, 4.0, 1.0, 1.0)


def test_tables_are_strict(db: Database) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        db.conn.execute("insert into exchanges (id, sent_ns) values (1, 'soon')")
