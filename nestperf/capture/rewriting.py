"""Makes another capture out of one: without bodies, without a stretch of time, swept of secrets recognised late.

The original is never written to. A copy grows beside the result, is changed there, and takes the result's name when
it is whole; whatever goes wrong before that leaves everything as it was.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from sqlite_utils import Database

from nestperf.capture import model, repeats, schema
from nestperf.capture.files import size_of
from nestperf.capture.reader import Capture, connect
from nestperf.capture.remarks import NOT_REDACTED, TRIMMED
from nestperf.capture.slimming import Slimmer
from nestperf.capture.sweep import join_parts, sweep
from nestperf.capture.vault import Vault
from nestperf.errors import CaptureTruncated, UsageError

_BEGAN = {"exchanges": "sent_ns", "sockets": "opened_ns", "frames": "stamp_ns", "packets": "stamp_ns",
          "queries": "sent_ns", "pages": "started_ns"}  # fmt: skip
"""What happened at a moment, and the column that says when it began."""
_REFERENCES = (
    ("frames", "socket_id", "sockets", "delete"),
    ("packets", "socket_id", "sockets", "delete"),
    ("sockets", "exchange_id", "exchanges", "forget"),
    ("packets", "exchange_id", "exchanges", "forget"),
    ("packets", "frame_id", "frames", "forget"),
    ("packets", "answers", "packets", "forget"),
    ("queries", "exchange_id", "exchanges", "forget"),
    ("literals", "id", "queries", "delete"),
    ("resources", "page_id", "pages", "delete"),
    ("timings", "page_id", "pages", "delete"),
    ("pages", "exchange_id", "exchanges", "forget"),
    ("resources", "exchange_id", "exchanges", "forget"),
    ("timings", "exchange_id", "exchanges", "forget"),
)
"""Column that names a row of another table, and what becomes of a row whose other is gone."""
_NEVER = 2**62
_DROP_MARKS = """
    delete from marks where id in (
        select id from (
            select id, stamp_ns, coalesce(end_ns, lead(stamp_ns, 1, ?) over (
                partition by end_ns is null order by stamp_ns, id)) as ended_ns
            from marks where stamp_ns is not null)
        where stamp_ns >= ? and ended_ns <= ?)
