"""Marks set while `nestperf record` runs: from its own terminal, and by `nestperf mark` from another one."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nestperf.capture.reader import Capture
from nestperf.cli import run
from tests.conftest import Recorder
from tests.proxy_addon.test_record_command import application, get

__all__ = ["application"]
_PATIENCE_S = 60
_TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_mark_command_names_what_follows(
    record: Callable[..., Recorder], application: int, capsys: pytest.CaptureFixture[str]
) -> None:
    recording = record(f"http://127.0.0.1:{application}")
    (port,) = recording.ports
    get(port, "/before")
    assert run(["mark", str(recording.capture), "now requesting\nThe Matrix"]) == 0
    assert re.search(r"into the recording: now requesting The Matrix$", capsys.readouterr().out.strip())
    get(port, "/under-it")
    assert recording.stop() == 0
    with Capture.open(recording.capture) as capture:
        targets = {exchange.id: exchange.target for exchange in capture.exchanges()}
        (named,) = capture.named()
        assert [targets[number] for number in named.exchanges] == ["/under-it"]
        assert (named.text, named.source) == ("now requesting The Matrix", "command")
        assert set(targets.values()) == {"/before", "/under-it"}
        assert capture.run.losses == {}
    assert run(["mark", str(recording.capture), "too late"]) == 2
    assert "Nobody is recording into" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "sentence"), [("  ", "A mark needs a text"), ("x" * 300, "300 characters are more than 200")]
)
def test_mark_without_a_useful_text_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, sentence: str
) -> None:
    assert run(["mark", str(tmp_path / "qa.db"), text]) == 2
    assert sentence in capsys.readouterr().err


def test_mark_of_no_capture_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["mark", str(tmp_path / "qa.db"), "text"]) == 3
    assert "There is no capture" in capsys.readouterr().err


class TerminalSession:
    """A command in a terminal of its own."""

    def __init__(self, *arguments: str) -> None:
        self._master, slave = pty.openpty()
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        self.shown = ""
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, sys.executable, "-m", "nestperf", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"},
        )

    def wait_for(self, pattern: str) -> None:
        """Read what is shown until it has that."""
        deadline = time.perf_counter() + _PATIENCE_S
        while not re.search(pattern, self.shown):
            assert time.perf_counter() < deadline, self.shown[-2000:]
            self.read(0.2)

    def read(self, wait_s: float) -> None:
        """Read what is shown meanwhile."""
        ready, _, _ = select.select([self._master], [], [], wait_s)
        if ready:
            with contextlib.suppress(OSError):
                self.shown += os.read(self._master, 65536).decode(errors="replace")

    def press(self, keys: str) -> None:
        """Type something."""
        os.write(self._master, keys.encode())

    def end(self) -> int:
        """Press Ctrl-C and read until it is over."""
        self.press("\x03")
        deadline = time.perf_counter() + _PATIENCE_S
        while self.process.poll() is None and time.perf_counter() < deadline:
            self.read(0.2)
        return self.process.wait(1)


@pytest.fixture
def terminal() -> Iterator[Callable[..., TerminalSession]]:
    opened: list[TerminalSession] = []

    def start(*arguments: str) -> TerminalSession:
        opened.append(TerminalSession(*arguments))
        return opened[-1]

    yield start
    for session in opened:
        session.process.kill()
        session.process.wait()
        os.close(session.slave)
        os.close(session._master)


def test_m_in_the_terminal_names_the_moment_it_was_pressed(
    terminal: Callable[..., TerminalSession], application: int, tmp_path: Path
) -> None:
    path = tmp_path / "qa.db"
    session = terminal("record", f"http://127.0.0.1:{application}", "-o", str(path))
    session.wait_for(r"at\s+http://127\.0\.0\.1:(\d+)")
    found = re.search(r"at\s+http://127\.0\.0\.1:(\d+)", session.shown)
    assert found is not None
    port = int(found[1])
    session.wait_for("m names what you do next")
    get(port, "/before")
    session.press("m")
    session.wait_for(r"Mark: █")
    session.press("now requesting Tim\x7f\x7f\x7fThe Matrix")
    session.wait_for(r"Mark: now requesting The Matrix█")
    get(port, "/while-writing")
    session.press("\r")
    session.wait_for(r"mark: now requesting The Matrix")
    get(port, "/after")
    assert session.end() == 0
    assert termios.tcgetattr(session.slave) == session.before
    with Capture.open(path) as capture:
        targets = {exchange.id: exchange.target for exchange in capture.exchanges()}
        (named,) = capture.named()
        assert (named.text, named.source) == ("now requesting The Matrix", "key")
        assert [targets[number] for number in named.exchanges] == ["/while-writing", "/after"]
