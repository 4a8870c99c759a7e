"""`nestperf replay` of Socket.IO: against a server that lets in whoever shows a token it issued."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import socketio
from aiohttp import web

from nestperf.capture.model import Kind, Outcome
from nestperf.capture.reader import Capture
from tests.replay.conftest import Recording, Recordings, Replays, Serve, command


class SocketApp:
    """A Socket.IO server that lets in whoever shows a token it issued, each once."""

    def __init__(self) -> None:
        self.issued: list[str] = []
        self.joined: list[tuple[str, str]] = []
        """(namespace, token)"""
        self.asked: list[object] = []
        self.files: list[bytes] = []
        self.replies: list[object] = []
        self.addresses: set[str | None] = set()
        self.sio = socketio.AsyncServer(async_mode="aiohttp", namespaces="*")
        for namespace in ("/", "/media"):
            self.sio.on("connect", self._connect_to(namespace), namespace=namespace)
        self.sio.on("ask", self._ask, namespace="/media")
        self.sio.on("file", self._file, namespace="/media")
        self.application = web.Application()
        self.application.router.add_post("/login", self._login)
        self.sio.attach(self.application)

    async def _login(self, request: web.Request) -> web.Response:
        self.issued.append(f"live-token-number-{len(self.issued)}")
        return web.json_response({"token": self.issued[-1]})

    def _connect_to(self, namespace: str) -> Any:
        async def connect(sid: str, environ: dict[str, Any], auth: dict[str, str] | None = None) -> None:
            self.addresses.add(environ["aiohttp.request"].remote)
            token = (auth or {}).get("token", "")
            if token not in self.issued:
                raise socketio.exceptions.ConnectionRefusedError("unknown token")
            self.joined.append((namespace, token))
            if namespace == "/media":
                await self.sio.emit("sure?", {}, namespace=namespace, to=sid, callback=self._replied)

        return connect

    def _replied(self, *arguments: object) -> None:
        self.replies.append(arguments)

    async def _ask(self, sid: str, *arguments: object) -> str:
        self.asked.append(arguments)
        await self.sio.emit("told", {}, namespace="/media")
        return "answer"

    async def _file(self, sid: str, content: bytes) -> None:
        self.files.append(content)


def record_sockets(recording: Recording) -> Path:
    """A login, two namespaces with the token it gave, an ack each way, an attachment, a bad token, the end."""
    old = "recorded-token-0123456789"
    recording.exchange("POST", "/login", 0, 5, answer=json.dumps({"token": old}).encode())
    socket = recording.socket(10, 15, 200)
    auth = json.dumps({"token": old})
    for at, namespace in ((20, "/"), (30, "/media")):
        recording.packet(socket, "client", "connect", at, namespace, auth)
        recording.packet(socket, "server", "connect", at + 5, namespace, '{"sid":"x"}')
    recording.packet(socket, "server", "event", 36, "/media", "[{}]", event="sure?", ack_id=1)
    recording.packet(socket, "client", "ack", 37, "/media", '["yes"]', ack_id=1)
    recording.packet(socket, "client", "event", 40, "/media", '["ü",7]', event="ask", ack_id=0)
    recording.packet(socket, "server", "ack", 45, "/media", '["answer"]', ack_id=0)
    recording.packet(socket, "client", "event", 50, "/media", '[{"_placeholder":true,"num":0}]', event="file",
                     attachments=(b"\x00\x01binary",))  # fmt: skip
    recording.packet(socket, "client", "disconnect", 60, "/media")
    return recording.finish()


async def test_socket_io_is_replayed_with_live_tokens_by_every_user(
    recordings: Recordings, replay: Replays, serve_app: Serve
) -> None:
    app = SocketApp()
    recording = recordings(await serve_app(app.application))
    first = await replay(record_sockets(recording), "--users", "3")
    assert sorted(app.joined) == sorted((namespace, token) for namespace in ("/", "/media") for token in app.issued)
    assert len(app.issued) == len(app.addresses) == 3
    assert app.asked == [("ü", 7)] * 3
    assert app.files == [b"\x00\x01binary"] * 3
    assert app.replies == [("yes",)] * 3
    assert [socket.outcome for socket in first.sockets] == [Outcome.OK] * 3
    assert {(socket.closed_by, socket.close_code) for socket in first.sockets} == {("client", 1001)}
    acks = [packet for packet in first.packets if packet.type == "ack" and packet.sender == "server"]
    by_id = {packet.id: packet for packet in first.packets}
    assert [by_id[ack.answers or 0].event for ack in acks] == ["ask"] * 3
    assert all(packet.intended_ns is not None for packet in first.packets if packet.event == "ask")
    assert all(token not in (packet.payload or "") for packet in first.packets for token in app.issued)
    upgrades = [exchange for exchange in first.exchanges if exchange.kind is Kind.UPGRADE]
    assert {(exchange.status, exchange.outcome) for exchange in upgrades} == {(101, Outcome.OK)}
    second = await replay(first.path)
    assert len(app.issued) == 6
    assert [socket.outcome for socket in second.sockets] == [Outcome.OK] * 3
    assert app.asked == [("ü", 7)] * 6
    assert app.files == [b"\x00\x01binary"] * 6


async def test_socket_that_differs_from_the_recording_says_how(
    recordings: Recordings, serve_app: Serve, tmp_path: Path
) -> None:
    app = SocketApp()
    recording = recordings(await serve_app(app.application))
    socket = recording.socket(10, 15, 100)
    recording.packet(socket, "client", "connect", 20, "/media", '{"token":"a-token-of-another-day"}')
    recording.packet(socket, "server", "connect", 25, "/media", '{"sid":"x"}')
    recording.packet(socket, "client", "event", 40, "/media", '["?"]', event="ask", ack_id=0)
    recording.packet(socket, "server", "ack", 45, "/media", '["answer"]', ack_id=0)
    recording.packet(socket, "client", "disconnect", 60, "/media")
    _, printed = await command(tmp_path, str(recording.finish()), "-o", "r.db")
    with Capture.open(tmp_path / "r.db") as capture:
        (row,) = capture.sockets()
        packets = list(capture.packets())
        assert capture.run.certificate["dropped"] == 2
    assert app.asked == []
    assert [packet.event for packet in packets if packet.type in ("event", "disconnect")] == [], "as clients do"
    assert row.closed_by == "client", "nothing was waited for in vain"
    assert f"The same of all shown: {row.detail}." in " ".join(printed.split())
    assert row.outcome is Outcome.MISMATCH
    assert row.detail == "/media refused to be joined; in the recording it let in"
    assert row.detail in printed
    assert any(packet.type == "connect_error" for packet in packets)
