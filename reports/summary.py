"""The facts of one capture that every rendering shows: per route, event, broadcast and socket. Measures, never judges.

Durations are whole nanoseconds; a percentile of nothing is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nestperf.capture.model import FAILED, Kind, Outcome, Socket
from nestperf.capture.routes import route_of
from nestperf.percentiles import nearest_rank
from reports.broadcasts import Broadcast
from reports.columns import Codes, Mask, Stamps
from reports.effective import inflation_of
from reports.effects import Effect, find_effects
from reports.pages import PageFacts
from reports.queries import QueryFacts
from reports.repeats import PageRoute
from reports.returns import Return, ReturnsAt, find_returns, rows_of
from reports.samples import TIMED, Samples, ordered_ns
from reports.sockets import Acks, session_times, users_at_once
from reports.statistics import percentile_ranks

P50, P95, P99 = Fraction(1, 2), Fraction(95, 100), Fraction(99, 100)
MINUTE_NS = 60_000_000_000
SHORTEST_NS = 1_000_000_000


class Percentiles(NamedTuple):
    """What a set of durations looks like."""

    n: int = 0
    p50_ns: int | None = None
    p95_ns: int | None = None
    p99_ns: int | None = None
    max_ns: int | None = None
    p95_low_ns: int | None = None
    """The 95 % interval of p95; None where the sample is too small to bound it on that side."""
    p95_high_ns: int | None = None


def percentiles_of(ordered: NDArray[np.int64], inflation: float = 1.0) -> Percentiles:
    """Summarize durations; `ordered` ascends, `inflation` of them are worth one independent one."""
    n = len(ordered)
    if n == 0:
        return Percentiles()
    low, high = percentile_ranks(n, P95, inflation=inflation)
    return Percentiles(
        n=n,
        p50_ns=nearest_rank(ordered, P50),
        p95_ns=nearest_rank(ordered, P95),
        p99_ns=nearest_rank(ordered, P99),
        max_ns=int(ordered[-1]),
        p95_low_ns=None if low is None else int(ordered[low - 1]),
        p95_high_ns=None if high is None else int(ordered[high - 1]),
    )


class RouteRow(NamedTuple):
    """One route of one method and kind."""

    kind: str
    server_call: bool
    """Sent by a recorded application, not by a browser."""
    method: str
    route: str
    n: int
    """Everything that was sent."""
    per_minute: float | None
    refused: int
    limited: int
    failed: int
    aborted: int
    unfinished: int
    latency: Percentiles
    slowest_id: int | None
    """The exchange behind the maximum."""


class MarkRow(NamedTuple):
    """What goes by one name: a mark of the tester's, or a test that named itself."""

    text: str
    source: str
    """`key`, `command`, `measure`; `test`."""
    times: int
    """How often the mark was set; 0 for tests and in replays."""
    begin_ns: int | None
    """When first, since the run began; None in replays."""
    n: int
    """Everything that was sent, preflights apart."""
    refused: int
    limited: int
    failed: int
    latency: Percentiles
    slowest_id: int | None
    routes: tuple[RouteRow, ...]
    """What it is made of."""


class EventRow(NamedTuple):
    """One event of one sender in one namespace."""

    namespace: str
    event: str
    sender: str
    n: int
    per_minute: float | None
    sockets: int
    """How many sockets sent or received it."""
    acks_asked: int
    acks_missing: int
    ack_latency: Percentiles


class BroadcastRow(NamedTuple):
    """All broadcasts of one event in one namespace."""

    namespace: str
    event: str
    n: int
    fewest_receivers: int
    most_receivers: int
    received: int
    expected: int
    skew: Percentiles
    """Last receipt minus first; one of each broadcast."""


class SocketRow(NamedTuple):
    """All sockets of one protocol and path."""

    protocol: str
    path: str
    opened: int
    connected: int
    failed: int
    closed_by_client: int
    closed_by_server: int
    cut: int
    """Ended without a close handshake."""
    still_open: int
    connect: Percentiles
    """From the first byte of the opening request to the end of the handshake."""


