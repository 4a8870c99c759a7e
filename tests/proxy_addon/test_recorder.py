"""The recorder's rows from traffic of the real MediaNest, however its bytes were cut, and through a running relay."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

from nestperf.capture.clock import Clock
from nestperf.capture.contents import Contents
from nestperf.capture.model import Body, Exchange, Frame, HeaderSet, Kind, Outcome, Packet, Row, Socket
from nestperf.capture.reader import Capture
from nestperf.capture.redaction import Redactor
from nestperf.capture.vault import Vault
from proxy_addon.recorder import Recorder
from proxy_addon.tap import Record, What
from tests.conftest import Recorder as RunningRecorder

R = TypeVar("R")

SAMPLE = Path(__file__).parents[1] / "samples" / "medianest-browser-session.jsonl"


class Chunk(NamedTuple):
    """One line of the sample."""

    t: int
    c: int
    d: str
    b: bytes


CHUNKS = [
    Chunk(line["t"], line["c"], line["d"], line.get("b", "").encode("latin-1"))
    for line in map(json.loads, SAMPLE.read_text("utf-8").strip().split("\n"))
]


def records(chunks: Iterable[Chunk], size: int | None = None) -> Iterable[Record]:
    """The sample as the relay would have told it, its chunks cut to `size` bytes."""
    ended: Counter[int] = Counter()
    seen: set[int] = set()
    for chunk in chunks:
        stamp_ns = chunk.t * 1_000_000
        if chunk.c not in seen:
            seen.add(chunk.c)
            yield Record(What.OPENED, chunk.c, stamp_ns, 0, b'{"client":"127.0.0.1","upstream":0}')
            yield Record(What.CONNECTED, chunk.c, stamp_ns, 1000, b"")
        if chunk.d.endswith("end"):
            yield Record(What.CLIENT_END if chunk.d == ">end" else What.SERVER_END, chunk.c, stamp_ns, 0, b"")
            ended[chunk.c] += 1
            if ended[chunk.c] == 2:
                yield Record(What.CLOSED, chunk.c, stamp_ns, 0, b"")
            continue
        what = What.CLIENT_BYTES if chunk.d == ">" else What.SERVER_BYTES
        step = size or len(chunk.b)
        for at in range(0, len(chunk.b), step):
            yield Record(what, chunk.c, stamp_ns, 10, chunk.b[at : at + step])


def rows_of(told: Iterable[Record]) -> tuple[list[Row], Recorder]:
    rows: list[Row] = []
    recorder = Recorder(Contents(Redactor(Vault(None, b"k" * 32)), rows.append), rows.append, Clock(0, 0))
    for record in told:
        recorder.feed(record)
    recorder.finish()
    return rows, recorder


def of_type(rows: Iterable[Row], row_type: type[R]) -> list[R]:
    """The last row of each id, as the capture would hold them."""
    last: dict[Any, Any] = {row.id: row for row in rows if isinstance(row, row_type)}
    return [last[key] for key in sorted(last)]


def test_sample_whole_gives_every_exchange_socket_and_event() -> None:
    rows, recorder = rows_of(records(CHUNKS))
    exchanges = of_type(rows, Exchange)
    assert Counter(exchange.status for exchange in exchanges) == {200: 47, 401: 4, 101: 7}
    assert Counter(exchange.kind for exchange in exchanges) == {Kind.CALL: 30, Kind.PREFLIGHT: 21, Kind.UPGRADE: 7}
    assert Counter(exchange.outcome for exchange in exchanges) == {Outcome.OK: 54, Outcome.REFUSED: 4}
    assert all(e.sent_ns <= (e.request_done_ns or 0) <= (e.first_byte_ns or 0) <= (e.done_ns or 0) for e in exchanges)
    sockets = of_type(rows, Socket)
    assert len(sockets) == 7
    assert {(socket.protocol, socket.outcome, socket.closed_by) for socket in sockets} == {
        ("socket.io", Outcome.OK, "client")
    }
    events = Counter((packet.sender, packet.event) for packet in of_type(rows, Packet) if packet.type == "event")
    assert events == {
        ("server", "connection:established"): 7,
        ("client", "connection:status"): 6,
        ("client", "subscribe:status"): 2,
        ("server", "status:current"): 2,
        ("client", "subscribe:request"): 20,
    }
    assert recorder.tally.losses == {}


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_sample_cut_anywhere_gives_the_same_rows(size: int) -> None:
    whole, _ = rows_of(records(CHUNKS))
    cut, recorder = rows_of(records(CHUNKS, size))
    for row_type in (Exchange, HeaderSet, Body, Socket, Frame, Packet):
        assert of_type(cut, row_type) == of_type(whole, row_type), row_type
    assert recorder.tally.losses == {}


def test_sample_leaves_no_token_in_any_row() -> None:
    rows, recorder = rows_of(records(CHUNKS))
    secrets = [value for value in recorder.vault.values if len(value) > 30]
    assert secrets
    text = repr(rows)
    assert not [value for value in secrets if value in text]
    assert "eyJ" not in text


async def test_sample_through_the_running_recorder_gives_the_same_facts(
    record: Callable[..., RunningRecorder],
) -> None:
    accepted: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    server = await asyncio.start_server(lambda r, w: accepted.put_nowait((r, w)), "127.0.0.1", 0)
    recorder = record(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    sides: dict[int, tuple[tuple[Any, Any], tuple[Any, Any]]] = {}
    for chunk in CHUNKS:
        if chunk.c not in sides:
            client = await asyncio.open_connection("127.0.0.1", recorder.ports[0])
            sides[chunk.c] = client, await asyncio.wait_for(accepted.get(), 10)
        sender, receiver = sides[chunk.c] if chunk.d.startswith(">") else reversed(sides[chunk.c])
        if chunk.d.endswith("end"):
            sender[1].write_eof()
            assert await asyncio.wait_for(receiver[0].read(), 10) == b""
        else:
            sender[1].write(chunk.b)
            assert await asyncio.wait_for(receiver[0].readexactly(len(chunk.b)), 10) == chunk.b
    for side in sides.values():
        for _, writer in side:
            writer.close()
    server.close()
    assert recorder.stop() == 0, recorder.output
    expected, _ = rows_of(records(CHUNKS))
    with Capture.open(recorder.capture) as capture:
        got = [(e.method, e.target, e.status, e.kind, e.outcome) for e in capture.exchanges()]
        assert sorted(got, key=str) == sorted(
            ((e.method, e.target, e.status, e.kind, e.outcome) for e in of_type(expected, Exchange)), key=str
        )
        assert len(list(capture.sockets())) == 7
        packets = [(p.sender, p.type, p.namespace, p.event, p.ack_id) for p in capture.packets()]
        assert packets == [(p.sender, p.type, p.namespace, p.event, p.ack_id) for p in of_type(expected, Packet)]
        assert capture.run.relay["samples"] == 58
        assert 0 < capture.run.relay["added_p50_ns"] < 50_000_000
        assert capture.run.losses == {}


def told(*events: tuple[What, bytes]) -> list[Record]:
    """One connection's records, a millisecond apart."""
    opened = Record(What.OPENED, 1, 0, 0, b'{"client":"127.0.0.1","upstream":0}')
    return [opened, *(Record(what, 1, n * 1_000_000, 5, payload) for n, (what, payload) in enumerate(events, 1))]


