"""What a report says of exchanges: a row each route, each mark, and each kind that has two sorts of times. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from nestperf.capture.model import FAILED, Kind, Outcome
from reports.columns import Codes, groups
from reports.effective import inflation_of
from reports.samples import TIMED, Samples, ordered_ns
from reports.sockets import session_times
from reports.spread import P95, Percentiles, per_minute, percentiles_of


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


class BothTimes(NamedTuple):
    """What the application took beside what a user would have felt."""

    kind: str
    """Of exchanges; `session`: of whole sessions that finished, think time included."""
    service: Percentiles
    response: Percentiles


_KIND_ORDER: dict[str, int] = {kind: place for place, kind in enumerate(
    (Kind.CALL, Kind.PAGE, Kind.ASSET, Kind.STREAM, Kind.PREFLIGHT, Kind.POLL, Kind.UPGRADE)
)}  # fmt: skip


def route_rows(samples: Samples, span_ns: int, among: Codes | None = None) -> list[RouteRow]:
    """Calls first; within a kind the slowest p95 first. `among`: only of these exchanges."""
    x = samples.exchanges
    if among is None:
        among = np.flatnonzero(~x.outcome.among(Outcome.DROPPED))
    latency = samples.durations("latency")
    keys = np.stack((x.kind.codes, x.server_call.astype(np.int64), x.method.codes, x.route.codes))
    rows = []
    for unordered in groups(keys, among):
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
                per_minute=per_minute(len(group), span_ns),
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


def _route_order(row: RouteRow) -> tuple[int, bool, int, str, str]:
    return (
        _KIND_ORDER.get(row.kind, len(_KIND_ORDER)),
        row.server_call,
        -(row.latency.p95_ns or 0),
        row.route,
        row.method,
    )


def mark_rows(samples: Samples, span_ns: int) -> Iterator[MarkRow]:
    """Each mark with what it is made of, in the order in which they were set, or first used."""
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
            routes=tuple(route_rows(samples, span_ns, group)),
        )


def both_times(samples: Samples) -> Iterator[BothTimes]:
    """Each kind of exchange that is timed, and whole sessions."""
    service, response = samples.durations("service_time"), samples.durations("response_time")
    kinds = samples.exchanges.kind
    for kind in _KIND_ORDER:
        mask = kinds.among(kind)
        if kind in TIMED and mask.any():
            yield BothTimes(kind, percentiles_of(ordered_ns(service[mask])), percentiles_of(ordered_ns(response[mask])))
    begun, due = (session_times(samples.sessions, from_due=from_due).ordered for from_due in (False, True))
    if len(due):
        yield BothTimes("session", percentiles_of(begun), percentiles_of(due))
