"""A mark comes from another process while a capture is written: it is stored, swept, and nothing else is touched."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from nestperf.capture import writer as writer_module
from nestperf.capture.model import Mark
from nestperf.capture.reader import Capture
from nestperf.capture.writer import add_mark
from nestperf.errors import CaptureError, UsageError
from tests.capture.test_sweep import begun, exchange, finish

SECOND = 10**9
STARTED_NS = 1
"""When `begun`'s run began."""


def test_marks_of_two_writers_do_not_overwrite_each_other(tmp_path: Path) -> None:
    path = tmp_path / "qa.db"
    writer, _, _ = begun(path)
    writer.add(Mark(None, SECOND, None, "typed", "key"))
    writer.commit()
    added = add_mark(path, "said elsewhere", "command", STARTED_NS + 2 * SECOND)
    assert added == Mark(2, 2 * SECOND, None, "said elsewhere", "command")
    writer.add(Mark(None, 3 * SECOND, None, "typed again", "key"))
    writer.add(exchange(1, 1, None))
    finish(writer)
    with Capture.open(path) as capture:
        marks = [(mark.id, mark.stamp_ns, mark.text, mark.source) for mark in capture.marks()]
        assert marks == [
            (1, SECOND, "typed", "key"),
            (2, 2 * SECOND, "said elsewhere", "command"),
            (3, 3 * SECOND, "typed again", "key"),
        ]
        assert [exchange.id for exchange in capture.exchanges()] == [1]


def test_mark_waits_for_the_recorders_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "qa.db"
    writer, _, _ = begun(path)
    monkeypatch.setattr(writer_module, "_MARK_PATIENCE_S", 0)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("begin immediate")
    with pytest.raises(CaptureError, match=r"cannot take a mark: database is locked\. Try again\."):
        add_mark(path, "too busy", "command", 2)
    holder.execute("commit")
    assert add_mark(path, "now", "command", 2).id == 1
    holder.close()
    finish(writer)


def test_mark_never_stores_a_secret_that_the_recording_knows(tmp_path: Path) -> None:
    path = tmp_path / "qa.db"
    writer, contents, vault = begun(path)
    contents.headers((("Authorization", "Bearer q8Zr-known-3f1c9a77"),))
    writer.add(Mark(None, 0, None, "a row so that the vault is flushed", "key"))
    writer.commit()
    added = add_mark(path, "signing in as q8Zr-known-3f1c9a77", "command", 2)
    assert "known" not in added.text
    assert b"q8Zr-known" not in path.read_bytes() + path.with_name("qa.db-wal").read_bytes()
    assert vault.reveal(added.text) == "signing in as q8Zr-known-3f1c9a77"
    finish(writer)


def test_mark_of_a_recording_that_is_over_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "qa.db"
    writer, _, _ = begun(path)
    finish(writer)
    with pytest.raises(UsageError, match="Nobody is recording into"):
        add_mark(path, "too late", "command", 2)
    with Capture.open(path) as capture:
        assert list(capture.marks()) == []


def test_mark_of_a_recording_that_was_killed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "qa.db"
    writer, _, _ = begun(path)
    writer.add(exchange(1, 1, None))
    writer.commit()
    for name in ("qa.db", "qa.db-wal"):
        (tmp_path / f"killed-{name}").write_bytes((tmp_path / name).read_bytes())
    with pytest.raises(UsageError, match="Nobody is recording into"):
        add_mark(tmp_path / "killed-qa.db", "after a kill", "command", 2)
    with Capture.open(tmp_path / "killed-qa.db") as capture:
        capture.check()
        assert [exchange.id for exchange in capture.exchanges()] == [1]
    finish(writer)
