"""Makes a row of what a decoder saw of a query, or of what somebody else told of one. Pure."""

from __future__ import annotations

from collections.abc import Callable

from nestperf.capture.model import Query
from nestperf.wire.observations import QuerySeen


def build_query(
    row_id: int,
    seen: QuerySeen,
    *,
    connection: int,
    upstream: int,
    database: str,
    application: str,
    statement_id: int | None,
    trace: str | None = None,
    parameters: str | None = None,
    stamp: Callable[[int], int],
) -> Query:
    """The row of a query that passed by on the wire; `stamp` turns the decoder's stamps into the run's."""
    return Query(
        id=row_id,
        source="wire",
        connection=connection,
        upstream=upstream,
        database=database,
        application=application,
        exchange_id=None,
        statement_id=statement_id,
        protocol=seen.protocol,
        sent_ns=stamp(seen.sent_ns),
        started_ns=stamp(seen.started_ns),
        first_row_ns=None if seen.first_row_ns is None else stamp(seen.first_row_ns),
        done_ns=None if seen.done_ns is None else stamp(seen.done_ns),
        rows=seen.rows,
        request_bytes=seen.request_bytes,
        response_bytes=seen.response_bytes,
        outcome=seen.outcome,
        sqlstate=seen.sqlstate,
        transaction_state=seen.transaction,
        trace=trace,
        parameters=parameters,
    )


def told_query(
    row_id: int,
    source: str,
    span: tuple[int, int],
    *,
    statement_id: int | None,
    connection: int | None = None,
    database: str = "",
    application: str = "",
    exchange_id: int | None = None,
    protocol: str = "",
    trace: str | None = None,
) -> Query:
    """The row of a query of which only its time is known, begin and end in the run's stamps; `source` tells of it."""
    begun_ns, done_ns = span
    return Query(
        id=row_id,
        source=source,
        connection=connection,
        upstream=None,
        database=database,
        application=application,
        exchange_id=exchange_id,
        statement_id=statement_id,
        protocol=protocol,
        sent_ns=begun_ns,
        started_ns=begun_ns,
        first_row_ns=None,
        done_ns=done_ns,
        rows=0,
        request_bytes=0,
        response_bytes=0,
        outcome="ok",
        sqlstate=None,
        transaction_state=None,
        trace=trace,
        parameters=None,
    )
