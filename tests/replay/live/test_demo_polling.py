"""The demo's Socket.IO (python-socketio) by long-polling, and by polling with an upgrade: replayed as recorded."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from nestperf.capture.model import Outcome, Socket
from nestperf.capture.reader import Capture
from tests.conftest import Recorder, missing_peer
from tests.replay.live.test_demo import demo
from tests.replay.live.test_strict import replay

__all__ = ["demo"]

pytestmark = pytest.mark.peer("node")

NODE = Path(__file__).parents[2] / "interop" / "node"
CLIENT = """
import { io } from "socket.io-client";
const later = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
for (const transports of [["polling"], ["polling", "websocket"]]) {
  const socket = io(process.argv[1], { transports, reconnection: false, forceNew: true });
  await new Promise((resolve) => socket.once("connect", resolve));
  await later(500);
  const current = new Promise((resolve) => socket.once("status:current", resolve));
  socket.emit("subscribe:status", {});
  await current;
  const status = new Promise((resolve) => socket.once("service:status", resolve));
  socket.emit("request:refresh", "all");
  await status;
  await socket.timeout(10000).emitWithAck("client:ping", { sent: 1 });
  socket.disconnect();
  await later(300);
}
process.exit(0);
"""
USERS = 3


def test_demo_is_polled_and_upgraded_on_replay_as_it_was(
    demo: str,
    record: Callable[..., Recorder],
    tmp_path: Path,
) -> None:
    if not (NODE / "node_modules" / "socket.io-client").is_dir():
        missing_peer("Node's socket.io is missing: run `npm install --prefix tests/interop/node --no-package-lock`.")
    recorder = record(demo)
    client = ["node", "--input-type=module", "-e", CLIENT, recorder.urls[0]]
    subprocess.run(client, check=True, timeout=60, cwd=NODE)
    assert recorder.stop() == 0, recorder.output
    output = tmp_path / "replay.db"
    printed = replay(recorder.capture, output, "--users", str(USERS), "--start", "together")
    with Capture.open(recorder.capture) as before, Capture.open(output) as after:
        polled, upgraded = before.sockets()
        assert (polled.transports, upgraded.transports) == ("polling", "polling,websocket")
        for source in (polled, upgraded):
            copies = [socket for socket in after.sockets() if socket.source_socket == source.id]
            assert len(copies) == USERS
            for socket in copies:
                assert (socket.outcome, socket.transports) == (Outcome.OK, source.transports), printed
                assert said(after, socket) == said(before, source)


def said(capture: Capture, socket: Socket) -> set[tuple[str, str, str | None]]:
    """What was said, once each: everybody hears of everybody's refreshing."""
    packets = capture.packets(socket.id)
    return {(packet.sender, packet.type, packet.event) for packet in packets if packet.type is not None}
