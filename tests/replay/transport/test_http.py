"""HTTP/1.1 against real sockets: what goes out byte for byte, what comes back, and every way it can break."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from nestperf.capture.clock import Clock
from nestperf.capture.model import Outcome
from replay.transport.answer import SLICE, Answer, Request, head_bytes
from replay.transport.dial import resolve_target
from replay.transport.pool import Connections
from replay.transport.tls import Trust
from tests.replay.conftest import CountingServer
from tests.replay.conftest import Request as Received

Serve = Callable[[bytes, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Client:
    """One virtual user's connections to one target, awaitable."""

    def __init__(
        self,
        url: str,
        *,
        timeout_s: float = 5,
        limit: int = 6,
        source: str | None = None,
        trust: Trust | None = None,
    ) -> None:
        self.clock = Clock.start()
        numbers = itertools.count(1)
        self.connections = Connections(
            (resolve_target(url, trust),),
            source=source,
            limits={0: limit},
            clock=self.clock,
            timeout_s=timeout_s,
            numbers=lambda: next(numbers),
        )

    def begin(self, request: Request, recorded: int | None = 1) -> tuple[Answer, asyncio.Future[Answer]]:
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        answer = Answer(request, 0, recorded, future.set_result)
        self.connections.exchange(answer)
        return answer, future

    async def send(self, request: Request, recorded: int | None = 1) -> Answer:
        return await asyncio.wait_for(self.begin(request, recorded)[1], 10)


def get(path: str = "/", method: str = "GET", *fields: tuple[str, str]) -> Request:
    return Request(method=method, head=head_bytes(method, path, "HTTP/1.1", (("Host", "x"), *fields)))


def post(body: bytes, *, chunked: bool = False, expect: bool = False, trailers: bytes = b"") -> Request:
    framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body)))
    fields = (("Host", "x"), framing, *((("Expect", "100-continue"),) if expect else ()))
    return Request(
        method="POST",
        head=head_bytes("POST", "/up", "HTTP/1.1", fields),
        body=body,
        chunked=chunked,
        trailers=trailers,
        expects_continue=expect,
    )


def body_of(answer: Answer) -> bytes:
    return b"".join(answer.body)


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Serve], Awaitable[str]]]:
    """A raw server: `serve(function of (first bytes, reader, writer))`; its URL."""
    servers: list[asyncio.Server] = []
    tasks: set[asyncio.Task[None]] = set()

    async def start(behave: Serve) -> str:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            try:
                await behave(await reader.read(65536), reader, writer)
            except OSError:
                # The client has let go, which some tests want.
                pass
            finally:
                writer.close()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    yield start
    for server in servers:
        server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def replies(*pieces: bytes, then_wait: bool = False, pause_s: float = 0.01) -> Serve:
    """Writes the pieces with pauses between them, then closes (or waits to be left)."""

    async def behave(_: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)
        if then_wait:
            await reader.read()

    return behave


