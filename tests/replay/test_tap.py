"""Database queries under load: recorded while a replay runs, in the replay's own capture."""

from __future__ import annotations

import shlex
import socket
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import web

from nestperf.capture.model import Query, Run, Statement, Upstream
from nestperf.capture.reader import Capture
from nestperf.capture.writer import CaptureWriter
from nestperf.demo.children import free_port
from nestperf.errors import UsageError
from replay.tap import Tap, merged
from tests.postgres import Postgres
from tests.replay.conftest import Recording, Serve, command

QUERY = Query(
    id=1, source="wire", connection=1, upstream=0, database="d", application="a", exchange_id=None, statement_id=1,
    protocol="simple", sent_ns=5, started_ns=5, first_row_ns=None, done_ns=9, rows=1, request_bytes=1,
    response_bytes=1, outcome="ok", sqlstate=None, transaction_state="idle", trace=None, parameters=None,
)  # fmt: skip


_BEFORE = """
import asyncio, asyncpg
async def main():
    connection = await asyncpg.connect({url!r}, ssl=False)
    await connection.fetchval("select 1 as begun")
    await connection.close()
    print("it has begun", flush=True)
asyncio.run(main())
"""
"""What an application does at its start."""


def run_at(unix_ns: int, *urls: str, **changes: Any) -> Run:
    run = Run(uid="u", purpose="record", vantage="proxy", state="finished", version="0", started_unix_ns=unix_ns)
    return run._replace(upstreams=tuple(map(Upstream, urls)), **changes)


def test_rows_of_a_tap_get_the_stamps_and_upstreams_of_the_replay(tmp_path: Path) -> None:
    writer = CaptureWriter.create(tmp_path / "tap.db", run_at(1_400, "postgres://127.0.0.1:5432", losses={"bytes": 3}))
    writer.extend([Statement(1, "select ?", "f" * 16), QUERY])
    writer.close()
    replayed = run_at(1_000, "http://127.0.0.1:4000", losses={"bytes": 1})
    with Capture.open(tmp_path / "tap.db") as seen:
        run, rows = merged(replayed, seen)
        statement, query = list(rows)
        _, later = merged(replayed._replace(started_unix_ns=1_406), seen)
        assert [type(row) for row in later] == [Statement], "asked before the run"
    assert [upstream.url for upstream in run.upstreams] == ["http://127.0.0.1:4000", "postgres://127.0.0.1:5432"]
    assert run.losses == {"bytes": 1, "tap: bytes": 3}
    assert isinstance(statement, Statement)
    assert query == QUERY._replace(upstream=1, sent_ns=405, started_ns=405, done_ns=409)


@pytest.mark.parametrize("text", ["postgres://127.0.0.1:5432", "x=postgres://h", "15432=http://127.0.0.1:1", "15432"])
def test_tap_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="write one like 15432=postgres://"):
        Tap([text])


def test_tap_whose_port_is_taken_says_so(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(UsageError, match=f"Port {port} is in use"), Tap([f"{port}=postgres://127.0.0.1:9"]):
            pass


@pytest.mark.peer("postgres")
async def test_replay_with_a_tap_holds_every_query_of_the_application(
    recording: Recording, postgres: Postgres, serve_app: Serve, tmp_path: Path
) -> None:
    port = free_port()
    url = postgres.at(postgres.fresh_database(), port)

    async def answer(_: web.Request) -> web.Response:
        connection = await asyncpg.connect(url, ssl=False)
        try:
            return web.json_response(await connection.fetchval("select 40 + $1::int", 2))
        finally:
            await connection.close()

    app = web.Application()
    app.add_routes([web.get("/api/v1/answer", answer)])
    target = await serve_app(app)
    for at in range(5):
        recording.exchange("GET", "/api/v1/answer", sent=at * 20, done=at * 20 + 5, answer=b"42")
    recording.finish()
    output = tmp_path / "out.db"
    code, printed = await command(
        tmp_path, str(recording.path), "--users", "4", "--target", target, "-o", str(output),
        "--tap", f"{port}=postgres://127.0.0.1:{postgres.server.port}",
        "--before", f"{shlex.quote(sys.executable)} -c {shlex.quote(_BEFORE.format(url=url))}",
    )  # fmt: skip
    with Capture.open(output) as capture:
        exchanges, texts = list(capture.exchanges()), {s.id: s.text for s in capture.statements()}
        asked = [(q, texts.get(q.statement_id or 0, "")) for q in capture.queries() if q.protocol != "prepare"]
        queries = [q for q, text in asked if "+" in text]
        assert capture.run.upstreams[1].url == f"postgres://127.0.0.1:{postgres.server.port}"
    assert len(exchanges) == len(queries) == 20, printed
    assert "it has begun" in printed, "the tap is there for what --before starts"
    assert not any("begun" in text for _, text in asked), "what that asks is not part of the run"
    assert {query.outcome for query in queries} == {"ok"}
    assert "SQL queries meanwhile" in printed
    assert "Database queries" in printed, code
    spans = sorted((exchange.sent_ns, exchange.done_ns or 0) for exchange in exchanges)
    for query in queries:
        assert any(sent <= query.sent_ns <= (query.done_ns or 0) <= done for sent, done in spans)
