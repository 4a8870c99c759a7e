from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from nestperf.capture.model import Outcome
from nestperf.capture.reader import Capture
from nestperf.cli import cli, run
from nestperf.demo.cli import seconds_of
from nestperf.demo.postgres import find_binaries
from nestperf.errors import ExitCode, UsageError


def processes_naming(*texts: str) -> list[str]:
    """Command lines of running processes that contain all of `texts`."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if all(text in line for text in texts) and state != "Z":
            found.append(line)
    return found


async def start_demo(folder: Path) -> tuple[asyncio.subprocess.Process, str]:
    """A demo, and the port of its application, once the scripted session has begun."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nestperf", "demo", "--users", "2", "--duration", "1s", "--output", str(folder)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    port = ""
    assert process.stdout is not None
    async for raw in process.stdout:
        line = raw.decode()
        if "nestperf.demo.app --port" in line:
            port = line.split()[-1]
        if "opens the sign-in page" in line:
            break
    return process, port


async def end_demo(process: asyncio.subprocess.Process) -> None:
    """End a demo that a failing test has left, gently: what it started ends with it."""
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.communicate(), 25)
        except TimeoutError:
            process.kill()
            await process.wait()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to see that nothing is left running")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_demo_interrupted_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    process, port = await asyncio.wait_for(start_demo(tmp_path / "run"), 25)
    try:
        assert len(processes_naming(f"--port {port}")) == 1
        (recorder,) = processes_naming(f"{port} ", f"-o {tmp_path}")
        database = re.search(r"postgres://127.0.0.1:(\d+)", recorder)
        if database is not None:
            assert processes_naming("postgres", f"port={database[1]}")
        process.send_signal(number)
        rest, _ = await asyncio.wait_for(process.communicate(), 25)
    finally:
        await end_demo(process)
    assert process.returncode == 130
    assert "Interrupted: everything that was started has been stopped" in rest.decode()
    assert processes_naming(f"--port {port}") == []
    assert processes_naming(str(tmp_path)) == []
    if database is not None:
        assert processes_naming("postgres", f"port={database[1]}") == []


def test_demo_into_a_folder_that_is_not_empty_is_refused_and_touches_nothing(tmp_path: Path) -> None:
    kept = tmp_path / "mine.txt"
    kept.write_text("mine")
    assert run(["demo", "--output", str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert kept.read_text() == "mine"


def test_demo_into_a_file_is_refused_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run(["demo", "--output", str(tmp_path / "file" / "below")]) == 2
    assert "choose another --output" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--users", "0"], ["--duration", "soon"], ["--duration", "0s"]])
def test_demo_that_is_asked_for_nonsense_starts_nothing(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["demo", *arguments]) == 2
    assert list(tmp_path.iterdir()) == []


def test_demo_help_names_what_it_does() -> None:
    shown = CliRunner().invoke(cli, ["demo", "--help"]).output
    assert "leaves nothing running" in shown
    assert "--keep-open" in shown


@pytest.mark.parametrize(("text", "seconds"), [("20s", 20.0), ("1m30s", 90.0), ("500ms", 0.5), (" 1.5M ", 90.0)])
def test_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "20", "s", "-1s", "0s", "1 s", "1s!"])
def test_duration_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no duration"):
        seconds_of(text)


def test_default_folder_that_is_taken_gets_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nestperf.demo.cli import _fresh_folder

    monkeypatch.chdir(tmp_path)
    assert _fresh_folder(None) == Path("demo-run")
    Path("demo-run/recording.db").touch()
    assert _fresh_folder(None) == Path("demo-run-2")
    Path("demo-run-2/recording.db").touch()
    Path("demo-run-3").touch()
    assert _fresh_folder(None) == Path("demo-run-4")


async def test_demo_goes_the_whole_way_and_leaves_both_captures(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nestperf", "demo", "--users", "3", "--duration", "2s", "--output", str(folder)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said = (await asyncio.wait_for(process.communicate(), 60))[0].decode()
    finally:
        await end_demo(process)
    # Two seconds are too short for a judgement, and nothing may have failed in them.
    assert process.returncode == ExitCode.INVALID, said
    for step in ("nestperf record", "nestperf.demo.session", "nestperf replay", "nestperf report"):
        assert f"$ {step}" in said or f"$ python -m {step}" in said
    with Capture.open(folder / "recording.db") as recording, Capture.open(folder / "replay.db") as replay:
        recorded = list(recording.exchanges())
        assert [exchange.status for exchange in recorded].count(201) == 1
        assert len(recorded) == 45
        assert {exchange.outcome for exchange in replay.exchanges()} == {Outcome.OK}
    assert 'id="verdict"' in (folder / "report.html").read_text("utf-8")
    assert processes_naming(str(tmp_path)) == []
    with Capture.open(folder / "recording.db") as recording, Capture.open(folder / "replay.db") as replay:
        for capture in (recording, replay):
            queries = list(capture.queries())
            assert {query.outcome for query in queries} == ({"ok"} if find_binaries() else set())
