"""The database queries of a capture: their times, their statements, and what they cost the exchanges that asked.

Query time is done − started, in nanoseconds: the database's part, without waiting behind the query ahead on the same
connection. Nothing here judges.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nestperf.capture import model
from nestperf.capture.owners import ASKING, Asked, How, Owner, Span, owners_of
from nestperf.capture.reader import Capture
from nestperf.percentiles import nearest_rank
from reports.columns import Codes, Labels, Mask, Stamps, read_columns
from reports.repeats import REPEATED, Asking, PageStatement, Sent, pages_of, repeated_statements

IDLE_NS = 100_000_000
"""A transaction that waits so long for its client is a finding: it holds its locks and its connection meanwhile."""
_MEASURED = ("ok", "error")
_STATEMENT = 400
_P50, _P95 = Fraction(1, 2), Fraction(95, 100)
_TOUCHES_ROWS = re.compile(r"\s*(?:(?:select|with)\b.*\bfrom|insert|update|delete|merge)\b", re.IGNORECASE | re.DOTALL)
"""What can be one query too many: not BEGIN, SET or what a pool resets its connections with."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Queries:
    """The table of queries, in order of id."""

    id: Codes
    connection: Stamps
    upstream: Stamps
    exchange: Stamps
    """Only where the source names it."""
    statement: Labels
    """The shape's text; empty where it is not known."""
    protocol: Labels
    sent: Stamps
    started: Stamps
    first_row: Stamps
    done: Stamps
    rows: Stamps
    outcome: Labels
    state: Labels
    """Of the transaction, after the query."""
    trace: Labels
    source: Labels

    def __len__(self) -> int:
        return len(self.id)

    @cached_property
    def told_again(self) -> Mask:
        """What `Server-Timing` tells beside queries that were seen themselves: it counts for nothing."""
        told = self.source.among("server-timing")
        return np.zeros_like(told) if told.all() else told

    @cached_property
    def times(self) -> Stamps:
        """Query time; NaN for preparations, for what was skipped or never answered, and for what `Server-Timing` tells
        beside queries that were seen."""
        counted = self.outcome.among(*_MEASURED) & ~self.protocol.among("prepare")
        counted &= ~self.told_again
        return np.where(counted, self.done - self.started, np.nan)

    def at_upstreams(self, upstreams: frozenset[int]) -> Mask:
        """The queries to some upstreams."""
        return np.isin(self.upstream, list(upstreams))


class StatementRow(NamedTuple):
    """One statement."""

    statement: str
    n: int
    p50_ns: int
    p95_ns: int
    max_ns: int
    total_ns: int
    share: float
    """Of the time of all queries."""
    rows: int
    errors: int


class Repeated(NamedTuple):
    """One statement that one exchange asked for many times."""

    route: str
    method: str
    statement: str
    exchanges: int
    """How many exchanges of the route did so."""
    most: int
    """The most times within one of them."""
    total_ns: int
    """Query time of all those."""
    exchange_id: int
    """The one that asked most often."""


class HeldOpen(NamedTuple):
    """A transaction that waited for its client."""

    connection: int
    idle_ns: int
    """The longest wait between two of its queries."""
    after: str
    """The statement before that wait."""
    query_id: int
    """The one before that wait."""
    answered_id: int | None
    """The exchange that asked it, where it was answered before the wait was over: the transaction stayed open while
    its user did something else."""


class Links(NamedTuple):
    """How many queries belong to an exchange for sure."""

    total: int
    linked: int
    ambiguous: int
    background: int


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryFacts:
    """What a report shows of the queries."""

    statements: tuple[StatementRow, ...]
    """Those that took most time in all first."""
    repeated: tuple[Repeated, ...]
    repeated_by_pages: tuple[PageStatement, ...]
    held_open: tuple[HeldOpen, ...]
    links: Links


_COLUMNS = ("id", "connection", "upstream", "exchange_id", "statement_id", "protocol", "sent_ns", "started_ns",
            "first_row_ns", "done_ns", "rows", "outcome", "transaction_state", "trace", "source")  # fmt: skip
_TEXTS = frozenset({4, 5, 11, 12, 13, 14})


def read_queries(capture: Capture) -> Queries:
    """Read the queries of a capture; none where its format has none."""
    texts = {str(row.id): row.text for row in capture.statements()}
    batches = (
        [(*row[:4], str(row[4] or ""), *row[5:]) for row in rows]
        for rows in capture.column_batches(model.Query, *_COLUMNS)
    )
    columns = read_columns(batches, _TEXTS, len(_COLUMNS))
    ids, connection, upstream, exchange, statement, protocol, *stamps, rows, outcome, state, trace, source = columns
    sent, started, first_row, done = stamps
    return Queries(
        id=ids.astype(np.int64),
        connection=connection,
        upstream=upstream,
        exchange=exchange,
        statement=Labels(codes=statement.codes, names=tuple(texts.get(name, "") for name in statement.names)),
        protocol=protocol,
        sent=sent,
        started=started,
        first_row=first_row,
        done=done,
        rows=rows,
        outcome=outcome,
        state=state,
        trace=trace,
        source=source,
    )


def summarize_queries(capture: Capture, queries: Queries, sent: Sequence[Sent] = ()) -> QueryFacts | None:
    """The facts of a capture's queries; None where it has none. `sent`: what browsers sent."""
    if not len(queries):
        return None
    again = set(queries.id[queries.told_again].tolist())
    owners = [owner for owner in owners_of_queries(capture, queries) if owner.query_id not in again]
    return QueryFacts(
        statements=tuple(sorted(_statements(queries), key=lambda row: (-row.total_ns, row.statement))),
        repeated=tuple(sorted(_repeated(capture, queries, owners), key=lambda row: (-row.most, row.route))),
        repeated_by_pages=repeated_statements(_asking(queries, owners), pages_of(sent)) if sent else (),
        held_open=tuple(sorted(_held_open(capture, queries, owners), key=lambda row: -row.idle_ns)),
        links=_links(owners),
    )


