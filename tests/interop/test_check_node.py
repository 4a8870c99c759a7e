"""Contracts against Node's own HTTP and Socket.IO server: kept ones pass, broken ones fail with the server's number."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import urlopen

import pytest

from nestperf.capture.reader import Capture
from nestperf.cli import run as nestperf
from nestperf.demo.children import free_port
from tests.conftest import missing_peer, start_recorder

pytestmark = pytest.mark.peer("node")

NODE = Path(__file__).parent / "node"
SUITE = """
[[contract]]
kind = "burst"
name = "health"
call = "GET /health"
within = "4s"

[[contract]]
kind = "burst"
name = "dashboard"
call = "/dashboard"
signed_in = true
within = "10s"

[[contract]]
kind = "limit"
name = "press and return"
call = "/limited"
requests = 30
per = "5s"

[[contract]]
kind = "limit"
name = "press"
call = "/limited"
requests = 30
per = "5s"
comes_back = false

[[contract]]
kind = "connections"
name = "connections"
users = 20
within = "10s"
hold = "1500ms"

[[contract]]
kind = "load"
name = "load"
users = 10
rate = "40/s"
for = "3s"

[[contract.promise]]
expression = "p95(latency) < 30s"  # a busy machine

[[contract.promise]]
name = "Hardly anything fails"
expression = "rate(failed) < 1%"
"""


class Server:
    """A promises.mjs that runs."""

    def __init__(self, **wish: Any) -> None:
        command = ["node", str(NODE / "promises.mjs"), json.dumps(wish)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def counts(self) -> dict[str, Any]:
        """What it says that it did."""
        with urlopen(f"{self.url}/_counts", timeout=20) as answer:
            told = json.loads(answer.read())
        assert isinstance(told, dict)
        return told

    def login(self) -> str:
        """Somebody new's token."""
        with urlopen(f"{self.url}/login", data=b"{}", timeout=20) as answer:
            return str(json.loads(answer.read())["accessToken"])

    def stop(self) -> None:
        """End it."""
        self.process.communicate(timeout=20)


