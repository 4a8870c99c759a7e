"""Captures to report on: real files, written as recorder and replayer write them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from nestperf.capture.model import Exchange, Kind, Outcome, Packet, Query, Row, Run, Session, Socket, Upstream
from nestperf.capture.reader import Capture
from nestperf.capture.writer import CaptureWriter

MS = 1_000_000
S = 1_000_000_000

RUN = Run(
    uid="a1b2",
    purpose="record",
    vantage="proxy",
    state="finished",
    version="0.1.0",
    started_unix_ns=1_700_000_000 * S,
    upstreams=(Upstream("http://localhost:4000"),),
)
_EXCHANGE = Exchange(
    id=1, session_id=None, client_id=None, connection=1, upstream=0, kind=Kind.CALL, server_call=False,
    method="GET", authority="localhost:4000", target="/api/health", route="/api/health", http_version="1.1",
    request_headers=None, request_trailers=None, request_body=None, request_bytes=100, status=200, reason="OK",
    response_headers=None, response_trailers=None, response_body=None, response_bytes=200, interim=None,
    intended_ns=None, sent_ns=0, request_done_ns=None, first_byte_ns=None, done_ns=None, connect_ns=None,
    relay_ns=None, outcome=Outcome.OK, detail=None, source_exchange=None,
)  # fmt: skip
_SOCKET = Socket(
    id=1, session_id=None, client_id=None, exchange_id=None, connection=None, upstream=0, protocol="socket.io",
    version=4, authority="localhost:4000", target="/socket.io/?EIO=4&transport=websocket", sid=None,
    transports="websocket", intended_ns=None, opened_ns=0, connected_ns=5 * MS, closed_ns=None, closed_by=None,
    close_code=None, close_reason=None, outcome=Outcome.OK, detail=None, source_socket=None,
)  # fmt: skip
_PACKET = Packet(
    id=1, socket_id=1, frame_id=None, exchange_id=None, sender="server", stamp_ns=0, done_ns=0,
    engine_type="message", type="event", namespace="/", event="service:status", ack_id=None, payload="[]",
    attachments=None, size=10, answers=None, intended_ns=None, source_packet=None,
)  # fmt: skip
_QUERY = Query(
    id=1, source="wire", connection=1, upstream=1, database="media", application="api", exchange_id=None,
    statement_id=1, protocol="extended", sent_ns=0, started_ns=0, first_row_ns=None, done_ns=None, rows=1,
    request_bytes=50, response_bytes=60, outcome="ok", sqlstate=None, transaction_state="idle", trace=None,
    parameters=None,
)  # fmt: skip
_SESSION = Session(id=1, client_id=None, label="friend", vu=0, iteration=0, started_ns=0, ended_ns=S)


def exchange(number: int, latency_ms: float | None = 10, **changes: Any) -> Exchange:
    """One exchange, sent `number` milliseconds after the run began and done `latency_ms` later."""
    sent_ns = changes.pop("sent_ns", number * MS)
    done_ns = None if latency_ms is None else sent_ns + round(latency_ms * MS)
    changes = {"id": number, "sent_ns": sent_ns, "first_byte_ns": done_ns, "done_ns": done_ns, **changes}
    return _EXCHANGE._replace(**changes)


def exchanges(latencies_ms: Iterable[float | None], **changes: Any) -> list[Exchange]:
    """Exchanges with these latencies, one a millisecond."""
    return [exchange(number, latency, **changes) for number, latency in enumerate(latencies_ms, 1)]


def socket(number: int, **changes: Any) -> Socket:
    """One Socket.IO connection."""
    return _SOCKET._replace(id=number, **changes)


def packet(number: int, socket_id: int, at_ms: float, **changes: Any) -> Packet:
    """One packet; an event from the server unless told otherwise."""
    stamp_ns = round(at_ms * MS)
    return _PACKET._replace(
        **{"id": number, "socket_id": socket_id, "stamp_ns": stamp_ns, "done_ns": stamp_ns, **changes}
    )


def query(number: int, at_ms: float, took_ms: float | None = 1, **changes: Any) -> Query:
    """One query, sent `at_ms` after the run began and answered `took_ms` later."""
    sent_ns = round(at_ms * MS)
    done_ns = None if took_ms is None else sent_ns + round(took_ms * MS)
    return _QUERY._replace(**{"id": number, "sent_ns": sent_ns, "started_ns": sent_ns, "done_ns": done_ns, **changes})


def session(number: int, **changes: Any) -> Session:
    """One user's visit in a replay."""
    return _SESSION._replace(id=number, vu=number, **changes)


Write = Callable[..., Capture]


@pytest.fixture
def written(tmp_path: Path) -> Iterable[Write]:
    """Writes rows into a capture and opens it: `written(rows, name="run.db", purpose="replay", ...)`."""
    opened: list[Capture] = []

    def write(rows: Iterable[Row], name: str = "run.db", **changes: Any) -> Capture:
        writer = CaptureWriter.create(tmp_path / name, RUN._replace(**changes))
        writer.extend(rows)
        writer.close()
        opened.append(Capture.open(tmp_path / name))
        return opened[-1]

    yield write
    for capture in opened:
        capture.close()
