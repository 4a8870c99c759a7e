"""Recordings written row by row, a server that counts what it is sent, and replays of the one against the other."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from nestperf.capture import model
from nestperf.capture.contents import Contents
from nestperf.capture.kinds import fields_of, kind_of
from nestperf.capture.reader import Capture
from nestperf.capture.redaction import Redactor
from nestperf.capture.routes import route_of
from nestperf.capture.vault import Vault
from nestperf.capture.writer import CaptureWriter
from nestperf.cli import run as nestperf
from nestperf.wire.http1 import Http1Connection
from nestperf.wire.observations import RequestBody, RequestEnd, RequestHead
from replay.plan import build_plan
from replay.steps import Permission, Plan

MS = 1_000_000


class Recording:
    """A capture as `nestperf record` would have written it. Times are milliseconds since the run began."""

    def __init__(self, path: Path, *urls: str) -> None:
        self.path = path
        run = model.Run(
            uid="recorded",
            purpose="record",
            vantage="proxy",
            state="finished",
            version="0",
            started_unix_ns=1,
            upstreams=tuple(model.Upstream(url) for url in urls or ("http://127.0.0.1:4000",)),
        )
        self._vault = Vault.create(path)
        self._writer = CaptureWriter.create(path, run, vault=self._vault)
        self._redactor = Redactor(self._vault)
        self._contents = Contents(self._redactor, self._writer.add)
        self._ids = itertools.count(1)
        self._clients: set[int] = set()

    def listened(self, *addresses: str) -> None:
        """Where the recorder was, in the order of the upstreams."""
        run = self._writer.run
        upstreams = (one._replace(listen=place) for one, place in zip(run.upstreams, addresses, strict=True))
        self._writer.set_run(run._replace(upstreams=tuple(upstreams)))

    def exchange(
        self,
        method: str,
        target: str,
        sent: float = 0,
        done: float | None = None,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
        status: int | None = 200,
        answer: bytes = b"",
        answer_headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),),
        trailers: tuple[tuple[str, str], ...] = (),
        client: int = 1,
        chunked: bool = False,
        **changes: Any,
    ) -> int:
        """One exchange; its id."""
        exchange_id = next(self._ids)
        fields = fields_of(headers)
        if "host" not in fields:
            headers = (("Host", "localhost:4000"), *headers)
        if body and not chunked and "content-length" not in fields:
            headers = (*headers, ("Content-Length", str(len(body))))
        if chunked:
            headers = (*headers, ("Transfer-Encoding", "chunked"))
        self._client(client)
        answered = status is not None
        row = model.Exchange(
            id=exchange_id,
            session_id=None,
            client_id=client,
            connection=1,
            upstream=0,
            kind=kind_of(method, target, fields_of(headers), status, fields_of(answer_headers) if answered else {}),
            server_call=False,
            method=method,
            authority=dict(headers).get("Host", "localhost:4000"),
            target=self._redactor.target(target),
            route=route_of(target),
            http_version="HTTP/1.1",
            request_headers=self._contents.headers(headers),
            request_trailers=self._contents.headers(trailers) if trailers else None,
            request_body=self._contents.body(
                body,
                media_type=fields.get("content-type", ""),
                coding=fields.get("content-encoding", ""),
                chunked=chunked,
                request=True,
            ),
            request_bytes=0,
            status=status,
            reason="OK" if answered else None,
            response_headers=self._contents.headers(answer_headers) if answered else None,
            response_trailers=None,
            response_body=self._contents.body(
                answer, media_type=dict(answer_headers).get("Content-Type", ""), coding="", chunked=False, request=False
            ),
            response_bytes=0,
            interim=None,
            intended_ns=None,
            sent_ns=round(sent * MS),
            request_done_ns=round(sent * MS),
            first_byte_ns=None if done is None else round(done * MS),
            done_ns=None if done is None else round(done * MS),
            connect_ns=None,
            relay_ns=None,
            outcome=model.Outcome.OK if done is not None else model.Outcome.UNFINISHED,
            detail=None,
            source_exchange=None,
        )
        self._writer.add(row._replace(**changes))
        return exchange_id

    def socket(
        self, opened: float, connected: float | None, closed: float | None, *, client: int = 1, **changes: Any
    ) -> int:
        """A Socket.IO connection over WebSocket and the exchange that opened it; its id."""
        target = changes.pop("target", "/socket.io/?EIO=4&transport=websocket")
        headers = changes.pop("headers", ())
        upgrade = (
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "x3JJHMbDL1EzLkh9GBhXDw=="),
            ("Sec-WebSocket-Extensions", "permessage-deflate"),
        )
        opener = self.exchange("GET", target, opened, connected, headers=(*headers, *upgrade), status=101)
        row = model.Socket(
            id=next(self._ids),
            session_id=None,
            client_id=client,
            exchange_id=opener,
            connection=2,
            upstream=0,
            protocol="socket.io",
            version=4,
            authority="localhost:4000",
            target=target,
            sid="recorded-sid",
            transports="websocket",
            intended_ns=None,
            opened_ns=round(opened * MS),
            connected_ns=None if connected is None else round(connected * MS),
            closed_ns=None if closed is None else round(closed * MS),
            closed_by=None if closed is None else "client",
            close_code=None if closed is None else 1001,
            close_reason=None,
            outcome=model.Outcome.OK,
            detail=None,
            source_socket=None,
        )
        row = row._replace(**changes)
        self._writer.add(row)
        return row.id

    def packet(
        self, socket: int, sender: str, kind: str, at: float, namespace: str = "/", payload: str | None = None,
        *, attachments: tuple[bytes, ...] = (), **changes: Any,
    ) -> int:  # fmt: skip
        """One Socket.IO packet; its id."""
        import json

        bodies = [self._contents.attachment(content) for content in attachments]
        row = model.Packet(
            id=next(self._ids),
            socket_id=socket,
            frame_id=None,
            exchange_id=None,
            sender=sender,
            stamp_ns=round(at * MS),
            done_ns=round(at * MS),
            engine_type="message",
            type=kind,
            namespace=namespace,
            event=None,
            ack_id=None,
            payload=None if payload is None else self._redactor.payload(kind, payload),
            attachments=json.dumps(bodies) if bodies else None,
            size=0,
            answers=None,
            intended_ns=None,
            source_packet=None,
        )
        row = row._replace(**changes)
        self._writer.add(row)
        return row.id

    def mark(self, at: float, text: str) -> None:
        """Somebody named the moment."""
        self._writer.add(model.Mark(None, round(at * MS), None, text, "key"))

    def finish(self, ended: float | None = None) -> Path:
        """Close the file."""
        if ended is not None:
            self._writer.set_run(self._writer.run._replace(ended_ns=round(ended * MS)))
        self._writer.close()
        return self.path

    def plan(self, ended: float | None = None) -> Plan:
        """Close the file and plan its replay."""
        self.finish(ended)
        return plan_of(self.path)

    def _client(self, client: int) -> None:
        if client not in self._clients:
            self._clients.add(client)
            self._writer.add(model.Client(client, f"127.0.0.{client}", "Tester/1"))


def plan_of(path: Path, permissions: tuple[Permission, ...] = (), *, secrets: bool = True) -> Plan:
    with Capture.open(path) as capture:
        return build_plan(capture, Vault.open(path) if secrets else None, permissions)


@pytest.fixture
def recording(tmp_path: Path) -> Recording:
    return Recording(tmp_path / "recording.db")


@pytest.fixture
def recordings(tmp_path: Path) -> Callable[..., Recording]:
    """A recording of the given upstreams."""
    numbers = itertools.count()
    return lambda *urls: Recording(tmp_path / f"recording-{next(numbers)}.db", *urls)


@dataclass
class Request:
    """What a server was sent."""

    address: str
    connection: int
    method: str
    target: str
    headers: model.Pairs
    body: bytes
    trailers: model.Pairs
    at_ns: int
    """First byte, on the clock of `time.perf_counter_ns`."""

    def field(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")


Behaviour = Callable[["CountingServer", Request, asyncio.StreamWriter], Awaitable[None]]


async def answer_ok(server: CountingServer, request: Request, writer: asyncio.StreamWriter) -> None:
    """200, with the request's number as JSON."""
    body = b"{}" if request.method != "HEAD" else b""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n" + body)