"""
"""A mark whose end lies behind the stretch names what is left of its time."""


class Stretch(NamedTuple):
    """A stretch of a run, nanoseconds since it began; None: no bound on that side."""

    start_ns: int | None
    end_ns: int | None


class Rewritten(NamedTuple):
    """What came of it."""

    size_before: int
    size_after: int
    swept: int
    """Rows that had held a secret in clear."""
    rows: int
    """Rows that were taken out."""


@contextmanager
def rewritten(capture: Capture, target: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a copy of `capture` that becomes `target` when the block ends well.

    Raises:
        UsageError: the copy cannot be written.
        CaptureTruncated: the original cannot be read.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    connection: sqlite3.Connection | None = None
    try:
        _copy(capture, part)
        connection = sqlite3.connect(part, isolation_level=None)
        # Nobody reads the copy before it is whole, so it needs neither journal nor waiting for the disk.
        connection.execute("pragma journal_mode = off")
        connection.execute("pragma synchronous = off")
        schema.migrate(Database(connection))
        repeats.unpack(connection)
        yield connection
        schema.build_indexes(Database(connection))
        connection.execute("vacuum")
        connection.close()
        with part.open("rb") as file:
            os.fsync(file.fileno())
        for suffix in ("-wal", "-shm"):
            target.with_name(target.name + suffix).unlink(missing_ok=True)
        part.replace(target)
    except (sqlite3.Error, OSError) as error:
        raise UsageError(f"Cannot write {target}: {error}. Nothing was changed; name another file with -o.") from error
    finally:
        if connection is not None:
            connection.close()
        part.unlink(missing_ok=True)


def _copy(capture: Capture, part: Path) -> None:
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    part.chmod(capture.path.stat().st_mode & 0o666)
    source = connect(capture.path)
    try:
        source.execute("vacuum into ?", (str(part),))
    except sqlite3.DatabaseError as error:
        if "malformed" in str(error):
            raise CaptureTruncated(f"{capture.path} is damaged ({error}): copy it again, or record again.") from error
        raise
    finally:
        source.close()


def rewrite(
    capture: Capture,
    target: Path,
    vault: Vault | None,
    *,
    stretch: Stretch | None = None,
    bodies: bool = False,
    payloads: bool = False,
    answers: bool = False,
    with_secrets: bool = False,
) -> Rewritten:
    """Write `capture` to `target`: swept if there is a vault, without what began in `stretch`, without the contents of
    bodies and frames (`bodies`), without these and the payloads of packets (`payloads`), or with no more of what
    servers answered than a replay needs (`answers`). `with_secrets` writes what the vault holds beside it.

    Raises:
        UsageError, CaptureTruncated: see `rewritten`.
    """
    before = size_of(capture.path)
    run = capture.run
    taken_out: list[dict[str, Any]] = list(run.settings.get(TRIMMED, ()))
    with rewritten(capture, target) as connection:
        rows = _rows(connection)
        connection.execute("begin")
        join_parts(connection)
        if stretch is not None:
            _drop_stretch(connection, stretch)
            taken_out.append({"what": "time", "from_ns": stretch.start_ns, "to_ns": stretch.end_ns})
        if bodies or payloads:
            _drop_contents(connection, payloads=payloads)
            taken_out.append({"what": "payloads" if payloads else "bodies"})
        swept = 0
        state = run.state
        if vault is not None and not run.settings.get(NOT_REDACTED):
            swept = sweep(connection, vault).rows
            state = "interrupted" if state == model.RUNNING else state
        if answers:  # placeholders stay, so secrets have to be those
            _slim_answers(connection)
            taken_out.append({"what": "answers"})
        settings = run.settings | ({TRIMMED: taken_out} if taken_out else {})
        connection.execute("update run set settings = ?, state = ?", (json.dumps(settings), state))
        connection.execute("commit")
        rows -= _rows(connection)
        if with_secrets and vault is not None:
            # Before the result has its name: what it refers to is there first.
            vault.write_beside(target)
    return Rewritten(before, size_of(target), swept, rows)


def settle(path: Path) -> None:
    """Move what lies beside a capture (after a kill) into it, so that it can be replaced.

    Raises:
        UsageError: somebody is writing it.
    """
    if not path.with_name(path.name + "-wal").exists():
        return
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        mode = connection.execute("pragma journal_mode = delete").fetchone()[0]
    except sqlite3.OperationalError as error:
        raise UsageError(f"{path} is being written ({error}): end its run first, or write a copy with -o.") from error
    finally:
        connection.close()
    if mode != "delete":
        raise UsageError(f"{path} is being written: end its run first, or write a copy with -o.")


def _rows(connection: sqlite3.Connection) -> int:
    return sum(
        int(connection.execute(f"select count(*) from {table}").fetchone()[0])  # noqa: S608 - our own table names
        for table in schema.TABLES.values()
    )


def _drop_contents(connection: sqlite3.Connection, *, payloads: bool) -> None:
    connection.execute("update bodies set content = null, state = 'omitted' where content is not null")
    connection.execute("update frames set content = null")
    if payloads:
        connection.execute("update packets set payload = null")
        _drop_wordings(connection)


def _drop_wordings(connection: sqlite3.Connection) -> None:
    """What is no traffic of the clients, and may hold what people were shown."""
    connection.execute("update queries set parameters = null")
    connection.execute("delete from literals")
    connection.execute("delete from wordings")
    connection.execute("update sockets set close_reason = null")
    connection.execute("update pages set lcp_element = null, inp_element = null")
    connection.execute("update timings set detail = null")
    connection.execute("update timings set name = '' where kind = 'error'")


_SENT_BODIES = """
    select request_body from exchanges where request_body is not null
    union select attachment.value from packets, json_each(attachments) as attachment
    where attachments is not null and sender = 'client'
