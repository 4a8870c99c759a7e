"""`nestperf record URL -- COMMAND`: an existing suite behind the recorder, its environment, end and exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nestperf.capture.reader import Capture
from nestperf.cli import run
from tests.proxy_addon.test_mark_command import TerminalSession, terminal
from tests.proxy_addon.test_record_command import application

__all__ = ["application", "terminal"]
_PATIENCE_S = 60

SENDS = """
import os, sys, urllib.request
for number in range(int(sys.argv[1])):
    request = urllib.request.Request(os.environ["NESTPERF_URL"] + f"/{number}")
    request.add_header("X-Nestperf-Test", "sends%20a%20few" if number % 2 else "others")
    urllib.request.urlopen(request).read()
print("the suite says hello")
"""
PROMISE = "[[threshold]]\nname = 'Fast'\nexpression = 'p95(latency) < {limit}'\n"


class Suites:
    """Runs `nestperf record ... -- python -c CODE` in a folder of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.capture = folder / "qa.db"
        self.record = [sys.executable, "-m", "nestperf", "record", f"http://127.0.0.1:{port}", "-o", str(self.capture)]

    def run(
        self, code: str, *arguments: str, options: tuple[str, ...] = (), **variables: str
    ) -> subprocess.CompletedProcess[str]:
        command = [*self.record, *options, "--", sys.executable, "-c", textwrap.dedent(code), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False, cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "200"} | variables,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def judged_within(self, limit: str) -> None:
        (self.folder / "nestperf.toml").write_text(PROMISE.format(limit=limit))

    @contextmanager
    def running(self, code: str) -> Iterator[subprocess.Popen[str]]:
        command = [*self.record, "--", sys.executable, "-u", "-c", textwrap.dedent(code)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


@pytest.fixture
def suites(tmp_path: Path, application: int) -> Suites:
    return Suites(tmp_path, application)


def test_suite_that_passes_ends_with_the_verdict(suites: Suites) -> None:
    suites.judged_within("30s")
    ended = suites.run(SENDS, "30")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "the suite says hello" in ended.stdout
    assert "PASS  The one required promise holds." in ended.stdout
    with Capture.open(suites.capture) as capture:
        assert capture.run.state == "finished"
        assert {one.text: len(one.exchanges) for one in capture.named()} == {"sends a few": 15, "others": 15}


def test_suite_that_breaks_a_promise_ends_with_1(suites: Suites) -> None:
    suites.judged_within("1ns")
    ended = suites.run(SENDS, "30")
    assert ended.returncode == 1
    assert "FAIL  The one required promise is broken" in ended.stdout


def test_suites_own_failure_comes_before_the_verdict(suites: Suites) -> None:
    suites.judged_within("1ns")
    ended = suites.run(SENDS + "sys.exit(7)", "30")
    assert ended.returncode == 7
    assert "FAIL  The one required promise is broken" in ended.stdout


def test_suite_that_sends_nothing_is_told_why_and_what_to_change(suites: Suites) -> None:
    ended = suites.run("print('in process')")
    assert ended.returncode == 3
    assert "request(app)" in ended.stdout
    assert "request(process.env.NESTPERF_URL ?? app)" in ended.stdout
    assert "open the address above" not in ended.stdout


def test_suites_database_leads_to_the_recorder_and_its_password_is_not_shown(suites: Suites) -> None:
    code = "import os; open('seen', 'w').write(os.environ['DATABASE_URL'] + ' ' + os.environ['NESTPERF_DATABASE_URL'])"
    url = "postgresql://tester:pass-word-4711@localhost:1/media?schema=public"
    ended = suites.run(code, options=("postgres://127.0.0.1:1",), DATABASE_URL=url)
    led, plain = (suites.folder / "seen").read_text().split()
    assert led == plain.replace("postgres://", "postgresql://tester:pass-word-4711@") + "/media?schema=public"
    assert not led.endswith(":1/media?schema=public")
    assert "pass-word-4711" not in ended.stdout + ended.stderr
    assert not [name for name in suites.folder.iterdir() if name.name != "seen" and b"4711" in name.read_bytes()]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--",), "Nothing stands behind --"),
        (("--", "no-such-program-4711"), "'no-such-program-4711' is no program here"),
        (("--browser", "--", "true"), "leave one of them out"),
        (("--thresholds", "x.toml"), "add -- COMMAND"),
        (("--thresholds", "no-such.toml", "--", "true"), "no-such.toml"),
    ],
)
def test_wrong_use_is_refused_before_anything_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], sentence: str
) -> None:
    assert run(["record", "http://127.0.0.1:1", "-o", str(tmp_path / "qa.db"), *arguments]) == 2
    assert sentence in capsys.readouterr().err
    assert not (tmp_path / "qa.db").exists()


WAITS = """
import os, signal, sys, time, urllib.request
def end(number, frame):
    urllib.request.urlopen(os.environ["NESTPERF_URL"] + "/cleaning-up").read()
    print("cleaned up after", number)
    sys.exit(9)
signal.signal(signal.SIGTERM, end)
signal.signal(signal.SIGINT, end)
print("waiting")
while True:
    time.sleep(0.1)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_is_the_suites_which_may_still_send(suites: Suites, number: int) -> None:
    with suites.running(WAITS) as process:
        assert process.stdout is not None
        while (line := process.stdout.readline()).strip() != "waiting":
            assert line, "it ended early"
        process.send_signal(number)
        printed, _ = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 9
    assert f"cleaned up after {int(number)}" in printed
    with Capture.open(suites.capture) as capture:
        assert [exchange.target for exchange in capture.exchanges()] == ["/cleaning-up"]


DEAF = """
import signal, time, os, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("deaf", child.pid)
time.sleep(600)
"""


def test_second_interrupt_ends_a_suite_that_does_not_listen(suites: Suites) -> None:
    with suites.running(DEAF) as process:
        assert process.stdout is not None
        while not (line := process.stdout.readline()).startswith("deaf"):
            assert line, "it ended early"
        grandchild = int(line.split()[1])
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 128 + signal.SIGTERM
    deadline = time.perf_counter() + _PATIENCE_S
    while _runs(grandchild):
        assert time.perf_counter() < deadline, "the suite's own child was left behind"
    assert suites.capture.exists()


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_ctrl_c_in_a_terminal_reaches_the_suite_once_and_the_screen_is_its_own(
    terminal: Callable[..., TerminalSession], application: int, tmp_path: Path
) -> None:
    script = tmp_path / "suite.py"
    script.write_text(WAITS)
    path = tmp_path / "qa.db"
    arguments = ("record", f"http://127.0.0.1:{application}", "-o", str(path), "--", sys.executable, str(script))
    session = terminal(*arguments)
    session.wait_for("waiting")
    assert session.end() == 9
    session.wait_for("cleaned up after 2")
    assert session.shown.count("cleaned up after 2") == 1
    assert "recording 00:" not in session.shown
