"""The command itself: what it prints without sending anything, and what it refuses with which exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nestperf.cli import run as nestperf
from nestperf.demo.children import free_port
from replay.checks.suite import parse_suite
from tests.replay.conftest import Recording

Check = Callable[..., tuple[int, str, str]]


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Check:
    """Run `nestperf check` in a folder with a recording: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)
    recording = Recording(tmp_path / "qa.db", f"http://127.0.0.1:{free_port()}")
    recording.exchange("GET", "/health", 0, 1, answer=b"{}")
    recording.exchange("GET", "/api/items", 10, 11, headers=(("Authorization", "Bearer abc"),), answer=b"{}")
    recording.finish(20)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = nestperf(["check", *arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def test_init_prints_a_suite_of_what_was_recorded(check: Check, tmp_path: Path) -> None:
    code, printed, _ = check("qa.db", "--init")
    assert code == 0
    entries = parse_suite(printed, "suite.toml").entries
    assert [entry.kind for entry in entries][:3] == ["limit", "burst", "burst"]
    assert 'call = "GET /api/items"' in printed
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".db") == ["qa.db"]


def test_built_in_suite_that_asks_for_more_than_was_recorded_names_the_way_to_an_own_one(check: Check) -> None:
    way = "Contracts that this capture can be held to: `nestperf check qa.db --init`."
    assert way in check("qa.db", "--list")[1]


def test_list_says_what_would_be_done_and_what_cannot_be(check: Check, tmp_path: Path) -> None:
    suite = tmp_path / "nestperf-suite.toml"
    suite.write_text('[[contract]]\nkind = "burst"\n[[contract]]\nkind = "connections"\n')
    code, printed, _ = check("qa.db", "--list")
    assert code == 0
    assert "Contracts: nestperf-suite.toml" in printed
    assert "--init" not in printed
    assert "GET /health: its path says that it is a health check (exchange 1)" in printed
    assert "not measured: the capture has no Socket.IO connection that can be repeated: record one." in printed
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".db") == ["qa.db"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("no.db",), 3, "There is no capture no.db"),
        (("qa.db", "--suite", "no.toml"), 2, "Cannot read no.toml"),
        (("qa.db", "--only", "nothing"), 2, "No contract is called 'nothing'"),
        (("qa.db", "--target", "http://192.0.2.1:80"), 2, "allow it with --allow-host 192.0.2.1"),
        (("qa.db", "--only", "burst", "-o", "no/x.db"), 2, "the folder no does not exist"),
        (("qa.db", "--only", "burst", "-o", "qa.db", "--before", "exit 3"), 2, "The command of --before ended with 3"),
        (("qa.db", "--identities", "no.csv"), 2, "Cannot read the identities in no.csv"),
        (("qa.db", "--repeat", "0"), 2, "0 is not in the range"),
    ],
)
def test_what_is_impossible_is_refused(arguments: tuple[str, ...], code: int, sentence: str, check: Check) -> None:
    found, _, errors = check(*arguments)
    assert found == code
    assert sentence in errors
    assert "Traceback" not in errors


def test_capture_that_exists_is_not_overwritten(check: Check, tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text('[[contract]]\nkind = "burst"\nname = "one"\nusers = 2\n')
    (tmp_path / "x-one.db").write_text("something else")
    code, _, errors = check("qa.db", "--suite", "suite.toml", "-o", "x.db")
    assert code == 2
    assert "x-one.db exists" in errors
    assert (tmp_path / "x-one.db").read_text() == "something else"
    # With --force it is, and nobody listening makes the run invalid.
    code, printed, _ = check("qa.db", "--suite", "suite.toml", "-o", "x.db", "--force")
    assert code == 4
    assert "Invalid: Nothing could connect" in printed


def test_contracts_that_have_nothing_to_do_are_not_measured_and_no_pass(check: Check, tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text('[[contract]]\nkind = "connections"\n')
    code, printed, _ = check("qa.db", "--suite", "suite.toml")
    assert code == 4
    assert printed.count("not measured") >= 2
    assert "CAN'T TELL  1 of 1 required contract" in printed
