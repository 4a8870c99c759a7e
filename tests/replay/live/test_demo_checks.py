"""Contracts about sockets against the demo: what it promises holds, and a muted receiver is noticed and counted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from nestperf.capture.reader import Capture
from nestperf.demo.children import free_port
from tests.conftest import start_recorder

SUITE = """
[[contract]]
name = "status"
kind = "fan-out"
event = "service:status"
users = 10
times = 3
within = "5s"

[[contract]]
name = "muted"
kind = "fan-out"
cause = "request:refresh"
event = "service:status"
users = 10
times = 2
within = "1s"

[[contract]]
name = "messages"
kind = "messages"
users = 5
messages = 50
within = "20s"

[[contract]]
name = "reconnect"
kind = "reconnect"
event = "service:status"
users = 10
within = "30s"

[[contract]]
name = "silent"
kind = "messages"
users = 5
messages = 50
within = "8s"

[[contract]]
name = "forgetful"
kind = "reconnect"
event = "service:status"
users = 10
within = "8s"
"""


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., str]]:
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> str:
        port = free_port()
        process = subprocess.Popen(
            [sys.executable, "-m", "nestperf.demo.app", "--port", str(port), *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        while f":{port}" not in (line := process.stdout.readline()):
            assert line, "the demo application did not start"
        return f"http://127.0.0.1:{port}"

    yield start
    for process in started:
        process.terminate()
        process.communicate(timeout=20)


@pytest.fixture(scope="module")
def capture(serve: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    recorder = start_recorder(folder / "qa.db", serve())
    session = [sys.executable, "-m", "nestperf.demo.session", recorder.urls[0], "--pace", "0.5"]
    subprocess.run(session, check=True, timeout=90, capture_output=True)
    assert recorder.stop() == 0, recorder.output
    (folder / "suite.toml").write_text(SUITE)
    return recorder.capture


def check(capture: Path, target: str, *only: str) -> tuple[int, str]:
    command = [
        sys.executable, "-m", "nestperf", "check", str(capture), "--suite", str(capture.with_name("suite.toml")),
        "--target", target, "-o", str(capture.with_name("check.db")), "--force",
    ]  # fmt: skip
    for name in only:
        command += ["--only", name]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert "Traceback" not in ended.stderr
    return ended.returncode, " ".join((ended.stdout + ended.stderr).split())


def test_demo_keeps_its_promises_about_sockets(capture: Path, serve: Callable[..., str]) -> None:
    code, printed = check(capture, serve("--status-interval", "60"), "status", "messages", "reconnect")
    assert code == 0, printed
    assert "emit request:refresh: followed by service:status in /status" in printed
    assert "subscribed by subscribe:status" in printed
    assert "emit client:ping in /authenticated: acknowledged" in printed
    for told in ("10 of 10 within", "250 of 250 in", "10 of 10 back in"):
        assert told in printed


def test_demo_that_mutes_receivers_fails_with_as_many_as_it_muted(capture: Path, serve: Callable[..., str]) -> None:
    """Each fifth of those who watch hears nothing: 2 of 10 receivers, at each of 2 causes."""
    code, printed = check(capture, serve("--status-interval", "60", "--faults", "mute_every=5"), "muted")
    assert code == 1, printed
    assert "4 of 20 deliveries of service:status never came (2 receivers" in printed
    with Capture.open(capture.with_name("check-muted.db")) as held:
        receipts = [p for p in held.packets() if p.event == "service:status" and p.sender == "server"]
        assert len({packet.socket_id for packet in receipts}) == 8


def test_demo_that_does_not_answer_fails_with_as_many_as_it_left_out(capture: Path, serve: Callable[..., str]) -> None:
    target = serve("--status-interval", "60", "--faults", "silent_every=100")
    code, printed = check(capture, target, "silent")
    assert code == 1, printed
    assert counted(target, "silenced") == 2
    assert "2 of 250" in printed


def test_demo_that_forgets_who_came_back_fails_with_as_many_as_it_forgot(
    capture: Path, serve: Callable[..., str]
) -> None:
    target = serve("--status-interval", "60", "--faults", "forget_after=10")
    code, printed = check(capture, target, "forgetful")
    assert code == 1, printed
    assert counted(target, "forgotten") == 10
    assert "10 of 10 clients" in printed


def counted(target: str, name: str) -> object:
    with urlopen(f"{target}/_demo/counts", timeout=20) as answer:
        return json.loads(answer.read())[name]
