"""What a replay stores: small slices off the loop, one thread at a time, nothing lost silently."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from nestperf.capture.model import Kind, Outcome, Run, Session
from nestperf.capture.reader import Capture
from nestperf.capture.repeats import NOTHING, pack
from nestperf.capture.vault import Vault
from nestperf.capture.writer import CaptureWriter
from nestperf.errors import UsageError
from replay.journal import SAMPLE, SLOWEST, Journal
from replay.records import ExchangeRecord, SessionRecord
from replay.steps import Http
from replay.transport.answer import Answer, Request, head_bytes
from replay.transport.response import Head

RUN = Run(uid="r", purpose="replay", vantage="client", state="running", version="0", started_unix_ns=1)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    path = tmp_path / "r.db"
    vault = Vault.create(path)
    return Journal(CaptureWriter.create(path, RUN, vault=vault), vault)


def exchange(journal: Journal, session: int = 1, *, gives: str = "", sends: str = "") -> ExchangeRecord:
    fields = (("Host", "x"), *((("X-Copy", sends),) if sends else ()))
    answer = Answer(Request(method="GET", head=head_bytes("GET", "/", "HTTP/1.1", fields)), 0, None, lambda _: None)
    answer.head = Head(200, "OK", "HTTP/1.1", (("Content-Type", "application/json"),))
    answer.sent_ns, answer.done_ns = 5, 9
    answer.body = [b'{"token": "' + gives.encode() + b'"}'] if gives else []
    answer.whole = True
    return ExchangeRecord(
        id=journal.exchange_id(), session_id=session, client_id=1, kind=Kind.CALL, authority="x", target="/",
        trailers=(), answer=answer, intended_ns=4, unsent=False, outcome=Outcome.OK, detail=None, source=1, kept=True,
    )  # fmt: skip


def session(number: int, *, over: bool, secrets: tuple[str, ...] = ()) -> SessionRecord:
    return SessionRecord(Session(number, 1, "user", state="finished" if over else "running"), secrets, over)


async def test_journal_stores_while_more_is_noted_and_nothing_is_lost(journal: Journal) -> None:
    storing = asyncio.get_running_loop().create_task(journal.keep_storing())
    for _ in range(30):
        for _ in range(100):
            journal.note(exchange(journal))
        await asyncio.sleep(0.01)
    journal.end_storing()
    await storing
    journal.finish(RUN._replace(state="finished"))
    with Capture.open(journal.writer.path) as capture:
        assert [row.id for row in capture.exchanges()] == list(range(1, 3001))
        assert capture.run.state == "finished"
        assert capture.run.losses == {}


def test_tokens_of_users_stay_out_of_the_capture_whoever_got_them(journal: Journal) -> None:
    for number in (1, 2):
        journal.note(session(number, over=False))
        journal.note(exchange(journal, number, gives=f"token-of-user-number-{number}"))
        journal.note(exchange(journal, number, sends=f"token-of-user-number-{number}"))
        journal.note(session(number, over=True))
    journal.finish(RUN)
    assert b"token-of-user-number" not in journal.writer.path.read_bytes()
    vault = Vault.open(journal.writer.path)
    assert vault is not None
    assert {"token-of-user-number-1", "token-of-user-number-2"} <= set(vault.values)


def test_row_that_cannot_be_made_is_counted_and_the_others_are_stored(journal: Journal) -> None:
    journal.note(exchange(journal)._replace(target=None))  # type: ignore[arg-type]
    journal.note(exchange(journal))
    journal.finish(RUN)
    with Capture.open(journal.writer.path) as capture:
        assert [row.id for row in capture.exchanges()] == [2]
        assert capture.run.losses == {"ExchangeRecord": 1}


def test_locked_capture_costs_nothing_once_it_is_free_again(journal: Journal) -> None:
    other = sqlite3.connect(journal.writer.path, isolation_level=None)
    journal.writer._db.conn.execute("pragma busy_timeout = 1")
    other.execute("begin immediate")
    journal.note(exchange(journal))
    journal.store()
    assert "locked" in (journal.failure or "")
    other.execute("rollback")
    other.close()
    journal.note(exchange(journal))
    journal.finish(RUN)
    with Capture.open(journal.writer.path) as capture:
        assert [row.id for row in capture.exchanges()] == [1, 2]
        assert capture.run.losses == {}


def test_capture_that_cannot_be_finished_is_said_in_one_sentence(journal: Journal) -> None:
    other = sqlite3.connect(journal.writer.path, isolation_level=None)
    journal.writer._db.conn.execute("pragma busy_timeout = 1")
    other.execute("begin immediate")
    journal.note(exchange(journal))
    with pytest.raises(UsageError, match=r"Cannot finish .*r\.db.*locked.*make room"):
        journal.finish(RUN)
    other.close()


def test_sample_is_the_first_visits_to_each_recorded_session(journal: Journal) -> None:
    assert [journal.keeps_visit(7) for _ in range(5)] == [True] * SAMPLE + [False] * (5 - SAMPLE)
    assert journal.keeps_visit(8)


def test_answer_is_slow_when_few_before_it_were_slower(journal: Journal) -> None:
    assert all(journal.keeps_slow(10 * number) for number in range(1, SLOWEST + 1))
    assert not journal.keeps_slow(10)
    assert journal.keeps_slow(15)
    assert journal.slow_ns == 15
    assert not journal.keeps_slow(15)


def test_repeats_of_a_pattern_have_its_columns_and_their_numbers(journal: Journal) -> None:
    action = Http(
        source=7, upstream=1, kind=Kind.PAGE, method="PUT", authority="x:1", target="/a/1?token=deep-secret-of-kim",
        route="/a/{id}", version="HTTP/1.1", headers=(), trailers=(("X-Sum", "1"),), body=b"", coding="",
        media_type="", chunked=False, connection=None, status=200, hold_ns=None,
    )  # fmt: skip
    head = head_bytes("PUT", action.target, "HTTP/1.1", (("Host", "x:1"), ("X-Key", "deep-secret-of-kim")))
    request = Request(method="PUT", head=head, body=b'{"a": 1}')
    whole = journal.pattern(action, request, ("deep-secret-of-kim",))
    bare = journal.pattern(action, None, ("deep-secret-of-kim",))
    many = 200
    journal.note(SessionRecord(Session(2, 3, "user"), (), over=False))
    for number in range(1, many + 1):
        pattern = whole if number % 2 else bare
        connect_ns = 9 if number == 1 else NOTHING
        word = journal.words["Fine"]
        journal.note_repeat(pack(number, 2, 4, 50, word, 60, 70, 71, 72, 73, 74, connect_ns, pattern, 0))
    journal.finish(RUN)
    content = journal.writer.path.read_bytes()
    assert b"deep-secret-of-kim" not in content
    with Capture.open(journal.writer.path) as capture:
        rows = list(capture.exchanges())
        first, second = rows[:2]
        assert [row.id for row in rows] == list(range(1, many + 1))
        assert first == second._replace(
            id=1,
            connect_ns=9,
            request_headers=first.request_headers,
            request_trailers=first.request_trailers,
            request_body=first.request_body,
        )
        assert second.connect_ns is None
        assert (second.request_headers, second.request_trailers, second.request_body) == (None, None, None)
        assert (first.session_id, first.client_id, first.connection, first.upstream) == (2, 3, 4, 1)
        assert (first.kind, first.method, first.authority, first.http_version) == ("page", "PUT", "x:1", "HTTP/1.1")
        assert first.target.startswith("/a/1?token=nps_")
        assert (first.request_bytes, first.status, first.reason, first.response_bytes) == (50, 200, "Fine", 60)
        stamps = (first.intended_ns, first.sent_ns, first.request_done_ns, first.first_byte_ns, first.done_ns)
        assert stamps == (70, 71, 72, 73, 74)
        assert (first.outcome, first.source_exchange, first.server_call) == (Outcome.OK, 7, False)
        assert [name for name, _ in capture.headers(first.request_headers)] == ["Host", "X-Key"]
        body = capture.body(first.request_body)
        assert body is not None
        assert body.content == b'{"a": 1}'


def test_repeats_wait_while_the_capture_is_locked(journal: Journal) -> None:
    other = sqlite3.connect(journal.writer.path, isolation_level=None)
    journal.writer._db.conn.execute("pragma busy_timeout = 1")
    pattern = journal.pattern(
        Http(
            source=7, upstream=0, kind=Kind.CALL, method="GET", authority="x", target="/", route="/",
            version="HTTP/1.1", headers=(), trailers=(), body=b"", coding="", media_type="", chunked=False,
            connection=None, status=200, hold_ns=None,
        ), None, (),
    )  # fmt: skip
    other.execute("begin immediate")
    journal.note_repeat(pack(1, 2, 4, 50, journal.words[""], 60, 70, 71, 72, 73, 74, NOTHING, pattern, 0))
    journal.store()
    assert journal.writer.pending == 1
    other.execute("rollback")
    other.close()
    journal.finish(RUN)
    with Capture.open(journal.writer.path) as capture:
        assert [(row.id, row.reason) for row in capture.exchanges()] == [(1, None)]
        assert capture.run.losses == {}
