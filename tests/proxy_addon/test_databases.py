"""Queries of a recording: rows of a real application's connections, what is stored of them and what is not."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from nestperf.capture.clock import Clock
from nestperf.capture.contents import Contents
from nestperf.capture.model import Literals, Query, Row, Statement, Upstream, Wording
from nestperf.capture.redaction import Redactor
from nestperf.capture.vault import Vault
from proxy_addon.recorder import Recorder
from proxy_addon.tap import Record, What
from tests.proxy_addon.test_recorder import of_type
from tests.wire import postgres_bytes as pg
from tests.wire.test_postgres import LOGIN, SAMPLE, Turn, client, server

UPSTREAMS = (Upstream("http://127.0.0.1:4000"), Upstream("postgres://127.0.0.1:5432"))
WHAT = {"client": What.CLIENT_BYTES, "server": What.SERVER_BYTES}


def recorded(records: Iterable[Record], **options: Any) -> tuple[list[Row], Recorder]:
    """What a recorder makes of records; not finished."""
    rows: list[Row] = []
    contents = Contents(Redactor(Vault.in_memory()), rows.append)
    recorder = Recorder(contents, rows.append, Clock(0, 0), UPSTREAMS, **options)
    for record in records:
        recorder.feed(record)
    return rows, recorder


def connection(*turns: Turn, number: int = 1) -> Iterator[Record]:
    """A connection to upstream 1, the login first, then a turn a millisecond."""
    yield Record(What.OPENED, number, 0, 0, json.dumps({"client": "127.0.0.1", "upstream": 1}).encode())
    yield Record(What.CONNECTED, number, 0, 0, b"")
    for stamp, (sender, data) in enumerate([*LOGIN, *turns], start=-1):
        yield Record(WHAT[sender], number, max(0, stamp) * 1_000_000, 0, data)


def test_a_real_applications_queries_are_rows() -> None:
    records: list[Record] = []
    with SAMPLE.open() as lines:
        for line in map(json.loads, lines):
            number, stamp = line["c"], round(line["t"] * 1e6)
            if not any(record.connection == number for record in records):
                records += list(connection(number=number))[:2]
            if line["d"].endswith("end"):
                records.append(Record(What.CLOSED, number, stamp, 0, b""))
            else:
                what = What.CLIENT_BYTES if line["d"] == ">" else What.SERVER_BYTES
                records.append(Record(what, number, stamp, 0, line["b"].encode("latin-1")))
    rows, recorder = recorded(records)
    recorder.finish()
    queries, statements = of_type(rows, Query), of_type(rows, Statement)
    assert Counter((query.protocol, query.outcome) for query in queries) == {
        ("extended", "ok"): 66,
        ("simple", "ok"): 10,
    }
    assert {(query.database, query.application, query.upstream, query.source) for query in queries} == {
        ("medianest", "medianest", 1, "wire")
    }
    assert {query.statement_id for query in queries} == {statement.id for statement in statements}
    assert len({statement.fingerprint for statement in statements}) == len(statements) < len(queries)
    assert recorder.tally.queries == {"ok": 76}
    assert recorder.tally.losses == {}
    assert all(query.parameters is None for query in queries)
    assert not any(digest in repr(rows) for digest in ("SCRAM", "n,,n=", "a0000000-0000"))


def test_query_that_waits_is_stored_once_as_unfinished_and_becomes_what_it_was() -> None:
    rows, recorder = recorded(connection(client(pg.query("select 'secret' from t"))))
    recorder.snapshot()
    recorder.snapshot()
    (waiting,) = [row for row in rows if isinstance(row, Query)]
    assert (waiting.outcome, waiting.done_ns) == ("unfinished", None)
    recorder.feed(Record(What.SERVER_BYTES, 1, 5_000_000, 0, pg.done("SELECT 1") + pg.ready()))
    (query,) = of_type(rows, Query)
    assert (query.id, query.outcome, query.done_ns) == (waiting.id, "ok", 5_000_000)
    (statement,) = of_type(rows, Statement)
    assert statement.text == "select ? from t"
    assert recorder.tally.queries == {"ok": 1}


def test_connection_that_ends_leaves_its_query_unfinished_and_one_that_turns_to_tls_is_counted() -> None:
    rows, recorder = recorded(connection(client(pg.query("select 1"))))
    recorder.feed(Record(What.CLOSED, 1, 9_000_000, 0, b""))
    assert [query.outcome for query in of_type(rows, Query)] == ["unfinished"]
    encrypted = list(connection(number=2))[:2]
    encrypted.append(Record(What.CLIENT_BYTES, 2, 1, 0, pg.SSL_REQUEST))
    encrypted.append(Record(What.SERVER_BYTES, 2, 2, 0, b"S"))
    for record in encrypted:
        recorder.feed(record)
    assert recorder.tally.opaque_databases == {"the connection turned to TLS": 1}
    assert recorder.tally.losses == {}


def test_parameters_are_stored_only_where_they_were_asked_for_and_never_unredacted() -> None:
    turns = (
        client(
            pg.parse('UPDATE "users" SET "plex_token" = $1, "name" = $2, "n" = $3, "b" = $4 WHERE "id" = $5'),
            pg.bind(b"canary-4711-token", b"Ann", None, b"\0\1", b"text", formats=(0, 0, 0, 1, 1)),
            pg.execute(),
            pg.SYNC,
        ),
        server(pg.PARSED, pg.BOUND, pg.done("UPDATE 1"), pg.ready()),
    )
    rows, _ = recorded(connection(*turns))
    assert [query.parameters for query in of_type(rows, Query)] == [None]
    rows, _ = recorded(connection(*turns), parameters=True)
    (query,) = of_type(rows, Query)
    token, *others = json.loads(query.parameters or "")
    assert token.startswith("nps_")
    assert others == ["Ann", None, {"hex": "0001"}, {"binary": "text"}]
    assert "4711" not in repr(rows)


def test_literals_are_stored_only_where_values_were_asked_for_and_never_unredacted() -> None:
    sql = "select * from users where token = 'canary-4711-token' and n = $1 limit 20 -- canary"
    turns = (
        client(pg.message("P", "", sql, 1, b"\0\0\0\x15"), pg.bind(b"\0\7", formats=(1,)), pg.execute(), pg.SYNC),
        server(pg.PARSED, pg.BOUND, pg.done("SELECT 0"), pg.ready()),
    )
    rows, _ = recorded([*connection(*turns), *connection(*turns, number=2)])
    assert not of_type(rows, Wording)
    assert not of_type(rows, Literals)
    rows, _ = recorded([*connection(*turns), *connection(*turns, number=2)], parameters=True)
    (wording,) = of_type(rows, Wording)
    assert json.loads(wording.pieces) == ["select * from users where token = ", " and n = $1 limit ", ""]
    assert json.loads(wording.types) == [21]
    one, other = of_type(rows, Literals)
    assert (one.wording_id, one.content) == (other.wording_id, other.content)
    token, limit = json.loads(one.content)
    assert token.startswith("'nps_")
    assert limit == "20"
    assert "4711" not in repr(rows)


def test_server_timing_of_an_answer_is_queries_of_its_exchange() -> None:
    head = (
        b'HTTP/1.1 200 OK\r\nServer-Timing: db;dur=12.5;desc="users of team 4711", cache;dur=1\r\n'
        b"Server-Timing: db;dur=2\r\nContent-Length: 2\r\n\r\n"
    )
    records = [
        Record(What.OPENED, 1, 0, 0, b'{"client": "127.0.0.1", "upstream": 0}'),
        Record(What.CONNECTED, 1, 0, 0, b""),
        Record(What.CLIENT_BYTES, 1, 1_000_000, 0, b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n"),
        Record(What.SERVER_BYTES, 1, 2_000_000, 0, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        Record(What.CLIENT_BYTES, 1, 3_000_000, 0, b"GET /users HTTP/1.1\r\nHost: a\r\n\r\n"),
        Record(What.SERVER_BYTES, 1, 20_000_000, 0, head),
        Record(What.SERVER_BYTES, 1, 21_000_000, 0, b"ok"),
        Record(What.CLOSED, 1, 22_000_000, 0, b""),
    ]
    rows, _ = recorded(records)
    queries = of_type(rows, Query)
    told = [(q.source, q.exchange_id, q.upstream, q.outcome, q.started_ns, q.done_ns) for q in queries]
    assert told == [
        ("server-timing", 2, None, "ok", 7_500_000, 20_000_000),
        ("server-timing", 2, None, "ok", 18_000_000, 20_000_000),
    ]
    texts = {statement.id: statement.text for statement in of_type(rows, Statement)}
    # What a description names is no value that would make a statement of its own of every answer.
    assert [texts[q.statement_id or 0] for q in queries] == ["Server-Timing: db users of team ?", "Server-Timing: db"]
