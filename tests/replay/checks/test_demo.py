"""Contracts against the demo: kept ones pass, broken ones fail and name what broke with the demo's own count."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from nestperf.capture.reader import Capture
from nestperf.cli import run as nestperf
from nestperf.demo.children import free_port
from tests.conftest import start_recorder

SUITE = """
[[contract]]
kind = "limit"
call = "/api/v1/dashboard/*"
signed_in = true
requests = 100
per = "6s"

[[contract]]
kind = "burst"
name = "health"
call = "/health"
within = "4s"

[[contract]]
kind = "burst"
name = "dashboard"
call = "/api/v1/dashboard/stats"
signed_in = true
within = "10s"

[[contract]]
kind = "connections"
hold = "4s"
within = "10s"

[[contract]]
kind = "load"
users = 10
rate = "40/s"
for = "9s"

[[contract.promise]]
name = "Hardly anything fails"
expression = "rate(failed) < 5%"

[[contract.promise]]
name = "Authentication"
expression = "p95(latency) < 30s"  # a busy machine
kind = "call"
route = "/api/v1/auth/*"
"""


@contextmanager
def demo(faults: str = "") -> Iterator[str]:
    """A demo application that runs; its URL."""
    port = free_port()
    command = [sys.executable, "-m", "nestperf.demo.app", "--port", str(port), "--window", "6", "--faults", faults]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert process.stdout is not None
        while f":{port}" not in (line := process.stdout.readline()):
            assert line, "the demo application did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripted tester's visit, recorded."""
    with demo() as url:
        recorder = start_recorder(tmp_path_factory.mktemp("recorded") / "visit.db", url)
        session = [sys.executable, "-m", "nestperf.demo.session", recorder.urls[0], "--pace", "0.1"]
        try:
            subprocess.run(session, check=True, timeout=90, capture_output=True)
        finally:
            assert recorder.stop() == 0, recorder.output
        return recorder.capture


@pytest.fixture
def check(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run `nestperf check` against an address: exit code and what it printed."""
    path = tmp_path / "suite.toml"
    path.write_text(SUITE)

    def run(url: str, *arguments: str) -> tuple[int, str]:
        command = ["check", str(recorded), "--suite", str(path), "--target", url, "-o", str(tmp_path / "check.db")]
        code = nestperf([*command, *arguments])
        return code, capsys.readouterr().out

    return run


def test_ctrl_c_keeps_what_was_recorded_and_says_so(recorded: Path, tmp_path: Path) -> None:
    suite = tmp_path / "suite.toml"
    suite.write_text(SUITE.replace('hold = "4s"', 'hold = "60s"'))
    only = ["--only", "burst", "--only", "connections", "--only", "load"]
    with demo() as url:
        command = ["check", str(recorded), "--suite", str(suite), "--target", url, "-o", str(tmp_path / "check.db")]
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "nestperf", *command, *only],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        printed = ""
        while " 20 sockets" not in printed:
            line = process.stdout.readline()
            assert line, printed
            printed += line
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    printed += rest
    assert process.returncode in (1, 4), printed
    assert "Interrupted: what was recorded is kept, and is not all." in printed
    assert "load: Interrupted before its turn." in printed
    assert "Traceback" not in printed
    with Capture.open(tmp_path / "check-connections.db") as capture:
        assert capture.run.state == "interrupted"
        assert len(list(capture.sockets())) == 20
    assert not (tmp_path / "check-load.db").exists()


def counts_of(url: str) -> dict[str, Any]:
    with urlopen(f"{url}/_demo/counts", timeout=20) as answer:
        told = json.loads(answer.read())
    assert isinstance(told, dict)
    return told


def test_kept_promises_pass_and_every_contract_has_its_capture(
    check: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    with demo() as url:
        code, printed = check(url)
        counts = counts_of(url)
    assert code == 0, printed
    assert printed.count("\nPASS  ") == 6, printed
    assert counts["requests"]["GET /health"] == 20
    for name in ("limit", "health", "dashboard", "connections", "load"):
        with Capture.open(tmp_path / f"check-{name}.db") as capture:
            assert capture.run.purpose == "check"
            assert capture.run.settings["contract"]["name"] == name
            assert len(list(capture.exchanges())) > 0
    thresholds = tmp_path / "thresholds.toml"
    thresholds.write_text(
        '[[threshold]]\nexpression = "count(exchanges) >= 20"\napplies = ["check"]\n'
        '[[threshold]]\nexpression = "count(exchanges) >= 21"\napplies = ["record", "replay"]\n'
    )
    assert nestperf(["report", str(tmp_path / "check-health.db"), "--thresholds", str(thresholds)]) == 0


def test_broken_promises_fail_with_the_number_that_the_demo_counted(check: Callable[..., tuple[int, str]]) -> None:
    broken = (
        "limit=90,slow_path=/health,slow_ms=7000,slow_every=20,error_path=/api/v1/dashboard/stats,error_every=7,"
        "kick_every=7"
    )
    with demo(broken) as url:
        code, printed = check(url, "--only", "limit", "--only", "burst", "--only", "connections")
        counts = counts_of(url)
    assert code == 1, printed
    assert "The 91st request was refused: 90 were admitted where 100 are promised" in printed
    assert "1 of 20 answers came after 4 s, the last after " in printed
    assert "2 of 20 requests: answered 500" in printed
    assert counts["kicked"] == 2
    # On a very busy machine one may be closed before it has joined everything.
    numbers = printed.partition("FAIL  connections")[2].partition("Contracts: ")[0]
    ended = re.findall(r"(\d+) of 20 (?:connections ended unexpectedly|clients did not connect): closed by", numbers)
    assert sum(map(int, ended)) == 2, numbers
    assert counts["statuses"]["429"] == 1


def test_failures_under_load_and_a_429_without_retry_after_are_named(check: Callable[..., tuple[int, str]]) -> None:
    with demo("retry_after=no,error_path=/api/v1/auth/plex/pin,error_every=2") as url:
        code, printed = check(url, "--only", "limit", "--only", "load")
    assert code == 1, printed
    assert "The 429 has no Retry-After." in printed
    assert "Hardly anything fails: the rate is " in printed
    assert "Most often (" in printed