def answering(status: str = "200 OK", *, after_s: float = 0.0, never: str = "") -> Behaviour:
    """A status without content, after so long; no answer to requests for `never`, a pattern of targets."""

    async def answer(server: CountingServer, request: Request, writer: asyncio.StreamWriter) -> None:
        if after_s:
            await asyncio.sleep(after_s)
        if not fnmatchcase(request.target, never):
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())

    return answer


def write_json(writer: asyncio.StreamWriter, document: Any, *fields: str) -> None:
    """200 with a document; `fields`: more of the head."""
    body = json.dumps(document).encode()
    head = ("HTTP/1.1 200 OK", "Content-Type: application/json", *fields, f"Content-Length: {len(body)}")
    writer.write("\r\n".join((*head, "", "")).encode() + body)


@dataclass
class CountingServer:
    """Reads HTTP/1.1 with the recorder's decoder and keeps every request; answers as `behaviour` says."""

    behaviour: Behaviour = answer_ok
    requests: list[Request] = field(default_factory=list)
    connections: list[str] = field(default_factory=list)
    """The client address of each connection, in order of arrival."""
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in tuple(self._writers):
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop_listening(self) -> None:
        """Refuse new connections from now on."""
        assert self._server is not None
        self._server.close()

    def __post_init__(self) -> None:
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        import time

        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        self.connections.append(writer.get_extra_info("peername")[0])
        number = len(self.connections)
        decoder = Http1Connection()
        head: RequestHead | None = None
        body = b""
        try:
            while data := await reader.read(65536):
                for seen in decoder.receive("client", data, time.perf_counter_ns()):
                    if isinstance(seen, RequestHead):
                        head, body = seen, b""
                        await self.on_head(head, writer)
                    elif isinstance(seen, RequestBody):
                        body += seen.data
                    elif isinstance(seen, RequestEnd) and head is not None:
                        request = Request(
                            self.connections[number - 1], number, head.method, head.target, head.headers, body,
                            seen.trailers, head.stamp_ns,
                        )  # fmt: skip
                        self.requests.append(request)
                        await self.behaviour(self, request, writer)
        except OSError:
            # The client has gone; that is for the test to find out.
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def on_head(self, head: RequestHead, writer: asyncio.StreamWriter) -> None:
        """A request's head has come, its body may not."""


