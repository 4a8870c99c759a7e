"""Who a query belongs to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.owners import Asked, How, Owner, Span, owners_of

TRACE, OTHER = "a" * 32, "b" * 32


def span(
    number: int, sent: int, done: int | None, *, upstream: int = 0, call: bool = False, trace: str | None = None
) -> Span:
    return Span(number, sent, done, upstream, call, trace)


def owner(query: Asked, *spans: Span) -> tuple[int | None, How]:
    (found,) = owners_of([query], spans)
    assert found.query_id == query.id
    return found.exchange_id, found.how


QUERY = Asked(1, 20, 30, None)
TRACED = Asked(1, 20, 30, TRACE)


@pytest.mark.parametrize(
    ("query", "spans", "expected"),
    [
        (QUERY, [span(1, 10, 40)], (1, How.CONTAINED)),
        (QUERY, [span(1, 20, 30)], (1, How.CONTAINED)),
        (QUERY, [], (None, How.BACKGROUND)),
        (QUERY, [span(1, 10, 29)], (None, How.BACKGROUND)),
        (QUERY, [span(1, 21, 40)], (None, How.BACKGROUND)),
        (QUERY, [span(1, 10, 40), span(2, 15, 35)], (None, How.AMBIGUOUS)),
        (QUERY, [span(1, 10, 40), span(2, 15, 25)], (1, How.CONTAINED)),
        (QUERY, [span(1, 10, None)], (1, How.CONTAINED)),
        (Asked(1, 20, None, None), [span(1, 10, 40)], (None, How.BACKGROUND)),
        (Asked(1, 20, None, None), [span(1, 10, None)], (1, How.CONTAINED)),
        (TRACED, [span(1, 10, 40, trace=OTHER), span(2, 15, 35, trace=TRACE)], (2, How.TRACE)),
        (TRACED, [span(1, 10, 40), span(2, 15, 25, trace=TRACE)], (1, How.CONTAINED)),
        (QUERY, [span(1, 10, 40), span(2, 15, 35, upstream=1, call=True)], (2, How.CONTAINED)),
        (QUERY, [span(1, 10, 40), span(2, 15, 35, call=True)], (None, How.AMBIGUOUS)),
        (QUERY, [span(1, 10, 31), span(2, 15, 35, upstream=1, call=True)], (None, How.AMBIGUOUS)),
        (TRACED, [span(1, 10, 40, trace=TRACE), span(2, 15, 35, upstream=1, call=True, trace=TRACE)], (2, How.TRACE)),
    ],
    ids=[
        "contained", "same times", "nothing there", "answered before it was done", "began after it", "two of them",
        "one of two ended before", "exchange still open", "query still open", "both still open", "trace decides",
        "trace that does not contain it", "page that waits for the call", "two at one upstream", "not contained call",
        "trace through two services",
    ],
)  # fmt: skip
def test_owner_is_who_the_trace_names_or_who_contains_it(
    query: Asked, spans: list[Span], expected: tuple[int | None, How]
) -> None:
    assert owner(query, *spans) == expected


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 10), st.booleans()), max_size=8),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 5)), max_size=8),
)
def test_owners_agree_with_looking_at_every_pair(
    exchanges: list[tuple[int, int, bool]], asked: list[tuple[int, int]]
) -> None:
    spans = [span(n, sent, sent + took, call=call, upstream=n % 2) for n, (sent, took, call) in enumerate(exchanges)]
    queries = [Asked(n, sent, sent + took, None) for n, (sent, took) in enumerate(asked)]
    found = list(owners_of(queries, spans))
    assert sorted(one.query_id for one in found) == list(range(len(queries)))
    for one in found:
        query = queries[one.query_id]
        around = [s for s in spans if s.sent_ns <= query.sent_ns and (query.done_ns or 0) <= (s.done_ns or 0)]
        outer = {
            a.id
            for a in around
            for b in around
            if b.server_call
            and a.upstream != b.upstream
            and a.sent_ns <= b.sent_ns
            and (b.done_ns or 0) <= (a.done_ns or 0)
        }
        left = [s.id for s in around if s.id not in outer] or [s.id for s in around]
        if len(left) == 1:
            assert one == Owner(query.id, left[0], How.CONTAINED)
        else:
            assert one == Owner(query.id, None, How.AMBIGUOUS if left else How.BACKGROUND)