class EffectRow(NamedTuple):
    """What one did, and the event that came to others because of it."""

    cause: str
    namespace: str
    event: str
    causes: int
    followed: int
    """How many of the causes the event followed."""
    before_answer: int | None
    """How many of those were answered only after the event had come; None where a cause has no answer."""
    received: int
    expected: int
    delivery: Percentiles
    """Of every receiver: from the cause's first byte to the event's last, on one clock."""
    skew: Percentiles
    slowest_id: int | None
    """The packet behind the longest delivery."""


class ReturnRow(NamedTuple):
    """All connections of one protocol and path that ended abnormally."""

    protocol: str
    path: str
    ends: int
    by_nestperf: int
    """Cut on purpose; nobody else's doing."""
    back: int
    """Clients that came back, into all namespaces they had been in."""
    tried: Percentiles
    """From the end to the next connection's beginning."""
    back_after: Percentiles
    subscribed_after: Percentiles
    """Until all was said again that had been said on arrival."""


class Missed(NamedTuple):
    """A client that did not come back, though it was there or the recording went on for long."""

    socket: int
    path: str
    how: str
    """`cut`, `code 1011`."""
    by_nestperf: bool
    closed_ns: int
    """Since the run began."""
    tried: bool
    """It opened another connection, and did not get where it had been."""


class BothTimes(NamedTuple):
    """What the application took beside what a user would have felt."""

    kind: str
    """Of exchanges; `session`: of whole sessions that finished, think time included."""
    service: Percentiles
    response: Percentiles


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
        routes=tuple(_routes(samples, span_ns)),
        marks=tuple(_marks(samples, span_ns)),
        events=tuple(_events(samples, span_ns)),
        broadcasts=_broadcasts(broadcasts),
        effects=tuple(map(_effect, find_effects(samples))),
        sockets=_sockets(samples),
        returns=tuple(map(_return, rows_of(returns))),
        missed=tuple(_missed(returns)) if samples.run.purpose in ("record", "import") else (),
        both_times=tuple(_both_times(samples)) if samples.has_intended else (),
        send_lag=percentiles_of(ordered_ns(samples.durations("send_lag"))),
        added=percentiles_of(ordered_ns(samples.durations("relay_time"))),
        queries=queries,
        page_routes=page_routes,
        pages=pages,
        left_out=samples.left_out,
    )


def _per_minute(n: int, span_ns: int) -> float | None:
    """None where the capture is so short that a rate would be made of one or two exchanges."""
    return n * MINUTE_NS / span_ns if span_ns >= SHORTEST_NS else None


_KIND_ORDER: dict[str, int] = {kind: place for place, kind in enumerate(
    (Kind.CALL, Kind.PAGE, Kind.ASSET, Kind.STREAM, Kind.PREFLIGHT, Kind.POLL, Kind.UPGRADE)
)}  # fmt: skip


def _routes(samples: Samples, span_ns: int, among: Codes | None = None) -> list[RouteRow]:
    """Calls first; within a kind the slowest p95 first. `among`: only of these exchanges."""
    x = samples.exchanges
    if among is None:
        among = np.flatnonzero(~x.outcome.among(Outcome.DROPPED))
    latency = samples.durations("latency")
    keys = np.stack((x.kind.codes, x.server_call.astype(np.int64), x.method.codes, x.route.codes))
    rows = []
    for unordered in _groups(keys, among):
        group = unordered[np.argsort(x.sent[unordered], kind="stable")]
        first = group[0]
        outcomes = x.outcome.pick(group)
        durations = latency[group]
        rows.append(
            RouteRow(
                kind=x.kind.names[x.kind.codes[first]],
                server_call=bool(x.server_call[first]),
                method=x.method.names[x.method.codes[first]],
                route=x.route.names[x.route.codes[first]],
                n=len(group),
                per_minute=_per_minute(len(group), span_ns),
                refused=int(outcomes.among(Outcome.REFUSED).sum()),
                limited=int(outcomes.among(Outcome.LIMITED).sum()),
                failed=int(outcomes.among(*FAILED).sum()),
                aborted=int(outcomes.among(Outcome.ABORTED).sum()),
                unfinished=int(outcomes.among(Outcome.UNFINISHED).sum()),
                latency=percentiles_of(ordered_ns(durations), inflation_of(durations[np.isfinite(durations)], P95)),
                slowest_id=int(x.id[group[np.nanargmax(durations)]]) if np.isfinite(durations).any() else None,
            )
        )
    return sorted(rows, key=_route_order)


