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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import HealthCheck, settings

from nestperf.demo.postgres import PostgresServer, find_binaries
from tests.postgres import Postgres
from tests.tls import Certificates, make_certificates

# How fast examples are made or run says something of the machine alone.
settings.register_profile("nestperf", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("nestperf")

PEERS = {
    "node": ("node", "install Node.js (Debian: `apt-get install nodejs npm`)"),
    "chromium": ("chromium", "install a browser (Debian: `apt-get install chromium`)"),
    "nginx": ("nginx", "install nginx (Debian: `apt-get install nginx-light`)"),
    "curl": ("curl", "install curl (Debian: `apt-get install curl`)"),
    "postgres": ("PostgreSQL's server", "install PostgreSQL (Debian: `apt-get install postgresql`)"),
}
"""Marker argument: the program that must be there, and how to get it."""


LONGEST_FIRST = ("interop", "replay", "proxy_addon", "demo", "test_ci.py", "test_pytest_plugin.py", "reports")
"""Folders and files whose tests start processes and wait for them: a long module that came last would have only one
core at work. The many short ones, which come then, fill what is left evenly."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_rank)  # stable: within a folder the order stays


def _rank(item: pytest.Item) -> int:
    first = item.path.relative_to(Path(__file__).parent).parts[0]
    return LONGEST_FIRST.index(first) if first in LONGEST_FIRST else len(LONGEST_FIRST)


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


@contextlib.contextmanager
def serving(handler: type[BaseHTTPRequestHandler], certificates: Certificates | None = None) -> Iterator[int]:
    """Answer requests in threads, over TLS with `certificates`; the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if certificates is not None:
        server.socket = certificates.server_context().wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(eq=False)
class Recorder:
    """A running `nestperf record`."""

    process: subprocess.Popen[bytes]
    capture: Path
    urls: list[str]
    """Where it listens, in the order of the upstreams."""
    output: str = ""

    @property
    def ports(self) -> list[int]:
        return [int(url.rpartition(":")[2]) for url in self.urls]

    @property
    def authority(self) -> Path:
        """The certificate that clients have to trust."""
        found = re.search(r"have to trust (\S+) once", self.output)
        assert found is not None, self.output
        return Path(found[1])

    def wait_for(self, sentence: str, seconds: float = 20) -> bool:
        """Whether it prints that within the time."""
        deadline = time.perf_counter() + seconds
        while sentence not in self.output and (left := deadline - time.perf_counter()) > 0:
            if not self.read(left):
                break
        return sentence in self.output

    def read(self, seconds: float) -> bool:
        """Take what it prints within the time; False where it has ended."""
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            return True
        printed = os.read(self.process.stdout.fileno(), 65536)
        self.output += printed.decode()
        return bool(printed)

    def stop(self, number: int = signal.SIGINT) -> int:
        """End it as a tester would; the exit code. What it printed is in `output`."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=90)  # a busy machine
        self.output += rest.decode()
        return self.process.returncode


def start_recorder(capture: Path, *arguments: str) -> Recorder:
    """Start `nestperf record ARGUMENTS -o CAPTURE` and wait until it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nestperf", "record", *arguments, "-o", str(capture)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        env=os.environ | {"COLUMNS": "200"},
    )
    recorder = Recorder(process, capture, [])
    deadline = time.perf_counter() + 60
    try:
        while "Ctrl-C ends the recording" not in recorder.output:
            assert recorder.read(1), recorder.output
            assert time.perf_counter() < deadline, recorder.output
    except BaseException:
        process.kill()
        process.communicate()
        raise
    recorder.urls = re.findall(r"  at  (\S+)", recorder.output)
    return recorder


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """A server's certificate, and the authority that signed it."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session", autouse=True)
def _own_data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Recorders of tests make their certificate authority away from the tester's, and nothing of a tester's or CI's own
    environment gets into them."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GITHUB_STEP_SUMMARY", "NESTPERF_SECRETS", "DATABASE_URL", "TEST_DATABASE_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


Recorders = Callable[..., Recorder]


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
        running = Postgres(server, binaries)
        running.run("psql", "-q", server.url, "-c", "create extension pg_stat_statements")
        yield running
