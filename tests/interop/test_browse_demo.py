"""`nestperf browse` on the demo: its dashboard and list of requests on 3G, signed in anew as somebody was recorded."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nestperf.capture.model import Kind
from nestperf.capture.reader import Capture
from nestperf.demo.children import free_port
from tests.conftest import Recorder
from tests.interop.test_browse import FAST, browse, load_s, pages_of


@contextmanager
def demo(port: int) -> Iterator[str]:
    command = [sys.executable, "-m", "nestperf.demo.app", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert re.search(r":\d+", process.stdout.readline())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture
def recorded(record: Callable[..., Recorder]) -> tuple[int, Path]:
    """The demo's port, and the scripted session recorded there; the demo itself has forgotten everybody since."""
    with demo(free_port()) as url:
        recorder = record(url)
        session = [sys.executable, "-m", "nestperf.demo.session", recorder.urls[0]]
        subprocess.run(session, check=True, timeout=120, capture_output=True)
        assert recorder.stop() == 0, recorder.output
    return int(url.rpartition(":")[2]), recorder.capture


@pytest.mark.peer("chromium")
def test_the_demos_dashboard_and_list_of_requests_are_drawn_over_the_line_signed_in_anew(
    recorded: tuple[int, Path],
) -> None:
    port, recording = recorded
    with demo(port):
        code, printed, output = browse(
            recording, "--runs", "1", "--page", "/dashboard", "--storage", "session:token=token"
        )
    assert code in (0, 1, 4), printed
    assert "Pages within 2 s on 3G" in printed
    assert "led on" not in printed
    cold, warm = pages_of(output)
    assert load_s(cold) >= 3 * FAST.rtt_ns / 1e9
    assert load_s(warm) >= 2 * FAST.rtt_ns / 1e9
    with Capture.open(output) as capture:
        exchanges = [exchange for exchange in capture.exchanges() if exchange.done_ns is not None]
        renders = {timing.name: timing for timing in capture.timings() if timing.kind == "render"}
    calls = [exchange for exchange in exchanges if exchange.kind is Kind.CALL]
    assert {call.route for call in calls} >= {"/api/v1/media/requests", "/api/v1/dashboard/status"}
    assert all((call.done_ns or 0) - call.sent_ns >= FAST.rtt_ns for call in calls)
    # From the end of the call to the picture: the line is no part of it.
    assert (renders["dashboard"].duration_ns or 0) < FAST.rtt_ns * 10
    assert "request list" in renders