def _statements(queries: Queries) -> Iterator[StatementRow]:
    times = queries.times
    whole = float(np.nansum(times)) or 1.0
    errors = queries.outcome.among("error")
    for code, text in enumerate(queries.statement.names):
        mask = (queries.statement.codes == code) & np.isfinite(times)
        if not mask.any():
            continue
        own: NDArray[np.int64] = np.sort(times[mask]).astype(np.int64)
        total = int(own.sum())
        yield StatementRow(
            statement=text[:_STATEMENT],
            n=len(own),
            p50_ns=nearest_rank(own, _P50),
            p95_ns=nearest_rank(own, _P95),
            max_ns=int(own[-1]),
            total_ns=total,
            share=total / whole,
            rows=int(np.nansum(queries.rows[mask])),
            errors=int((mask & errors).sum()),
        )


def owners_of_queries(capture: Capture, queries: Queries) -> Iterator[Owner]:
    """The exchange of each query, where one is sure."""
    named = {int(q): int(e) for q, e in zip(queries.id, queries.exchange, strict=True) if np.isfinite(e)}
    yield from (Owner(query, exchange, How.TRACE) for query, exchange in named.items())
    asked = (
        Asked(int(i), int(sent), int(done) if np.isfinite(done) else None, queries.trace.names[trace][:32] or None)
        for i, sent, done, trace in zip(queries.id, queries.sent, queries.done, queries.trace.codes, strict=True)
        if int(i) not in named
    )
    traces = capture.traces()
    columns = capture.columns(
        model.Exchange, "id", "sent_ns", "done_ns", "upstream", "server_call", "request_headers", "kind"
    )
    spans = (
        Span(number, sent, done, upstream, bool(call), traces.get(headers))
        for number, sent, done, upstream, call, headers, kind in columns
        if kind in ASKING
    )
    yield from owners_of(asked, spans)


def _links(owners: list[Owner]) -> Links:
    count = Counter(owner.how for owner in owners)
    linked = count[How.TRACE] + count[How.CONTAINED]
    return Links(len(owners), linked, count[How.AMBIGUOUS], count[How.BACKGROUND])


def _repeated(capture: Capture, queries: Queries, owners: list[Owner]) -> Iterator[Repeated]:
    code_of = dict(zip(queries.id.tolist(), queries.statement.codes.tolist(), strict=True))
    time_of = dict(zip(queries.id.tolist(), np.nan_to_num(queries.times).tolist(), strict=True))
    asked: dict[tuple[int, int], list[float]] = {}
    for owner in owners:
        code = code_of[owner.query_id]
        if owner.exchange_id is not None and _TOUCHES_ROWS.match(queries.statement.names[code]):
            asked.setdefault((owner.exchange_id, code), []).append(time_of[owner.query_id])
    found: dict[tuple[str, str, int], list[tuple[int, float, int]]] = {}
    for (exchange_id, code), times in asked.items():
        exchange = capture.exchange(exchange_id) if len(times) >= REPEATED else None
        if exchange is not None:
            key = (exchange.method, exchange.route, code)
            found.setdefault(key, []).append((len(times), sum(times), exchange_id))
    for (method, route, code), times_each in found.items():
        most, _, exchange_id = max(times_each)
        yield Repeated(
            route=route,
            method=method,
            statement=queries.statement.names[code][:_STATEMENT],
            exchanges=len(times_each),
            most=most,
            total_ns=round(sum(total for _, total, _ in times_each)),
            exchange_id=exchange_id,
        )


def _asking(queries: Queries, owners: Iterable[Owner]) -> Iterator[Asking]:
    row_of = dict(zip(queries.id.tolist(), range(len(queries)), strict=True))
    times = np.nan_to_num(queries.times)
    for owner in owners:
        row = row_of[owner.query_id]
        statement = queries.statement.names[queries.statement.codes[row]]
        if owner.exchange_id is not None and _TOUCHES_ROWS.match(statement):
            yield Asking(owner.exchange_id, statement[:_STATEMENT], int(queries.sent[row]), int(times[row]))


def _held_open(capture: Capture, queries: Queries, owners: Iterable[Owner]) -> Iterator[HeldOpen]:
    """The longest wait of each transaction that had one over `IDLE_NS`: `open` after a query, the next one late."""
    order = np.lexsort((queries.sent, queries.connection))
    connection, opened = queries.connection[order], queries.state.among("open", "failed")[order]
    idle = queries.sent[order][1:] - queries.done[order][:-1]
    same = opened[:-1] & (connection[1:] == connection[:-1])
    transaction = np.cumsum(~same)
    longest: dict[int, int] = {}
    for place in np.flatnonzero(same & (idle >= IDLE_NS)).tolist():
        held = longest.setdefault(int(transaction[place]), place)
        if idle[place] > idle[held]:
            longest[int(transaction[place])] = place
    owner_of = {owner.query_id: owner.exchange_id for owner in owners} if longest else {}
    for place in longest.values():
        query = int(order[place])
        exchange_id = owner_of.get(int(queries.id[query]))
        exchange = None if exchange_id is None else capture.exchange(exchange_id)
        again_ns = queries.sent[order[place + 1]]
        answered = exchange is not None and exchange.done_ns is not None and exchange.done_ns < again_ns
        yield HeldOpen(
            connection=int(queries.connection[query]),
            idle_ns=int(idle[place]),
            after=queries.statement.names[queries.statement.codes[query]][:_STATEMENT],
            query_id=int(queries.id[query]),
            answered_id=exchange_id if answered else None,
        )
