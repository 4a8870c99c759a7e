"""A real Chromium, opened by `record --browser`: the application's own address leads to the recorder."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from nestperf.capture.model import Kind
from nestperf.capture.reader import Capture
from nestperf.cli import run as nestperf
from nestperf.errors import CaptureError
from tests.conftest import Recorder


@pytest.fixture
def demo() -> Iterator[int]:
    command = [sys.executable, "-m", "nestperf.demo.app", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = re.search(r":(\d+)", process.stdout.readline())
    assert port is not None
    yield int(port[1])
    process.terminate()
    process.communicate(timeout=10)


@pytest.mark.peer("chromium")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_browser_reaches_the_recorder_under_the_applications_address(
    host: str, demo: int, record: Callable[..., Recorder]
) -> None:
    arguments = ("--headless=new", "--disable-gpu")
    recorder = record(
        f"http://{host}:{demo}", "--browser", *(word for a in arguments for word in ("--browser-argument", a))
    )
    deadline = time.perf_counter() + 30
    while time.perf_counter() < deadline and not loaded(recorder):
        time.sleep(0.3)
    assert recorder.stop() == 0, recorder.output
    with Capture.open(recorder.capture) as capture:
        pages = [exchange for exchange in capture.exchanges() if exchange.kind is Kind.PAGE]
        assert pages
        assert {exchange.authority for exchange in capture.exchanges()} == {f"{host}:{demo}"}
        assert all("Chrome" in client.user_agent for client in capture.clients())
        assert any(exchange.kind is Kind.ASSET for exchange in capture.exchanges())


def loaded(recorder: Recorder) -> bool:
    """Whether a page and an asset of it have been recorded."""
    try:
        with Capture.open(recorder.capture) as capture:
            kinds = {exchange.kind for exchange in capture.exchanges()}
    except CaptureError:
        return False  # it is only beginning
    return {Kind.PAGE, Kind.ASSET} <= kinds


def test_browser_that_is_missing_is_said_with_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("NESTPERF_BROWSER", raising=False)
    monkeypatch.setattr("proxy_addon.browser._NAMES", ("chromium",))
    assert nestperf(["record", "http://127.0.0.1:1", "--browser"]) == 2
    assert "apt-get install chromium" in capsys.readouterr().err
