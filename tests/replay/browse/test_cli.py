"""What `nestperf browse` refuses before it opens anything, each in a sentence and with its exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nestperf.cli import run as nestperf
from tests.replay.browse.test_tour import page
from tests.replay.conftest import Recording

Browse = Callable[..., tuple[int, str]]


@pytest.fixture
def browse(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Browse:
    """`nestperf browse ARGUMENTS` here: exit code and what it printed."""

    def run(*arguments: object) -> tuple[int, str]:
        code = nestperf(["browse", "-o", str(tmp_path / "pages.db"), *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


@pytest.fixture
def recorded(recording: Recording) -> Path:
    page(recording, "/dashboard", 0)
    return recording.finish()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--network", "3g"), "There is no network '3g': choose one of wpt-3g,"),
        (("--page", "/nope"), "it has /dashboard"),
        (("--storage", "token"), "such as session:token=token"),
        (("--storage", "token=nonesuch"), "the recording sends nothing under the name 'nonesuch'"),
        (("--target", "http://192.0.2.1:80"), "allow it with --allow-host 192.0.2.1"),
        (("--runs", "0"), "--runs"),
        (("--cpu-slowdown", "1"), "--cpu-slowdown"),
        (("--identities", "nowhere.csv"), "Cannot read the identities in nowhere.csv"),
        (("--thresholds", "nowhere.toml"), "nowhere.toml"),
        (("--ca", "nowhere.pem"), "nowhere.pem"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_option_is_refused_with_what_to_do(
    arguments: tuple[str, ...], sentence: str, recorded: Path, browse: Browse, tmp_path: Path
) -> None:
    code, printed = browse(recorded, *arguments)
    assert code == 2, printed
    assert sentence in " ".join(printed.split())
    assert not (tmp_path / "pages.db").exists()


def test_a_recording_without_pages_is_refused(recording: Recording, browse: Browse) -> None:
    recording.exchange("GET", "/api/titles", 0, 5)
    code, printed = browse(recording.finish())
    assert code == 3
    assert "holds no page that a browser opened: record one with `nestperf record --browser URL`" in printed


def test_a_capture_that_is_not_there_is_said(browse: Browse, tmp_path: Path) -> None:
    code, printed = browse(tmp_path / "nothing.db")
    assert code == 3
    assert "There is no capture" in printed


def test_the_recording_itself_is_never_overwritten(recorded: Path, browse: Browse) -> None:
    before = recorded.read_bytes()
    code, printed = browse(recorded, "-o", recorded, "--force")
    assert code == 2
    assert "name another file with -o" in printed
    assert recorded.read_bytes() == before


def test_without_a_browser_it_says_how_to_get_one(
    recorded: Path, browse: Browse, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    monkeypatch.delenv("NESTPERF_BROWSER", raising=False)
    monkeypatch.setattr("proxy_addon.browser._NAMES", ("chromium",))
    code, printed = browse(recorded)
    assert code == 2
    assert "apt-get install chromium" in printed
    assert "playwright install chromium" in printed
