"""Which exchange a query belongs to: the one whose trace its comment names, else the one that contains it in time.

Pure. Nothing in SQL names the request it was for, so this is a deduction: sure where one person clicks, a share of the
queries under load. Who cannot be told from others is `ambiguous`, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import NamedTuple

from nestperf.capture.model import Kind

ASKING = frozenset({Kind.CALL, Kind.PAGE, Kind.ASSET})
"""Kinds that queries can belong to: polls and streams contain everything, preflights ask for nothing."""


class How(StrEnum):
    """What links a query to an exchange."""

    TRACE = "trace"
    CONTAINED = "contained"
    AMBIGUOUS = "ambiguous"
    """Several exchanges contain it."""
    BACKGROUND = "background"
    """None does."""


class Span(NamedTuple):
    """An exchange that may have asked for queries."""

    id: int
    sent_ns: int
    done_ns: int | None
    """None: still open when the recording ended."""
    upstream: int
    server_call: bool
    trace: str | None
    """Trace id (32 hexadecimal digits) of its `traceparent` header."""


class Asked(NamedTuple):
    """A query's time on the wire."""

    id: int
    sent_ns: int
    done_ns: int | None
    trace: str | None
    """Trace id of its comment."""


class Owner(NamedTuple):
    """The exchange of one query."""

    query_id: int
    exchange_id: int | None
    how: How


def owners_of(queries: Iterable[Asked], spans: Iterable[Span]) -> Iterator[Owner]:
    """The owner of each query, in the order they were sent."""
    coming = sorted(spans, key=lambda span: span.sent_ns, reverse=True)
    going: list[Span] = []
    for query in sorted(queries, key=lambda query: query.sent_ns):
        while coming and coming[-1].sent_ns <= query.sent_ns:
            going.append(coming.pop())
        going = [span for span in going if span.done_ns is None or span.done_ns >= query.sent_ns]
        around = [span for span in going if _contains(span, query)]
        traced = [span for span in around if query.trace is not None and span.trace == query.trace]
        candidates = _innermost(traced or around)
        if not candidates:
            yield Owner(query.id, None, How.BACKGROUND)
        elif len(candidates) > 1:
            yield Owner(query.id, None, How.AMBIGUOUS)
        else:
            yield Owner(query.id, candidates[0].id, How.TRACE if traced else How.CONTAINED)


def _contains(span: Span, query: Asked) -> bool:
    if span.done_ns is None:
        return True
    return query.done_ns is not None and query.done_ns <= span.done_ns


def _innermost(spans: Sequence[Span]) -> Sequence[Span]:
    """Without the exchanges that wait for a server-side call among them: the page whose server asked the API."""
    calls = [span for span in spans if span.server_call]
    if not calls:
        return spans
    return [span for span in spans if not any(_causes(span, call) for call in calls)] or spans


def _causes(span: Span, call: Span) -> bool:
    if span is call or span.upstream == call.upstream or span.sent_ns > call.sent_ns:
        return False
    return span.done_ns is None or (call.done_ns is not None and call.done_ns <= span.done_ns)
