"""What a replay stores: small slices off the loop, one thread at a time, nothing lost silently."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from nestperf.capture.model import Kind, Outcome, Run, Session
from nestperf.capture.reader import Capture
from nestperf.capture.vault import Vault
from nestperf.capture.writer import CaptureWriter
from nestperf.errors import UsageError
from replay.journal import SAMPLE, ExchangeRecord, Journal, SessionRecord
from replay.transport.http import Answer, Request

RUN = Run(uid="r", purpose="replay", vantage="client", state="running", version="0", started_unix_ns=1)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    path = tmp_path / "r.db"
    vault = Vault.create(path)
    return Journal(CaptureWriter.create(path, RUN, vault=vault), vault)


def exchange(journal: Journal, session: int = 1, *, gives: str = "", sends: str = "") -> ExchangeRecord:
    request = Request(method="GET", head=b"GET / HTTP/1.1\r\n\r\n")
    answer = Answer(request, 0, None, lambda _: True, lambda _: None)
    answer.status, answer.reason, answer.sent_ns, answer.done_ns = 200, "OK", 5, 9
    answer.headers = (("Content-Type", "application/json"),)
    answer.body = [b'{"token": "' + gives.encode() + b'"}'] if gives else None
    answer.whole = True
    return ExchangeRecord(
        id=journal.exchange_id(), session_id=session, client_id=1, kind=Kind.CALL, authority="x", target="/",
        headers=(("Host", "x"), *((("X-Copy", sends),) if sends else ())), trailers=(), body=b"", answer=answer,
        intended_ns=4, unsent=False, outcome=Outcome.OK, detail=None, source=1,
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


def test_sample_is_the_first_answers_to_each_exchange(journal: Journal) -> None:
    assert [journal.wants_sample(7) for _ in range(5)] == [True] * SAMPLE + [False] * (5 - SAMPLE)
    assert journal.wants_sample(8)
