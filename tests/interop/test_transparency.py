"""What each side receives through the recorder is byte for byte what it receives without it."""

from __future__ import annotations

import asyncio
import gzip
import random
from collections.abc import Callable
from typing import NamedTuple

import brotli
import pytest

from nestperf.capture.model import Outcome
from nestperf.capture.reader import Capture
from tests.conftest import Recorder

Pieces = tuple[bytes, ...]


class Scene(NamedTuple):
    """A scripted conversation on one connection: turns of (client's pieces, server's pieces)."""

    turns: tuple[tuple[Pieces, Pieces], ...]
    statuses: tuple[int, ...]
    server_closes: bool = False


def answer(body: bytes = b'{"ok":true}', head: str = "", status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def request(method: str, body: bytes = b"", head: str = "") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} /api/x?y=1 HTTP/1.1\r\nhOsT: localhost:4000\r\n{head}{length}\r\n".encode() + body


def chunked(body: bytes, size: int) -> bytes:
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    return b"".join(f"{len(piece):x};ext=1\r\n".encode() + piece + b"\r\n" for piece in pieces)


NOISE = random.Random(7).randbytes(1_000_000)
UPLOAD = NOISE * 5
DOWNLOAD = NOISE * 20
TEXT = b'{"title":"The Matrix"}' * 500
SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

SCENES = {
    **{
        method: Scene((((request(method, b'{"a":1}'),), (answer(),)),), (200,))
        for method in ("POST", "PUT", "PATCH", "DELETE")
    },
    "GET": Scene((((request("GET"),), (answer(),)), ((request("GET"),), (answer(status="404 No"),))), (200, 404)),
    "HEAD": Scene(
        (((request("HEAD"),), (b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n",)), ((request("GET"),), (answer(),))),
        (200, 200),
    ),
    "byte by byte": Scene(((tuple(bytes([c]) for c in request("GET")), tuple(bytes([c]) for c in answer())),), (200,)),
    "5 MB chunked upload": Scene(
        (((request("POST", head="Transfer-Encoding: chunked\r\n") + chunked(UPLOAD, 70_001) + b"0\r\n\r\n",),
          (answer(),)),),
        (200,),
    ),
    "20 MB download": Scene((((request("GET"),), (answer(DOWNLOAD),)),), (200,)),
    "server-sent events": Scene(
        (((request("GET"),), (SSE_HEAD, *(chunked(b"data: %d\n\n" % n, 999) for n in range(20)), b"0\r\n\r\n")),),
        (200,),
    ),
    "gzip": Scene((((request("GET"),), (answer(gzip.compress(TEXT), "Content-Encoding: gzip\r\n"),)),), (200,)),
    "br": Scene((((request("GET"),), (answer(brotli.compress(TEXT), "Content-Encoding: br\r\n"),)),), (200,)),
    "trailers": Scene(
        (((request("POST", head="Transfer-Encoding: chunked\r\n") + b"3\r\nabc\r\n0\r\nX-Sum: 7\r\n\r\n",),
          (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Check: 9\r\n\r\n",)),),
        (200,),
    ),
    "103 then 200": Scene(
        (((request("GET"),), (b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n", answer())),), (200,)
    ),
    "Expect: 100-continue": Scene(
        (((b"POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",),
          (b"HTTP/1.1 100 Continue\r\n\r\n",)),
         ((b"abc",), (answer(),))),
        (200,),
    ),
    "pipelined": Scene((((request("GET") * 3,), (answer(b"1") + answer(b"2"), answer(b"3"))),), (200, 200, 200)),
    "body ends with the connection": Scene(
        (((request("GET"),), (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello ", b"world")),), (200,), True
    ),
    "odd but legal heads": Scene(
        (((b"GET /x HTTP/1.1\r\nHOST:a\r\nX-Empty:\r\nx-twice: 1\r\nX-TWICE:  2  \r\n\r\n",),
          (b"HTTP/1.1 200 \r\ncOnTeNt-LeNgTh:2\r\nSet-Cookie: a=1\r\nset-cookie: a=2\r\n\r\nok",)),),
        (200,),
    ),
    "another protocol after 101": Scene(
        (((b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n",),
          (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n\x00\x01hello",)),
         ((b"\xff\xfe not http",), (b"\r\n\r\n",))),
        (101,),
    ),
}  # fmt: skip


async def play(scene: Scene, connect_to: Callable[[int], int]) -> tuple[bytes, bytes]:
    """Play a scene; what the server and what the client received. `connect_to` maps the server's port to the port the
    client uses."""
    received = bytearray()
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for sent, answered in scene.turns:
            received.extend(await reader.readexactly(len(b"".join(sent))))
            for piece in answered:
                writer.write(piece)
                await writer.drain()
                if len(answered) > 1:
                    await asyncio.sleep(0.001)
        if not scene.server_closes:
            received.extend(await reader.read())
        writer.close()
        over.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", connect_to(server.sockets[0].getsockname()[1]))
    got = bytearray()
    for sent, answered in scene.turns:
        for piece in sent:
            writer.write(piece)
            await writer.drain()
        got += await asyncio.wait_for(reader.readexactly(len(b"".join(answered))), 20)
    if not scene.server_closes:
        writer.write_eof()
    got += await asyncio.wait_for(reader.read(), 20)
    writer.close()
    await asyncio.wait_for(over.wait(), 20)
    server.close()
    return bytes(received), bytes(got)


@pytest.mark.parametrize("name", SCENES)
async def test_relay_passes_every_byte_and_records_the_exchange(name: str, record: Callable[..., Recorder]) -> None:
    scene = SCENES[name]
    recorders: list[Recorder] = []

    def through_recorder(port: int) -> int:
        recorders.append(record(f"http://127.0.0.1:{port}"))
        return recorders[0].ports[0]

    direct = await play(scene, lambda port: port)
    relayed = await play(scene, through_recorder)
    assert relayed == direct
    assert direct[0] == b"".join(b"".join(sent) for sent, _ in scene.turns)
    (recorder,) = recorders
    assert recorder.stop() == 0, recorder.output
    with Capture.open(recorder.capture) as capture:
        exchanges = list(capture.exchanges())
        assert tuple(exchange.status for exchange in exchanges) == scene.statuses
        assert {exchange.outcome for exchange in exchanges} <= {Outcome.OK, Outcome.REFUSED}
        assert capture.run.state == "finished"
        assert capture.run.losses == {}
