"""Whatever crosses the wire, however it is cut: the recorder gives the same rows, or marks what it cannot follow."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from nestperf.capture import schema
from nestperf.capture.clock import Clock
from nestperf.capture.contents import Contents
from nestperf.capture.model import Body, Exchange, Frame, HeaderSet, Packet, Row, Run, Socket, Upstream
from nestperf.capture.redaction import Redactor
from nestperf.capture.vault import Vault
from nestperf.capture.writer import CaptureWriter
from nestperf.wire.websocket import encode_frame
from proxy_addon.recorder import Recorder
from proxy_addon.tap import Record, What
from tests.proxy_addon.test_recorder import CHUNKS, of_type, records, rows_of

UPGRADE = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\n"
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
PIECES = (
    b"GET /x?token=abcdefgh1234 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /socket.io/?EIO=4&transport=polling&sid=s HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\n42[\"a\"",
    b"POST /u HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: br\r\n\r\nabcde",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    UPGRADE,
    SWITCH,
    encode_frame("text", b'42["\\ud800",{"a":1}]', mask=None),
    encode_frame("text", b'451-["b",{"_placeholder":true,"num":0}]', mask=b"abcd"),
    encode_frame("text", b"\xff\xfe not utf-8", mask=None),
    encode_frame("close", b"\x03\xe8bye\xff", mask=None),
    b"\x16\x03\x01\x02\x00",
    b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\x00\x00\x00\x08\x04\xd2\x16\x2f",
)  # fmt: skip
TOLD = st.tuples(
    st.sampled_from([What.CLIENT_BYTES, What.SERVER_BYTES, What.CLIENT_BYTES, What.SERVER_BYTES, What.CLIENT_END,
                     What.SERVER_END, What.CLOSED, What.GAP, What.CONNECTED]),
    st.integers(1, 3),
    st.one_of(st.sampled_from(PIECES), st.binary(max_size=60)),
)  # fmt: skip


def in_memory() -> CaptureWriter:
    db = Database(memory=True)
    db.conn.isolation_level = None
    schema.migrate(db)
    run = Run(uid="", purpose="record", vantage="proxy", state="running", version="", started_unix_ns=0)
    return CaptureWriter(Path("memory"), db, run, None)


WRITER = in_memory()


def opened(number: int) -> Record:
    return Record(What.OPENED, number, 0, 0, b'{"client":"127.0.0.1","upstream":%d}' % (number % 2))


UPSTREAMS = (Upstream("http://127.0.0.1:4000"), Upstream("postgres://127.0.0.1:5432"))


@given(st.lists(TOLD, max_size=30), st.booleans())
@settings(max_examples=300, deadline=None)
def test_recorder_takes_any_bytes_in_any_order_and_its_rows_can_be_stored(
    told: list[tuple[What, int, bytes]], is_database: bool
) -> None:
    rows: list[Row] = []
    contents = Contents(Redactor(Vault(None, b"k" * 32)), rows.append, max_response=50)
    recorder = Recorder(contents, rows.append, Clock(0, 0), UPSTREAMS if is_database else ())
    for number in (1, 2, 3):
        recorder.feed(opened(number))
    for stamp_ns, (what, connection, data) in enumerate(told):
        carries = what in (What.CLIENT_BYTES, What.SERVER_BYTES)
        recorder.feed(Record(what, connection, stamp_ns, 1, data if carries else b""))
        if stamp_ns % 5 == 0:
            recorder.snapshot()
    recorder.finish()
    WRITER.extend(rows)
    WRITER.commit()
    assert WRITER.take_refused() == {}
    assert all(exchange.outcome for exchange in of_type(rows, Exchange))
    for frame in of_type(rows, Frame):
        assert frame.content is None or len(frame.content) <= max(frame.size, 50) + 100


@given(st.lists(st.integers(1, 400), min_size=1, max_size=40))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_sample_cut_at_any_places_gives_the_same_rows(steps: list[int]) -> None:
    def cut() -> list[Record]:
        out = []
        for index, record in enumerate(records(CHUNKS)):
            if record.what not in (What.CLIENT_BYTES, What.SERVER_BYTES):
                out.append(record)
                continue
            at = 0
            while at < len(record.payload):
                step = steps[(index + at) % len(steps)]
                out.append(record._replace(payload=record.payload[at : at + step]))
                at += step
        return out

    whole, _ = rows_of(records(CHUNKS))
    pieces, recorder = rows_of(cut())
    for row_type in (Exchange, HeaderSet, Body, Socket, Frame, Packet):
        assert of_type(pieces, row_type) == of_type(whole, row_type), row_type
    assert recorder.tally.losses == {}
