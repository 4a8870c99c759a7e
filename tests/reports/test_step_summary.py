"""The summary of a job on GitHub Actions: appended where there is one, once for each run, never a reason to fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from nestperf.cli import run
from reports.step_summary import append_terminal_text
from tests.reports.conftest import Write, exchanges

PROMISE = "[[threshold]]\nname = 'Fast'\nexpression = 'p95(latency) < 5ms'\n"


@pytest.fixture
def summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: Write) -> Path:
    """The file that the variable names; a capture `run.db` and thresholds are beside it."""
    written(exchanges([1] * 40))
    (tmp_path / "nestperf.toml").write_text(PROMISE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    return tmp_path / "summary.md"


@pytest.mark.parametrize("format_", ["text", "json", "markdown", "junit"])
def test_report_appends_to_the_jobs_summary(summary: Path, format_: str) -> None:
    summary.write_text("what another step said\n")
    assert run(["report", "run.db", "--format", format_]) == 0
    first, *rest = summary.read_text().splitlines()
    assert first == "what another step said"
    assert rest[0] == "<!-- nestperf a1b2 -->"
    assert "## nestperf: PASS" in rest


def test_report_on_the_same_run_replaces_the_earlier_one(summary: Path) -> None:
    for _ in range(3):
        assert run(["report", "run.db"]) == 0
    assert summary.read_text().count("## nestperf: PASS") == 1


def test_summary_that_cannot_be_written_is_said_and_changes_nothing(
    summary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary.mkdir()
    assert run(["report", "run.db"]) == 0
    printed = capsys.readouterr()
    assert "summary.md could not be written: Is a directory." in printed.err
    assert printed.out.startswith("PASS")


def test_without_the_variable_nothing_is_written(summary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    assert run(["report", "run.db"]) == 0
    assert not summary.exists()


def test_terminal_text_stands_there_as_it_is(summary: Path) -> None:
    append_terminal_text("a <check>", "pass  <b>|`x`|@octocat  1.2 ms\n\n# no head\n")
    assert summary.read_text() == (
        "## a &lt;check&gt;\n\n<pre>pass  &lt;b&gt;|`x`|@octocat  1.2 ms\n\n# no head\n</pre>\n\n"
    )
