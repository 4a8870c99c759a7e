"""The capture file's tables, views and versions. Only migrations change them; `FORMAT` counts those.

A capture is known by `PRAGMA application_id`; `PRAGMA user_version` is its format version. A newer one is refused,
an older one is migrated when it is opened for writing and read through the same views otherwise.
"""

from __future__ import annotations

from typing import Any

from sqlite_utils import Database
from sqlite_utils.db import Table
from sqlite_utils.migrations import Migrations

from nestperf.capture import model, repeats

APPLICATION_ID = 0x4E507266  # "NPrf"
FORMAT = 8

TABLES: dict[type[Any], str] = {
    model.Client: "clients",
    model.Session: "sessions",
    model.Exchange: "exchanges",
    model.HeaderSet: "header_sets",
    model.Body: "bodies",
    model.BodyPart: "body_parts",
    model.Socket: "sockets",
    model.Frame: "frames",
    model.Packet: "packets",
    model.Statement: "statements",
    model.Query: "queries",
    model.Relation: "relations",
    model.Mark: "marks",
    model.Wording: "wordings",
    model.Literals: "literals",
    model.Page: "pages",
    model.Resource: "resources",
    model.Timing: "timings",
}
SINCE: dict[str, int] = {
    "statements": 2,
    "queries": 2,
    "body_parts": 3,
    "relations": 4,
    "marks": 5,
    "wordings": 6,
    "literals": 6,
    "pages": 7,
    "resources": 7,
    "timings": 7,
    "repeats": 8,
}
"""The format that brought a table, where it was not the first: older captures have none of its rows."""

migrations = Migrations("nestperf")


@migrations()
def v1_the_walk(db: Database) -> None:
    """Runs, sessions, exchanges, sockets, frames and packets."""
    _create(
        db,
        "run",
        {
            "id": int,
            "uid": str,
            "purpose": str,
            "vantage": str,
            "state": str,
            "version": str,
            "started_unix_ns": int,
            "ended_ns": int,
            "upstreams": str,
            "settings": str,
            "losses": str,
            "relay": str,
            "certificate": str,
            "invalid": str,
            "source_uid": str,
            "source_path": str,
        },
    )
    _create(db, "clients", {"id": int, "address": str, "user_agent": str, "identity": str})
    _create(
        db,
        "sessions",
        {
            "id": int,
            "client_id": int,
            "label": str,
            "vu": int,
            "iteration": int,
            "source_session": int,
            "identity": str,
            "intended_ns": int,
            "started_ns": int,
            "ended_ns": int,
            "state": str,
        },
    )
    _create(
        db,
        "exchanges",
        {
            "id": int,
            "session_id": int,
            "client_id": int,
            "connection": int,
            "upstream": int,
            "kind": str,
            "server_call": int,
            "method": str,
            "authority": str,
            "target": str,
            "route": str,
            "http_version": str,
            "request_headers": int,
            "request_trailers": int,
            "request_body": int,
            "request_bytes": int,
            "status": int,
            "reason": str,
            "response_headers": int,
            "response_trailers": int,
            "response_body": int,
            "response_bytes": int,
            "interim": str,
            "intended_ns": int,
            "sent_ns": int,
            "request_done_ns": int,
            "first_byte_ns": int,
            "done_ns": int,
            "connect_ns": int,
            "relay_ns": int,
            "outcome": str,
            "detail": str,
            "source_exchange": int,
        },
    )
    _create(db, "header_sets", {"id": int, "pairs": str})
    _create(
        db,
        "bodies",
        {
            "id": int,
            "content_id": str,
            "media_type": str,
            "coding": str,
            "chunked": int,
            "size": int,
            "wire_size": int,
            "state": str,
            "content": bytes,
        },
    )
    _create(
        db,
        "sockets",
        {
            "id": int,
            "session_id": int,
            "client_id": int,
            "exchange_id": int,
            "connection": int,
            "upstream": int,
            "protocol": str,
            "version": int,
            "authority": str,
            "target": str,
            "sid": str,
            "transports": str,
            "intended_ns": int,
            "opened_ns": int,
            "connected_ns": int,
            "closed_ns": int,
            "closed_by": str,
            "close_code": int,
            "close_reason": str,
            "outcome": str,
            "detail": str,
            "source_socket": int,
        },
    )
    _create(
        db,
        "frames",
        {
            "id": int,
            "socket_id": int,
            "sender": str,
            "stamp_ns": int,
            "done_ns": int,
            "opcode": str,
            "fin": int,
            "compressed": int,
            "wire_size": int,
            "size": int,
            "content": bytes,
        },
    )
    _create(
        db,
        "packets",
        {
            "id": int,
            "socket_id": int,
            "frame_id": int,
            "exchange_id": int,
            "sender": str,
            "stamp_ns": int,
            "done_ns": int,
            "engine_type": str,
            "type": str,
            "namespace": str,
            "event": str,
            "ack_id": int,
            "payload": str,
            "attachments": str,
            "size": int,
            "answers": int,
            "intended_ns": int,
            "source_packet": int,
        },
    )
    db.create_view(
        "latencies",
        """
        select id, kind, method, route, status, outcome,
               (done_ns - sent_ns) / 1e6 as service_ms,
               (done_ns - intended_ns) / 1e6 as response_ms,
               (first_byte_ns - sent_ns) / 1e6 as first_byte_ms,
               (sent_ns - intended_ns) / 1e6 as send_lag_ms
        from exchanges
        """,
    )
    db.create_view(
        "events",
        """
        select packets.id, socket_id, sockets.session_id, sender, stamp_ns, packets.namespace, event, ack_id, payload
        from packets join sockets on sockets.id = packets.socket_id
        where type = 'event'
        """,
    )


