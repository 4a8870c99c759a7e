"""`nestperf report` as it is typed: what it prints, where, and the code it ends with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nestperf.capture.model import Outcome, Row
from nestperf.cli import run
from nestperf.errors import ExitCode
from tests.reports.conftest import Write, exchange, exchanges

THRESHOLD = "[[threshold]]\nexpression = 'p95(latency) < 1s'\n"


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    Path("mine.toml").write_text(THRESHOLD)


def good(written: Write) -> str:
    return str(written(list(exchanges([10] * 400))).path)


Captured = pytest.CaptureFixture[str]


def test_report_of_a_good_recording_passes_by_the_built_in_promises(written: Write, capsys: Captured) -> None:
    assert run(["report", good(written)]) == ExitCode.OK
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first == "PASS  All 2 required promises hold."
    assert second == "Thresholds: built-in MediaNest promises (reports/medianest.toml)"


def test_report_of_a_bad_recording_fails(written: Write, capsys: Captured) -> None:
    rows: list[Row] = [exchange(number, 2000, outcome=Outcome.OK) for number in range(100)]
    assert run(["report", str(written(rows).path), "--thresholds", "mine.toml"]) == ExitCode.FAILED
    assert capsys.readouterr().out.startswith("FAIL  The one required promise is broken")


def test_report_of_an_invalid_run_says_so_whatever_else(written: Write, capsys: Captured) -> None:
    rows: list[Row] = [exchange(number, 2000) for number in range(100)]
    assert run(["report", str(written(rows, losses={"exchanges": 2}).path)]) == ExitCode.INVALID
    assert capsys.readouterr().out.startswith("INVALID  No verdict of this run counts.")


def test_report_beside_a_nestperf_toml_judges_by_it(written: Write, capsys: Captured) -> None:
    Path("nestperf.toml").write_text(THRESHOLD)
    assert run(["report", good(written)]) == ExitCode.OK
    assert "nestperf.toml" in "".join(capsys.readouterr().out.split())  # a long folder wraps


def test_report_as_json_holds_the_verdict(written: Write, capsys: Captured) -> None:
    assert run(["report", good(written), "--format", "json", "--thresholds", "mine.toml"]) == ExitCode.OK
    document = json.loads(capsys.readouterr().out)
    assert (document["verdict"]["word"], document["thresholds"]["origin"]) == ("PASS", "mine.toml")


def test_report_to_a_file_writes_it_there(written: Write, capsys: Captured) -> None:
    assert run(["report", good(written), "-o", "report.txt"]) == ExitCode.OK
    assert capsys.readouterr().out == "Wrote report.txt.\n"
    assert Path("report.txt").read_text().startswith("PASS  ")


def test_report_to_a_file_that_exists_needs_force(written: Write, capsys: Captured) -> None:
    Path("report.txt").write_text("mine")
    path = good(written)
    assert run(["report", path, "-o", "report.txt"]) == ExitCode.USAGE
    assert "report.txt exists" in capsys.readouterr().err
    assert Path("report.txt").read_text() == "mine"
    assert run(["report", path, "-o", "report.txt", "--force"]) == ExitCode.OK
    assert Path("report.txt").read_text().startswith("PASS  ")


def test_report_onto_the_capture_itself_is_refused_even_with_force(written: Write, capsys: Captured) -> None:
    path = good(written)
    before = Path(path).read_bytes()
    assert run(["report", path, "-o", path, "--force"]) == ExitCode.USAGE
    assert "is the capture itself" in capsys.readouterr().err
    assert Path(path).read_bytes() == before


def test_report_to_a_folder_that_is_not_there_is_refused(written: Write, capsys: Captured) -> None:
    assert run(["report", good(written), "-o", "nowhere/report.txt"]) == ExitCode.USAGE
    assert "does not exist" in capsys.readouterr().err


def test_report_of_an_empty_capture_says_that_nothing_passed(written: Write, capsys: Captured) -> None:
    assert run(["report", str(written([]).path)]) == ExitCode.CAPTURE
    assert "holds no exchange and no socket" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "There is no capture"), (b"", "is an empty file"), (b"GIF89a" + b"x" * 2000, "is not a nestperf capture")],
    ids=["missing", "empty", "foreign"],
)
def test_report_of_no_capture_is_refused(content: bytes | None, sentence: str, capsys: Captured) -> None:
    if content is not None:
        Path("run.db").write_bytes(content)
    assert run(["report", "run.db"]) == ExitCode.CAPTURE
    assert sentence in capsys.readouterr().err


def test_report_of_a_truncated_capture_is_refused(written: Write, capsys: Captured) -> None:
    whole = Path(good(written)).read_bytes()
    Path("half.db").write_bytes(whole[: len(whole) // 2])
    assert run(["report", "half.db"]) == ExitCode.CAPTURE
    assert "damaged or cut off" in capsys.readouterr().err


def test_report_by_a_wrong_expression_shows_the_place(written: Write, capsys: Captured) -> None:
    Path("mine.toml").write_text("[[threshold]]\nexpression = 'p95(latency) < fast'\n")
    assert run(["report", good(written), "--thresholds", "mine.toml"]) == ExitCode.USAGE
    message = capsys.readouterr().err.splitlines()
    assert message[0].startswith("Error: mine.toml, threshold 1")
    assert message[1:] == ["    p95(latency) < fast", "                   ^"]


def test_report_by_a_missing_file_of_thresholds_is_refused(written: Write, capsys: Captured) -> None:
    assert run(["report", good(written), "--thresholds", "none.toml"]) == ExitCode.USAGE
    assert "Cannot read none.toml" in capsys.readouterr().err


def test_report_while_the_capture_is_written_says_that_it_goes_on(written: Write, capsys: Captured) -> None:
    path = str(written(list(exchanges([10] * 400)), state="running").path)
    assert run(["report", path]) == ExitCode.OK
    assert "The run has not finished" in capsys.readouterr().out.splitlines()[0]


def test_report_on_a_terminal_without_unicode_still_prints(written: Write) -> None:
    command = [sys.executable, "-m", "nestperf", "report", good(written)]
    done = subprocess.run(command, capture_output=True, env={"PYTHONIOENCODING": "ascii"}, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"PASS  ")


def test_report_help_imports_no_numpy() -> None:
    code = "import sys, reports.cli, reports.thresholds, reports.verdict; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_report_imports_no_scipy_and_no_plotly(written: Write) -> None:
    code = (
        "import sys; from nestperf.cli import run; run(['report', sys.argv[1]]);"
        "sys.exit(bool({'scipy', 'plotly', 'mitmproxy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, good(written)], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_page_stands_beside_what_is_printed(written: Write, capsys: Captured) -> None:
    assert run(["report", good(written), "--format", "json", "--html", "report.html"]) == ExitCode.OK
    said = capsys.readouterr()
    assert json.loads(said.out)["verdict"]["word"] == "PASS"  # the note is no part of it
    assert "Wrote report.html." in said.err
    page = Path("report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "<h1>PASS</h1>" in page


def test_a_page_instead_of_text_goes_where_it_is_told(written: Write, capsys: Captured) -> None:
    assert run(["report", good(written), "--format", "html", "-o", "report.html"]) == ExitCode.OK
    assert capsys.readouterr().out == "Wrote report.html.\n"
    assert "<h1>PASS</h1>" in Path("report.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--html", "there.html"], "--force"),
        (["-o", "new", "--html", "new"], "both name new"),
        (["--html", "nowhere/report.html"], "nowhere"),
        (["--source", "qa.db"], "add --html"),
    ],
)
def test_a_page_that_cannot_be_written_is_refused_before_anything(
    arguments: list[str], said: str, written: Write, capsys: Captured
) -> None:
    Path("there.html").write_text("mine")
    assert run(["report", good(written), *arguments]) == ExitCode.USAGE
    assert said in capsys.readouterr().err
    assert Path("there.html").read_text() == "mine"
    assert not Path("new").exists()


def test_the_capture_is_never_overwritten_by_its_page(written: Write, capsys: Captured) -> None:
    path = good(written)
    before = Path(path).read_bytes()
    assert run(["report", path, "--html", path, "--force"]) == ExitCode.USAGE
    assert "is the capture itself" in capsys.readouterr().err
    assert Path(path).read_bytes() == before


def test_a_source_that_is_not_there_writes_no_page(written: Write, capsys: Captured) -> None:
    rows: list[Row] = list(exchanges([10] * 30))
    path = str(written(rows, purpose="replay", source_uid="r1", source_path="qa.db").path)
    assert run(["report", path, "--html", "report.html", "--source", "gone.db"]) == ExitCode.CAPTURE
    assert "gone.db" in capsys.readouterr().err
    assert not Path("report.html").exists()


def test_a_page_is_nothing_for_a_terminal(written: Write) -> None:
    path = good(written)
    here, there = os.openpty()
    command = [sys.executable, "-m", "nestperf", "report", path, "--format", "html"]
    ended = subprocess.run(command, stdout=there, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(there)
    os.close(here)
    assert ended.returncode == ExitCode.USAGE
    assert b"-o report.html" in ended.stderr
