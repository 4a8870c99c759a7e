"""`nestperf replay` as a tester runs it: against servers that count, refuse, die and never answer."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from nestperf.capture.model import Kind, Outcome
from nestperf.capture.reader import Capture
from nestperf.capture.vault import Vault
from tests.replay.conftest import (
    MS,
    CountingServer,
    Recordings,
    Replays,
    Request,
    answering,
    command,
    plan_of,
    start_command,
    write_json,
)
from tests.tls import Certificates

JSON = ("Content-Type", "application/json")
THRESHOLDS = """
[[threshold]]
name = "Nothing fails"
source = "test"
expression = "rate(failed) < 50%"
"""


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
    assert result.run.certificate["never_asked_first"] == ["GET /never"]


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


async def test_https_target_needs_insecure_for_a_certificate_nobody_knows(
    recordings: Recordings, replay: Replays, certificates: Certificates
) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=certificates.server_context())
    recording = recordings(f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    recording.exchange("GET", "/a", 0, 1)
    path = recording.finish()
    refused = await replay(path)
    accepted = await replay(path, "--insecure")
    listening.close()
    assert refused.exchanges[0].outcome is Outcome.CONNECT_ERROR
    assert "certificate that is not trusted" in (refused.exchanges[0].detail or "")
    assert accepted.exchanges[0].outcome is Outcome.OK


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