@migrations()
def v2_queries(db: Database) -> None:
    """SQL statements and their round trips."""
    _create(db, "statements", {"id": int, "text": str, "fingerprint": str})
    _create(
        db,
        "queries",
        {
            "id": int,
            "source": str,
            "connection": int,
            "upstream": int,
            "database": str,
            "application": str,
            "exchange_id": int,
            "statement_id": int,
            "protocol": str,
            "sent_ns": int,
            "started_ns": int,
            "first_row_ns": int,
            "done_ns": int,
            "rows": int,
            "request_bytes": int,
            "response_bytes": int,
            "outcome": str,
            "sqlstate": str,
            "transaction_state": str,
            "trace": str,
            "parameters": str,
        },
    )
    db.create_view(
        "query_times",
        """
        select queries.id, statements.text, fingerprint, queries.protocol, rows, outcome, sqlstate,
               (done_ns - started_ns) / 1e6 as query_ms,
               (first_row_ns - started_ns) / 1e6 as first_row_ms,
               (started_ns - sent_ns) / 1e6 as waited_ms
        from queries left join statements on statements.id = queries.statement_id
        """,
    )


@migrations()
def v3_growing_bodies(db: Database) -> None:
    """Bodies that go on are stored part by part."""
    _create(db, "body_parts", {"id": int, "body_id": int, "content": bytes})


@migrations()
def v4_relations(db: Database) -> None:
    """What secrets are made of."""
    _create(db, "relations", {"id": int, "coding": str, "template": str})


@migrations()
def v5_marks(db: Database) -> None:
    """Moments that somebody gave a name."""
    _create(
        db,
        "marks",
        {"id": int, "stamp_ns": int, "end_ns": int, "text": str, "source": str, "source_exchanges": str},
    )


@migrations()
def v6_wordings(db: Database) -> None:
    """Statements as they were asked, so that reads can be asked again."""
    _create(db, "wordings", {"id": int, "pieces": str, "types": str})
    _create(db, "literals", {"id": int, "wording_id": int, "content": str})


@migrations()
def v7_pages(db: Database) -> None:
    """What a browser saw of its pages."""
    _create(
        db,
        "pages",
        {
            "id": int,
            "session_id": int,
            "client_id": int,
            "upstream": int,
            "exchange_id": int,
            "kind": str,
            "url": str,
            "route": str,
            "profile": str,
            "cpu_factor": float,
            "round": int,
            "cache": str,
            "hidden": int,
            "started_ns": int,
            "first_byte_ns": int,
            "dom_loaded_ns": int,
            "load_ns": int,
            "fcp_ns": int,
            "lcp_ns": int,
            "lcp_element": str,
            "cls": float,
            "inp_ns": int,
            "inp_element": str,
            "interactions": int,
            "long_tasks": int,
            "long_tasks_ns": int,
            "errors": int,
            "ended_ns": int,
            "clock_error_ns": int,
            "screenshot": int,
        },
    )
    _create(
        db,
        "resources",
        {
            "id": int,
            "page_id": int,
            "exchange_id": int,
            "url": str,
            "initiator": str,
            "started_ns": int,
            "first_byte_ns": int,
            "done_ns": int,
            "bytes": int,
            "blocking": int,
        },
    )
    _create(
        db,
        "timings",
        {
            "id": int,
            "page_id": int,
            "kind": str,
            "name": str,
            "started_ns": int,
            "duration_ns": int,
            "exchange_id": int,
            "items": int,
            "detail": str,
        },
    )
    db.create_view(
        "page_times",
        """
        select id, kind, route, profile, round, cache, hidden,
               (first_byte_ns - started_ns) / 1e6 as first_byte_ms,
               (dom_loaded_ns - started_ns) / 1e6 as dom_loaded_ms,
               (load_ns - started_ns) / 1e6 as load_ms,
               (fcp_ns - started_ns) / 1e6 as fcp_ms,
               (lcp_ns - started_ns) / 1e6 as lcp_ms,
               cls, inp_ns / 1e6 as inp_ms, long_tasks_ns / 1e6 as long_tasks_ms, errors
        from pages
        """,
    )


@migrations()
def v8_repeats(db: Database) -> None:
    """Exchanges that are packed while a run goes on; there are none when it is over."""
    repeats.create(db.conn)


def _create(db: Database, name: str, columns: dict[str, type]) -> None:
    table = db[name]
    assert isinstance(table, Table)
    table.create(columns, pk="id", strict=True)


def migrate(db: Database) -> None:
    """Bring `db` to `FORMAT` and mark it as a capture."""
    db.conn.execute(f"pragma application_id = {APPLICATION_ID}")
    migrations.apply(db)
    db.conn.execute(f"pragma user_version = {FORMAT}")


INDEXES = (
    ("exchanges", ("session_id",)),
    ("exchanges", ("route", "method")),
    ("frames", ("socket_id", "stamp_ns")),
    ("packets", ("socket_id", "stamp_ns")),
    ("queries", ("statement_id",)),
    ("resources", ("page_id",)),
    ("timings", ("page_id",)),
)
"""Built when a run ends: on the hot path they would cost more than the rows."""


def build_indexes(db: Database) -> None:
    """Build the indexes that reading wants."""
    for name, columns in INDEXES:
        table = db[name]
        assert isinstance(table, Table)
        table.create_index(columns, if_not_exists=True)