"""
_MOST_SENT = 2**22
"""Bytes of a body up to which its words count as sent: an upload is no text."""
_SENT = (
    "select target from exchanges",
    "select target from sockets",
    """
    select pairs from header_sets where id in (
        select request_headers from exchanges union select request_trailers from exchanges)
    """,
    f"select content from bodies where length(content) <= {_MOST_SENT} and id in ({_SENT_BODIES})",  # noqa: S608
    "select payload from packets where sender = 'client' and payload is not null",
    "select content from frames where sender = 'client' and content is not null",
)
"""Everything that clients sent."""


def _slim_answers(connection: sqlite3.Connection) -> None:
    """Leave of what servers sent what a replay needs (`nestperf.capture.slimming`)."""
    slimmer = Slimmer(_text(row[0]) for select in _SENT for row in connection.execute(select))
    kept = f"select id, media_type, state, content from bodies where content is not null and id not in ({_SENT_BODIES})"  # noqa: S608
    for row_id, media_type, state, content in connection.execute(kept).fetchall():
        slim = slimmer.body(content, media_type) if state == "whole" else None
        connection.execute(
            "update bodies set content = ?, state = ? where id = ?",
            (slim, "omitted" if slim is None else state, row_id),
        )
    heard = "select id, payload from packets where sender = 'server' and payload is not null"
    for row_id, payload in connection.execute(heard).fetchall():
        connection.execute("update packets set payload = ? where id = ?", (slimmer.json(payload), row_id))
    # Packets hold what a Socket.IO frame carried, and are what is replayed.
    connection.execute(
        "update frames set content = null where socket_id in (select id from sockets where protocol = 'socket.io') "
        "or (sender = 'server' and (opcode <> 'text' or not fin))"
    )
    told = "select id, content from frames where sender = 'server' and content is not null"
    for row_id, content in connection.execute(told).fetchall():
        slim_text = slimmer.json(_text(content))
        connection.execute(
            "update frames set content = ? where id = ?", (None if slim_text is None else slim_text.encode(), row_id)
        )
    _drop_wordings(connection)


def _text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""


def _drop_stretch(connection: sqlite3.Connection, stretch: Stretch) -> None:
    start = stretch.start_ns if stretch.start_ns is not None else -_NEVER
    end = stretch.end_ns if stretch.end_ns is not None else _NEVER
    for table, column in _BEGAN.items():
        connection.execute(f"delete from {table} where {column} >= ? and {column} < ?", (start, end))  # noqa: S608
    connection.execute(_DROP_MARKS, (_NEVER, start, end))
    for table, column, other, fate in _REFERENCES:
        change = f"delete from {table}" if fate == "delete" else f"update {table} set {column} = null"  # noqa: S608
        connection.execute(f"{change} where {column} is not null and {column} not in (select id from {other})")  # noqa: S608
    connection.execute(
        "delete from sessions where started_ns >= ? and started_ns < ? "
        "and id not in (select session_id from exchanges where session_id is not null "
        "union select session_id from sockets where session_id is not null "
        "union select session_id from pages where session_id is not null)",
        (start, end),
    )
    _drop_orphans(connection)


def _drop_orphans(connection: sqlite3.Connection) -> None:
    """What is stored once and that nothing refers to any more."""
    connection.execute(
        """
        delete from header_sets where id not in (
            select request_headers from exchanges where request_headers is not null
            union select request_trailers from exchanges where request_trailers is not null
            union select response_headers from exchanges where response_headers is not null
            union select response_trailers from exchanges where response_trailers is not null
            union select json_extract(early.value, '$[1]') from exchanges, json_each(interim) as early
            where interim is not null)
        """
    )
    connection.execute(
        """
        delete from bodies where id not in (
            select request_body from exchanges where request_body is not null
            union select response_body from exchanges where response_body is not null
            union select screenshot from pages where screenshot is not null
            union select attachment.value from packets, json_each(attachments) as attachment
            where attachments is not null)
        """
    )
    connection.execute(
        "delete from clients where id not in (select client_id from exchanges where client_id is not null "
        "union select client_id from sockets where client_id is not null "
        "union select client_id from pages where client_id is not null "
        "union select client_id from sessions where client_id is not null)"
    )
    connection.execute(
        "delete from statements where id not in (select statement_id from queries where statement_id is not null)"
    )
    connection.execute("delete from wordings where id not in (select wording_id from literals)")
