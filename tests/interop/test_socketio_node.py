"""Node's own Socket.IO client and server on both ends of the recorder: everything they said is in the capture once."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from nestperf.capture.model import Kind, Outcome, Packet, Socket
from nestperf.capture.reader import Capture
from nestperf.capture.vault import Vault
from tests.conftest import Recorder, missing_peer, start_recorder
from tests.tls import Certificates

pytestmark = pytest.mark.peer("node")

NODE = Path(__file__).parent / "node"


@pytest.fixture(scope="module", autouse=True)
def _packages() -> None:
    if not (NODE / "node_modules" / "socket.io").is_dir():
        missing_peer("Node's socket.io is missing: run `npm install --prefix tests/interop/node --no-package-lock`.")


@pytest.fixture(scope="module")
def serve() -> Iterator[Callable[..., int]]:
    started: list[subprocess.Popen[str]] = []

    def start(**options: Any) -> int:
        process = subprocess.Popen(
            ["node", str(NODE / "server.mjs"), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        return int(process.stdout.readline())

    yield start
    for process in started:
        process.communicate(timeout=10)


def visit(
    url: str, *, client: str = "client.mjs", authority: Path | None = None, **options: Any
) -> list[dict[str, Any]]:
    """Let Node's client play its visit; what it sent and saw. It trusts the `authority` too."""
    command = ["node", str(NODE / client), url, json.dumps(options)]
    env = os.environ | ({"NODE_EXTRA_CA_CERTS": str(authority)} if authority is not None else {})
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=env)
    return [json.loads(line) for line in ended.stdout.split("\n") if line]


def shown(capture: Capture, vault: Vault, packet: Packet) -> list[Any]:
    """A packet's arguments as Node's client printed them: attachments in place, secrets revealed."""
    ids = json.loads(packet.attachments or "[]")

    def restore(value: Any) -> Any:
        if isinstance(value, dict):
            if value.get("_placeholder"):
                body = capture.body(ids[value["num"]])
                assert body is not None
                assert body.content is not None
                return {"bytes": list(body.content)}
            return {name: restore(inner) for name, inner in value.items()}
        return [restore(inner) for inner in value] if isinstance(value, list) else value

    restored = restore(json.loads(vault.reveal(packet.payload or "[]")))
    assert isinstance(restored, list)
    return restored


def said(capture: Capture, vault: Vault, sender: str, kind: str) -> list[tuple[str | None, list[Any]]]:
    """(namespace, event name and arguments) of all packets of one sender and type, in order."""
    return [
        (packet.namespace, ([packet.event] if kind == "event" else []) + shown(capture, vault, packet))
        for packet in capture.packets()
        if packet.sender == sender and packet.type == kind
    ]


def told(lines: list[dict[str, Any]], what: str) -> list[tuple[str, list[Any]]]:
    return [(line["namespace"], line["rest"]) for line in lines if line["what"] == what]


SETUPS: dict[str, dict[str, Any]] = {
    "websocket": {"transports": ["websocket"]},
    "polling": {"transports": ["polling"]},
    "polling, then upgrade": {"transports": ["polling", "websocket"], "settle": 200},
    "deflate": {"transports": ["websocket"]},
    "kicked by the server": {"transports": ["websocket"], "kicked": True},
}


Recorded = tuple[Recorder, list[dict[str, Any]]]
"""A recorder that has ended, and what Node's client sent and saw."""


@pytest.fixture(scope="module")
def recorded(serve: Callable[..., int], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Recorded]:
    """The visit of a setup, recorded once; its server still runs."""
    known: dict[str, Recorded] = {}

    def run(setup: str) -> Recorded:
        if setup not in known:
            port = serve(perMessageDeflate={"threshold": 10}) if setup == "deflate" else serve()
            recorder = start_recorder(tmp_path_factory.mktemp("recorded") / "qa.db", f"http://127.0.0.1:{port}")
            try:
                lines = visit(recorder.urls[0], **SETUPS[setup])
            finally:
                code = recorder.stop()
            assert code == 0, recorder.output
            known[setup] = (recorder, lines)
        return known[setup]

    return run


@pytest.mark.parametrize("setup", SETUPS)
def test_capture_holds_what_the_client_sent_and_saw_once_in_order(
    setup: str, recorded: Callable[[str], Recorded]
) -> None:
    recorder, lines = recorded(setup)
    check_capture(recorder, setup, lines)


