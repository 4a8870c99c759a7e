"""The short way between two connections: nothing is lost, doubled or overtaken, whoever is slow or ends."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest

from proxy_addon.shortcut import Stream, shorten
from tests.conftest import Recorder


class Relayed:
    """A client and a server, and between them two streams that are (or will be) shortened."""

    def __init__(self) -> None:
        self.copies: list[tuple[str, bytes]] = []
        self.fails = False

    async def open(self, stack: contextlib.AsyncExitStack) -> None:
        at_client, to_server = asyncio.Queue[Stream](), asyncio.Queue[Stream]()
        self.client, self.inside = await _pair(stack, at_client)
        self.outside, self.server = await _pair(stack, to_server)

    def shorten(self) -> None:
        shorten(self.inside, self.outside, self._copy("client"), self._copy("server"))

    def _copy(self, sender: str) -> Callable[[bytes], None]:
        def copy(data: bytes) -> None:
            if self.fails:
                raise RuntimeError("no room")
            self.copies.append((sender, data))

        return copy


async def _pair(stack: contextlib.AsyncExitStack, accepted: asyncio.Queue[Stream]) -> tuple[Stream, Stream]:
    """Both ends of a loopback connection."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await accepted.put(Stream(reader, cast(asyncio.Transport, writer.transport)))
        kept.append(writer)

    kept: list[asyncio.StreamWriter] = []
    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    stack.callback(listening.close)
    reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname()[:2])
    other = await accepted.get()
    for one in (writer, *kept):
        stack.callback(one.close)
    return Stream(reader, cast(asyncio.Transport, writer.transport)), other


@pytest.fixture
async def relayed() -> AsyncIterator[Relayed]:
    async with contextlib.AsyncExitStack() as stack:
        one = Relayed()
        await one.open(stack)
        yield one


async def test_bytes_go_both_ways_and_copies_follow(relayed: Relayed) -> None:
    relayed.shorten()
    relayed.client.transport.write(b"ask")
    assert await relayed.server.reader.readexactly(3) == b"ask"
    relayed.server.transport.write(b"answer")
    assert await relayed.client.reader.readexactly(6) == b"answer"
    assert relayed.copies == [("client", b"ask"), ("server", b"answer")]


async def test_bytes_that_wait_for_the_long_way_are_not_overtaken(relayed: Relayed) -> None:
    relayed.client.transport.write(b"early ")
    while not await _waits(relayed.inside, 6):
        await asyncio.sleep(0.01)
    relayed.shorten()
    relayed.client.transport.write(b"late ")
    assert await relayed.inside.reader.readexactly(11) == b"early late "
    relayed.client.transport.write(b"now")
    assert await relayed.server.reader.readexactly(3) == b"now"
    assert relayed.copies == [("client", b"now")]


async def _waits(stream: Stream, count: int) -> bool:
    return len(stream.reader._buffer) >= count  # type: ignore[attr-defined]


async def test_copy_that_fails_is_logged_and_the_connection_goes_on(
    relayed: Relayed, caplog: pytest.LogCaptureFixture
) -> None:
    relayed.shorten()
    relayed.fails = True
    for _ in range(2):
        relayed.client.transport.write(b"ask")
        assert await relayed.server.reader.readexactly(3) == b"ask"
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


async def test_ends_take_the_long_way(relayed: Relayed) -> None:
    relayed.shorten()
    relayed.client.transport.write(b"last")
    relayed.client.transport.write_eof()
    assert await relayed.inside.reader.read() == b""
    assert await relayed.server.reader.readexactly(4) == b"last"
    relayed.server.transport.write(b"still answered")
    assert await relayed.client.reader.readexactly(14) == b"still answered"
    relayed.server.transport.abort()
    with contextlib.suppress(ConnectionError):
        assert await relayed.outside.reader.read() == b""


async def test_side_that_is_closed_already_gets_nothing(relayed: Relayed) -> None:
    relayed.shorten()
    relayed.outside.transport.close()
    relayed.client.transport.write(b"too late")
    assert await relayed.inside.reader.readexactly(8) == b"too late"
    assert relayed.copies == []


def test_side_that_reads_slowly_holds_back_the_other_and_gets_everything(record: Callable[..., Recorder]) -> None:
    """40 MiB towards a server that begins to read late, through a real recorder."""
    size = 40 * 2**20
    content = hashlib.shake_256(b"slow").digest(2**20) * (size >> 20)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        recorder = record(f"http://127.0.0.1:{listening.getsockname()[1]}", "--max-body", "1KB")
        with socket.create_connection(("127.0.0.1", recorder.ports[0])) as client:
            server, _ = listening.accept()
            head = f"PUT /slow HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
            sent = 0
            client.settimeout(1.0)
            with contextlib.suppress(TimeoutError):
                client.sendall(head)
                while sent < size:
                    sent += client.send(content[sent : sent + 2**16])
            assert sent < size, "nobody held the client back"
            client.settimeout(60)
            sending = threading.Thread(target=client.sendall, args=(content[sent:],))
            sending.start()
            with server:
                server.settimeout(60)
                came = hashlib.sha256()
                count = 0
                while count < len(head) + size and (data := server.recv(2**18)):
                    came.update(data)
                    count += len(data)
                    if count < 2**22:
                        time.sleep(0.001)
                server.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
                sending.join(60)
                assert client.recv(100).startswith(b"HTTP/1.1 204")
    assert came.digest() == hashlib.sha256(head + content).digest()
    assert recorder.stop() == 0