class Checked(NamedTuple):
    """A check that is over."""

    code: int
    printed: str
    counts: dict[str, Any]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One visit, recorded."""
    return record_visit(tmp_path_factory.mktemp("recorded"))


def record_visit(folder: Path, *transports: str) -> Path:
    """Record one visit, its socket over these transports."""
    if not (NODE / "node_modules" / "socket.io").is_dir():
        missing_peer("Node's socket.io is missing: run `npm install --prefix tests/interop/node --no-package-lock`.")
    server = Server()
    recorder = start_recorder(folder / "visit.db", server.url)
    try:
        command = ["node", str(NODE / "visitor.mjs"), recorder.urls[0], json.dumps(transports or ["websocket"])]
        subprocess.run(command, check=True, timeout=60)
    finally:
        code = recorder.stop()
        server.stop()
    assert code == 0, recorder.output
    return recorder.capture


@pytest.fixture
def check(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Checked]:
    """Check one contract against a server with such a wish."""
    suite = tmp_path / "suite.toml"
    suite.write_text(SUITE)

    def run(contract: str, *more: str, people: int = 0, **wish: Any) -> Checked:
        server = Server(**wish)
        try:
            arguments = ["--suite", str(suite), "--only", contract, "--target", server.url, *more]
            if people:
                tokens = "\n".join(server.login() for _ in range(people))
                (tmp_path / "people.csv").write_text(f"accessToken\n{tokens}\n")
                arguments += ["--identities", str(tmp_path / "people.csv")]
            code = nestperf(["check", str(recorded), *arguments, "-o", str(tmp_path / "check.db")])
            return Checked(code, capsys.readouterr().out, server.counts())
        finally:
            server.stop()

    return run


Checks = Callable[..., Checked]


@pytest.mark.parametrize("contract", ["health", "dashboard", "press and return", "connections", "load"])
def test_kept_promise_passes(contract: str, check: Checks) -> None:
    checked = check(contract)
    assert checked.code == 0, checked.printed
    assert f"PASS  {contract}" in checked.printed


def test_twenty_identities_ask_for_the_dashboard_once_each(check: Checks) -> None:
    checked = check("dashboard", people=20)
    assert checked.code == 0, checked.printed
    assert sorted(checked.counts["people"].values()) == [1] * 20
    assert checked.counts["logins"] == 20


def test_limit_of_identities_waits_until_what_they_sent_before_is_forgotten(check: Checks) -> None:
    checked = check("press and return", "--repeat", "2", people=3)
    assert checked.code == 0, checked.printed
    assert "Waiting" in checked.printed
    assert sorted(checked.counts["refused"].values()) == [1, 1]
    assert check("dashboard", people=3).code == 2
    alone = check("press and return", "--share-identities", "--force", people=1)
    assert alone.code == 4
    assert "It needs 2 different identities." in alone.printed


def test_one_slow_health_check_fails_the_burst_and_is_counted(check: Checks) -> None:
    checked = check("health", slowHealthMs=6000, slowHealthEvery=20)
    assert checked.counts["slow"] == 1
    assert checked.code == 1, checked.printed
    assert "1 of 20 answers came after 4 s, the last after " in checked.printed


def test_burst_of_people_who_are_signed_in_names_the_resets(check: Checks) -> None:
    checked = check("dashboard", resetEvery=7)
    assert checked.counts["resets"] == 2
    assert checked.code == 1, checked.printed
    assert "2 of 20 requests" in checked.printed


def test_limit_that_refuses_too_early_is_named_with_the_number(check: Checks) -> None:
    checked = check("press", refuseAt=25)
    assert checked.code == 1, checked.printed
    assert "The 26th request was refused: 25 were admitted where 30 are promised" in checked.printed
    assert max(checked.counts["admitted"].values()) >= 25
    assert sum(checked.counts["refused"].values()) == 1


def test_limit_that_refuses_too_late_is_named_with_the_number(check: Checks) -> None:
    checked = check("press", refuseAt=34)
    assert checked.code == 1, checked.printed
    assert "34 requests were admitted where 30 are promised: the 35th was the first refused." in checked.printed


def test_limit_without_retry_after_is_named(check: Checks) -> None:
    checked = check("press", retryAfter=False)
    assert checked.code == 1, checked.printed
    assert "The 429 has no Retry-After." in checked.printed


def test_limit_that_comes_later_than_it_said_is_named(check: Checks) -> None:
    checked = check("press and return", lateMs=30_000)
    assert checked.code == 1, checked.printed
    assert "was refused again" in checked.printed
    assert sum(checked.counts["refused"].values()) == 2


def test_limit_that_hits_others_is_named(check: Checks) -> None:
    checked = check("press", everybody=True)
    assert checked.code == 1, checked.printed
    assert len(checked.counts["refused"]) == 2
    # Who presses is refused once, until it comes back; the other one for all it sends meanwhile.
    assert min(checked.counts["refused"].values()) == 1
    others = max(checked.counts["refused"].values())
    assert f"Another identity was refused too: {others} of {others} requests." in checked.printed


def test_connections_that_the_server_closes_are_counted(check: Checks) -> None:
    checked = check("connections", closeEvery=7)
    closed = checked.counts["closed"]
    assert closed > 0
    assert checked.code == 1, checked.printed
    assert f"{closed} of 20 connections ended unexpectedly: closed by the server" in checked.printed


def test_connections_that_are_rejected_are_counted(check: Checks) -> None:
    checked = check("connections", rejectEvery=6)
    rejected = checked.counts["rejected"]
    assert rejected == 3
    assert checked.code == 1, checked.printed
    assert f"{rejected} of 20 clients did not connect: /live refused to be joined" in checked.printed


def test_connections_begin_with_polling_where_the_recorded_one_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture = record_visit(tmp_path, "polling", "websocket")
    suite = tmp_path / "suite.toml"
    suite.write_text(SUITE)
    server = Server()
    try:
        arguments = ["--suite", str(suite), "--only", "connections", "--target", server.url]
        code = nestperf(["check", str(capture), *arguments, "-o", str(tmp_path / "check.db")])
    finally:
        server.stop()
    assert code == 0, capsys.readouterr().out
    with Capture.open(tmp_path / "check-connections.db") as checked:
        assert [socket.transports for socket in checked.sockets()] == ["polling,websocket"] * 20


def test_sockets_reset_under_load_fail_it(check: Checks) -> None:
    checked = check("load", resetEvery=3)
    assert checked.code == 1, checked.printed
    assert "Hardly anything fails: " in checked.printed
    assert f"requests failed: {checked.counts['resets']} reset." in checked.printed


def test_nobody_listening_never_passes(recorded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite, nowhere = tmp_path / "suite.toml", f"http://127.0.0.1:{free_port()}"
    suite.write_text(SUITE)
    code = nestperf(["check", str(recorded), "--suite", str(suite), "--target", nowhere, "-o", str(tmp_path / "x.db")])
    printed = capsys.readouterr().out
    assert code == 4, printed
    assert printed.count("Invalid: Nothing could connect") == 6
    assert "PASS" not in printed
