"""The shaping relay between real sockets. What it lets through is held against arithmetic from below, and from above
only where seconds are at stake (`tests/interop/test_browse.py`)."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from itertools import pairwise

import aiohttp
import pytest
from aiohttp import web

from nestperf.demo.children import free_port
from nestperf.network.lane import transmission_ns
from nestperf.network.profiles import PROFILES, Profile
from replay.transport.shaper import Shaper

LINE = Profile(key="test", name="Test line", down_bps=4_000_000, up_bps=1_000_000, rtt_ns=100_000_000)
RTT_S = LINE.rtt_ns / 1e9
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def through(serve: Serve, profile: Profile = LINE) -> AsyncIterator[int]:
    """A server behind the shaper; the port in front of it."""

    async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve_and_close, "127.0.0.1", 0)
    async with server, Shaper(profile) as shaper:
        yield await shaper.listen("127.0.0.1", server.sockets[0].getsockname()[1])


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.write_eof()


def answering(size: int) -> Serve:
    """A server that answers one byte with so many."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.write(b"x" * size)
        writer.write_eof()

    return answer


async def ask(port: int) -> tuple[float, bytes]:
    """Seconds from the connect to the last byte, and the bytes."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"?")
    body = await reader.read()
    took = loop.time() - began
    writer.close()
    return took, body


async def test_an_answer_takes_the_handshake_a_round_trip_and_its_bytes() -> None:
    size = 200_000
    async with through(answering(size)) as port:
        took, body = await ask(port)
    assert len(body) == size
    assert took >= 2 * RTT_S + transmission_ns(size, LINE.down_bps) / 1e9


async def test_two_connections_share_the_line() -> None:
    size = 150_000
    async with through(answering(size)) as port:
        both = await asyncio.gather(ask(port), ask(port))
    line = transmission_ns(2 * size, LINE.down_bps) / 1e9
    # The one that ends first has had to let the other have nearly as much.
    assert max(took for took, _ in both) >= 2 * RTT_S + line
    assert min(took for took, _ in both) >= 2 * RTT_S + line * 0.8


async def test_bytes_arrive_unchanged_whatever_their_number() -> None:
    said = bytes(range(256)) * 400
    async with through(echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for piece in (said[:1], said[1:7], said[7:30_000], said[30_000:]):
            writer.write(piece)
            await asyncio.sleep(0.01)
        writer.write_eof()
        assert await reader.read() == said
        writer.close()


async def test_one_side_that_has_said_its_last_can_still_listen() -> None:
    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.read()
        writer.write(b"heard " + asked)
        writer.write_eof()

    async with through(late) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"all")
        writer.write_eof()
        assert await reader.read() == b"heard all"
        writer.close()


async def test_every_websocket_message_takes_the_line_both_ways() -> None:
    async def chat(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse()
        await response.prepare(request)
        async for message in response:
            await response.send_str(str(message.data))
        return response

    app = web.Application()
    app.add_routes([web.get("/", chat)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port := free_port()).start()
    loop = asyncio.get_running_loop()
    async with Shaper(LINE) as shaper, aiohttp.ClientSession() as session:
        shaped = await shaper.listen("127.0.0.1", port)
        async with session.ws_connect(f"http://127.0.0.1:{shaped}/") as client:
            stamps = [loop.time()]
            for number in range(3):
                await client.send_str(str(number))
                assert await client.receive_str() == str(number)
                stamps.append(loop.time())
    await runner.cleanup()
    assert min(after - before for before, after in pairwise(stamps)) >= RTT_S


async def test_an_application_that_is_not_there_resets_the_connection_a_round_trip_later() -> None:
    loop = asyncio.get_running_loop()
    async with Shaper(LINE) as shaper:
        port = await shaper.listen("127.0.0.1", free_port())
        began = loop.time()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        assert loop.time() - began >= RTT_S * 0.99
        writer.close()


async def test_a_reset_crosses_the_line() -> None:
    async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        at_once = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        writer.transport.abort()

    async with through(slam) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"?")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_fast_sender_waits_for_the_line() -> None:
    """Megabytes do not pile up in the relay: the sender sees that the line is full."""
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readexactly(1)
        for _ in range(1_000):
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    async with through(flood, PROFILES["wpt-3g-slow"]) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"?")
        await reader.readexactly(20_000)
        assert sent < 32 * 2**20  # of 64 MiB; the kernel's own buffers are the most of it
        writer.transport.abort()
