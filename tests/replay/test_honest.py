"""What a replay never hides: a target that goes away or never answers, what it must not send, what it cannot do."""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nestperf.capture.model import FAILED, Outcome, Upstream
from nestperf.capture.reader import Capture
from nestperf.errors import CaptureError
from replay.descriptors import RESERVED, connections_of, users_with_descriptors
from replay.pacing import Load
from replay.steps import Emit, Http, Join, Permission
from tests.replay.conftest import (
    MS,
    CountingServer,
    Recording,
    Recordings,
    Replays,
    Request,
    answering,
    command,
    plan_of,
    start_command,
)

APPLICATION = """
import asyncio, sys

async def serve(reader, writer):
    try:
        while await reader.readuntil(b"\\r\\n\\r\\n"):
            writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1]))
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@dataclass
class Application:
    """A server in a process of its own, which can be killed and started again on its port."""

    process: subprocess.Popen[str] | None = None
    port: int = 0

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", APPLICATION, str(self.port)], stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.communicate(timeout=10)


@pytest.fixture
def application() -> Iterator[Application]:
    running = Application()
    running.start()
    yield running
    running.kill()


async def test_run_goes_on_while_its_target_dies_and_returns_and_the_gap_is_visible(
    application: Application, recordings: Recordings, tmp_path: Path
) -> None:
    recording = recordings(f"http://127.0.0.1:{application.port}")
    for number in range(3):
        recording.exchange("GET", f"/{number}", number * 20, number * 20 + 2)
    process = await start_command(
        tmp_path, str(recording.finish()), "--rate", "100/s", "--duration", "8s", "-o", "r.db"
    )
    capture = tmp_path / "r.db"
    await until(lambda: outcomes(capture)[Outcome.OK] > 20)
    application.kill()
    await until(lambda: outcomes(capture)[Outcome.CONNECT_ERROR] > 20)
    application.start()
    again = outcomes(capture)[Outcome.OK]
    await until(lambda: outcomes(capture)[Outcome.OK] > again + 20)
    printed, _ = await asyncio.wait_for(process.communicate(), 30)
    with Capture.open(capture) as opened:
        run, exchanges = opened.run, list(opened.exchanges())
    assert run.state == "finished", printed.decode()
    assert len(exchanges) == run.certificate["planned"] == 800
    # Three stretches: it answers, it is gone, it answers again; nothing was left out of any of them.
    ordered = sorted(exchanges, key=lambda e: e.intended_ns or 0)
    failed = [e.outcome in FAILED for e in ordered]
    first, last = failed.index(True), len(failed) - 1 - failed[::-1].index(True)
    assert not any(failed[:first])
    assert not any(failed[last + 1 :])
    assert sum(failed[first : last + 1]) > 20
    assert {e.outcome for e in ordered if e.outcome in FAILED} <= {Outcome.RESET, Outcome.CONNECT_ERROR}
    assert "refused the connection" in printed.decode()


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.perf_counter() + 20
    while not holds():
        assert time.perf_counter() < deadline
        await asyncio.sleep(0.1)


def outcomes(path: Path) -> Counter[Outcome]:
    """The outcomes stored so far, while the run goes on."""
    try:
        with Capture.open(path) as capture:
            return Counter(exchange.outcome for exchange in capture.exchanges())
    except CaptureError:
        return Counter()  # it is only beginning


async def test_target_that_accepts_and_never_answers_is_a_timeout_of_every_request(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    server.behaviour = answering(never="*")
    recording = recordings(server.url)
    recording.exchange("GET", "/a", 0, 5)
    result = await replay(recording.finish(), "--rate", "20/s", "--duration", "1s", "--timeout", "500ms")
    assert {e.outcome for e in result.exchanges} == {Outcome.TIMEOUT}
    assert {e.detail for e in result.exchanges} == {"no answer within 0.5 s"}
    times = [(e.done_ns or 0) - e.sent_ns for e in result.exchanges]
    assert len(times) == len(server.requests) == 20
    assert min(times) >= 499 * MS


async def test_nothing_is_ever_sent_twice_and_no_redirect_is_followed(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    async def unkind(counting: CountingServer, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.target == "/reset":
            writer.transport.abort()
        elif request.target == "/busy":
            writer.write(b"HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n")
        elif request.target == "/moved":
            writer.write(b"HTTP/1.1 307 Moved\r\nLocation: /target\r\nContent-Length: 0\r\n\r\n")
        elif request.target == "/closing":
            writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
            writer.close()
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    server.behaviour = unkind
    recording = recordings(server.url)
    targets = ("/first", "/reset", "/busy", "/moved", "/closing", "/last")
    for number, target in enumerate(targets):
        status = 307 if target == "/moved" else 200
        recording.exchange("GET", target, number * 10, number * 10 + 2, status=status)
    result = await replay(recording.finish(), "--users", "3")
    assert Counter(request.target for request in server.requests) == dict.fromkeys(targets, 3)
    assert {e.target: e.outcome for e in result.exchanges} == {
        "/first": Outcome.OK,
        "/reset": Outcome.RESET,
        "/busy": Outcome.MISMATCH,
        "/moved": Outcome.OK,
        "/closing": Outcome.OK,
        "/last": Outcome.OK,
    }


def with_writes(recording: Recording) -> Path:
    for number, method in enumerate(("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")):
        recording.exchange(method, f"/{method.lower()}", number * 10, number * 10 + 2)
    socket = recording.socket(100, 110, 300)
    recording.packet(socket, "client", "connect", 120, "/", "{}")
    recording.packet(socket, "server", "connect", 125, "/", '{"sid":"x"}')
    recording.packet(socket, "client", "event", 130, "/", "[1]", event="change")
    recording.packet(socket, "server", "event", 135, "/", "[]", event="sure?", ack_id=1)
    recording.packet(socket, "client", "ack", 136, "/", "[]", ack_id=1)
    return recording.finish()


PERMISSIONS = [
    ("this machine: all of it", Permission("127.0.0.1", reads=True, writes=True), 7, 1, 0),
    ("an allowed host: reads only", Permission("example.com", reads=True, writes=False), 3, 0, 6),
    ("with --allow-writes: all of it", Permission("example.com", reads=True, writes=True), 7, 1, 0),
]


@pytest.mark.parametrize(
    ("permission", "requests", "events", "refused"),
    [row[1:] for row in PERMISSIONS],
    ids=[row[0] for row in PERMISSIONS],
)
def test_writes_go_only_where_they_may(
    recording: Recording, permission: Permission, requests: int, events: int, refused: int
) -> None:
    plan = plan_of(with_writes(recording), (permission,))
    actions = [step.action for session in plan.sessions for step in session.steps]
    assert sum(isinstance(action, Http) for action in actions) == requests
    assert sum(isinstance(action, Emit) for action in actions) == events
    assert sum(isinstance(action, Join) for action in actions) == 1
    reasons = [one.reason for one in plan.skipped if "write" in one.reason]
    assert len(reasons) == refused
    assert set(reasons) <= {"a write to example.com, which is not this machine: --allow-writes allows it"}
    # What is left keeps its recorded distances.
    for session in plan.sessions:
        for step in session.steps:
            released = max((session.steps[other].sent_ns for other in step.after), default=0)
            assert step.sent_ns >= released


async def test_host_that_is_not_this_machine_is_refused_before_anything_is_sent(
    recordings: Recordings, tmp_path: Path
) -> None:
    recording = recordings("http://192.0.2.7:80")
    code, printed = await command(tmp_path, str(with_writes(recording)), "-o", "r.db")
    assert code == 2
    assert "--allow-host 192.0.2.7" in printed
    assert not (tmp_path / "r.db").exists()


async def test_ten_thousand_users_without_descriptors_are_refused_in_one_sentence(
    server: CountingServer, recordings: Recordings, tmp_path: Path
) -> None:
    recording = recordings(server.url)
    for connection in (1, 2):
        recording.exchange("GET", f"/{connection}", connection, 20, connection=connection)
    path = recording.finish()
    code, printed = await limited(tmp_path, 1000, str(path), "--users", "10000", "-o", "r.db")
    assert code == 2
    assert printed.strip() == (
        "Error: 10,000 users with up to 2 connections each need 20,064 file descriptors, and this process may have "
        "1,000: raise the limit (`ulimit -Hn 20064` as root, or nofile in /etc/security/limits.conf), or ask for at "
        "most 468 users."
    )
    assert not server.connections
    assert not (tmp_path / "r.db").exists()


async def test_soft_limit_is_raised_before_anybody_is_refused(
    server: CountingServer, recordings: Recordings, tmp_path: Path
) -> None:
    recording = recordings(server.url)
    recording.exchange("GET", "/", 0, 5)
    arguments = (str(recording.finish()), "--users", "150", "-o", "r.db", "--start", "together")
    code, printed = await limited(tmp_path, 1000, *arguments, soft=100)
    assert "150 ok" in printed, (code, printed)


async def limited(folder: Path, hard: int, *arguments: str, soft: int | None = None) -> tuple[int | None, str]:
    """`nestperf replay ARGUMENTS` in a process that may have so many file descriptors."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "nestperf", "replay", *arguments, cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | {"COLUMNS": "200"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft or hard, hard)),
    )  # fmt: skip
    printed, _ = await asyncio.wait_for(process.communicate(), 40)
    return process.returncode, printed.decode()