def _marks(samples: Samples, span_ns: int) -> Iterator[MarkRow]:
    x = samples.exchanges
    latency = samples.durations("latency")
    counted = ~x.outcome.among(Outcome.DROPPED) & ~x.kind.among(Kind.PREFLIGHT)
    for named in samples.named:
        group = np.flatnonzero(counted & np.isin(x.id, named.exchanges))
        outcomes, durations = x.outcome.pick(group), latency[group]
        times = np.isfinite(durations)
        begins = named.stamps_ns or x.sent[group][np.isfinite(x.sent[group])].astype(np.int64).tolist()
        yield MarkRow(
            text=named.text,
            source=named.source,
            times=len(named.stamps_ns),
            begin_ns=None if samples.has_intended or not begins else min(begins),
            n=len(group),
            refused=int(outcomes.among(Outcome.REFUSED).sum()),
            limited=int(outcomes.among(Outcome.LIMITED).sum()),
            failed=int(outcomes.among(*FAILED).sum()),
            latency=percentiles_of(ordered_ns(durations)),
            slowest_id=int(x.id[group[np.nanargmax(durations)]]) if times.any() else None,
            routes=tuple(_routes(samples, span_ns, group)),
        )


def _route_order(row: RouteRow) -> tuple[int, bool, int, str, str]:
    return (
        _KIND_ORDER.get(row.kind, len(_KIND_ORDER)),
        row.server_call,
        -(row.latency.p95_ns or 0),
        row.route,
        row.method,
    )


def _groups(keys: Codes, rows: Codes) -> Iterator[Codes]:
    """Split `rows` by equal columns of `keys`."""
    if not len(rows):
        return
    order = np.lexsort(keys[:, rows])
    rows = rows[order]
    changes = np.flatnonzero((np.diff(keys[:, rows], axis=1) != 0).any(axis=0)) + 1
    yield from np.split(rows, changes)


def _events(samples: Samples, span_ns: int) -> list[EventRow]:
    """The most frequent first."""
    p = samples.packets
    acks = Acks(samples)
    latency: Stamps = np.full(len(p), np.nan)
    latency[acks.asked] = acks.latency
    asked: Mask = np.zeros(len(p), dtype=bool)
    asked[acks.asked] = True
    missing: Mask = np.zeros(len(p), dtype=bool)
    missing[acks.asked] = acks.missing
    keys = np.stack((p.namespace.codes, p.event.codes, p.from_server.astype(np.int64)))
    rows = []
    for group in _groups(keys, np.flatnonzero(p.type.among("event"))):
        first = group[0]
        rows.append(
            EventRow(
                namespace=p.namespace.names[p.namespace.codes[first]] or "/",
                event=p.event.names[p.event.codes[first]],
                sender="server" if p.from_server[first] else "client",
                n=len(group),
                per_minute=_per_minute(len(group), span_ns),
                sockets=len(np.unique(p.socket[group])),
                acks_asked=int(asked[group].sum()),
                acks_missing=int(missing[group].sum()),
                ack_latency=percentiles_of(ordered_ns(latency[group])),
            )
        )
    return sorted(rows, key=lambda row: (-row.n, row.namespace, row.event, row.sender))


