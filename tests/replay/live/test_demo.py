"""The demo's pin login replays by itself, with the secrets beside the recording and without them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nestperf.capture.model import Kind
from nestperf.capture.reader import Capture
from nestperf.capture.vault import secrets_path
from nestperf.demo.children import free_port
from tests.conftest import Recorders
from tests.replay.live.test_strict import USERS, failures, replay


@pytest.fixture
def demo() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "nestperf.demo.app", "--port", str(port)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    while f":{port}" not in (line := process.stdout.readline()):
        assert line, "the demo application did not start"
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.communicate(timeout=20)


def test_pin_login_replays_for_every_user(demo: str, record: Recorders, tmp_path: Path) -> None:
    recorder = record(demo)
    session = [sys.executable, "-m", "nestperf.demo.session", recorder.urls[0], "--pace", "0.2"]
    subprocess.run(session, check=True, timeout=90, capture_output=True)
    assert recorder.stop() == 0, recorder.output
    for number, there in enumerate((True, False)):
        if not there:
            secrets_path(recorder.capture).unlink()
        output = tmp_path / f"replay-{number}.db"
        printed = replay(recorder.capture, output, "--users", str(USERS), "--think", "none")
        assert failures(output) == [], printed
        with Capture.open(output) as capture:
            calls = [e for e in capture.exchanges() if e.kind is Kind.CALL]
            pins = {e.target for e in calls if e.method == "DELETE"}
            assert len([e for e in calls if e.target.endswith("/auth/plex/verify") and e.status == 200]) == USERS
        # Every user takes back a wish of its own.
        assert len(pins) == USERS
