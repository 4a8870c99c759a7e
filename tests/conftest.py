"""What tests share: real recorders in processes of their own, and the rule about missing peers."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nestperf.demo.postgres import PostgresServer, find_binaries
from tests.postgres import Postgres

PEERS = {
    "node": ("node", "install Node.js (Debian: `apt-get install nodejs npm`)"),
    "chromium": ("chromium", "install a browser (Debian: `apt-get install chromium`)"),
    "nginx": ("nginx", "install nginx (Debian: `apt-get install nginx-light`)"),
    "curl": ("curl", "install curl (Debian: `apt-get install curl`)"),
    "postgres": ("PostgreSQL's server", "install PostgreSQL (Debian: `apt-get install postgresql`)"),
}
"""Marker argument: the program that must be there, and how to get it."""


def _is_there(program: str) -> bool:
    if program == PEERS["postgres"][0]:  # Debian keeps it out of the PATH
        return find_binaries() is not None
    return shutil.which(program) is not None


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("peer"):
        program, remedy = PEERS[marker.args[0]]
        if not _is_there(program):
            missing_peer(f"{program} is missing: {remedy}.")


def missing_peer(sentence: str) -> None:
    """Skip a test whose real peer is not there; in CI that is a failure."""
    if os.environ.get("NESTPERF_REQUIRE_PEERS"):
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


@dataclass
class Recorder:
    """A running `nestperf record`."""

    process: subprocess.Popen[str]
    capture: Path
    urls: list[str]
    """Where it listens, in the order of the upstreams."""
    output: str = ""

    @property
    def ports(self) -> list[int]:
        return [int(url.rpartition(":")[2]) for url in self.urls]

    def stop(self, number: int = signal.SIGINT) -> int:
        """End it as a tester would; the exit code. What it printed is in `output`."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=30)
        self.output += rest
        return self.process.returncode


def start_recorder(capture: Path, *arguments: str) -> Recorder:
    """Start `nestperf record ARGUMENTS -o CAPTURE` and wait until it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nestperf", "record", *arguments, "-o", str(capture)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"COLUMNS": "200"},
    )
    assert process.stdout is not None
    printed = ""
    deadline = time.perf_counter() + 20
    while "Ctrl-C ends the recording" not in printed:
        assert process.poll() is None, printed + process.stdout.read()
        assert time.perf_counter() < deadline, printed
        if select.select([process.stdout], [], [], 1)[0]:
            printed += process.stdout.readline()
    return Recorder(process, capture, re.findall(r"  at  (\S+)", printed), printed)


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Callable[..., Recorder]]:
    """Start recorders: `record("http://127.0.0.1:4000")`; all of them are gone when the test ends."""
    started: list[Recorder] = []

    def start(*arguments: str) -> Recorder:
        recorder = start_recorder(tmp_path / f"recording-{len(started)}.db", *arguments)
        started.append(recorder)
        return recorder

    yield start
    for recorder in started:
        if recorder.process.poll() is None:
            # Gently first: a recorder that opened a browser closes it.
            recorder.process.send_signal(signal.SIGINT)
            try:
                recorder.process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                recorder.process.kill()
        with contextlib.suppress(ValueError):
            recorder.process.communicate(timeout=10)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A private PostgreSQL server; tests that use it are marked `peer("postgres")`."""
    binaries = find_binaries()
    assert binaries is not None, "mark the test peer('postgres')"
    with PostgresServer(binaries, Postgres.SETTINGS) as server:
        yield Postgres(server, binaries)
