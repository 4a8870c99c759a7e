"""Plain WebSockets of Node's ws: recorded, and repeated with every message, subprotocol, cause and close code."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nestperf.capture.model import Outcome, Socket
from nestperf.capture.reader import Capture
from replay.plan import build_plan
from replay.steps import Close, Say
from tests.conftest import Recorder, missing_peer

pytestmark = pytest.mark.peer("node")

NODE = Path(__file__).parent / "node"
USERS = 3


class Server:
    """Node's server, and what it was told."""

    def __init__(self, **options: Any) -> None:
        command = ["node", str(NODE / "ws-server.mjs"), json.dumps(options)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        self.visits = USERS + 1
        """How many there will be when everything is replayed: the recorded one, and the users'."""

    def stop(self) -> list[dict[str, Any]]:
        told, _ = self.process.communicate(timeout=20)
        return [json.loads(line) for line in told.splitlines()]


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    if not (NODE / "node_modules" / "ws").is_dir():
        missing_peer("Node's ws is missing: run `npm install --prefix tests/interop/node --no-package-lock`.")
    started: list[Server] = []

    def start(**options: Any) -> Server:
        started.append(Server(**options))
        return started[-1]

    yield start
    for server in started:
        if server.process.returncode is None:
            server.stop()


def recorded(server: Server, record: Callable[..., Recorder], **options: Any) -> Path:
    """A visit in which the client answered at once, as programs do; on a crowded machine it may take some tries."""
    for _ in range(5):
        recorder = record(server.url)
        command = ["node", str(NODE / "ws-client.mjs"), recorder.urls[0], json.dumps(options)]
        subprocess.run(command, check=True, timeout=60)
        assert recorder.stop() == 0, recorder.output
        with Capture.open(recorder.capture) as capture:
            (session,) = build_plan(capture, None).sessions
        reactions = [step.action for step in session.steps if isinstance(step.action, Say | Close)]
        if sum(action.cue is not None for action in reactions) == 3:
            return recorder.capture
        server.visits += 1
    raise AssertionError("Node's client was never quick enough")


def replayed(capture: Path, target: str, *arguments: str) -> tuple[Path, str]:
    output = capture.with_name("replay.db")
    command = [sys.executable, "-m", "nestperf", "replay", str(capture), "--target", target, "-o", str(output)]
    ended = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=90)
    assert "Traceback" not in ended.stderr
    return output, ended.stdout + ended.stderr


def frames_of(capture: Capture, socket: Socket) -> list[tuple[str, str, int]]:
    """What was said, and by whom; what a close frame is answered with is each client's own affair."""
    frames = [(f.sender, f.opcode, f.size) for f in capture.frames(socket.id)]
    return sorted(frame for frame in frames if frame[1] != "close")


@pytest.mark.parametrize("kicked", [False, True], ids=["closed by the client", "closed by the server"])
def test_replay_says_what_was_said_with_live_values_and_closes_as_recorded(
    kicked: bool, serve: Callable[..., Server], record: Callable[..., Recorder]
) -> None:
    server = serve()
    capture = recorded(server, record, kicked=kicked)
    output, printed = replayed(capture, server.url, "--users", str(USERS))
    told = server.stop()
    texts = [line for line in told if "type" in line]
    assert [line["right"] for line in texts] == [True] * server.visits * (1 + kicked), "each its own session"
    assert {line.get("text") for line in texts if line["type"] == "hello"} == {"grüß dich 🎬"}
    assert [line["binary"] for line in told if "binary" in line] == [[0, 1, 2, 253, 254, 255]] * server.visits
    assert [line["ping"] for line in told if "ping" in line] == ["are you there"] * server.visits
    closes = [line for line in told if "closed" in line]
    code, reason = (4002, "as you wish") if kicked else (4001, "enough")
    assert [(line["closed"], line["protocol"]) for line in closes] == [(code, "chat.v2")] * server.visits
    with Capture.open(capture) as before, Capture.open(output) as after:
        (source,) = before.sockets()
        sockets = list(after.sockets())
        assert [socket.outcome for socket in sockets] == [Outcome.OK] * USERS, printed
        for socket in sockets:
            assert (socket.protocol, socket.close_code, socket.close_reason) == ("websocket", code, reason)
            assert socket.closed_by == source.closed_by
            assert frames_of(after, socket) == frames_of(before, source), "stored like a recording"
            assert socket.source_socket == source.id
    content = output.read_bytes() + capture.read_bytes()
    assert b"gr\xc3\xbc\xc3\x9f dich" in content


def test_message_waits_for_the_one_that_caused_it(
    serve: Callable[..., Server], record: Callable[..., Recorder]
) -> None:
    fast = serve()
    capture = recorded(fast, record)
    slow = serve(delay=700)
    output, printed = replayed(capture, slow.url)
    assert [line["right"] for line in slow.stop() if "type" in line] == [True], printed
    with Capture.open(output) as after:
        frames = [frame for frame in after.frames() if frame.opcode in ("text", "binary")]
        assert [(frame.sender, frame.opcode) for frame in frames] == [
            ("server", "text"), ("client", "text"), ("server", "text"), ("client", "binary"), ("server", "binary"),
        ]  # fmt: skip
        for answer, reaction in ((0, 1), (2, 3)):
            assert frames[reaction].stamp_ns >= frames[answer].done_ns, "not before its cause"
        assert frames[2].stamp_ns - frames[1].stamp_ns >= 600_000_000
        (socket,) = after.sockets()
        assert socket.outcome is Outcome.OK


def test_another_subprotocol_and_another_close_code_are_differences(
    serve: Callable[..., Server], record: Callable[..., Recorder]
) -> None:
    capture = recorded(serve(), record, kicked=True)
    output, _ = replayed(capture, serve(subprotocol="chat.v1").url)
    with Capture.open(output) as after:
        (socket,) = after.sockets()
        assert socket.outcome is Outcome.MISMATCH
        assert socket.detail == "the server chose the subprotocol 'chat.v1'; in the recording it chose 'chat.v2'"
    output, _ = replayed(capture, serve(code=1011).url, "--force")
    with Capture.open(output) as after:
        (socket,) = after.sockets()
        assert socket.outcome is Outcome.MISMATCH
        assert socket.detail == "closed by the server with code 1011, in the recording with code 4002"


def test_replay_of_a_replay_says_the_same_again(
    serve: Callable[..., Server], record: Callable[..., Recorder], tmp_path: Path
) -> None:
    server = serve()
    capture = recorded(server, record)
    first, _ = replayed(capture, server.url)
    again = first.rename(tmp_path / "first.db")
    second, printed = replayed(again, server.url)
    with Capture.open(capture) as before, Capture.open(second) as after:
        (source,), (socket,) = before.sockets(), after.sockets()
        assert frames_of(after, socket) == frames_of(before, source), printed
