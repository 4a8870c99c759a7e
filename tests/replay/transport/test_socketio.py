"""The Socket.IO client against python-socketio's own server, and against servers that misbehave."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import socketio
from aiohttp import web

from nestperf.capture.clock import Clock
from nestperf.capture.model import Kind, Outcome, Pairs
from nestperf.wire.observations import PacketSeen
from replay.transport.answer import Answer, Request, head_bytes
from replay.transport.dial import resolve_target
from replay.transport.polling import Asked
from replay.transport.pool import Connections
from replay.transport.socketio import SocketIo, Way
from tests.replay.conftest import Serve

UPGRADE = (
    ("Host", "localhost:4000"),
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="),
)
PATH = "/socket.io/?EIO=4&transport=websocket"


class Client:
    """A connection whose events can be awaited."""

    def __init__(self, url: str, *, timeout_s: float = 5, polling: bool = False, upgrade: bool = False) -> None:
        self.packets: list[PacketSeen] = []
        self.by_poll: list[int | None] = []
        """By packet: the exchange that carried it."""
        self.tags: list[Any] = []
        self.is_opened = asyncio.Event()
        self.is_closed = asyncio.Event()
        self.answers: list[Answer] = []
        self.kinds: list[Kind] = []
        self.polling, self.upgrading = polling, upgrade
        clock, target = Clock.start(), resolve_target(url)
        numbers = itertools.count(1).__next__
        self.line = Connections(
            (target,), source="127.7.7.7", limits={}, clock=clock, timeout_s=timeout_s, numbers=numbers
        )
        way = Way(target, "127.7.7.7", timeout_s, numbers, self.line)
        self.wire = SocketIo(self, way, upstream=0, clock=clock, ids=itertools.count(1).__next__)

    async def open(self) -> Client:
        if self.polling:
            self.wire.open_polling(upgrade=self.upgrading)
        else:
            self.wire.open()
        waits = {asyncio.ensure_future(event.wait()) for event in (self.is_opened, self.is_closed)}
        _, pending = await asyncio.wait(waits, timeout=8, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        return self

    def ask(self, sid: str | None, body: bytes | None) -> Asked:
        target = "/socket.io/?EIO=4&transport=polling" + (f"&sid={sid}" if sid else "")
        fields: tuple[tuple[str, str], ...] = (("Host", "localhost:4000"),)
        if body is not None:
            fields += (("Content-Type", "text/plain;charset=UTF-8"), ("Content-Length", str(len(body))))
        method = "GET" if body is None else "POST"
        head = head_bytes(method, target, "HTTP/1.1", fields)
        return Asked(Request(method=method, head=head, body=body or b""), target)

    def handshake(self, sid: str | None) -> tuple[str, Pairs]:
        return PATH + (f"&sid={sid}" if sid else ""), UPGRADE

    def exchanged(self, answer: Answer, exchange: int, kind: Kind, target: str) -> None:
        self.answers.append(answer)
        self.kinds.append(kind)

    def opened(self) -> None:
        self.is_opened.set()

    def received(self, seen: PacketSeen, exchange: int | None) -> None:
        self.packets.append(seen)
        self.by_poll.append(exchange)

    def sent(self, seen: PacketSeen, exchange: int | None, tag: Any) -> None:
        self.packets.append(seen)
        self.by_poll.append(exchange)
        self.tags.append(tag)

    def closed(self) -> None:
        self.is_closed.set()
        self.line.close()

    def send(self, kind: str, namespace: str = "/", payload: str | None = None, **changes: Any) -> None:
        packet = PacketSeen("client", 0, 0, "message", kind, namespace, None, None, payload, (), 0)
        self.wire.send(packet._replace(**changes), "told")

    async def hears(self, kind: str, namespace: str = "/") -> PacketSeen:
        for _ in range(400):
            for seen in self.packets:
                if (seen.sender, seen.type, seen.namespace) == ("server", kind, namespace):
                    return seen
            await asyncio.sleep(0.01)
        raise AssertionError(f"no {kind} in {namespace}; there are {self.packets}")


class App:
    """A python-socketio server that remembers what it was told."""

    def __init__(self, **settings: Any) -> None:
        self.sio = socketio.AsyncServer(async_mode="aiohttp", namespaces="*", **settings)
        self.auth: list[object] = []
        self.gone: list[str] = []
        self.files: list[bytes] = []
        self.addresses: list[str] = []
        for namespace in ("/", "/media"):
            self.sio.on("connect", self._connect, namespace=namespace)
            self.sio.on("ask", self._ask, namespace=namespace)
            self.sio.on("file", self._file, namespace=namespace)
            self.sio.on("disconnect", self._disconnect, namespace=namespace)

    async def _connect(self, sid: str, environ: dict[str, Any], auth: object = None) -> None:
        self.auth.append(auth)
        self.addresses.append(environ["aiohttp.request"].remote)
        if auth == {"token": "bad"}:
            raise socketio.exceptions.ConnectionRefusedError("who are you?")

    async def _ask(self, sid: str, *arguments: object) -> tuple[object, ...]:
        return ("answer", *arguments)

    async def _file(self, sid: str, name: str, content: bytes) -> tuple[str, bytes]:
        self.files.append(content)
        return name, content[::-1]

    async def _disconnect(self, sid: str, reason: str) -> None:
        self.gone.append(reason)


@pytest.fixture
def serve(serve_app: Serve) -> Callable[[App], Awaitable[str]]:
    async def start(app: App) -> str:
        application = web.Application()
        app.sio.attach(application)
        return await serve_app(application)

    return start


async def test_connection_opens_joins_two_namespaces_with_their_own_auth(
    serve: Callable[[App], Awaitable[str]],
) -> None:
    app = App()
    client = await Client(await serve(app)).open()
    assert client.wire.is_open
    assert client.wire.sid
    client.send("connect", "/", '{"token":"one"}')
    client.send("connect", "/media", '{"token":"two"}')
    assert json.loads((await client.hears("connect", "/media")).payload or "")["sid"]
    await client.hears("connect", "/")
    assert app.auth == [{"token": "one"}, {"token": "two"}]
    assert app.addresses == ["127.7.7.7"] * 2
    answer = client.answers[0]
    assert (answer.status, answer.failure) == (101, None)
    client.wire.close()
    await asyncio.wait_for(client.is_closed.wait(), 3)


async def test_refused_auth_is_a_connect_error_with_its_reason(serve: Callable[[App], Awaitable[str]]) -> None:
    client = await Client(await serve(App())).open()
    client.send("connect", "/media", '{"token":"bad"}')
    refusal = await client.hears("connect_error", "/media")
    assert "who are you?" in (refusal.payload or "")
    assert client.wire.is_open
    client.wire.cut()


async def test_emit_is_acknowledged_with_its_id_and_arguments(serve: Callable[[App], Awaitable[str]]) -> None:
    client = await Client(await serve(App())).open()
    client.send("connect", "/media")
    await client.hears("connect", "/media")
    client.send("event", "/media", '[1,{"a":"ü"}]', event="ask", ack_id=5)
    sent = client.packets[-1]
    ack = await client.hears("ack", "/media")
    assert (ack.ack_id, json.loads(ack.payload or "")) == (5, ["answer", 1, {"a": "ü"}])
    assert ack.stamp_ns > sent.stamp_ns
    client.wire.cut()


async def test_attachments_go_and_come_as_binary_frames(serve: Callable[[App], Awaitable[str]]) -> None:
    app = App()
    client = await Client(await serve(app)).open()
    client.send("connect")
    await client.hears("connect")
    content = bytes(range(256)) * 300
    arguments = '["name",{"_placeholder":true,"num":0}]'
    client.send("event", "/", arguments, event="file", ack_id=0, attachments=(content,))
    ack = await client.hears("ack")
    assert app.files == [content]
    assert ack.attachments == (content[::-1],)
    client.wire.cut()


async def test_pings_are_answered_and_the_connection_lives_on(serve: Callable[[App], Awaitable[str]]) -> None:
    app = App(ping_interval=0.1, ping_timeout=5)
    client = await Client(await serve(app)).open()
    client.send("connect")
    await client.hears("connect")
    await until(lambda: sum(seen.engine_type == "ping" for seen in client.packets) >= 4)
    assert client.wire.is_open
    assert app.gone == []
    engine = [(seen.sender, seen.engine_type) for seen in client.packets if seen.engine_type in ("ping", "pong")]
    assert engine.count(("client", "pong")) == engine.count(("server", "ping"))
    client.wire.cut()


async def test_leaving_a_namespace_and_closing_are_seen_by_the_server(serve: Callable[[App], Awaitable[str]]) -> None:
    app = App()
    client = await Client(await serve(app)).open()
    for namespace in ("/", "/media"):
        client.send("connect", namespace)
        await client.hears("connect", namespace)
    client.send("disconnect", "/media")
    await asyncio.sleep(0.05)
    assert len(app.gone) == 1
    client.wire.close(1001, "going away")
    await asyncio.wait_for(client.is_closed.wait(), 3)
    await asyncio.sleep(0.05)
    assert len(app.gone) == 2
    assert (client.wire.closed_by, client.wire.close_code) == ("client", 1001)


async def test_drop_is_visible_and_nothing_reconnects(serve: Callable[[App], Awaitable[str]]) -> None:
    app = App()
    client = await Client(await serve(app)).open()
    client.send("connect")
    await client.hears("connect")
    await app.sio.eio.disconnect()
    await asyncio.wait_for(client.is_closed.wait(), 3)
    assert client.wire.closed_by in ("server", "cut")
    assert not client.wire.is_open
    assert len(app.auth) == 1


async def raw(reply: bytes, hold_s: float = 0.3) -> tuple[asyncio.Server, str]:
    """A server that says the same to everybody."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(reply)
        await asyncio.sleep(hold_s)
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