@pytest.fixture
async def server() -> AsyncIterator[CountingServer]:
    counting = CountingServer()
    await counting.start()
    yield counting
    await counting.stop()


class Replayed:
    """A replay that is over."""

    def __init__(self, code: int, path: Path) -> None:
        self.code = code
        self.path = path

    @property
    def run(self) -> model.Run:
        with Capture.open(self.path) as capture:
            return capture.run

    @property
    def exchanges(self) -> list[model.Exchange]:
        with Capture.open(self.path) as capture:
            return list(capture.exchanges())

    @property
    def sockets(self) -> list[model.Socket]:
        with Capture.open(self.path) as capture:
            return list(capture.sockets())

    @property
    def packets(self) -> list[model.Packet]:
        with Capture.open(self.path) as capture:
            return list(capture.packets())

    @property
    def sessions(self) -> tuple[model.Session, ...]:
        with Capture.open(self.path) as capture:
            return capture.sessions()


Serve = Callable[[web.Application], Awaitable[str]]


@pytest.fixture
async def serve_app() -> AsyncIterator[Serve]:
    """Serve an application of aiohttp until the test ends; gives its address."""
    async with contextlib.AsyncExitStack() as served:

        async def start(application: web.Application) -> str:
            runner = web.AppRunner(application, shutdown_timeout=0.1)
            await runner.setup()
            served.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            return f"http://127.0.0.1:{runner.addresses[0][1]}"

        yield start


Replays = Callable[..., Awaitable[Replayed]]
Recordings = Callable[..., Recording]


@pytest.fixture
def replay(tmp_path: Path) -> Replays:
    """Run `nestperf replay` in a process of its own while the test's loop serves."""
    numbers = itertools.count()

    async def run(path: Path, *arguments: str) -> Replayed:
        output = tmp_path / f"replay-{next(numbers)}.db"
        code, printed = await command(tmp_path, str(path), "-o", str(output), *arguments)
        assert output.exists(), printed
        return Replayed(code, output)

    return run


async def command(folder: Path, *arguments: str) -> tuple[int, str]:
    """`nestperf replay ARGUMENTS` in a process of its own: exit code and what it printed."""
    process = await start_command(folder, *arguments)
    printed, _ = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def start_command(folder: Path, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "nestperf", "replay", *arguments,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "200"},
    )  # fmt: skip


@pytest.fixture
def in_process(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """`nestperf replay ARGUMENTS` here: exit code and what it printed."""

    def run(*arguments: object) -> tuple[int, str]:
        code = nestperf(["replay", *map(str, arguments)])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run
