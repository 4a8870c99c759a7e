"""What one page asks for many times: calls of one route, and one statement in several of its calls. Pure.

A call belongs to the page that its Referer names, else to the last page of the same user before it. A call to another
origin tells no more than its page's origin: the last page there is meant, not the one at `/`. Where the address of a
page changed without a load (History API), its calls count for the address that they name. Only what comes within a few
seconds counts together: a page that asks for news every ten seconds repeats nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from nestperf.capture.routes import route_of

WINDOW_NS = 3_000_000_000
"""So close together calls are one page's doing."""
REPEATED = 5
"""So many times is a finding: N+1 (one for each row of another one's answer)."""
REPEATED_STATEMENTS = 10
"""The same for one statement in several calls of a page, which shared middleware asks once for each."""


class Sent(NamedTuple):
    """An exchange of a browser, as far as it matters here."""

    id: int
    user: tuple[str, int]
    is_page: bool
    is_call: bool
    method: str
    route: str
    target: str
    authority: str
    referer: str
    """Empty where there was none."""
    sent_ns: int
    done_ns: int | None


class PageRoute(NamedTuple):
    """One route that one page called many times."""

    page: str
    """Its route."""
    method: str
    route: str
    pages: int
    """How many loads of the page did so."""
    most: int
    """The most calls of one of them, within the window."""
    targets: int
    """How many different addresses those were."""
    total_ns: int
    """Service time of those."""
    page_id: int
    """The page that called most often."""
    exchange_id: int
    """The first of its calls."""


class PageStatement(NamedTuple):
    """One statement that one page asked for many times, in several of its exchanges."""

    page: str
    statement: str
    pages: int
    most: int
    exchanges: int
    """In how many exchanges of the page, the document included."""
    total_ns: int
    """Query time of those."""
    page_id: int


class Asking(NamedTuple):
    """A query with the exchange that asked."""

    exchange_id: int
    statement: str
    sent_ns: int
    time_ns: int


def pages_of(exchanges: Iterable[Sent]) -> dict[int, Sent]:
    """The page of every call, and of every page itself, by the exchange's id; those without a page are left out.

    A page whose address has changed since its load has the route of the new one.
    """
    found: dict[int, Sent] = {}
    last: dict[tuple[str, int], Sent] = {}
    last_at: dict[tuple[tuple[str, int], str], Sent] = {}
    named: dict[tuple[tuple[str, int], str, str], Sent] = {}
    for one in sorted(exchanges, key=lambda one: (one.sent_ns, one.id)):
        if one.is_page:
            last[one.user] = last_at[one.user, one.authority] = found[one.id] = one
            named[one.user, one.authority, one.target] = one
            continue
        if not one.is_call:
            continue
        # Any bytes may stand here: taken apart by hand, because a URL that is none would raise.
        authority, _, rest = one.referer.partition("://")[2].partition("/")
        there = last_at.get((one.user, authority))
        if not rest and authority != one.authority and there is not None:
            page: Sent | None = there
        else:
            page = named.get((one.user, authority, f"/{rest}"))
            if page is None and rest and there is not None:
                page = there._replace(route=route_of(f"/{rest}"))
            if page is not None:
                last_at[one.user, authority] = page
        page = page or last.get(one.user)
        if page is not None:
            found[one.id] = page
    return found


def repeated_routes(exchanges: Iterable[Sent], pages: Mapping[int, Sent]) -> tuple[PageRoute, ...]:
    """Routes that a page called many times within the window; the most frequent first."""
    calls: dict[tuple[int, str, str, str], list[Sent]] = {}
    for one in exchanges:
        if one.is_call and (page := pages.get(one.id)) is not None:
            calls.setdefault((page.id, page.route, one.method, one.route), []).append(one)
    found: dict[tuple[str, str, str], list[tuple[list[Sent], Sent]]] = {}
    for (_, at, method, route), sent in calls.items():
        sent.sort(key=lambda one: one.sent_ns)
        first, end = _densest([one.sent_ns for one in sent])
        if end - first >= REPEATED:
            page = pages[sent[0].id]
            found.setdefault((at, method, route), []).append((sent[first:end], page))
    rows = (_route_row(*key, loads) for key, loads in found.items())
    return tuple(sorted(rows, key=lambda row: (-row.most, row.page, row.route)))


def _route_row(page: str, method: str, route: str, loads: Sequence[tuple[list[Sent], Sent]]) -> PageRoute:
    burst, worst = max(loads, key=lambda load: (len(load[0]), -load[1].id))
    return PageRoute(
        page=page,
        method=method,
        route=route,
        pages=len(loads),
        most=len(burst),
        targets=len({one.target for one in burst}),
        total_ns=sum((one.done_ns or one.sent_ns) - one.sent_ns for one in burst),
        page_id=worst.id,
        exchange_id=burst[0].id,
    )


def repeated_statements(queries: Iterable[Asking], pages: Mapping[int, Sent]) -> tuple[PageStatement, ...]:
    """Statements that a page asked for many times within the window, in more than one exchange, none of which asked
    so often by itself that it is a finding of its own."""
    asked: dict[tuple[int, str, str], list[Asking]] = {}
    for query in queries:
        if (page := pages.get(query.exchange_id)) is not None:
            asked.setdefault((page.id, page.route, query.statement), []).append(query)
    loads: dict[tuple[str, str], list[tuple[list[Asking], Sent]]] = {}
    for (_, at, statement), found in asked.items():
        found.sort(key=lambda query: query.sent_ns)
        first, end = _densest([query.sent_ns for query in found])
        burst = found[first:end]
        if len(burst) >= REPEATED_STATEMENTS and _is_spread(burst):
            page = pages[found[0].exchange_id]
            loads.setdefault((at, statement), []).append((burst, page))
    return tuple(sorted(_statement_rows(loads), key=lambda row: (-row.most, row.page, row.statement)))


def _statement_rows(
    loads: Mapping[tuple[str, str], Sequence[tuple[list[Asking], Sent]]],
) -> Iterator[PageStatement]:
    for (page, statement), each in loads.items():
        burst, worst = max(each, key=lambda load: (len(load[0]), -load[1].id))
        yield PageStatement(
            page=page,
            statement=statement,
            pages=len(each),
            most=len(burst),
            exchanges=len({query.exchange_id for query in burst}),
            total_ns=sum(query.time_ns for query in burst),
            page_id=worst.id,
        )


def _is_spread(burst: Sequence[Asking]) -> bool:
    each: dict[int, int] = {}
    for query in burst:
        each[query.exchange_id] = each.get(query.exchange_id, 0) + 1
    return len(each) > 1 and max(each.values()) < REPEATED


def _densest(stamps: Sequence[int]) -> tuple[int, int]:
    """Where the most of ascending stamps lie within the window: from, and behind the last."""
    best, first = (0, 0), 0
    for end, stamp in enumerate(stamps, 1):
        while stamp - stamps[first] > WINDOW_NS:
            first += 1
        if end - first > best[1] - best[0]:
            best = (first, end)
    return best