@pytest.mark.parametrize("setup", ["websocket", "polling, then upgrade", "deflate"])
def test_capture_holds_the_same_with_tls_on_both_sides(
    setup: str, serve: Callable[..., int], record: Callable[..., Recorder], certificates: Certificates
) -> None:
    deflate: dict[str, Any] = {"perMessageDeflate": {"threshold": 10}} if setup == "deflate" else {}
    port = serve(tls=str(certificates.server), **deflate)
    recorder = record(f"https://127.0.0.1:{port}", "--tls", "--upstream-ca", str(certificates.ca))
    lines = visit(recorder.urls[0], authority=recorder.authority, **SETUPS[setup])
    assert recorder.stop() == 0, recorder.output
    check_capture(recorder, setup, lines)


def check_capture(recorder: Recorder, setup: str, lines: list[dict[str, Any]]) -> None:
    """Everything that Node's client sent and saw is in the capture once, in order, and no secret is."""
    vault = Vault.open(recorder.capture)
    assert vault is not None
    with Capture.open(recorder.capture) as capture:
        assert said(capture, vault, "server", "event") == told(lines, "received")
        assert said(capture, vault, "client", "event") == told(lines, "sent")
        assert said(capture, vault, "server", "ack") == told(lines, "acked")
        assert [packet.namespace for packet in capture.packets() if packet.type == "connect_error"] == ["/media"]
        (socket,) = capture.sockets()
        assert socket.protocol == "socket.io"
        assert socket.version == 4
        assert socket.transports == {"polling": "polling", "polling, then upgrade": "polling,websocket"}.get(
            setup, "websocket"
        )
        assert socket.outcome is Outcome.OK
        assert socket.connected_ns is not None
        packets = list(capture.packets())
        assert all(packet.stamp_ns <= packet.done_ns for packet in packets)
        acks = [packet for packet in packets if packet.type == "ack"]
        by_id = {packet.id: packet for packet in packets}
        for ack in acks:
            assert ack.answers is not None
            asked = by_id[ack.answers]
            assert (asked.ack_id, asked.namespace, asked.type) == (ack.ack_id, ack.namespace, "event")
        assert any(frame.compressed for frame in capture.frames()) == (setup == "deflate")
        assert capture.run.losses == {}
    content = recorder.capture.read_bytes()
    assert b"let-me-in-please" not in content
    assert base64.b64encode(b"let-me-in-please") not in content


@pytest.mark.parametrize("setup", ["websocket", "polling", "polling, then upgrade"])
def test_engine_io_3_is_recognised_said_and_decoded(
    setup: str, serve: Callable[..., int], record: Callable[..., Recorder]
) -> None:
    if not (NODE / "node_modules" / "socket.io-client-v2").is_dir():
        missing_peer("Node's socket.io-client 2 is missing: run `npm install --prefix tests/interop/node`.")
    recorder = record(f"http://127.0.0.1:{serve(allowEIO3=True)}")
    lines = visit(recorder.urls[0], client="client-v2.mjs", **SETUPS[setup])
    assert recorder.stop() == 0, recorder.output
    vault = Vault.in_memory()  # nothing in this visit is secret
    with Capture.open(recorder.capture) as capture:
        assert said(capture, vault, "server", "event") == told(lines, "received")
        assert said(capture, vault, "client", "event") == told(lines, "sent")
        assert said(capture, vault, "server", "ack") == told(lines, "acked")
        (socket,) = capture.sockets()
        assert (socket.version, socket.protocol, socket.outcome) == (3, "socket.io", Outcome.OK)
        assert socket.transports == {"polling": "polling", "polling, then upgrade": "polling,websocket"}.get(
            setup, "websocket"
        )
        assert capture.run.losses == {}
        (notice,) = capture.run.relay["notices"]
        assert notice.startswith("A client speaks Engine.IO 3 (Socket.IO 2) to http://127.0.0.1:")
        assert notice in recorder.output


@pytest.mark.parametrize("setup", ["websocket", "polling"])
def test_pings_pongs_and_how_it_closed_are_in_the_capture(
    setup: str, serve: Callable[..., int], record: Callable[..., Recorder]
) -> None:
    port = serve(pingInterval=60, pingTimeout=10_000)
    recorder = record(f"http://127.0.0.1:{port}")
    visit(recorder.urls[0], settle=300, **SETUPS[setup])
    assert recorder.stop() == 0, recorder.output
    with Capture.open(recorder.capture) as capture:
        beats = [(packet.sender, packet.engine_type) for packet in capture.packets()]
        assert beats.count(("server", "ping")) > 2
        assert abs(beats.count(("server", "ping")) - beats.count(("client", "pong"))) <= 1
        (socket,) = capture.sockets()
        assert socket.closed_by == "client"
        assert socket.closed_ns is not None
        assert socket.outcome is Outcome.OK
        packets = list(capture.packets())
        assert any(packet.attachments for packet in packets)
        if setup == "polling":
            together = Counter((packet.exchange_id, packet.sender) for packet in packets)
            assert max(together.values()) > 1, "no payload of several packets"
            assert all(packet.frame_id is None for packet in packets)


