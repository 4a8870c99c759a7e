"""A connection at its edges: what servers do between, before and instead of answers, against real sockets."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.clock import Clock
from nestperf.capture.model import Outcome
from replay.transport.answer import Answer, Request
from replay.transport.connection import Connection
from replay.transport.outbox import Outbox
from tests.replay.conftest import CountingServer
from tests.replay.conftest import Request as Received
from tests.replay.transport.test_http import CHUNKED, LENGTH, Client, Serve, body_of, get, post, replies, serve

__all__ = ["serve"]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def read_request(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_connection_closed_between_two_requests_is_replaced_before_anything_is_sent_on_it(
    server: CountingServer, how: str
) -> None:
    async def then_gone(_: CountingServer, request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(0.02)
        if how == "reset":
            writer.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
            )
            writer.transport.abort()
        else:
            writer.close()

    server.behaviour = then_gone
    client = Client(server.url)
    answers = []
    for _ in range(3):
        answers.append(await client.send(get()))
        await asyncio.sleep(0.1)
    assert [answer.failure for answer in answers] == [None] * 3
    assert [answer.connection for answer in answers] == [1, 2, 3]
    assert len(server.requests) == 3


async def test_close_that_the_loop_has_not_read_yet_is_found_before_sending() -> None:
    requests: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def serve_two() -> None:
        for _ in range(2):
            accepted, _ = listening.accept()
            requests.append(accepted.recv(65536))
            accepted.sendall(OK)
            time.sleep(0.12)
            accepted.close()

    serving = threading.Thread(target=serve_two)
    serving.start()
    client = Client(f"http://127.0.0.1:{listening.getsockname()[1]}")
    first = await client.send(get("/1"))
    # The server closes while this loop has no turn to read it, and the next request is due at once after that.
    time.sleep(0.2)
    second = await client.send(get("/2"))
    await asyncio.to_thread(serving.join)
    listening.close()
    assert (first.connection, second.connection, second.failure) == (1, 2, None)
    assert [request.split()[1] for request in requests] == [b"/1", b"/2"]


async def test_request_that_crosses_the_close_is_a_reset_and_never_sent_again(server: CountingServer) -> None:
    async def first_only(counting: CountingServer, request: Received, writer: asyncio.StreamWriter) -> None:
        if len(counting.requests) == 1:
            writer.write(OK)
        else:
            writer.close()

    server.behaviour = first_only
    client = Client(server.url)
    await client.send(get("/1"))
    answer = await client.send(post(b"once"))
    assert answer.failure is Outcome.RESET
    assert "which was kept open from the exchange before" in (answer.detail or "")
    await asyncio.sleep(0.1)
    assert [request.target for request in server.requests] == ["/1", "/up"]


async def test_requests_are_never_pipelined(serve: Callable[[Serve], Awaitable[str]]) -> None:
    heads: list[int] = []

    async def behave(data: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data:
            heads.append(data.count(b"\r\n\r\n"))
            await asyncio.sleep(0.02)
            writer.write(OK)
            data = await reader.read(65536)

    client = Client(await serve(behave), limit=1)
    answers = await asyncio.gather(*(client.send(get(f"/{n}"), n) for n in range(5)))
    assert [answer.status for answer in answers] == [200] * 5
    assert heads == [1] * 5
    client.connections.close()


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize("field", [b"", b"Content-Length: 7\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_answer_without_a_body_by_its_status_leaves_the_connection_usable(
    serve: Callable[[Serve], Awaitable[str]], status: bytes, field: bytes
) -> None:
    async def behave(_: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 " + status + b"\r\n" + field + b"\r\n")
        await read_request(reader)
        writer.write(OK)

    client = Client(await serve(behave))
    first, second = await client.send(get()), await client.send(get())
    assert (body_of(first), body_of(second)) == (b"", b"ok")
    assert (first.connection, second.connection) == (1, 1)


@pytest.mark.parametrize("field", [b"Content-Length: 5000", b"Transfer-Encoding: chunked", b"X-Nothing: 1"])
async def test_answer_to_head_ends_with_its_head_whatever_that_says(
    serve: Callable[[Serve], Awaitable[str]], field: bytes
) -> None:
    async def behave(_: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n" + field + b"\r\n\r\n")
        await read_request(reader)
        writer.write(OK)

    client = Client(await serve(behave))
    head, after = await client.send(get(method="HEAD")), await client.send(get())
    assert (head.status, body_of(head), head.whole) == (200, b"", True)
    assert body_of(after) == b"ok"
    assert after.connection == 1


async def test_early_answers_of_every_kind_come_before_the_one_that_counts(
    serve: Callable[[Serve], Awaitable[str]],
) -> None:
    early = [b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 2]

    async def behave(_: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in (*early, OK):
            writer.write(piece)
            await asyncio.sleep(0.01)
        await read_request(reader)
        writer.write(early[0] + OK)

    client = Client(await serve(behave))
    first, second = await client.send(get()), await client.send(get())
    assert [seen.status for seen in first.interim] == [102, 103, 103]
    assert [seen.status for seen in second.interim] == [102]
    assert (body_of(first), body_of(second)) == (b"ok", b"ok")
    assert (first.connection, second.connection) == (1, 1)


async def test_answer_before_the_body_was_sent_counts_and_ends_the_connection(
    serve: Callable[[Serve], Awaitable[str]],
) -> None:
    received: list[int] = []

    async def behave(data: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if data.startswith(b"GET"):
            writer.write(OK)
            return
        writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        size = len(data)
        while more := await reader.read(65536):
            size += len(more)
        received.append(size)

    client = Client(await serve(behave))
    answer = await client.send(post(b"x" * 50_000_000))
    after = await client.send(get())
    assert (answer.status, answer.failure, answer.whole) == (401, None, True)
    assert answer.request_done_ns is None
    assert (after.status, after.connection) == (200, 2)
    await asyncio.sleep(0.1)
    assert received
    assert received[0] < 50_000_000


async def test_answer_while_the_last_bytes_of_a_body_wait_in_the_buffer_keeps_the_order_of_what_follows(
    serve: Callable[[Serve], Awaitable[str]],
) -> None:
    """All was handed over, the kernel has not taken it: what comes next must queue behind it."""
    body = b"a" * 60_000
    received = bytearray()

    async def behave(data: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.extend(data)
        for _ in range(40):
            writer.write(OK)
            while received.count(b"HTTP/1.1\r\n") * len(body) > len(received):
                received.extend(await reader.read(65536))
            await asyncio.sleep(0)
            more = await reader.read(65536)
            if not more:
                return
            received.extend(more)

    client = Client(await serve(behave))
    for _ in range(20):
        await client.send(post(body))
    client.connections.close()
    parts = bytes(received).split(b"POST /up HTTP/1.1\r\n")[1:]
    assert len(parts) == 20
    assert all(part.endswith(b"\r\n\r\n" + body) for part in parts[:-1])


async def test_chunks_cut_anywhere_are_joined(serve: Callable[[Serve], Awaitable[str]]) -> None:
    whole = CHUNKED + b"5\r\nhello\r\n6;x=1\r\n world\r\n0\r\n\r\n"
    for cut in range(1, len(whole), 3):
        answer = await Client(await serve(replies(whole[:cut], whole[cut:], pause_s=0.003))).send(get())
        assert (answer.failure, body_of(answer), answer.response_bytes) == (None, b"hello world", len(whole))


async def test_body_larger_than_one_read_is_whole(serve: Callable[[Serve], Awaitable[str]]) -> None:
    body = bytes(range(256)) * 8192
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    answer = await Client(await serve(replies(head + body[:1000], body[1000:]))).send(get())
    assert body_of(answer) == body
    assert answer.response_bytes == len(head) + len(body)
    assert answer.first_byte_ns is not None
    assert answer.done_ns is not None
    assert answer.first_byte_ns < answer.done_ns


async def test_no_more_of_a_body_is_kept_than_was_asked_for(serve: Callable[[Serve], Awaitable[str]]) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n"
    client = Client(await serve(replies(head + b"a" * 10_000, b"b" * 20_000)))
    answer, over = client.begin(get())
    answer.keep = 15_000
    await asyncio.wait_for(over, 5)
    assert body_of(answer) == b"a" * 10_000 + b"b" * 5_000
    assert (answer.whole, answer.body_complete) == (True, False)


async def test_what_nobody_asked_for_costs_the_connection_only(serve: Callable[[Serve], Awaitable[str]]) -> None:
    async def behave(_: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        await asyncio.sleep(0.05)

    client = Client(await serve(behave))
    first = await client.send(get())
    await asyncio.sleep(0.1)
    second = await client.send(get())
    assert [first.status, second.status] == [200, 200]
    assert [first.connection, second.connection] == [1, 2]


@pytest.mark.parametrize("piece", [LENGTH + b"hel", CHUNKED + b"5\r\nhel", b"HTTP/1.1 200 OK\r\nX: 1\r"])
async def test_answer_that_is_cut_short_is_a_reset_with_what_is_known(
    serve: Callable[[Serve], Awaitable[str]], piece: bytes
) -> None:
    answer = await Client(await serve(replies(piece))).send(get())
    assert answer.failure is Outcome.RESET
    assert not answer.whole
    if b"\r\n\r\n" in piece:
        assert answer.status == 200
        assert answer.first_byte_ns is not None
        assert answer.headers


# The quick look and the close one


class Transport(asyncio.Transport):
    """Takes what is written and sends it nowhere."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.gone = False

    def write(self, data: object) -> None:
        self.written += bytes(data)  # type: ignore[call-overload]

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        self.gone = True

    abort = close


