"""One file, written in small transactions, readable meanwhile, refused in one sentence when it cannot be used."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from nestperf.capture import model
from nestperf.capture.reader import Capture
from nestperf.capture.vault import Vault, secrets_path
from nestperf.capture.writer import CaptureWriter
from nestperf.cli import run as nestperf
from nestperf.errors import (
    CaptureEmpty,
    CaptureError,
    CaptureForeign,
    CaptureMissing,
    CaptureNewer,
    CaptureTruncated,
    UsageError,
)

RUN = model.Run(
    uid="u1",
    purpose="record",
    vantage="proxy",
    state="running",
    version="0",
    started_unix_ns=1,
    upstreams=(model.Upstream("http://127.0.0.1:4000", "127.0.0.1:8400"),),
    settings={"users": 3},
)


def exchange(exchange_id: int, **changes: object) -> model.Exchange:
    row = model.Exchange(
        id=exchange_id, session_id=None, client_id=1, connection=1, upstream=0, kind=model.Kind.CALL, server_call=False,
        method="GET", authority="localhost", target="/x?y=1", route="/x", http_version="HTTP/1.1", request_headers=1,
        request_trailers=None, request_body=None, request_bytes=10, status=200, reason="OK", response_headers=1,
        response_trailers=None, response_body=1, response_bytes=20, interim=None, intended_ns=None, sent_ns=1_000,
        request_done_ns=1_100, first_byte_ns=2_000, done_ns=3_000, connect_ns=None, relay_ns=50,
        outcome=model.Outcome.OK, detail=None, source_exchange=None,
    )  # fmt: skip
    return row._replace(**changes)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "qa.db"


@pytest.fixture
def finished(path: Path) -> Path:
    writer = CaptureWriter.create(path, RUN)
    writer.extend([exchange(1), model.Client(1, "127.0.0.1", "Mozilla/5.0 Firefox/1"), exchange(2)])
    writer.close()
    return path


def test_rows_come_back_as_they_were(path: Path) -> None:
    rows: list[model.Row] = [
        model.Client(1, "127.0.0.1", "curl"),
        exchange(1, kind=model.Kind.STREAM, server_call=True, outcome=model.Outcome.REFUSED),
        model.HeaderSet(1, '[["Host","localhost"],["Cookie","a=b"]]'),
        model.Body(1, "id", "application/json", "br", True, 5, 4, "whole", b"\x00\xff"),
        model.Socket(1, None, 1, 1, 2, 0, "socket.io", 4, "localhost", "/socket.io/", "sid", "websocket", None, 1, 2, 3,
                     "client", 1000, None, model.Outcome.OK, None, None),
        model.Frame(1, 1, "client", 5, 6, "text", True, False, 8, 2, b"40"),
        model.Packet(1, 1, 1, None, "client", 5, 6, "message", "event", "/", "ping", 7, "[1]", "[1]", 9, None, None,
                     None),
    ]  # fmt: skip
    writer = CaptureWriter.create(path, RUN)
    writer.extend(rows)
    writer.close()
    with Capture.open(path) as capture:
        assert capture.run == RUN
        assert list(capture.clients()) == rows[:1]
        assert list(capture.exchanges()) == rows[1:2]
        assert next(capture.exchanges()).server_call is True
        assert capture.headers(1) == (("Host", "localhost"), ("Cookie", "a=b"))
        assert capture.body(1) == rows[3]
        assert list(capture.sockets()) == rows[4:5]
        assert list(capture.frames(1)) == rows[5:6]
        assert list(capture.packets(1)) == rows[6:]
        assert capture.columns(model.Exchange, "id", "sent_ns") == [(1, 1_000)]


def test_row_with_the_same_id_replaces_the_first(path: Path) -> None:
    writer = CaptureWriter.create(path, RUN)
    writer.add(exchange(1, outcome=model.Outcome.UNFINISHED, done_ns=None))
    writer.commit()
    writer.add(exchange(1))
    writer.close()
    with Capture.open(path) as capture:
        assert [row.outcome for row in capture.exchanges()] == [model.Outcome.OK]


def test_capture_is_readable_while_it_is_written(path: Path) -> None:
    writer = CaptureWriter.create(path, RUN)
    writer.add(exchange(1))
    writer.commit()
    writer.add(exchange(2))
    with Capture.open(path) as capture:
        assert capture.count(model.Exchange) == 1
        assert capture.run.state == "running"
    writer.close()


def test_closed_capture_is_one_file(finished: Path) -> None:
    assert [name.name for name in finished.parent.iterdir()] == ["qa.db"]


def test_secrets_are_on_disk_before_the_rows_that_need_them(path: Path) -> None:
    vault = Vault.create(path)
    writer = CaptureWriter.create(path, RUN, vault=vault)
    writer.add(model.HeaderSet(1, f'[["Cookie","a={vault.conceal("swordfish")}"]]'))
    assert not secrets_path(path).exists()
    writer.commit()
    assert "swordfish" in secrets_path(path).read_text()
    writer.close()


def test_failed_commit_keeps_the_rows_for_the_next(path: Path) -> None:
    writer = CaptureWriter.create(path, RUN)
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("begin immediate")
    writer._db.conn.execute("pragma busy_timeout = 10")
    writer.add(exchange(1))
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        writer.commit()
    blocker.execute("rollback")
    blocker.close()
    writer.close()
    with Capture.open(path) as capture:
        assert capture.count(model.Exchange) == 1


def test_sessions_of_a_recording_are_its_clients(path: Path) -> None:
    writer = CaptureWriter.create(path, RUN)
    writer.extend(
        [
            model.Client(1, "127.0.0.1", "node"),
            model.Client(2, "127.0.0.1", "Mozilla/5.0 Chrome/156"),
            exchange(1, client_id=2, sent_ns=10, done_ns=90),
            exchange(2, client_id=2, sent_ns=50, done_ns=None),
            exchange(3, client_id=1, server_call=True),
        ]
    )
    writer.close()
    with Capture.open(path) as capture:
        (session,) = capture.sessions()
    assert (session.client_id, session.label, session.started_ns, session.ended_ns) == (2, "127.0.0.1 Chrome", 10, 90)


def broken(finished: Path, how: str) -> CaptureError:
    """The error of opening a capture that was broken in that way."""
    if how == "missing":
        finished.unlink()
    elif how == "empty file":
        finished.write_bytes(b"")
    elif how == "no run":
        with sqlite3.connect(finished) as connection:
            connection.execute("delete from run")
        connection.close()
    elif how == "text":
        finished.write_text("not a database, but long enough to be mistaken for one")
    elif how == "other database":
        finished.unlink()
        with sqlite3.connect(finished) as connection:
            connection.execute("create table run (id)")
        connection.close()
    elif how == "newer":
        with sqlite3.connect(finished) as connection:
            connection.execute("pragma user_version = 99")
        connection.close()
    elif how == "truncated":
        finished.write_bytes(finished.read_bytes()[:5000])
    with pytest.raises(CaptureError) as raised:
        read_all(finished)
    return raised.value


def read_all(path: Path) -> None:
    with Capture.open(path) as capture:
        capture.check()
        list(capture.exchanges())


@pytest.mark.parametrize(
    ("how", "error", "sentence"),
    [
        ("missing", CaptureMissing, "There is no capture"),
        ("empty file", CaptureEmpty, "is an empty file"),
        ("no run", CaptureEmpty, "ended before anything was stored"),
        ("text", CaptureForeign, "is not a nestperf capture"),
        ("other database", CaptureForeign, "is not a nestperf capture"),
        ("newer", CaptureNewer, "upgrade nestperf"),
        ("truncated", CaptureTruncated, "is damaged or cut off"),
    ],
)
def test_open_unusable_file_says_what_and_what_to_do(
    finished: Path, how: str, error: type[CaptureError], sentence: str
) -> None:
    raised = broken(finished, how)
    assert type(raised) is error
    assert sentence in str(raised)
    assert "\n" not in str(raised)


@pytest.mark.parametrize("command", ["report", "replay"])
@pytest.mark.parametrize("how", ["missing", "empty file", "text", "newer", "truncated"])
def test_commands_end_with_exit_code_3_on_an_unusable_file(
    finished: Path, how: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    broken(finished, how)
    assert nestperf([command, str(finished)]) == 3
    error = capsys.readouterr().err
    assert error.startswith("Error: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("there.db", "exists"),
        (".", "is a folder"),
        ("no/folder.db", "the folder .* does not exist"),
        ("n" * 252 + ".db", "Cannot write .*: File name too long"),
    ],
)
def test_create_where_it_cannot_be_written_is_refused(tmp_path: Path, name: str, sentence: str) -> None:
    (tmp_path / "there.db").write_text("precious")
    with pytest.raises(UsageError, match=sentence):
        CaptureWriter.create(tmp_path / name, RUN)
    assert (tmp_path / "there.db").read_text() == "precious"


def test_create_with_force_overwrites(finished: Path) -> None:
    CaptureWriter.create(finished, RUN, force=True).close()
    with Capture.open(finished) as capture:
        assert capture.count(model.Exchange) == 0


def test_capture_that_is_being_written_is_not_overwritten_and_a_killed_one_is(tmp_path: Path) -> None:
    path, killed = tmp_path / "qa.db", tmp_path / "killed.db"
    writer = CaptureWriter.create(path, RUN)
    for suffix in ("", "-wal"):
        (tmp_path / f"killed.db{suffix}").write_bytes((tmp_path / f"qa.db{suffix}").read_bytes())
    with pytest.raises(UsageError, match="is being written: end its run first"):
        CaptureWriter.create(path, RUN, force=True)
    writer.close()
    CaptureWriter.create(path, RUN, force=True).close()
    CaptureWriter.create(killed, RUN, force=True).close()
    (tmp_path / "notes.txt").write_text("no database at all")
    (tmp_path / "notes.txt-wal").write_text("nor this")
    CaptureWriter.create(tmp_path / "notes.txt", RUN, force=True).close()
