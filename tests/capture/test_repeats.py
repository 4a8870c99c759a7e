"""Packed exchanges: found by every reader while they are packed, and ordinary rows when the run is over."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from nestperf.capture import repeats
from nestperf.capture.model import Exchange, Kind, Outcome, Run, Session
from nestperf.capture.reader import Capture
from nestperf.capture.rewriting import rewrite
from nestperf.capture.writer import CaptureWriter
from nestperf.errors import CaptureTruncated

RUN = Run(uid="r", purpose="replay", vantage="client", state="running", version="0", started_unix_ns=1)
WHOLE = Exchange._make([None] * len(Exchange._fields))._replace(
    id=1, session_id=1, client_id=3, server_call=False, upstream=0, kind=Kind.CALL, method="GET", authority="x",
    target="/1", route="/{id}", http_version="HTTP/1.1", request_bytes=1, response_bytes=1, status=200, intended_ns=1,
    sent_ns=1, outcome=Outcome.OK,
)  # fmt: skip
MANY = 5 * 64 + 3


@pytest.fixture
def writer(tmp_path: Path) -> CaptureWriter:
    """One exchange of its own, and many of two patterns that are stored and packed."""
    writer = CaptureWriter.create(tmp_path / "r.db", RUN)
    writer.add(Session(1, 3, "user"))
    writer.add(WHOLE)
    patterns = [writer.add_pattern(WHOLE._replace(target=f"/{part}", source_exchange=part)) for part in (7, 8)]
    for first in (2, 2 + MANY):
        writer.add_repeats(b"".join(packed(writer, first + n, patterns[n % 2]) for n in range(MANY)))
        writer.commit()
    return writer


def packed(writer: CaptureWriter, number: int, pattern: int) -> bytes:
    word = writer.words["OK" if number % 3 else "Fine"]
    return repeats.pack(number, 1, 5, 60, word, 70, *range(number, number + 5), repeats.NOTHING, pattern, 0)


def check(rows: list[Exchange]) -> None:
    assert [row.id for row in rows] == list(range(1, 2 + 2 * MANY))
    assert rows[0] == WHOLE
    for row in rows[1:]:
        target = "/8" if (row.id - 2) % MANY % 2 else "/7"
        assert row == WHOLE._replace(
            id=row.id, connection=5, request_bytes=60, response_bytes=70, reason="OK" if row.id % 3 else "Fine",
            intended_ns=row.id, sent_ns=row.id + 1, request_done_ns=row.id + 2, first_byte_ns=row.id + 3,
            done_ns=row.id + 4, target=target, source_exchange=int(target[1:]),
        )  # fmt: skip


def is_packed(path: Path) -> bool:
    connection = sqlite3.connect(path)
    try:
        return repeats.exist(connection)
    finally:
        connection.close()


def test_capture_of_a_run_that_goes_on_or_was_killed_shows_all_of_them(writer: CaptureWriter) -> None:
    assert is_packed(writer.path)
    with Capture.open(writer.path) as capture:
        check(list(capture.exchanges()))
        assert capture.count(Exchange) == 1 + 2 * MANY
        assert capture.exchange(2 + MANY) is not None
        assert len(capture.columns(Exchange, "done_ns")) == 1 + 2 * MANY
    assert is_packed(writer.path)


def test_finished_capture_has_rows_only(writer: CaptureWriter) -> None:
    assert writer.pending == 0
    writer.close()
    connection = sqlite3.connect(writer.path)
    for table in ("repeats", "repeat_patterns", "repeat_words"):
        assert connection.execute(f"select count(*) from {table}").fetchone() == (0,)
    assert connection.execute("select count(*) from latencies").fetchone() == (1 + 2 * MANY,)
    connection.close()
    with Capture.open(writer.path) as capture:
        check(list(capture.exchanges()))


def test_killed_run_can_be_gone_on_with_and_exported(writer: CaptureWriter, tmp_path: Path) -> None:
    with Capture.open(writer.path) as capture:
        rewrite(capture, tmp_path / "copy.db", None)
    writer._db.conn.close()
    CaptureWriter.reopen(writer.path, RUN).close()
    for path in (tmp_path / "copy.db", writer.path):
        assert not is_packed(path)
        with Capture.open(path) as capture:
            check(list(capture.exchanges()))


def test_those_that_cannot_be_stored_are_counted(writer: CaptureWriter) -> None:
    pattern = writer.add_pattern(WHOLE)
    writer.add_repeats(packed(writer, 9_000, pattern) + packed(writer, 9_001, pattern))
    assert writer.pending == 2
    assert writer.discard_pending() == {"exchanges": 2}
    writer.close()
    with Capture.open(writer.path) as capture:
        check(list(capture.exchanges()))


@pytest.mark.parametrize("damage", [b"odd", bytes(8 * 13)])
def test_damaged_numbers_are_said(writer: CaptureWriter, damage: bytes) -> None:
    writer._db.conn.execute("insert into repeats (numbers) values (?)", (damage,))
    with pytest.raises(CaptureTruncated, match="is damaged"):
        Capture.open(writer.path)


def test_disk_that_is_full_at_the_end_loses_none(writer: CaptureWriter) -> None:
    connection = writer._db.conn
    pages = connection.execute("pragma page_count").fetchone()[0]
    connection.execute(f"pragma max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        repeats.unpack(connection)
    assert is_packed(writer.path)
    with Capture.open(writer.path) as capture:
        check(list(capture.exchanges()))
    connection.execute("pragma max_page_count = 1000000")
    writer.close()
    with Capture.open(writer.path) as capture:
        check(list(capture.exchanges()))
