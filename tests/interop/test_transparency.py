"""What each side receives through the recorder is byte for byte what it receives without it,
in clear and with TLS on either side."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import random
import ssl
from collections.abc import Callable
from typing import NamedTuple

import brotli
import pytest

from nestperf.capture.model import Outcome
from nestperf.capture.reader import Capture
from tests.conftest import Recorder
from tests.tls import Certificates, Stream

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


class Heard(NamedTuple):
    """What one side received, and how the other side ended."""

    size: int
    sha256: str
    ending: str | None


def heard(content: bytes, ending: str | None) -> Heard:
    return Heard(len(content), hashlib.sha256(content).hexdigest(), ending)


class Stage:
    """A server that plays its side of whatever scene is on, in clear or with TLS."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self.port = 0
        self._context = context
        self._scene = SCENES["GET"]
        self._heard: asyncio.Queue[Heard] = asyncio.Queue()

    async def start(self) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = Stream(reader, writer)
        if self._context is not None:
            await stream.start_tls(self._context)
        received = b""
        for sent, answered in self._scene.turns:
            received += await stream.read_until(len(b"".join(sent)))
            for piece in answered:
                await stream.write(piece)
                if len(answered) > 1:
                    await asyncio.sleep(0.001)
        if not self._scene.server_closes:
            received += await stream.read_until()
        await stream.end()
        stream.close()
        self._heard.put_nowait(heard(received, stream.ending))

    async def play(self, scene: Scene, port: int, context: ssl.SSLContext | None) -> tuple[Heard, Heard]:
        """Play a scene with a client at that port; what the server and what the client heard."""
        self._scene = scene
        stream = await Stream.connect(port, context)
        got = b""
        for sent, answered in scene.turns:
            for piece in sent:
                await stream.write(piece)
            got += await stream.read_until(len(b"".join(answered)))
        if not scene.server_closes:
            await stream.end()
        got += await stream.read_until()
        stream.close()
        return await asyncio.wait_for(self._heard.get(), 20), heard(got, stream.ending)


SIDES = {
    "http to http": (False, False),
    "http to https": (False, True),
    "https to http": (True, False),
    "https to https": (True, True),
}
"""Browser's side and application's side: whether they speak TLS."""
ENDINGS = {False: "FIN", True: "close_notify"}


@pytest.mark.parametrize("sides", SIDES)
async def test_relay_passes_every_byte_and_records_the_exchange(
    sides: str, record: Callable[..., Recorder], certificates: Certificates
) -> None:
    client_tls, upstream_tls = SIDES[sides]
    stage = Stage(certificates.server_context() if upstream_tls else None)
    server = await stage.start()
    flags = [*(["--tls"] if client_tls else []), *(["--upstream-ca", str(certificates.ca)] if upstream_tls else [])]
    scheme = "https" if upstream_tls else "http"
    recorder = await asyncio.to_thread(record, f"{scheme}://localhost:{stage.port}", *flags)
    direct_context = certificates.client_context() if upstream_tls else None
    context = certificates.client_context(recorder.authority) if client_tls else None
    for name, scene in SCENES.items():
        asked, answered = await stage.play(scene, stage.port, direct_context)
        assert asked.sha256 == heard(b"".join(b"".join(sent) for sent, _ in scene.turns), None).sha256
        relayed = await stage.play(scene, recorder.ports[0], context)
        expected = (asked, answered._replace(ending=ENDINGS[client_tls]))
        assert (name, *relayed) == (name, *expected)
    server.close()
    assert await asyncio.to_thread(recorder.stop) == 0, recorder.output
    with Capture.open(recorder.capture) as capture:
        exchanges = list(capture.exchanges())
        assert [exchange.status for exchange in exchanges] == [s for scene in SCENES.values() for s in scene.statuses]
        assert {exchange.outcome for exchange in exchanges} <= {Outcome.OK, Outcome.REFUSED}
        assert capture.run.upstreams[0].url == f"{scheme}://localhost:{stage.port}"
        assert capture.run.state == "finished"
        # What is spoken after the 101 is kept as it came, and counted as not understood.
        assert capture.run.losses == {"undecodable": 1}