class Alone:
    """Owns one connection."""

    def __init__(self) -> None:
        self.clock = Clock.start()
        self.outbox = Outbox()
        self.queues: dict[int, object] = {}

    def freed(self, connection: Connection) -> None: ...

    def lost(self, connection: Connection) -> None: ...


def told(method: str, pieces: list[bytes]) -> tuple[object, ...]:
    """What a connection makes of these bytes and the end after them."""
    connection = Connection(Alone(), 0, 1)  # type: ignore[arg-type]
    transport = Transport()
    connection.connection_made(transport)
    answer = Answer(Request(method=method, head=b""), 0, None, lambda _: None)
    connection.begin(answer)
    for piece in pieces:
        connection.data_received(piece)
    reusable = answer.over and not connection.closed and not transport.gone
    if not answer.over:
        connection.eof_received()
    detail = answer.detail
    return (
        reusable, answer.status, answer.reason, answer.version, answer.headers, answer.trailers, body_of(answer),
        answer.whole, answer.failure, detail, answer.response_bytes if answer.whole else None,
        [early[:2] for early in answer.interim],
    )  # fmt: skip


LINES = st.sampled_from([
    b"Content-Length: 0", b"Content-Length: 3", b"content-length:3", b"Content-Length: 3, 3", b"Content-Length: +3",
    b"Content-Length: 99", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Connection: close",
    b"Connection: keep-alive", b"Set-Cookie: a=b", b"X: y", b" folded", b"no colon", b"", b": x", b"X\t: z\t",
])  # fmt: skip
FIRST = st.sampled_from([
    b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 Not Modified", b"HTTP/1.0 200 OK",
    b"HTTP/1.1 100 Continue", b"HTTP/1.1 103 Early Hints", b"HTTP/1.1 500 Oh  no", b"HTTP/2 200",
    b"\r\nHTTP/1.1 200 OK",
])  # fmt: skip
BODY = st.sampled_from([
    b"", b"abc", b"abcd", b"ab", b"3\r\nabc\r\n0\r\n\r\n", b"0\r\n\r\n", b"0x3\r\nabc\r\n0\r\n\r\n",
    b"3;a\r\nabc\r\n0\r\n\r\n", b"3\r\nabc\r\n0\r\nT: 1\r\n\r\n", b"00003\r\nabc\r\n000\r\n\r\n",
    b"3\r\nabcd\r\n0\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\nmore",
    b"9\r\n0\r\n\r\n\r\n0\r\n\r\n", b"\r\n",
])  # fmt: skip


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    data = b""
    for _ in range(draw(st.integers(1, 2))):
        lines = [draw(FIRST), *draw(st.lists(LINES, max_size=4))]
        end = draw(st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n"]))
        data += end.join(lines) + end * 2 + draw(BODY)
    return data


@given(data=messages(), method=st.sampled_from(["GET", "GET", "HEAD", "POST"]))
def test_answer_read_in_one_look_is_the_answer_read_byte_by_byte(data: bytes, method: str) -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        quick, close = told(method, [data]), told(method, [data[at : at + 1] for at in range(len(data))])
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    # Byte by byte the answer is over, and its connection free, before what follows it has come.
    start = 1 if close[0] else 0
    assert quick[start:] == close[start:]