async def test_request_goes_out_byte_for_byte(serve: Callable[[Serve], Awaitable[str]]) -> None:
    received: list[bytes] = []

    async def behave(data: bytes, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(data)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    client = Client(await serve(behave))
    fields = (("hOsT", "example.test"), ("X-Two", "1"), ("x-two", "2"), ("Ümlaut", "é"))
    head = head_bytes("PATCH", "/a?b=%20c", "HTTP/1.1", fields)
    answer = await client.send(Request(method="PATCH", head=head))
    assert received == [
        "PATCH /a?b=%20c HTTP/1.1\r\nhOsT: example.test\r\nX-Two: 1\r\nx-two: 2\r\nÜmlaut: é\r\n\r\n".encode("latin-1")
    ]
    assert answer.status == 204
    assert answer.request_bytes == len(received[0])


async def test_stamps_are_in_order_and_the_connect_is_apart(server: CountingServer) -> None:
    client = Client(server.url)
    first = await client.send(get())
    second = await client.send(get())
    for answer in (first, second):
        assert answer.sent_ns is not None
        assert answer.first_byte_ns is not None
        assert answer.done_ns is not None
        assert answer.request_done_ns is not None
        assert answer.sent_ns <= answer.request_done_ns <= answer.first_byte_ns <= answer.done_ns
    assert first.connect_ns is not None
    assert second.connect_ns is None
    assert first.connection == second.connection == 1


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"

ANSWERS = [
    ("content-length", [LENGTH + b"hello"], b"hello"),
    ("in pieces", [b"HTTP/1.1 200", b" OK\r\nContent-Le", b"ngth: 5\r\n\r\nhe", b"llo"], b"hello"),
    ("chunked", [CHUNKED + b"3\r\nhel\r\n", b"2;x=y\r\nlo\r\n0\r\n\r\n"], b"hello"),
    ("chunked with trailers", [CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n"], b"hello"),
    ("until the end of the connection", [b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo"], b"hello"),
    ("after early hints", [HINTS, LENGTH + b"hello"], b"hello"),
    ("HTTP/1.0", [b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"], b"hello"),
    ("nothing by its status", [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"], b""),
]


@pytest.mark.parametrize(("pieces", "body"), [case[1:] for case in ANSWERS], ids=[case[0] for case in ANSWERS])
async def test_answer_of_a_table_is_read_whole(
    serve: Callable[[Serve], Awaitable[str]], pieces: list[bytes], body: bytes
) -> None:
    answer = await Client(await serve(replies(*pieces))).send(get())
    assert answer.failure is None
    assert body_of(answer) == body
    assert answer.whole


async def test_interim_answers_and_trailers_are_told(serve: Callable[[Serve], Awaitable[str]]) -> None:
    answer = await Client(await serve(replies(HINTS, CHUNKED + b"0\r\nX-Sum: 1\r\n\r\n"))).send(get())
    assert [(early.status, early.headers) for early in answer.interim] == [(103, (("Link", "</a>"),))]
    assert answer.trailers == (("X-Sum", "1"),)
    assert answer.first_byte_ns is not None
    assert answer.first_byte_ns > answer.interim[0].stamp_ns


async def test_answer_to_head_has_no_body_and_leaves_the_connection_usable(server: CountingServer) -> None:
    client = Client(server.url)
    head = await client.send(get(method="HEAD"))
    after = await client.send(get())
    assert (head.status, body_of(head)) == (200, b"")
    assert (after.status, body_of(after)) == (200, b"{}")
    assert len(server.connections) == 1


@pytest.mark.parametrize("size", [0, 1, SLICE, SLICE + 1, 5_000_000])
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_body_of_any_size_arrives_whole(server: CountingServer, size: int, chunked: bool) -> None:
    body = bytes(itertools.islice(itertools.cycle(range(251)), size))
    client = Client(server.url)
    answer = await client.send(post(body, chunked=chunked, trailers=b"X-Sum: 7\r\n" if chunked else b""))
    assert answer.status == 200
    (received,) = server.requests
    assert received.body == body
    assert received.trailers == ((("X-Sum", "7"),) if chunked else ())
    assert answer.request_done_ns is not None
    assert answer.request_bytes >= size
    assert (await client.send(get())).connection == 1


async def test_expect_continue_is_waited_for(serve: Callable[[Serve], Awaitable[str]]) -> None:
    received: list[bytes] = []

    async def behave(data: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.append(data)
        await asyncio.sleep(0.05)
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        received.append(await reader.readexactly(5))
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    answer = await Client(await serve(behave)).send(post(b"hello", expect=True))
    assert answer.status == 201
    assert received[0].endswith(b"\r\n\r\n")
    assert received[1] == b"hello"


async def test_expect_continue_without_an_answer_is_not_waited_for_long(
    serve: Callable[[Serve], Awaitable[str]],
) -> None:
    async def behave(_: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(5) == b"hello"
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    answer = await Client(await serve(behave)).send(post(b"hello", expect=True))
    assert answer.status == 200
    assert answer.sent_ns is not None
    assert answer.request_done_ns is not None
    assert 0.9e9 < answer.request_done_ns - answer.sent_ns < 3e9


async def test_expect_continue_that_is_refused_sends_no_body(serve: Callable[[Serve], Awaitable[str]]) -> None:
    rest: list[bytes] = []

    async def behave(_: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
        rest.append(await reader.read())

    client = Client(await serve(behave))
    answer = await client.send(post(b"hello", expect=True))
    await asyncio.sleep(0.05)
    assert answer.status == 417
    assert answer.request_done_ns is None
    assert rest == [b""]


async def test_answer_before_the_upload_is_complete_ends_the_connection(
    serve: Callable[[Serve], Awaitable[str]],
) -> None:
    async def behave(_: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(0.2)

    client = Client(await serve(behave))
    answer = await client.send(post(b"x" * 20_000_000))
    assert answer.status == 413
    assert answer.failure is None
    assert (await client.send(get())).connection == 2


@pytest.mark.parametrize(
    ("pieces", "sentence"),
    [
        ([], "ended before the answer came"),
        ([b"HTTP/1.1 200 OK\r\nContent-Le"], "no HTTP/1.1"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"], "ended before the answer did"),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"], "ended before the answer did"),
        ([b"\x16\x03\x01 this is no HTTP\r\n\r\n"], "no HTTP/1.1"),
    ],
    ids=["silence", "half a head", "half a body", "half a chunk", "garbage"],
)
async def test_answer_that_breaks_off_is_a_reset(
    serve: Callable[[Serve], Awaitable[str]], pieces: list[bytes], sentence: str
) -> None:
    answer = await Client(await serve(replies(*pieces))).send(get())
    assert answer.failure is Outcome.RESET
    assert sentence in (answer.detail or "")
    assert not answer.whole


async def test_target_that_refuses_is_a_connect_error() -> None:
    probe = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    port = probe.sockets[0].getsockname()[1]
    probe.close()
    await probe.wait_closed()
    answer = await Client(f"http://127.0.0.1:{port}").send(get())
    assert answer.failure is Outcome.CONNECT_ERROR
    assert answer.detail == f"127.0.0.1:{port} refused the connection"
    assert answer.sent_ns is None


async def test_target_that_never_answers_is_a_timeout(serve: Callable[[Serve], Awaitable[str]]) -> None:
    client = Client(await serve(replies(then_wait=True)), timeout_s=0.2)
    answer = await client.send(get())
    assert answer.failure is Outcome.TIMEOUT
    assert answer.detail == "no answer within 0.2 s"
    assert answer.sent_ns is not None
    assert answer.done_ns is not None
    assert answer.done_ns - answer.sent_ns >= 0.15e9


async def test_answer_that_keeps_coming_is_no_timeout(serve: Callable[[Serve], Awaitable[str]]) -> None:
    slow = replies(LENGTH, b"h", b"e", b"l", b"l", b"o", pause_s=0.1)
    answer = await Client(await serve(slow), timeout_s=0.3).send(get())
    assert (answer.failure, body_of(answer)) == (None, b"hello")


async def test_answer_that_does_not_end_is_a_timeout(serve: Callable[[Serve], Awaitable[str]]) -> None:
    never = replies(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", then_wait=True)
    answer = await Client(await serve(never), timeout_s=0.2).send(get())
    assert (answer.failure, answer.detail) == (Outcome.TIMEOUT, "nothing more of the answer for 0.2 s")
    assert answer.status == 200


async def test_connection_that_the_server_closed_is_replaced_and_nothing_is_sent_twice(server: CountingServer) -> None:
    async def once(_: CountingServer, request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server.behaviour = once
    client = Client(server.url)
    for _ in range(3):
        assert (await client.send(get())).status == 200
    assert len(server.connections) == 3
    assert len(server.requests) == 3


async def test_steps_that_shared_a_connection_share_one_and_others_do_not(server: CountingServer) -> None:
    client = Client(server.url)
    for recorded in (11, 12, 11, 12, 13, 11):
        await client.send(get(f"/{recorded}"), recorded)
    used = [(request.target, request.connection) for request in server.requests]
    assert used == [("/11", 1), ("/12", 2), ("/11", 1), ("/12", 2), ("/13", 3), ("/11", 1)]


async def test_no_more_connections_than_the_limit_and_everything_is_served(server: CountingServer) -> None:
    busy = 0
    most = 0

    async def slowly(_: CountingServer, request: Received, writer: asyncio.StreamWriter) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(0.02)
        busy -= 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    server.behaviour = slowly
    client = Client(server.url, limit=2)
    answers = await asyncio.gather(*(client.send(get(f"/{n}"), n) for n in range(7)))
    assert [answer.status for answer in answers] == [200] * 7
    assert len(server.connections) == 2
    assert most == 2
    assert [request.target for request in server.requests] == [f"/{n}" for n in range(7)]
    assert max(answer.queued_ns for answer in answers) > 30e6


async def test_user_connects_from_its_own_address(server: CountingServer) -> None:
    await Client(server.url, source="127.9.8.7").send(get())
    assert server.connections == ["127.9.8.7"]


async def test_redirect_is_an_answer_like_any_other(serve: Callable[[Serve], Awaitable[str]]) -> None:
    url = await serve(replies(b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n", then_wait=True))
    client = Client(url)
    assert (await client.send(get())).status == 302
    client.connections.close()


async def test_cancelled_exchange_ends_at_once_and_frees_its_place(serve: Callable[[Serve], Awaitable[str]]) -> None:
    client = Client(await serve(replies(then_wait=True)), limit=1, timeout_s=5)
    first, first_over = client.begin(get("/1"))
    await asyncio.sleep(0.05)
    second, second_over = client.begin(get("/2"))
    client.connections.cancel(first, Outcome.ABORTED, "enough")
    assert first_over.result().failure is Outcome.ABORTED
    await asyncio.sleep(0.05)
    assert second.sent_ns is not None
    client.connections.cancel(second, Outcome.UNFINISHED)
    assert second_over.result().failure is Outcome.UNFINISHED


async def test_garbage_after_an_answer_costs_the_connection_and_not_the_next_exchange(
    serve: Callable[[Serve], Awaitable[str]],
) -> None:
    client = Client(
        await serve(replies(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokGARBAGE\r\n\r\n", then_wait=True))
    )
    first = await client.send(get())
    second = await client.send(get())
    assert [first.status, second.status] == [200, 200]
    assert [first.connection, second.connection] == [1, 2]
    client.connections.close()
