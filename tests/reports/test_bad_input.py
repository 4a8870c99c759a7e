"""Captures that are damaged, foreign, odd or nearly empty: one sentence and the right exit code, never a traceback."""

from __future__ import annotations

import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from nestperf.capture import schema
from nestperf.capture.model import Client, HeaderSet, Outcome, Row
from nestperf.cli import run
from nestperf.errors import ExitCode
from reports.samples import Samples
from reports.thresholds import parse_thresholds
from reports.verdict import STEPPED, judge_capture
from tests.reports.conftest import MS, S, Write, exchange, exchanges, packet, socket

Captured = pytest.CaptureFixture[str]
OLDEST = Path(__file__).parents[1] / "samples" / "capture-format-1.db"
COMMANDS = (["report"], ["show", "1"], ["show", "socket:1"], ["show", "session:1"], ["show", "packet:1"])


def end(path: Path, arguments: list[str]) -> int:
    """The exit code of a command about `path`; an exception that nobody planned for fails the test."""
    return run([arguments[0], str(path), *arguments[1:]])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a capture with some of everything."""
    from nestperf.capture.writer import CaptureWriter
    from tests.reports.conftest import RUN

    path = tmp_path_factory.mktemp("whole") / "run.db"
    writer = CaptureWriter.create(path, RUN)
    writer.add(Client(1, "127.0.0.1", "Mozilla/5.0 Chrome/130", "friend"))
    writer.add(HeaderSet(1, '[["Host","localhost:4000"]]'))
    writer.extend(exchange(n, 10 + n % 7, client_id=1, request_headers=1) for n in range(1, 60))
    writer.extend([socket(1, client_id=1), *(packet(n, 1, n * 20, payload='[{"a":1}]') for n in range(1, 60))])
    writer.close()
    return path.read_bytes()


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_capture_is_refused_or_read_never_a_traceback(
    whole: bytes, seed: int, tmp_path: Path, capsys: Captured
) -> None:
    chance = random.Random(seed)
    damaged = bytearray(whole)
    if seed % 3 == 0:
        del damaged[chance.randrange(len(damaged)) :]
    elif seed % 3 == 1:
        for _ in range(chance.choice((1, 10, 200))):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    else:
        begin = chance.randrange(len(damaged))
        damaged[begin : begin + 2048] = bytes([chance.choice((0, 255))]) * 2048
    path = tmp_path / "damaged.db"
    path.write_bytes(damaged)
    for command in COMMANDS:
        code = end(path, command)
        assert code in (ExitCode.OK, ExitCode.FAILED, ExitCode.USAGE, ExitCode.CAPTURE, ExitCode.INVALID)
        said = capsys.readouterr()
        assert said.err.startswith("Error: ") is (code in (ExitCode.USAGE, ExitCode.CAPTURE)), said.err
        assert "\x00" not in said.err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_an_sqlite_file_of_somebody_else_is_foreign(tmp_path: Path, capsys: Captured, command: list[str]) -> None:
    path = tmp_path / "history.db"
    with sqlite3.connect(path) as other:
        other.execute("create table exchanges (id integer primary key)")
    other.close()
    assert end(path, command) == ExitCode.CAPTURE
    assert "is not a nestperf capture" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_capture_of_a_newer_format_is_refused(
    whole: bytes, tmp_path: Path, capsys: Captured, command: list[str]
) -> None:
    path = tmp_path / "newer.db"
    path.write_bytes(whole)
    with sqlite3.connect(path) as connection:
        connection.execute(f"pragma user_version = {schema.FORMAT + 1}")
    connection.close()
    assert end(path, command) == ExitCode.CAPTURE
    assert f"has format {schema.FORMAT + 1}" in capsys.readouterr().err


def test_a_capture_of_the_first_format_is_reported_and_shown(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "old.db"
    shutil.copy(OLDEST, path)
    assert end(path, ["report"]) in (ExitCode.OK, ExitCode.INVALID)
    assert "Routes" in capsys.readouterr().out
    assert end(path, ["show", "1"]) == ExitCode.OK
    assert "Exchange 1 of" in capsys.readouterr().out
    assert end(path, ["show", "query:1"]) == ExitCode.USAGE


def test_a_capture_of_one_exchange_is_reported(written: Write, capsys: Captured) -> None:
    path = written([exchange(1, 10)]).path
    assert end(path, ["report"]) == ExitCode.INVALID
    assert "Too few samples" in " ".join(capsys.readouterr().out.split())


def test_a_capture_of_one_failure_is_reported(written: Write, capsys: Captured) -> None:
    path = written([exchange(1, None, outcome=Outcome.CONNECT_ERROR)]).path
    assert end(path, ["report"]) in (ExitCode.INVALID, ExitCode.FAILED)
    assert "Traceback" not in capsys.readouterr().out


def test_a_capture_without_any_variance_is_judged(written: Write) -> None:
    capture = written(list(exchanges([10] * 200)))
    tables = "".join(
        f"[[threshold]]\nexpression = '{measure}(latency) < 1s'\n" for measure in ("p95", "avg", "max", "min")
    )
    judged = judge_capture(capture, parse_thresholds(tables, "t.toml")).judged
    assert {(j.verdict, j.measured) for j in judged} == {("pass", 10 * MS)}


def test_exchanges_that_end_before_they_begin_are_counted_for_nothing_and_said(written: Write) -> None:
    rows: list[Row] = [*exchanges([10] * 300), exchange(900, -5000), exchange(901, 10, first_byte_ns=-S)]
    capture = written(rows)
    judgement = judge_capture(capture, parse_thresholds("[[threshold]]\nexpression = 'min(latency) > 9ms'", "t.toml"))
    assert (judgement.judged[0].verdict, judgement.judged[0].n) == ("pass", 300)
    assert judgement.invalid == ()
    assert judgement.doubts == ("2 exchanges end before beginning (a clock stepped) and counted for nothing.",)


def test_a_capture_of_which_many_end_before_they_begin_is_invalid(written: Write, capsys: Captured) -> None:
    rows: list[Row] = [*exchanges([10] * 90), *(exchange(900 + n, -5000) for n in range(10))]
    assert STEPPED < 10 / 100
    assert end(written(rows).path, ["report"]) == ExitCode.INVALID
    text = " ".join(capsys.readouterr().out.split())
    assert "10 of 100 exchanges end before they begin: the clock stepped. Record again." in text


@pytest.mark.parametrize("unix_ns", [0, -(10**18), 4 * 10**18, 2**62])
def test_a_wall_clock_that_stepped_changes_no_duration(written: Write, capsys: Captured, unix_ns: int) -> None:
    """Stamps count from the run's beginning; the wall clock only helps people to find the place in a log."""
    usual = Samples.read(written(list(exchanges([10] * 30)), name="usual.db"))
    stepped = written(list(exchanges([10] * 30)), started_unix_ns=unix_ns)
    assert (Samples.read(stepped).durations("latency") == usual.durations("latency")).all()
    assert end(stepped.path, ["show", "1"]) == ExitCode.OK
    assert "service time" in capsys.readouterr().out


def test_a_capture_that_cannot_be_read_says_so(tmp_path: Path, capsys: Captured) -> None:
    assert end(tmp_path, ["report"]) == ExitCode.CAPTURE
    assert "is a folder: name a capture in it" in capsys.readouterr().err
    assert end(tmp_path / "nowhere.db", ["report"]) == ExitCode.CAPTURE
    assert "There is no capture" in capsys.readouterr().err