ASK = (What.CLIENT_BYTES, b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
CONNECTED = (What.CONNECTED, b"")
CLOSED = (What.CLOSED, b"")


def reply(status: str, rest: str) -> tuple[What, bytes]:
    return What.SERVER_BYTES, f"HTTP/1.1 {status}\r\n{rest}".encode()


@pytest.mark.parametrize(
    ("events", "outcome"),
    [
        ([(What.CONNECTED, b"refused"), ASK, CLOSED], Outcome.CONNECT_ERROR),
        ([CONNECTED, ASK, (What.SERVER_END, b""), CLOSED], Outcome.RESET),
        ([CONNECTED, ASK, (What.CLIENT_END, b""), CLOSED], Outcome.ABORTED),
        ([CONNECTED, ASK], Outcome.UNFINISHED),
        (
            [CONNECTED, ASK, reply("200 OK", "Content-Length: 9\r\n\r\nab"), (What.SERVER_END, b""), CLOSED],
            Outcome.RESET,
        ),
        ([CONNECTED, ASK, reply("429 No", "Content-Length: 0\r\n\r\n")], Outcome.LIMITED),
        ([CONNECTED, ASK, reply("503 No", "Content-Length: 0\r\n\r\n")], Outcome.HTTP_ERROR),
        ([CONNECTED, ASK, (What.GAP, b"")], Outcome.UNFINISHED),
    ],
)
def test_exchange_outcome_tells_how_it_ended(events: list[tuple[What, bytes]], outcome: Outcome) -> None:
    rows, _ = rows_of(told(*events))
    (exchange,) = of_type(rows, Exchange)
    assert exchange.outcome is outcome
    assert (exchange.method, exchange.target) == ("GET", "/x")


def test_snapshot_stores_what_is_still_open_with_the_bytes_so_far() -> None:
    rows: list[Row] = []
    recorder = Recorder(Contents(Redactor(Vault.in_memory()), rows.append), rows.append, Clock(0, 0))
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    for record in told(CONNECTED, ASK, (What.SERVER_BYTES, head + b"data: 1\n\n")):
        recorder.feed(record)
    recorder.snapshot()
    (exchange,), (body,) = of_type(rows, Exchange), of_type(rows, Body)
    assert (exchange.outcome, exchange.kind, exchange.response_body) == (Outcome.UNFINISHED, Kind.STREAM, body.id)
    assert (body.content, body.state) == (b"data: 1\n\n", "cut")
    before = len(rows)
    recorder.snapshot()
    assert len(rows) == before


def test_bytes_that_are_no_http_are_counted_and_harm_nothing() -> None:
    rows, recorder = rows_of(told(CONNECTED, (What.CLIENT_BYTES, b"\x00\x03\x01\x02\x00\x01\x00"), CLOSED))
    assert of_type(rows, Exchange) == []
    assert recorder.tally.losses["undecodable"] == 1


def test_tls_where_plain_http_was_expected_is_said_and_is_no_loss() -> None:
    hello, alert = b"\x16\x03\x01\x02\x00\x01\x00", b"\x15\x03\x03\x00\x02\x02("
    _, recorder = rows_of(told(CONNECTED, (What.CLIENT_BYTES, hello), (What.SERVER_BYTES, alert), CLOSED))
    assert recorder.tally.losses == {}
    assert "A client speaks TLS to the recorder" in next(iter(recorder.tally.notices))


def test_server_side_call_is_recognised_by_its_cause() -> None:
    browser = b"GET /page HTTP/1.1\r\nHost: a\r\nUser-Agent: Mozilla/5.0 Chrome/1\r\n\r\n"
    node = b"GET /api HTTP/1.1\r\nHost: b\r\nUser-Agent: node\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    rows, recorder = rows_of(
        [
            Record(What.OPENED, 1, 0, 0, b'{"client":"127.0.0.1","upstream":0}'),
            Record(What.OPENED, 2, 0, 0, b'{"client":"127.0.0.1","upstream":1}'),
            Record(What.CLIENT_BYTES, 1, 1, 0, browser),
            Record(What.CLIENT_BYTES, 2, 2, 0, node),
            Record(What.SERVER_BYTES, 2, 3, 0, answer),
            Record(What.SERVER_BYTES, 1, 4, 0, answer),
            Record(What.CLIENT_BYTES, 2, 5, 0, node),
            Record(What.SERVER_BYTES, 2, 6, 0, answer),
        ]
    )
    assert [(e.target, e.server_call) for e in of_type(rows, Exchange)] == [
        ("/page", False),
        ("/api", True),
        ("/api", False),
    ]
    assert recorder.tally.server_calls == {1: 1}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (b"GET /socket.io/?EIO=4&transport=polling&sid=x HTTP/1.1\r\n", b""),
        (b"GET /events HTTP/1.1\r\n", b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"),
    ],
)
def test_what_waits_for_news_causes_no_server_side_call(asked: bytes, told: bytes) -> None:
    curl = b"GET /api HTTP/1.1\r\nHost: b\r\nUser-Agent: curl/8\r\n\r\n"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    rows, _ = rows_of(
        [
            Record(What.OPENED, 1, 0, 0, b'{"client":"127.0.0.1","upstream":0}'),
            Record(What.OPENED, 2, 0, 0, b'{"client":"127.0.0.1","upstream":1}'),
            Record(What.CLIENT_BYTES, 1, 1, 0, asked + b"Host: a\r\nUser-Agent: Mozilla/5.0\r\n\r\n"),
            *([Record(What.SERVER_BYTES, 1, 2, 0, told)] if told else []),
            Record(What.CLIENT_BYTES, 2, 3, 0, curl),
            Record(What.SERVER_BYTES, 2, 4, 0, answer),
        ]
    )
    assert [e.server_call for e in of_type(rows, Exchange) if e.target == "/api"] == [False]