def test_close_reason_of_a_websocket_is_in_the_capture(
    serve: Callable[..., int], record: Callable[..., Recorder]
) -> None:
    recorder = record(f"http://127.0.0.1:{serve()}")
    script = (
        "import { WebSocket } from 'ws';\n"
        "const url = process.argv[1].replace('http', 'ws') + '/socket.io/?EIO=4&transport=websocket';\n"
        "const socket = new WebSocket(url);\n"
        "socket.on('open', () => socket.close(4001, 'enough, thank you'));\n"
    )
    command = ["node", "--input-type=module", "-e", script, recorder.urls[0]]
    subprocess.run(command, check=True, timeout=60, cwd=NODE)
    assert recorder.stop() == 0, recorder.output
    with Capture.open(recorder.capture) as capture:
        (socket,) = capture.sockets()
        assert (socket.closed_by, socket.close_code, socket.close_reason) == ("client", 4001, "enough, thank you")


def test_polls_by_json_p_are_left_as_they_are(serve: Callable[..., int], record: Callable[..., Recorder]) -> None:
    port = serve(allowEIO3=True)
    recorder = record(f"http://127.0.0.1:{port}")
    path = "/socket.io/?EIO=3&transport=polling&j=0&t=x"
    with urlopen(recorder.urls[0] + path, timeout=20) as answer:
        script = answer.read()
    assert script.startswith(b'___eio[0]("')
    assert recorder.stop() == 0, recorder.output
    with Capture.open(recorder.capture) as capture:
        (exchange,) = capture.exchanges()
        assert (exchange.kind, exchange.target, exchange.outcome) == (Kind.POLL, path, Outcome.OK)
        body = capture.body(exchange.response_body)
        assert body is not None
        assert (body.content, body.state) == (script, "whole")
        assert list(capture.packets()) == []
        assert capture.run.losses == {}


@pytest.mark.parametrize("setup", ["websocket", "polling", "polling, then upgrade"])
def test_recording_replays_with_three_users_and_every_packet(
    setup: str, recorded: Callable[[str], Recorded], tmp_path: Path
) -> None:
    recorder, _ = recorded(setup)
    replayed = tmp_path / "replay.db"
    command = ["replay", str(recorder.capture), "--users", "3", "--start", "together", "-o", str(replayed)]
    ended = subprocess.run([sys.executable, "-m", "nestperf", *command], capture_output=True, text=True, timeout=60)
    with Capture.open(recorder.capture) as before, Capture.open(replayed) as after:
        expected = said_once(before)
        sockets = list(after.sockets())
        assert [socket.outcome for socket in sockets] == [Outcome.OK] * 3, ended.stdout
        (source,) = before.sockets()
        for socket in sockets:
            assert said_once(after, socket.id) == expected, ended.stdout
            assert socket.transports == source.transports
            check_carriers(after, socket)
        assert "Traceback" not in ended.stderr


def check_carriers(capture: Capture, socket: Socket) -> None:
    """Polls are stored as a recording stores them: exchanges of their own, which their packets name."""
    exchanges = {exchange.id: exchange for exchange in capture.exchanges() if exchange.session_id == socket.session_id}
    assert socket.exchange_id is not None
    opener = exchanges[socket.exchange_id]
    if "polling" not in socket.transports:
        assert {exchange.kind for exchange in exchanges.values()} == {Kind.UPGRADE}
        return
    assert (opener.kind, opener.method, opener.source_exchange is not None) == (Kind.POLL, "GET", True)
    assert socket.connection is None
    carried = [packet for packet in capture.packets(socket.id) if packet.exchange_id is not None]
    assert carried
    for packet in carried:
        exchange = exchanges[packet.exchange_id or 0]
        assert exchange.kind is Kind.POLL
        assert exchange.method == ("GET" if packet.sender == "server" else "POST")
        assert exchange.sent_ns <= packet.done_ns <= (exchange.done_ns or 0)
        assert exchange.request_headers is not None, "the first visits are kept whole"
    upgrades = [exchange for exchange in exchanges.values() if exchange.kind is Kind.UPGRADE]
    assert len(upgrades) == ("websocket" in socket.transports)
    engine = [packet.engine_type for packet in capture.packets(socket.id) if packet.sender == "client"]
    assert engine.count("upgrade") == len(upgrades)


def said_once(capture: Capture, socket_id: int | None = None) -> list[tuple[str, str | None, str | None, str | None]]:
    """(sender, type, namespace, event) of the packets that mean something, whatever order the two sides' came in."""
    return sorted(
        (
            (packet.sender, packet.type, packet.namespace, packet.event)
            for packet in capture.packets(socket_id)
            if packet.type is not None and packet.event != "joined-room"  # which all three hear of each other
        ),
        key=str,
    )