def _broadcasts(broadcasts: tuple[Broadcast, ...]) -> tuple[BroadcastRow, ...]:
    by_event: dict[tuple[str, str], list[Broadcast]] = {}
    for broadcast in broadcasts:
        by_event.setdefault((broadcast.namespace or "/", broadcast.event), []).append(broadcast)
    return tuple(
        BroadcastRow(
            namespace=namespace,
            event=event,
            n=len(found),
            fewest_receivers=min(len(b.deliveries_ns) for b in found),
            most_receivers=max(len(b.deliveries_ns) for b in found),
            received=sum(len(b.deliveries_ns) for b in found),
            expected=sum(b.expected for b in found),
            skew=percentiles_of(np.sort(np.array([b.skew_ns for b in found], dtype=np.int64))),
        )
        for (namespace, event), found in sorted(by_event.items())
    )


def _effect(found: Effect) -> EffectRow:
    return EffectRow(
        cause=found.cause,
        namespace=found.namespace,
        event=found.event,
        causes=found.causes,
        followed=found.followed,
        before_answer=found.before_answer,
        received=found.received,
        expected=found.expected,
        delivery=percentiles_of(ordered_ns(found.deliveries)),
        skew=percentiles_of(ordered_ns(found.skews)),
        slowest_id=found.slowest,
    )


def _return(found: ReturnsAt) -> ReturnRow:
    return ReturnRow(
        protocol=found.protocol,
        path=found.path,
        ends=found.ends,
        by_nestperf=found.by_nestperf,
        back=found.back,
        tried=percentiles_of(ordered_ns(found.tried)),
        back_after=percentiles_of(ordered_ns(found.back_after)),
        subscribed_after=percentiles_of(ordered_ns(found.subscribed_after)),
    )


def _missed(returns: Iterable[Return]) -> Iterator[Missed]:
    for one in returns:
        if one.missed:
            yield Missed(one.socket, one.path, one.how, one.by_nestperf, one.closed_ns, one.again is not None)


def _sockets(samples: Samples) -> tuple[SocketRow, ...]:
    by_path: dict[tuple[str, str], list[Socket]] = {}
    for socket in samples.sockets:
        by_path.setdefault((socket.protocol, route_of(socket.target)), []).append(socket)
    return tuple(_socket_row(protocol, path, found) for (protocol, path), found in sorted(by_path.items()))


def _socket_row(protocol: str, path: str, sockets: list[Socket]) -> SocketRow:
    connect = [float(s.connected_ns - s.opened_ns) for s in sockets if s.connected_ns is not None]
    closed_by = [s.closed_by for s in sockets]
    return SocketRow(
        protocol=protocol,
        path=path,
        opened=len(sockets),
        connected=len(connect),
        failed=sum(s.outcome in FAILED for s in sockets),
        closed_by_client=closed_by.count("client"),
        closed_by_server=closed_by.count("server"),
        cut=closed_by.count("cut"),
        still_open=sum(s.closed_ns is None and s.connected_ns is not None for s in sockets),
        connect=percentiles_of(ordered_ns(np.array(connect, dtype=np.float64))),
    )


def _both_times(samples: Samples) -> Iterator[BothTimes]:
    service, response = samples.durations("service_time"), samples.durations("response_time")
    kinds = samples.exchanges.kind
    for kind in _KIND_ORDER:
        mask = kinds.among(kind)
        if kind in TIMED and mask.any():
            yield BothTimes(kind, percentiles_of(ordered_ns(service[mask])), percentiles_of(ordered_ns(response[mask])))
    begun, due = (session_times(samples.sessions, from_due=from_due).ordered for from_due in (False, True))
    if len(due):
        yield BothTimes("session", percentiles_of(begun), percentiles_of(due))
