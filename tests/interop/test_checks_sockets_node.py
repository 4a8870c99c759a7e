"""Contracts about sockets against Node's socket.io: one server keeps its promises, others break exactly one each, and
what the failure names is what that server counted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nestperf.capture.reader import Capture
from tests.conftest import missing_peer, start_recorder

pytestmark = pytest.mark.peer("node")

NODE = Path(__file__).parent / "node"
CLIENTS = 20
TIMES = 3
MESSAGES = 50
SENDERS = 5
SUITE = f"""
[[contract]]
name = "news"
kind = "fan-out"
cause = "refresh"
event = "news"
users = {CLIENTS}
times = {TIMES}
within = "1s"

[[contract]]
name = "posted"
kind = "fan-out"
cause = "POST /api/news"
event = "news"
users = {CLIENTS}
within = "20s"

[[contract]]
name = "messages"
kind = "messages"
emit = "test-message"
users = {SENDERS}
messages = {MESSAGES}
within = "5s"

[[contract]]
name = "reconnect"
kind = "reconnect"
cause = "refresh"
event = "news"
users = {CLIENTS}
within = "30s"
"""


class Server:
    """Node's server with its fault, and what it counted."""

    def __init__(self, fault: str, **options: Any) -> None:
        command = ["node", str(NODE / "news.mjs"), json.dumps({"fault": fault, **options})]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"

    def stop(self) -> dict[str, Any]:
        told, _ = self.process.communicate(timeout=20)
        counted: dict[str, Any] = json.loads(told)
        return counted


@pytest.fixture(scope="module")
def servers() -> Iterator[Callable[..., Server]]:
    if not (NODE / "node_modules" / "socket.io").is_dir():
        missing_peer("Node's socket.io is missing: run `npm install --prefix tests/interop/node --no-package-lock`.")
    started: list[Server] = []

    def start(fault: str = "", **options: Any) -> Server:
        started.append(Server(fault, **options))
        return started[-1]

    yield start
    for server in started:
        if server.process.returncode is None:
            server.stop()