WRONG_KEY = (
    b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n"
)
REFUSALS = [
    ("refused", b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nnope", 401, None),
    ("wrong key", WRONG_KEY, 101, Outcome.RESET),
    ("no HTTP", b"\x00\x01\x02\x03 what\r\n\r\n", None, Outcome.RESET),
    ("closed at once", b"", None, Outcome.RESET),
]


@pytest.mark.parametrize(
    ("reply", "status", "failure"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS]
)
async def test_handshake_that_fails_ends_with_its_reason(
    reply: bytes, status: int | None, failure: Outcome | None
) -> None:
    server, url = await raw(reply, hold_s=0.3 if reply else 0)
    client = await Client(url).open()
    assert client.is_closed.is_set()
    assert not client.wire.is_open
    (answer,) = client.answers
    assert (answer.status, answer.failure) == (status, failure)
    server.close()
    await asyncio.sleep(0.35)


async def test_handshake_without_an_answer_is_a_timeout() -> None:
    server, url = await raw(b"", hold_s=0.5)
    client = await Client(url, timeout_s=0.1).open()
    (answer,) = client.answers
    assert (answer.failure, answer.detail) == (Outcome.TIMEOUT, "no answer within 0.1 s")
    server.close()
    await asyncio.sleep(0.5)


async def test_dead_target_is_a_connect_error() -> None:
    server, url = await raw(b"")
    server.close()
    await server.wait_closed()
    client = await Client(url).open()
    (answer,) = client.answers
    assert answer.failure is Outcome.CONNECT_ERROR
    assert "refused the connection" in (answer.detail or "")


async def polled(url: str, **options: Any) -> Client:
    client = await Client(url, polling=True, **options).open()
    client.send("connect")
    await client.hears("connect")
    return client


async def test_polling_sends_several_packets_in_one_payload_while_another_is_under_way(
    serve: Callable[[App], Awaitable[str]],
) -> None:
    app = App()
    client = await polled(await serve(app))
    for number in range(5):
        client.send("event", "/", f"[{number}]", event="ask", ack_id=number)
    await until(lambda: sum(seen.type == "ack" for seen in client.packets) == 5)
    acks = [seen for seen in client.packets if seen.type == "ack"]
    assert [json.loads(ack.payload or "") for ack in acks] == [["answer", number] for number in range(5)]
    posts = [by for seen, by in zip(client.packets, client.by_poll, strict=True) if seen.event == "ask"]
    assert None not in posts
    assert len(set(posts)) == 2, "the first goes alone, the four that waited for it together"
    assert client.wire.transports == ("polling",)
    assert set(client.kinds) == {Kind.POLL}
    client.wire.close()
    await asyncio.wait_for(client.is_closed.wait(), 3)
    assert client.wire.closed_by == "client"
    assert app.gone == ["client disconnect"] or app.gone == ["transport close"]


async def test_polling_carries_attachments_both_ways(serve: Callable[[App], Awaitable[str]]) -> None:
    app = App()
    client = await polled(await serve(app))
    content = bytes(range(256)) * 30
    arguments = '["name",{"_placeholder":true,"num":0}]'
    client.send("event", "/", arguments, event="file", ack_id=0, attachments=(content,))
    ack = await client.hears("ack")
    assert app.files == [content]
    assert ack.attachments == (content[::-1],)
    client.wire.cut()
    await asyncio.wait_for(client.is_closed.wait(), 3)


async def test_pings_are_answered_by_post_and_a_poll_may_hang_longer_than_the_time_limit(
    serve: Callable[[App], Awaitable[str]],
) -> None:
    app = App(ping_interval=0.4, ping_timeout=5)
    client = await polled(await serve(app), timeout_s=0.3)
    await until(lambda: sum(seen.engine_type == "pong" for seen in client.packets) >= 3)
    assert client.wire.is_open
    assert app.gone == []
    client.wire.cut()
    await asyncio.wait_for(client.is_closed.wait(), 3)


async def test_upgrade_probes_ends_the_polls_and_goes_on_over_the_websocket(
    serve: Callable[[App], Awaitable[str]],
) -> None:
    app = App()
    client = await polled(await serve(app), upgrade=True)
    await until(lambda: client.wire.transports == ("polling", "websocket"))
    before = len(client.answers)
    for number in range(3):
        client.send("event", "/", f"[{number}]", event="ask", ack_id=number)
    await until(lambda: sum(seen.type == "ack" for seen in client.packets) == 3)
    told = [
        (s.sender, s.engine_type, s.payload) for s in client.packets if s.engine_type in ("ping", "pong", "upgrade")
    ]
    assert told[:3] == [("client", "ping", '"probe"'), ("server", "pong", '"probe"'), ("client", "upgrade", None)]
    assert [by for seen, by in zip(client.packets, client.by_poll, strict=True) if seen.event == "ask"] == [None] * 3
    assert len(client.answers) == before, "nothing is polled any more"
    assert client.kinds.count(Kind.UPGRADE) == 1
    assert len(app.auth) == 1, "one session, two transports"
    client.wire.close()
    await asyncio.wait_for(client.is_closed.wait(), 3)


async def test_refused_upgrade_leaves_polling_as_it_was(serve_app: Serve) -> None:
    sio = socketio.AsyncServer(async_mode="aiohttp", namespaces="*", transports=["polling"])

    async def ask(sid: str, *told: object) -> None: ...

    sio.on("ask", ask)
    application = web.Application()
    sio.attach(application)
    client = await polled(await serve_app(application), upgrade=True)
    client.send("event", "/", "[1]", event="ask", ack_id=1)
    await client.hears("ack")
    assert client.wire.transports == ("polling",)
    (refused,) = [answer for answer, kind in zip(client.answers, client.kinds, strict=True) if kind is Kind.UPGRADE]
    assert refused.status == 400
    assert client.wire.is_open
    client.wire.close()
    await asyncio.wait_for(client.is_closed.wait(), 3)


async def test_lost_session_of_a_poller_ends_the_connection_with_its_reason(
    serve: Callable[[App], Awaitable[str]],
) -> None:
    app = App()
    client = await polled(await serve(app))
    app.sio.eio.sockets.clear()
    client.send("event", "/", "[1]", event="ask", ack_id=1)
    await asyncio.wait_for(client.is_closed.wait(), 5)
    assert client.wire.closed_by == "cut"
    assert client.wire.close_reason == "a poll was answered 400"


async def until(done: Callable[[], bool]) -> None:
    for _ in range(1000):
        if done():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen within 10 s")
