"""`nestperf export` and `nestperf trim` as people call them: what the result holds, and what can go wrong."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nestperf.capture import model, schema
from nestperf.capture.cli import export, trim
from nestperf.capture.model import Frame, Outcome, Run, Socket, Upstream
from nestperf.capture.reader import Capture
from nestperf.capture.remarks import NOT_REDACTED
from nestperf.capture.vault import Vault, secrets_path
from nestperf.capture.writer import CaptureWriter
from nestperf.cli import run
from tests.capture.test_sweep import LATE, begun, exchange, filled, finish, packet, raw

SECOND = 10**9


def made(path: Path, *, exchanges: int = 10) -> Vault:
    """A finished capture: an exchange each second, a socket with a frame and a packet each second, one secret."""
    writer, contents, vault = begun(path)
    for number in range(1, exchanges + 1):
        headers = contents.headers((("Authorization", "Bearer abcdefgh-1"), ("X-Number", str(number))))
        body = contents.body(f'{{"shown":"text {number}"}}'.encode(), media_type="application/json", coding="",
                             chunked=False, request=False)  # fmt: skip
        at = (number - 1) * SECOND
        writer.add(exchange(number, headers, body)._replace(target=f"/{number}", route=f"/{number}", sent_ns=at))
        writer.add(
            Frame(id=number, socket_id=1, sender="client", stamp_ns=at, done_ns=at, opcode="text", fin=True,
                  compressed=False, wire_size=9, size=9, content=b"shown frame")
        )  # fmt: skip
        attachment = contents.attachment(f"attached {number}".encode())
        told = packet(number, f'["shown packet {number}"]')
        writer.add(
            told._replace(stamp_ns=at, frame_id=number, exchange_id=1, event="say", attachments=f"[{attachment}]")
        )
    writer.add(
        Socket(id=1, session_id=None, client_id=1, exchange_id=1, connection=1, upstream=0, protocol="socket.io",
               version=4, authority="a", target="/socket.io/", sid=None, transports="websocket", intended_ns=None,
               opened_ns=0, connected_ns=1, closed_ns=None, closed_by=None, close_code=None, close_reason=None,
               outcome=Outcome.OK, detail=None, source_socket=None)
    )  # fmt: skip
    for number in range(1, exchanges + 1):
        screenshot = contents.attachment(f"screenshot {number}".encode())
        writer.extend(page_rows(number, (number - 1) * SECOND, screenshot))
    writer.add(model.Client(1, "127.0.0.1", "agent"))
    finish(writer)
    return vault


def page_rows(number: int, at: int, screenshot: int) -> Iterator[model.Row]:
    """A page load, what it asked for, and an error of its script; of the exchange with its number."""
    yield model.Page(
        id=number, session_id=None, client_id=1, upstream=0, exchange_id=number, kind="load", url=f"http://a/{number}",
        route="/{id}", profile="", cpu_factor=None, round=None, cache=None, hidden=False, started_ns=at,
        first_byte_ns=at, dom_loaded_ns=at, load_ns=at, fcp_ns=at, lcp_ns=at, lcp_element="h1 shown element", cls=0.25,
        inp_ns=None, inp_element=None, interactions=0, long_tasks=0, long_tasks_ns=0, errors=1, ended_ns=None,
        clock_error_ns=1000, screenshot=screenshot,
    )  # fmt: skip
    yield model.Resource(
        id=number, page_id=number, exchange_id=number, url=f"http://a/{number}", initiator="navigation", started_ns=at,
        first_byte_ns=at, done_ns=at, bytes=9, blocking=False,
    )  # fmt: skip
    yield model.Timing(
        id=number, page_id=number, kind="error", name="shown error", started_ns=at, duration_ns=None,
        exchange_id=None, items=None, detail="shown detail",
    )  # fmt: skip


def call(command: object, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)  # type: ignore[arg-type]


def dangling(path: Path) -> list[str]:
    """References to rows that are not there."""
    connection = sqlite3.connect(path)
    found = []
    for table, column, other in (
        ("exchanges", "request_headers", "header_sets"), ("exchanges", "response_headers", "header_sets"),
        ("exchanges", "request_body", "bodies"), ("exchanges", "response_body", "bodies"),
        ("exchanges", "client_id", "clients"), ("sockets", "exchange_id", "exchanges"),
        ("frames", "socket_id", "sockets"), ("packets", "socket_id", "sockets"), ("packets", "frame_id", "frames"),
        ("packets", "exchange_id", "exchanges"), ("packets", "answers", "packets"),
        ("queries", "exchange_id", "exchanges"), ("queries", "statement_id", "statements"),
        ("pages", "exchange_id", "exchanges"), ("pages", "client_id", "clients"), ("pages", "screenshot", "bodies"),
        ("resources", "page_id", "pages"), ("resources", "exchange_id", "exchanges"), ("timings", "page_id", "pages"),
    ):  # fmt: skip
        sql = f"select count(*) from {table} where {column} is not null and {column} not in (select id from {other})"
        if connection.execute(sql).fetchone()[0]:
            found.append(f"{table}.{column}")
    attached = "select value from packets, json_each(attachments) where value not in (select id from bodies)"
    found += ["attachments"] * len(connection.execute(attached).fetchall())
    connection.close()
    return found


def test_export_is_the_same_capture_without_its_secrets(tmp_path: Path) -> None:
    made(tmp_path / "qa.db")
    ended = call(export, tmp_path / "qa.db", "-o", tmp_path / "out.db")
    assert ended.exit_code == 0
    assert "is still in it: --without-bodies" in ended.output
    assert not secrets_path(tmp_path / "out.db").exists()
    with Capture.open(tmp_path / "qa.db") as one, Capture.open(tmp_path / "out.db") as other:
        other.check()
        assert one.run == other.run
        for row_type in schema.TABLES:
            assert one.count(row_type) == other.count(row_type)
        assert list(one.exchanges()) == list(other.exchanges())
    assert b"abcdefgh-1" not in (tmp_path / "out.db").read_bytes()


def test_export_with_secrets_says_it_and_keeps_others_out(tmp_path: Path) -> None:
    vault = made(tmp_path / "qa.db")
    ended = call(export, tmp_path / "qa.db", "-o", tmp_path / "out.db", "--with-secrets")
    assert "SECRETS: " in ended.output
    assert stat.S_IMODE(secrets_path(tmp_path / "out.db").stat().st_mode) == 0o600
    copy = Vault.open(tmp_path / "out.db")
    assert copy is not None
    assert copy.values == vault.values
    assert copy.keyed_id(b"x") == vault.keyed_id(b"x")


def test_export_without_bodies_shows_no_text(tmp_path: Path) -> None:
    made(tmp_path / "qa.db")
    call(export, tmp_path / "qa.db", "-o", tmp_path / "out.db", "--without-bodies")
    content = (tmp_path / "out.db").read_bytes()
    for shown in (b"shown", b"attached"):
        assert shown in (tmp_path / "qa.db").read_bytes()
        assert shown not in content
    with Capture.open(tmp_path / "out.db") as capture:
        assert [exchange.target for exchange in capture.exchanges()] == [f"/{number}" for number in range(1, 11)]
        assert {packet.size for packet in capture.packets()} == {1}
    assert run(["report", str(tmp_path / "out.db")]) in (0, 1, 4)


def test_export_of_a_killed_recording_is_swept(tmp_path: Path) -> None:
    writer, contents, vault = filled(tmp_path / "qa.db")
    contents.headers((("Authorization", f"Bearer {LATE}"),))
    writer.commit()
    vault.flush()
    (tmp_path / "out").mkdir()
    ended = call(export, tmp_path / "qa.db", "-o", tmp_path / "out" / "out.db")
    assert "held secrets that had been recognised late" in ended.output
    assert LATE.encode() in raw(tmp_path / "qa.db")
    assert b"late-known" not in (tmp_path / "out" / "out.db").read_bytes()
    with Capture.open(tmp_path / "out" / "out.db") as capture:
        assert capture.run.state == "interrupted"


def test_trim_without_options_sweeps_a_killed_recording(tmp_path: Path) -> None:
    path = tmp_path / "qa.db"
    script = (
        "import os, sys, pathlib\n"
        "from tests.capture.test_sweep import LATE, filled\n"
        "writer, contents, vault = filled(pathlib.Path(sys.argv[1]))\n"
        "contents.headers((('Authorization', f'Bearer {LATE}'),))\n"
        "writer.commit()\n"
        "vault.flush()\n"
        "os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=False, cwd=Path(__file__).parents[2])
    assert path.with_name("qa.db-wal").exists()
    assert LATE.encode() in raw(path)
    assert "a secret that was recognised late may still stand in it" in _report(path)
    ended = call(trim, path)
    assert "held secrets that had been recognised late" in ended.output
    assert b"late-known" not in raw(path)
    assert sorted(name.name for name in tmp_path.iterdir()) == ["qa.db", "qa.db.secrets"]
    assert "recognised late" not in _report(path)
    with Capture.open(path) as capture:
        capture.check()
        vault = Vault.open(path)
        assert vault is not None
        assert all(LATE in vault.reveal(exchange.target) for exchange in capture.exchanges())


def _report(path: Path) -> str:
    command = [sys.executable, "-m", "nestperf", "report", str(path)]
    printed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return " ".join(printed.split())


def test_trim_bodies_says_sizes_and_is_said_by_the_report(tmp_path: Path) -> None:
    path = tmp_path / "qa.db"
    made(path, exchanges=200)
    before = path.stat().st_size
    ended = call(trim, path, "--bodies")
    assert ended.exit_code == 0
    assert " before, " in ended.output
    assert path.stat().st_size < before
    with Capture.open(path) as capture:
        assert {body.state for body in map(capture.body, range(1, 9)) if body is not None} == {"omitted"}
        assert next(told.payload for told in capture.packets()) == '["shown packet 1"]'
    assert "Trimmed: bodies and the contents of frames were taken out" in _report(path)
    assert secrets_path(path).exists()


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (("--before", "4s"), [5, 6, 7, 8, 9, 10]),
        (("--after", "4s"), [1, 2, 3, 4]),
        (("--from", "2s", "--to", "5s"), [1, 2, 6, 7, 8, 9, 10]),
        (("--after", "1h"), list(range(1, 11))),
    ],
)
def test_trim_stretch_leaves_no_reference_dangling(tmp_path: Path, arguments: tuple[str, ...], left: list[int]) -> None:
    path = tmp_path / "qa.db"
    made(path)
    ended = call(trim, path, *arguments)
    assert ended.exit_code == 0, ended.output
    assert dangling(path) == []
    with Capture.open(path) as capture:
        capture.check()
        assert [exchange.id for exchange in capture.exchanges()] == left
        has_socket = "--before" not in arguments
        assert [frame.id for frame in capture.frames()] == (left if has_socket else [])
        assert capture.count(model.HeaderSet) == len(left)
        assert [page.id for page in capture.pages()] == left
        assert [row.page_id for row in capture.resources()] == [row.page_id for row in capture.timings()] == left
        assert capture.count(model.Body) == (3 if has_socket else 2) * len(left)
        (entry,) = capture.run.settings["trimmed"]
        assert entry["what"] == "time"
    assert "Trimmed: what began" in _report(path)


@pytest.mark.parametrize(
    ("arguments", "left"),
    [
        (("--before", "4s"), ["third", "last"]),
        (("--before", "3s"), ["span", "third", "last"]),
        (("--after", "4s"), ["first", "span", "third"]),
        (("--from", "2s", "--to", "6s"), ["first", "last"]),
        (("--after", "1ms"), []),
    ],
)
def test_trim_stretch_keeps_marks_that_still_name_something(
    tmp_path: Path, arguments: tuple[str, ...], left: list[str]
) -> None:
    path = tmp_path / "qa.db"
    writer, _, _ = begun(path)
    writer.add(exchange(1, 1, None))
    for text, begin_s, end_s in (("first", 1, None), ("span", 2, 4), ("third", 3, None), ("last", 6, None)):
        end_ns = None if end_s is None else end_s * SECOND
        writer.add(model.Mark(None, begin_s * SECOND, end_ns, text, "key"))
    finish(writer)
    assert call(trim, path, *arguments).exit_code == 0
    with Capture.open(path) as capture:
        assert [mark.text for mark in capture.marks()] == left


def test_trim_to_another_file_leaves_the_original(tmp_path: Path) -> None:
    path, other = tmp_path / "qa.db", tmp_path / "other.db"
    made(path)
    before = path.read_bytes()
    call(trim, path, "--bodies", "-o", other)
    assert path.read_bytes() == before
    assert other.exists()
    assert secrets_path(other).read_text() == secrets_path(path).read_text()
    assert call_run("trim", path, "--bodies", "-o", other) == 2


def call_run(*arguments: object) -> int:
    return run([str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--from", "3s"), "go together"),
        (("--from", "3s", "--to", "2s"), "lies after"),
        (("--before", "3s", "--after", "9s"), "One stretch at a time"),
        (("--before", "soon"), "is no duration"),
        (("-o", "{file}"), "is the capture itself"),
        (("-o", "no/such/folder.db"), "does not exist"),
        (("--nonsense",), "No such option"),
    ],
)
def test_trim_bad_input_is_one_sentence_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    path = tmp_path / "qa.db"
    made(path)
    before = path.read_bytes()
    assert call_run("trim", path, *(argument.format(file=path) for argument in arguments)) == 2
    assert sentence in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.parametrize("command", ["export", "trim"])
def test_what_is_no_capture_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    foreign, empty = tmp_path / "foreign.db", tmp_path / "empty.db"
    foreign.write_text("hello, I am a letter and no capture")
    empty.touch()
    for name, sentence in ((foreign, "is not a nestperf capture"), (empty, "is an empty file"),
                           (tmp_path / "none.db", "There is no capture"), (tmp_path, "is a folder"),
                           (tmp_path / ("n" * 300), "File name too long")):  # fmt: skip
        assert call_run(command, name, "-o", tmp_path / "out.db") == 3
        assert sentence in capsys.readouterr().err
    assert not (tmp_path / "out.db").exists()


def test_export_never_overwrites_without_force(tmp_path: Path) -> None:
    made(tmp_path / "qa.db")
    (tmp_path / "out.db").write_text("precious")
    assert call_run("export", tmp_path / "qa.db", "-o", tmp_path / "out.db") == 2
    assert (tmp_path / "out.db").read_text() == "precious"
    assert call_run("export", tmp_path / "qa.db", "-o", tmp_path / "out.db", "--force") == 0
    assert call_run("export", tmp_path / "qa.db", "-o", tmp_path / "qa.db", "--force") == 2


def test_export_with_secrets_that_are_not_there_is_refused(tmp_path: Path) -> None:
    made(tmp_path / "qa.db")
    secrets_path(tmp_path / "qa.db").unlink()
    assert call_run("export", tmp_path / "qa.db", "-o", tmp_path / "out.db", "--with-secrets") == 2
    assert not (tmp_path / "out.db").exists()


def test_trim_of_a_running_recording_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer, _, _ = filled(tmp_path / "qa.db")
    assert call_run("trim", tmp_path / "qa.db", "--bodies") == 2
    assert "is being written" in capsys.readouterr().err
    finish(writer)
    with Capture.open(tmp_path / "qa.db") as capture:
        capture.check()


def test_export_of_a_running_recording_is_a_snapshot(tmp_path: Path) -> None:
    writer, _, _ = filled(tmp_path / "qa.db")
    assert call_run("export", tmp_path / "qa.db", "-o", tmp_path / "out.db") == 0
    finish(writer)
    with Capture.open(tmp_path / "out.db") as capture:
        assert capture.count(model.Exchange) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a limit on file sizes: RLIMIT_FSIZE of POSIX")
def test_trim_on_a_full_disk_leaves_the_original(tmp_path: Path) -> None:
    path = tmp_path / "qa.db"
    made(path, exchanges=300)
    before = path.read_bytes()
    script = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "from nestperf.cli import run\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", script, "trim", str(path), "--before", "2s"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2, ended.stderr
    assert "Nothing was changed" in ended.stderr
    assert path.read_bytes() == before
    assert sorted(name.name for name in tmp_path.iterdir()) == ["qa.db", "qa.db.secrets"]


def test_trim_interrupted_leaves_the_original(tmp_path: Path) -> None:
    path = tmp_path / "qa.db"
    made(path, exchanges=3000)
    before = path.read_bytes()
    process = subprocess.Popen([sys.executable, "-m", "nestperf", "trim", str(path), "--bodies"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    deadline = time.perf_counter() + 20
    while process.poll() is None and time.perf_counter() < deadline:
        if any(name.name.endswith(".part") for name in tmp_path.iterdir()):
            process.send_signal(signal.SIGINT)
            break
    process.communicate(timeout=30)
    assert sorted(name.name for name in tmp_path.iterdir()) == ["qa.db", "qa.db.secrets"]
    if process.returncode == 130:
        assert path.read_bytes() == before
    with Capture.open(path) as capture:
        capture.check()
        assert capture.count(model.Exchange) == 3000


def test_capture_of_an_older_format_is_brought_up(tmp_path: Path) -> None:
    sample = Path(__file__).parents[1] / "samples" / "capture-format-1.db"
    assert call_run("export", sample, "-o", tmp_path / "out.db") == 0
    with Capture.open(sample) as one, Capture.open(tmp_path / "out.db") as other:
        assert other.version == schema.FORMAT
        assert list(one.exchanges()) == list(other.exchanges())


def test_capture_not_redacted_says_so_first(tmp_path: Path) -> None:
    path = tmp_path / "qa.db"
    settings = {NOT_REDACTED: True}
    run_row = Run("u", "record", "proxy", "finished", "0", 1, upstreams=(Upstream("http://a"),), settings=settings)
    writer = CaptureWriter.create(path, run_row, vault=Vault.create(path))
    writer.add(exchange(1, 1, None))
    writer.close()
    ended = call(export, path, "-o", tmp_path / "out.db")
    assert ended.output.startswith(f"{tmp_path / 'out.db'}: SECRETS STAND IN IT AS THEY CAME")
    assert "SECRETS STAND IN IT" in _report(path)[:600]
    told = subprocess.run([sys.executable, "-m", "nestperf", "report", str(path), "--format", "json"],
                          capture_output=True, text=True, check=False).stdout  # fmt: skip
    assert "SECRETS STAND IN IT" in json.loads(told)["capture"]["remarks"][0]