@pytest.fixture(scope="module")
def recorded(servers: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The visit over WebSocket, or by polling and an upgrade; each recorded once."""
    known: dict[str, Path] = {}

    def run(how: str = "websocket") -> Path:
        if how not in known:
            folder = tmp_path_factory.mktemp("recorded")
            recorder = start_recorder(folder / "qa.db", servers().url)
            options = {"transports": HOW[how], "settle": 300}
            command = ["node", str(NODE / "news-client.mjs"), recorder.urls[0], json.dumps(options)]
            subprocess.run(command, check=True, timeout=60)
            assert recorder.stop() == 0, recorder.output
            (folder / "suite.toml").write_text(SUITE)
            known[how] = recorder.capture
        return known[how]

    return run


HOW = {"websocket": ["websocket"], "polling": ["polling"], "upgrade": ["polling", "websocket"]}


def check(capture: Path, target: str, *only: str) -> tuple[int, str, Callable[[str], Path]]:
    """Exit code, what was printed, and where the capture of each contract is."""
    output = capture.with_name("check.db")
    command = [
        sys.executable, "-m", "nestperf", "check", str(capture), "--suite", str(capture.with_name("suite.toml")),
        "--target", target, "-o", str(output), "--force",
    ]  # fmt: skip
    for name in only:
        command += ["--only", name]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stdout + ended.stderr, lambda name: capture.with_name(f"check-{name}.db")


def test_server_that_keeps_its_promises_passes_and_the_times_are_its_own(
    recorded: Callable[[str], Path], servers: Callable[..., Server]
) -> None:
    server = servers()
    code, printed, path = check(recorded("websocket"), server.url)
    counted = server.stop()
    assert code == 0, printed
    for told in (
        "20 of 20 within", "250 of 250 in", "20 of 20 back in", "POST /api/news: followed by news 2 of 2 times",
        "followed by test-response 3 of 3 times", "told apart by `id`",
    ):  # fmt: skip
        assert told in printed, told
    assert counted["messages"] == counted["answers"] == SENDERS * MESSAGES
    with Capture.open(path("reconnect")) as held:
        cut = [socket for socket in held.sockets() if socket.closed_by == "cut"]
        assert len(cut) == CLIENTS
        assert {socket.source_socket for socket in cut} == {1}


def test_fan_out_times_are_those_of_the_servers_own_stamps(
    recorded: Callable[[str], Path], servers: Callable[..., Server]
) -> None:
    """Both processes share the machine with whatever else runs, which only ever adds time: the quickest delivery
    counts, and a moment at which the machine was busy throughout is repeated."""
    found = []
    for _ in range(5):
        server = servers()
        _, printed, path = check(recorded("websocket"), server.url, "news")
        causes = server.stop()["causes"]
        assert len(causes) == TIMES, printed
        found.append(min(beyond_the_servers(path("news"), causes)))
        if found[-1] < 2_000_000:
            return
    raise AssertionError(f"the least beyond the server's own stamps: {found}")


def beyond_the_servers(path: Path, causes: list[tuple[str, list[str]]]) -> Iterator[int]:
    """Of each delivery: how much longer it took by our stamps than by the server's, on one clock."""
    with Capture.open(path) as held:
        anchor_ns = held.run.certificate["monotonic_ns"]
        packets = [packet for packet in held.packets() if packet.type == "event"]
    sent = sorted(packet.stamp_ns for packet in packets if packet.event == "refresh")
    for number, (arrived, stamps) in enumerate(causes):
        news = [p for p in packets if p.event == "news" and json.loads(p.payload or "")[0]["n"] == number + 1]
        came = sorted(packet.done_ns for packet in news)
        assert len(came) == len(stamps) == CLIENTS
        # The server had the cause after it was sent, and sent each before it came here.
        assert sent[number] + anchor_ns <= int(arrived)
        for out, stamp in zip(stamps, came, strict=True):
            assert int(out) <= stamp + anchor_ns
            yield (stamp - sent[number]) - (int(out) - int(arrived))


@pytest.mark.parametrize(("how", "contract"), [("polling", "messages"), ("upgrade", "reconnect")])
def test_promises_are_kept_by_polling_and_after_an_upgrade_too(
    how: str, contract: str, recorded: Callable[[str], Path], servers: Callable[..., Server]
) -> None:
    server = servers()
    code, printed, path = check(recorded(how), server.url, contract)
    counted = server.stop()
    assert code == 0, printed
    assert counted["answers"] == SENDERS * MESSAGES * (contract == "messages")
    with Capture.open(path(contract)) as held:
        assert ",".join(HOW[how]) in {socket.transports for socket in held.sockets()}


BROKEN = {
    "drop-7": ("news", "{dropped} of {tried} deliveries of news never came"),
    "delay": ("news", "{delayed} of {deliveries} deliveries came after 1 s, the slowest after 2."),
    "twice-3": ("messages", "{twice} of {messages} messages were answered twice."),
    "lose": ("reconnect", "{lost} of 20 clients heard nothing any more after their return."),
    "again": ("reconnect", "{again} events came twice to a client."),
}
"""Fault: the contract that has to notice, and what it says, with the server's own counts in it."""
NUMBERS = {"drop-7": ("dropped", CLIENTS * TIMES // 7), "delay": ("delayed", TIMES), "twice-3": ("twice", 3),
           "lose": ("lost", 4), "again": ("again", CLIENTS)}  # fmt: skip


@pytest.mark.parametrize("fault", BROKEN)
def test_server_that_breaks_one_promise_fails_with_the_number_that_it_counted(
    fault: str, recorded: Callable[[str], Path], servers: Callable[..., Server]
) -> None:
    contract, sentence = BROKEN[fault]
    server = servers(fault)
    code, printed, _ = check(recorded("websocket"), server.url, contract)
    counted = server.stop()
    assert code == 1, printed
    name, number = NUMBERS[fault]
    assert counted[name] == number
    assert sentence.format(**counted) in " ".join(printed.split()), printed


def test_no_contract_passes_without_traffic(recorded: Callable[[str], Path], servers: Callable[..., Server]) -> None:
    server = servers()
    server.stop()
    code, printed, _ = check(recorded("websocket"), server.url)
    assert code == 4, printed
    assert " pass" not in printed
