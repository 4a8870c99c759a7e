"""The facts of one capture that every rendering shows: per route, event, broadcast and socket.

Measures, never judges.
"""

from __future__ import annotations

from dataclasses import dataclass

from reports.broadcasts import Broadcast
from reports.effects import find_effects
from reports.pages import PageFacts
from reports.queries import QueryFacts
from reports.repeats import PageRoute
from reports.returns import find_returns, rows_of
from reports.route_rows import BothTimes, MarkRow, RouteRow, both_times, mark_rows, route_rows
from reports.samples import Samples, ordered_ns
from reports.socket_rows import (
    BroadcastRow,
    EffectRow,
    EventRow,
    Missed,
    ReturnRow,
    SocketRow,
    broadcast_rows,
    effect_row,
    event_rows,
    missed_of,
    return_row,
    socket_rows,
)
from reports.sockets import session_times, users_at_once
from reports.spread import Percentiles, percentiles_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Everything a report shows beside the verdicts."""

    span_ns: int
    """From the first to the last thing that happened."""
    exchanges: int
    clients: int
    """Recordings: how many browsers and people, as far as the wire shows it. Replays: source addresses."""
    sessions: int
    users_at_once: int
    session_time: Percentiles
    latency_name: str
    routes: tuple[RouteRow, ...]
    marks: tuple[MarkRow, ...]
    """In the order in which they were set, or first used."""
    events: tuple[EventRow, ...]
    broadcasts: tuple[BroadcastRow, ...]
    effects: tuple[EffectRow, ...]
    sockets: tuple[SocketRow, ...]
    returns: tuple[ReturnRow, ...]
    missed: tuple[Missed, ...]
    """Only of recordings: a replay does what the recording did."""
    both_times: tuple[BothTimes, ...]
    """Empty where there are no intended times."""
    send_lag: Percentiles
    added: Percentiles
    """What the recorder itself took, per exchange."""
    queries: QueryFacts | None
    """None where the capture holds no queries."""
    page_routes: tuple[PageRoute, ...] = ()
    """Routes that one page called many times."""
    pages: PageFacts | None = None
    """None where no browser was watched."""
    left_out: int = 0
    """Exchanges of ramp and warm-up, which are in no other number."""


def summarize(
    samples: Samples,
    broadcasts: tuple[Broadcast, ...],
    queries: QueryFacts | None = None,
    page_routes: tuple[PageRoute, ...] = (),
    pages: PageFacts | None = None,
) -> Summary:
    """The facts of a capture."""
    span = samples.span_ns
    span_ns = span[1] - span[0] if span else 0
    returns = find_returns(samples)
    return Summary(
        span_ns=span_ns,
        exchanges=len(samples.exchanges),
        clients=len(samples.identities.of_client),
        sessions=len(samples.sessions),
        users_at_once=users_at_once(samples.sessions),
        session_time=percentiles_of(session_times(samples.sessions).ordered),
        latency_name=samples.latency_name,
        routes=tuple(route_rows(samples, span_ns)),
        marks=tuple(mark_rows(samples, span_ns)),
        events=tuple(event_rows(samples, span_ns)),
        broadcasts=broadcast_rows(broadcasts),
        effects=tuple(map(effect_row, find_effects(samples))),
        sockets=socket_rows(samples),
        returns=tuple(map(return_row, rows_of(returns))),
        missed=tuple(missed_of(returns)) if samples.run.purpose in ("record", "import") else (),
        both_times=tuple(both_times(samples)) if samples.has_intended else (),
        send_lag=percentiles_of(ordered_ns(samples.durations("send_lag"))),
        added=percentiles_of(ordered_ns(samples.durations("relay_time"))),
        queries=queries,
        page_routes=page_routes,
        pages=pages,
        left_out=samples.left_out,
    )
