"""The file's tables are exactly the model's rows, and migrations lead there."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlite_utils import Database
from sqlite_utils.db import Table

from nestperf.capture import model, schema
from nestperf.capture.reader import Capture
from nestperf.capture.rewriting import rewrite
from nestperf.cli import run

SAMPLES = Path(__file__).parents[1] / "samples"


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


def test_capture_of_the_first_format_is_read_as_it_was_written() -> None:
    """`tests/samples/capture-format-1.db`, written by the version that had no queries."""
    with Capture.open(SAMPLES / "capture-format-1.db") as capture:
        assert capture.version == 1
        capture.check()
        rows = {row_type: capture.count(row_type) for row_type in schema.TABLES}
        assert rows == {
            model.Client: 3,
            model.Session: 0,
            model.Exchange: 23,
            model.HeaderSet: 30,
            model.Body: 18,
            model.BodyPart: 0,
            model.Socket: 1,
            model.Frame: 7,
            model.Packet: 5,
            model.Statement: 0,
            model.Query: 0,
            model.Relation: 0,
            model.Mark: 0,
            model.Wording: 0,
            model.Literals: 0,
            model.Page: 0,
            model.Resource: 0,
            model.Timing: 0,
        }
        assert {exchange.status for exchange in capture.exchanges()} == {101, 200, 401}
        assert list(capture.queries()) == []
        assert capture.columns(model.Query, "id", "done_ns") == []


@pytest.mark.parametrize("version", range(1, schema.FORMAT + 1))
def test_capture_of_every_format_is_read_reported_and_brought_up(version: int, tmp_path: Path) -> None:
    """`tests/samples/capture-format-N.db`, each recorded by a version that wrote it; a new format adds its own."""
    path = SAMPLES / f"capture-format-{version}.db"
    with Capture.open(path) as capture:
        assert capture.version == version
        capture.check()
        rows = {row_type: len(capture.columns(row_type, "id")) for row_type in schema.TABLES}
        assert rows[model.Exchange] > 0
        # What a format did not have yet is empty, and everything else is where it was.
        assert all(not rows[kind] or schema.SINCE.get(table, 1) <= version for kind, table in schema.TABLES.items())
        rewrite(capture, tmp_path / "now.db", None)
    with Capture.open(tmp_path / "now.db") as now:
        assert now.version == schema.FORMAT
        assert {row_type: now.count(row_type) for row_type in schema.TABLES} == rows
    assert run(["report", str(path), "--format", "json", "-o", str(tmp_path / "report.json")]) in (0, 1, 4)