def test_open_load_that_names_no_number_takes_what_descriptors_allow() -> None:
    load = Load(model="rate", users=10_000)
    assert users_with_descriptors(load, 2, 1000 + RESERVED, asked=False) == 500
    assert users_with_descriptors(load, 2, 1_000_000, asked=False) == 10_000


def test_connections_of_a_visit_are_those_it_may_have_at_once(recording: Recording) -> None:
    for number in range(9):
        recording.exchange("GET", f"/{number}", number * 10, number * 10 + 5, connection=number % 3)
    recording.socket(100, 101, 150)
    recording.socket(160, 161, 190)
    (session,) = recording.plan().sessions
    assert connections_of(session) == 3 + 1


async def test_certificate_says_what_the_generator_did(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    recording = recordings(server.url)
    for number in range(3):
        recording.exchange("GET", f"/{number}", number * 300, number * 300 + 2)
    result = await replay(recording.finish(), "--users", "5", "--duration", "3s", "--start", "together")
    certificate = result.run.certificate
    assert certificate["planned"] == certificate["sent"] == len(result.exchanges)
    assert certificate["dropped"] == 0
    assert certificate["connections"] == len(server.connections)
    for name in ("send_lag", "loop_lag", "service", "response", "session_response"):
        values = [certificate[f"{name}_{which}_ns"] for which in ("p50", "p95", "p99", "max")]
        assert all(isinstance(value, int) for value in values), name
        assert values == sorted(values)
    assert certificate["response_p50_ns"] >= certificate["service_p50_ns"]
    assert certificate["session_response_p50_ns"] >= 596 * MS
    assert 0 < certificate["cpu_share"] < 1
    assert max(count for _, count in certificate["users_alive"]) == 5
    assert result.run.upstreams == (Upstream(server.url),)
    # The exact percentiles of the rows lie within a bucket of the certificate's.
    services = sorted((e.done_ns or 0) - e.sent_ns for e in result.exchanges)
    exact = services[-(-len(services) // 2) - 1]
    assert exact <= certificate["service_p50_ns"] <= exact * 1.01
    assert certificate["service_max_ns"] == services[-1]


async def test_output_that_is_ascii_only_ends_no_run(
    server: CountingServer, recordings: Recordings, tmp_path: Path
) -> None:
    recording = recordings(server.url)
    for number in range(3):
        recording.exchange("GET", f"/{number}", number * 300, number * 300 + 2)
    path = str(recording.finish())
    for arguments in (("plan", path), ("replay", path, "-o", "r.db", "--duration", "3s")):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "nestperf", *arguments, cwd=tmp_path, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
        )  # fmt: skip
        printed, _ = await asyncio.wait_for(process.communicate(), 40)
        assert b"Traceback" not in printed
        assert b"ms" in printed


async def test_run_without_pauses_says_what_its_limit_was(
    server: CountingServer, recordings: Recordings, tmp_path: Path
) -> None:
    recording = recordings(server.url)
    recording.exchange("GET", "/", 0, 5)
    arguments = (str(recording.finish()), "--users", "4", "--duration", "2s", "--think", "none", "-o", "r.db")
    _, printed = await command(tmp_path, *arguments)
    assert "was the limit" in printed
    with Capture.open(tmp_path / "r.db") as capture:
        assert capture.run.certificate["limit"].split(":")[0] in printed
        assert not capture.run.invalid
