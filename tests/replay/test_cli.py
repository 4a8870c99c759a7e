"""`nestperf replay` as a tester runs it: against servers that count, refuse, die and never answer."""

from __future__ import annotations

import asyncio
import datetime
import json
import signal
import ssl
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import socketio
from aiohttp import web

from nestperf.capture.model import Kind, Outcome
from nestperf.capture.reader import Capture
from nestperf.capture.vault import Vault
from tests.replay.conftest import (
    MS,
    CountingServer,
    Recording,
    Replays,
    Request,
    Serve,
    answering,
    command,
    plan_of,
    start_command,
    write_json,
)

JSON = ("Content-Type", "application/json")
THRESHOLDS = """
[[threshold]]
name = "Nothing fails"
source = "test"
expression = "rate(failed) < 50%"
"""

Recordings = Callable[..., Recording]


def sent(requests: list[Request]) -> Counter[tuple[str, str, bytes]]:
    return Counter((request.method, request.target, request.body) for request in requests)


async def test_replay_sends_what_was_recorded_for_each_user_from_its_own_address(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    recording = recordings(server.url)
    recording.exchange("GET", "/page?x=1&y=%20", 0, 5)
    recording.exchange("POST", "/api", 10, 15, headers=(JSON,), body=b'{"a": "\xc3\xbc"}')
    recording.exchange("DELETE", "/api/7", 20, 25, headers=(("X-MiXeD", "1"), ("x-mixed", "2")))
    recording.exchange("PUT", "/chunks", 30, 35, body=b"chunked body", chunked=True, trailers=(("X-Sum", "9"),))
    recording.exchange("HEAD", "/head", 40, 45)
    result = await replay(recording.finish(), "--users", "7")
    expected = {
        ("GET", "/page?x=1&y=%20", b""): 7,
        ("POST", "/api", b'{"a": "\xc3\xbc"}'): 7,
        ("DELETE", "/api/7", b""): 7,
        ("PUT", "/chunks", b"chunked body"): 7,
        ("HEAD", "/head", b""): 7,
    }
    assert sent(server.requests) == expected
    assert len(set(server.connections)) == len(server.connections) == 7
    for address in set(server.connections):
        targets = [request.target for request in server.requests if request.address == address]
        assert targets == ["/page?x=1&y=%20", "/api", "/api/7", "/chunks", "/head"]
    (put,) = {request.trailers for request in server.requests if request.method == "PUT"}
    assert put == (("X-Sum", "9"),)
    assert {request.headers for request in server.requests if request.method == "DELETE"} == {
        (("Host", "localhost:4000"), ("X-MiXeD", "1"), ("x-mixed", "2"))
    }
    assert {exchange.outcome for exchange in result.exchanges} == {Outcome.OK}
    assert [session.vu for session in result.sessions] == list(range(7))


async def test_steps_are_never_due_or_sent_earlier_than_recorded(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    async def slowly(counting: CountingServer, request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.03 if request.target == "/slow" else 0)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    server.behaviour = slowly
    recording = recordings(server.url)
    recording.exchange("GET", "/first", 0, 3, connection=1)
    recording.exchange("GET", "/slow", 13, 20, connection=1)
    recording.exchange("GET", "/beside", 14, 18, connection=2)
    recording.exchange("GET", "/after", 27, 30, connection=1)
    result = await replay(recording.finish(), "--users", "3")
    assert len(result.exchanges) == 12
    for session in result.sessions:
        mine = {e.target: e for e in result.exchanges if e.session_id == session.id}
        first, slow, beside, after = (mine[target] for target in ("/first", "/slow", "/beside", "/after"))
        assert session.intended_ns is not None
        assert slow.done_ns is not None
        assert first.done_ns is not None
        assert first.intended_ns == session.intended_ns
        assert slow.intended_ns == first.done_ns + 10 * MS
        assert beside.intended_ns == first.done_ns + 11 * MS
        assert after.intended_ns == max(slow.done_ns, beside.done_ns or 0) + 7 * MS
        assert beside.sent_ns < slow.done_ns
        assert all(e.intended_ns is not None and e.sent_ns >= e.intended_ns for e in mine.values())


async def test_each_user_carries_the_values_that_it_was_given(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    given: dict[str, str] = {}

    async def login(counting: CountingServer, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.target != "/login":
            write_json(writer, {})
            return
        token = given[request.address] = f"live-token-of-{request.address}-{len(given)}"
        write_json(writer, {"data": {"token": token}}, f"Set-Cookie: sid=cookie-{token}; Path=/")

    server.behaviour = login
    recording = recordings(server.url)
    old = "recorded-token-0123456789"
    recording.exchange(
        "POST", "/login", 0, 5, answer=json.dumps({"data": {"token": old}}).encode(),
        answer_headers=(JSON, ("Set-Cookie", "sid=recorded-cookie-0123; Path=/")),
    )  # fmt: skip
    recording.exchange(
        "POST", f"/things/{old}", 10, 15, body=json.dumps({"token": old}).encode(),
        headers=(("Authorization", f"Bearer {old}"), ("Cookie", "theme=dark; sid=recorded-cookie-0123"), JSON),
    )  # fmt: skip
    result = await replay(recording.finish(), "--users", "4")
    later = [request for request in server.requests if request.target != "/login"]
    assert len(later) == len(given) == 4
    for request in later:
        token = given[request.address]
        assert request.target == f"/things/{token}"
        assert request.field("authorization") == f"Bearer {token}"
        assert request.field("cookie") == f"theme=dark; sid=cookie-{token}"
        assert json.loads(request.body) == {"token": token}
        assert request.field("content-length") == str(len(request.body))
    stored = result.path.read_bytes()
    assert not any(token.encode() in stored for token in given.values())
    vault = Vault.open(result.path)
    assert vault is not None
    assert set(given.values()) <= set(vault.values)


async def test_recorded_secret_stays_out_of_the_replay_wherever_it_stands(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    async def echo(counting: CountingServer, request: Request, writer: asyncio.StreamWriter) -> None:
        write_json(writer, {"echo": "the-secret-of-the-tester-1"})

    server.behaviour = echo
    recording = recordings(server.url)
    recording.exchange("GET", "/a", 0, 1)
    recording.exchange("POST", "/b", 5, 6, headers=(JSON,), body=b'{"password": "the-secret-of-the-tester-1"}')
    result = await replay(recording.finish(), "--users", "2")
    assert {json.loads(request.body)["password"] for request in server.requests if request.body} == {
        "the-secret-of-the-tester-1"
    }
    assert b"the-secret-of-the-tester-1" not in result.path.read_bytes()


async def test_replay_of_a_replay_repeats_each_of_its_sessions(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    async def login(counting: CountingServer, request: Request, writer: asyncio.StreamWriter) -> None:
        write_json(writer, {"token": f"token-number-{len(counting.requests):08d}"})

    server.behaviour = login
    recording = recordings(server.url)
    recording.exchange("POST", "/login", 0, 5, answer=b'{"token": "token-of-the-recording"}')
    recording.exchange("GET", "/me", 10, 15, headers=(("Authorization", "Bearer token-of-the-recording"),))
    first = await replay(recording.finish(), "--users", "3")
    before = len(server.requests)
    second = await replay(first.path)
    assert before == 6
    assert len(server.requests) == 12
    assert sent(server.requests[:6]) == sent(server.requests[6:])
    tokens = [request.field("authorization") for request in server.requests if request.target == "/me"]
    assert len(set(tokens)) == 6
    assert [session.source_session for session in second.sessions] == [session.id for session in first.sessions]
    assert second.run.source_uid == first.run.uid
    assert {exchange.outcome for exchange in second.exchanges} == {Outcome.OK}
    thinks = [[step.think_ns for step in session.steps] for session in plan_of(first.path).sessions]
    assert all(think[1] >= 5 * MS for think in thinks)


async def test_users_start_again_until_the_time_is_over(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    recording = recordings(server.url)
    recording.exchange("GET", "/a", 0, 5)
    recording.exchange("GET", "/b", 100, 105)
    result = await replay(recording.finish(), "--users", "2", "--duration", "1s", "--start", "together")
    iterations = Counter(session.vu for session in result.sessions)
    assert all(5 <= count <= 11 for count in iterations.values())
    cut = [session for session in result.sessions if session.state == "cut"]
    assert len(cut) <= 2
    certificate = result.run.certificate
    assert certificate["planned"] == certificate["sent"] == len(server.requests)
    assert certificate["dropped"] == 0
    assert 1e9 <= certificate["elapsed_ns"] < 3e9
    assert len(set(server.connections)) == 2
    assert {(s.vu, s.iteration) for s in result.sessions} == {(vu, n) for vu in range(2) for n in range(iterations[vu])}


async def test_two_upstreams_keep_their_requests_apart(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    other = CountingServer()
    await other.start()
    recording = recordings("http://127.0.0.1:3000", "http://127.0.0.1:4000")
    recording.exchange("GET", "/page", 0, 5, upstream=0)
    recording.exchange("GET", "/api", 10, 15, upstream=1, connection=2)
    await replay(recording.finish(), "--target", f"3000={server.url}", "--target", f"http://127.0.0.1:4000={other.url}")
    assert [request.target for request in server.requests] == ["/page"]
    assert [request.target for request in other.requests] == ["/api"]
    await other.stop()


async def test_outcomes_say_what_differs_from_the_recording(
    server: CountingServer, recordings: Recordings, replay: Replays, tmp_path: Path
) -> None:
    async def varied(counting: CountingServer, request: Request, writer: asyncio.StreamWriter) -> None:
        status = request.target[1:]
        writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 4\r\n\r\nbody".encode())

    server.behaviour = varied
    recording = recordings(server.url)
    for at, (target, status) in enumerate([("/200", 200), ("/401", 200), ("/404", 401), ("/429", 200), ("/500", 200)]):
        recording.exchange("GET", target, at * 10, at * 10 + 5, status=status)
    result = await replay(recording.finish())
    outcomes = {exchange.target: exchange.outcome for exchange in result.exchanges}
    assert outcomes == {
        "/200": Outcome.OK,
        "/401": Outcome.MISMATCH,
        "/404": Outcome.OK,
        "/429": Outcome.LIMITED,
        "/500": Outcome.MISMATCH,
    }
    details = {exchange.target: exchange.detail for exchange in result.exchanges}
    sentence, _, cause = (details["/401"] or "").partition("; likely cause: ")
    assert sentence == "answered 401 where the recording has 200"
    assert cause.startswith("a token or session")
    with Capture.open(result.path) as capture:
        bodies = [capture.body(exchange.response_body) for exchange in result.exchanges]
    assert [body.content for body in bodies if body] == [b"body"] * 5


async def test_thresholds_decide_the_exit_code(server: CountingServer, recordings: Recordings, tmp_path: Path) -> None:
    server.behaviour = answering(after_s=1)  # a tenth of it is what a busy machine may be late
    recording = recordings(server.url)
    recording.exchange("GET", "/a", 0, 1)
    recording.exchange("GET", "/a", 600, 601)
    path = recording.finish()
    (tmp_path / "limits.toml").write_text(THRESHOLDS)
    arguments = (str(path), "--users", "20", "--thresholds", "limits.toml", "-o", "r.db")
    code, printed = await command(tmp_path, *arguments)
    assert "Nothing fails" in printed
    assert code == 0, printed

    server.behaviour = answering("503 Gone", after_s=1)
    code, printed = await command(tmp_path, *arguments, "--force")
    assert code == 1, printed
    assert "40 × GET /a: answered 503 where the recording has 200" in printed


async def test_dead_target_is_said_in_one_sentence_and_every_exchange_is_there(
    recordings: Recordings, tmp_path: Path
) -> None:
    dead = CountingServer()
    await dead.start()
    url = dead.url
    await dead.stop()
    recording = recordings(url)
    recording.exchange("GET", "/a", 0, 1)
    recording.exchange("GET", "/b", 5, 6)
    code, printed = await command(tmp_path, str(recording.finish()), "-o", "r.db", "--users", "2")
    assert code == 4
    where = url.partition("://")[2]
    assert f"Nothing could connect ({where} refused the connection): start the application" in printed
    assert "Traceback" not in printed
    with Capture.open(tmp_path / "r.db") as capture:
        exchanges = list(capture.exchanges())
        assert len(capture.run.invalid) == 1
        assert [session.state for session in capture.sessions()] == ["failed", "failed"]
    assert [exchange.outcome for exchange in exchanges] == [Outcome.CONNECT_ERROR] * 4
    assert capture.run.certificate["unconnected"] == 4


async def test_users_of_a_dead_target_pause_before_they_come_again(recordings: Recordings, replay: Replays) -> None:
    dead = CountingServer()
    await dead.start()
    url = dead.url
    await dead.stop()
    recording = recordings(url)
    recording.exchange("GET", "/a", 0, 1)
    recording.socket(2, 3, 4)
    result = await replay(recording.finish(), "--users", "2", "--duration", "1500ms", "--start", "together")
    assert len(result.sessions) == 4
    certificate = result.run.certificate
    # Each visit: a request and a handshake that find no connection, and a close that has nothing to close.
    assert (certificate["planned"], certificate["sent"]) == (12, 0)
    assert (certificate["unconnected"], certificate["dropped"]) == (8, 4)


async def test_target_that_dies_midway_is_a_visible_gap_and_the_run_goes_on(
    server: CountingServer, recordings: Recordings, tmp_path: Path
) -> None:
    async def dies(counting: CountingServer, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.target == "/b":
            await counting.stop_listening()
            writer.transport.abort()
            return
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    server.behaviour = dies
    recording = recordings(server.url)
    for at, target in enumerate(("/a", "/b", "/c", "/d")):
        recording.exchange("GET", target, at * 20, at * 20 + 2)
    code, printed = await command(tmp_path, str(recording.finish()), "-o", "r.db")
    assert "Traceback" not in printed
    assert code in (1, 4)
    with Capture.open(tmp_path / "r.db") as capture:
        outcomes = [exchange.outcome for exchange in capture.exchanges()]
        details = [exchange.detail for exchange in capture.exchanges()]
    assert outcomes == [Outcome.OK, Outcome.RESET, Outcome.CONNECT_ERROR, Outcome.CONNECT_ERROR]
    assert details[1] is not None
    assert "before the answer came" in details[1]


async def test_target_that_never_answers_is_a_timeout(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    server.behaviour = answering(never="/silent")
    recording = recordings(server.url)
    recording.exchange("GET", "/silent", 0, 5)
    recording.exchange("GET", "/after", 10, 15)
    result = await replay(recording.finish(), "--timeout", "300ms")
    assert [exchange.outcome for exchange in result.exchanges] == [Outcome.TIMEOUT, Outcome.OK]
    assert result.exchanges[0].detail == "no answer within 0.3 s"


async def test_what_is_in_flight_at_the_end_gets_its_time(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    server.behaviour = answering(after_s=0.8)
    recording = recordings(server.url)
    recording.exchange("GET", "/slow", 0, 5)
    recording.exchange("GET", "/never", 10, 15)
    result = await replay(recording.finish(), "--duration", "400ms")
    assert [(e.target, e.outcome) for e in result.exchanges] == [("/slow", Outcome.OK)]
    assert [session.state for session in result.sessions] == ["cut"]
    assert result.run.certificate["not_reached"] == 1


async def test_stream_is_held_as_long_as_recorded_and_no_longer(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    async def endless(counting: CountingServer, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.target == "/events":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    server.behaviour = endless
    recording = recordings(server.url)
    events = (("Content-Type", "text/event-stream"),)
    recording.exchange("GET", "/events", 0, 300, answer_headers=events, outcome=Outcome.ABORTED, connection=1)
    recording.exchange("GET", "/beside", 50, 55, connection=2)
    result = await replay(recording.finish(), "--timeout", "100ms")
    by_target = {exchange.target: exchange for exchange in result.exchanges}
    stream = by_target["/events"]
    assert (stream.kind, stream.outcome) == (Kind.STREAM, Outcome.OK)
    assert stream.done_ns is not None
    assert 300 * MS <= stream.done_ns - stream.sent_ns < 800 * MS
    assert by_target["/beside"].sent_ns < stream.done_ns


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
async def test_ctrl_c_keeps_what_was_measured(
    server: CountingServer, recordings: Recordings, tmp_path: Path, times: int
) -> None:
    server.behaviour = answering(never="/hang")
    recording = recordings(server.url)
    recording.exchange("GET", "/a", 0, 5)
    recording.exchange("GET", "/hang", 10, 15)
    recording.exchange("GET", "/never", 20, 25)
    (tmp_path / "limits.toml").write_text(THRESHOLDS)
    process = await start_command(
        tmp_path, str(recording.finish()), "--users", "2", "--duration", "60s", "-o", "r.db", "--start", "together",
        "--thresholds", "limits.toml",
    )  # fmt: skip
    deadline = time.perf_counter() + 15
    while len(server.requests) < 4 and time.perf_counter() < deadline:
        await asyncio.sleep(0.02)
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.3)
    output, _ = await asyncio.wait_for(process.communicate(), 15)
    printed = output.decode()
    assert "Traceback" not in printed
    assert "Stopping" in printed
    assert ("Nothing fails" in printed) is (times == 1)
    assert process.returncode == (4 if times == 1 else 130), printed
    with Capture.open(tmp_path / "r.db") as capture:
        capture.check()
        outcomes = Counter((exchange.target, exchange.outcome) for exchange in capture.exchanges())
        assert capture.run.state == "interrupted"
        assert {session.state for session in capture.sessions()} == {"cut"}
    assert outcomes == {("/a", Outcome.OK): 2, ("/hang", Outcome.UNFINISHED): 2}


async def test_forwarded_for_gives_each_user_an_address(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    recording = recordings(server.url)
    recording.exchange("GET", "/a", 0, 1, headers=(("X-Forwarded-For", "10.0.0.1"),))
    result = await replay(recording.finish(), "--users", "3", "--forwarded-for")
    addresses = [request.field("x-forwarded-for") for request in server.requests]
    assert len(set(addresses)) == 3
    assert all(address.startswith("198.1") for address in addresses)
    assert "X-Forwarded-For" in result.run.certificate["source_addresses"]


async def test_coded_request_body_is_coded_again(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    import gzip

    recording = recordings(server.url)
    body = gzip.compress(b'{"big": "' + b"x" * 500 + b'"}')
    recording.exchange("POST", "/a", 0, 1, headers=(JSON, ("Content-Encoding", "gzip")), body=body)
    await replay(recording.finish())
    (request,) = server.requests
    assert gzip.decompress(request.body) == gzip.decompress(body)
    assert request.field("content-length") == str(len(request.body))


def certificate(folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate of its own making for 127.0.0.1."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = folder / "server.pem"
    pem.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


async def test_https_target_needs_insecure_for_a_certificate_nobody_knows(
    recordings: Recordings, replay: Replays, tmp_path: Path
) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=certificate(tmp_path))
    recording = recordings(f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    recording.exchange("GET", "/a", 0, 1)
    path = recording.finish()
    refused = await replay(path)
    accepted = await replay(path, "--insecure")
    listening.close()
    assert refused.exchanges[0].outcome is Outcome.CONNECT_ERROR
    assert "certificate that is not trusted" in (refused.exchanges[0].detail or "")
    assert accepted.exchanges[0].outcome is Outcome.OK


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


def some(recording: Recording) -> str:
    recording.exchange("GET", "/a", 0, 1)
    return str(recording.finish())


BAD = [
    ("no users", ["--users", "0"], 2, "0 is not in the range"),
    ("no duration", ["--duration", "0s"], 2, "leaves no time"),
    ("bad duration", ["--duration", "soon"], 2, "is no duration"),
    ("bad timeout", ["--timeout", "-1"], 2, "is no duration"),
    ("bad start", ["--start", "slowly"], 2, "slowly"),
    ("refused host", ["--target", "http://192.0.2.7"], 2, "--allow-host 192.0.2.7"),
    ("no such upstream", ["--target", "9=http://127.0.0.1:1"], 2, "No upstream of the capture is called 9"),
    ("no such thresholds", ["--thresholds", "nowhere.toml"], 2, "nowhere.toml"),
    ("unknown option", ["--lopps", "7"], 2, "--lopps"),
    ("no rate", ["--rate", "5"], 2, "such as 5/s or 1000/m"),
    ("rate without an end", ["--rate", "5/s"], 2, "add --duration"),
    ("two models", ["--rate", "5/s", "--users", "3"], 2, "are different load models"),
    ("no stage", ["--stages", "10"], 2, "such as 10@30s,50@2m"),
    ("no think", ["--think", "fast"], 2, "recorded, none, jitter"),
    ("no speed", ["--speed", "0x"], 2, "such as 2x"),
    ("no condition", ["--abort-on", "p95(latency) > 1"], 2, "expected a unit of time"),
    ("condition of the end only", ["--abort-on", "reach(x) < 50%"], 2, "cannot be watched while a run goes on"),
    ("ramp and start", ["--ramp", "3s", "--start", "together"], 2, "--start is about"),
]


@pytest.mark.parametrize(("arguments", "code", "sentence"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_input_is_refused_in_one_sentence_and_nothing_is_written(
    recording: Recording, in_process: Callable[..., tuple[int, str]], tmp_path: Path,
    arguments: list[str], code: int, sentence: str,
) -> None:  # fmt: skip
    output = tmp_path / "out.db"
    ended, printed = in_process(some(recording), "-o", output, *arguments)
    assert ended == code
    assert sentence in printed
    assert not output.exists()


def test_output_that_exists_is_refused(
    recording: Recording, in_process: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    path = some(recording)
    (tmp_path / "out.db").write_text("precious")
    ended, printed = in_process(path, "-o", tmp_path / "out.db")
    assert ended == 2
    assert "--force" in printed
    assert (tmp_path / "out.db").read_text() == "precious"


def test_capture_is_never_overwritten_by_its_own_replay(
    recording: Recording, in_process: Callable[..., tuple[int, str]]
) -> None:
    path = some(recording)
    before = Path(path).read_bytes()
    ended, printed = in_process(path, "-o", path, "--force")
    assert ended == 2
    assert "is the capture to replay" in printed
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "There is no capture"), (b"", "is an empty file"), (b"hello" * 100, "is not a nestperf capture")],
    ids=["missing", "empty", "foreign"],
)
def test_capture_that_cannot_be_used_is_refused(
    tmp_path: Path, in_process: Callable[..., tuple[int, str]], content: bytes | None, sentence: str
) -> None:
    path = tmp_path / "x.db"
    if content is not None:
        path.write_bytes(content)
    ended, printed = in_process(path, "-o", tmp_path / "out.db")
    assert ended == 3
    assert sentence in printed


def test_capture_with_nothing_to_replay_is_refused(
    recording: Recording, in_process: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    ended, printed = in_process(recording.finish(), "-o", tmp_path / "out.db")
    assert ended == 3
    assert "nothing to replay" in printed
    assert not (tmp_path / "out.db").exists()


async def test_capture_without_its_secrets_is_replayed_and_said_so(
    server: CountingServer, recordings: Recordings, tmp_path: Path
) -> None:
    recording = recordings(server.url)
    recording.exchange("GET", "/a", 0, 1, headers=(("Authorization", "Bearer abcdefghijklmnop"),))
    path = recording.finish()
    path.with_name(path.name + ".secrets").unlink()
    _, printed = await command(tmp_path, str(path), "-o", "r.db")
    assert f"{path.name}.secrets is not there" in printed
    assert server.requests[0].field("authorization").startswith("Bearer nps_")
