"""What a report draws beside its tables, gathered from one capture. Measures through others, judges nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from nestperf.capture.model import FAILED
from nestperf.capture.reader import Capture
from reports.breakdown import Stretch, break_down
from reports.broadcasts import Broadcast
from reports.concurrency import RouteLoad, routes_under_load
from reports.curves import Curve, curves
from reports.measures import Measures
from reports.route_rows import RouteRow
from reports.rules import Judged
from reports.samples import Exchanges, Samples
from reports.timeline import Timeline, timeline
from reports.traffic import Traffic, traffic
from reports.waterfall import Pair, waterfalls

SLOWEST = 3
"""So many exchanges of a route are shown."""
MOST_ROUTES = 200
"""So many routes, in the order of the table, have their slowest exchanges shown."""


class Slow(NamedTuple):
    """One of the slowest or the failed exchanges of a route."""

    ref: str
    target: str
    outcome: str
    status: int | None
    took_ns: int | None
    sent_ns: int
    stretches: tuple[Stretch, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pictures:
    """Everything that is drawn of one capture."""

    timeline: Timeline | None
    exchanges: Exchanges
    """The table that points name rows of."""
    latency_name: str
    """`response_time` or `service_time`."""
    curves: tuple[Curve, ...]
    slowest: tuple[tuple[Slow, ...], ...]
    """Of each route of the summary, in its order."""
    load: tuple[RouteLoad, ...]
    traffic: Traffic
    waterfalls: tuple[Pair, ...]


def gather(
    capture: Capture,
    samples: Samples,
    broadcasts: tuple[Broadcast, ...],
    judged: Sequence[Judged],
    routes: Sequence[RouteRow],
    baselines: Sequence[Samples] = (),
    source: Capture | None = None,
) -> Pictures:
    """Read and measure what is drawn.

    Raises:
        CaptureTruncated: the file is damaged.
    """
    return Pictures(
        timeline=timeline(samples),
        exchanges=samples.exchanges,
        latency_name=samples.latency_name,
        curves=curves(judged, Measures(samples, broadcasts), tuple(map(Measures, baselines))),
        slowest=tuple(_slowest(capture, samples, routes)),
        load=routes_under_load(samples),
        traffic=traffic(samples, broadcasts),
        waterfalls=waterfalls(capture, samples, source),
    )


def _slowest(capture: Capture, samples: Samples, routes: Sequence[RouteRow]) -> Iterator[tuple[Slow, ...]]:
    """Of each route the slowest answers, then what failed first."""
    x, latency = samples.exchanges, samples.durations("latency")
    failed = x.outcome.among(*FAILED)
    at_client = samples.run.vantage == "client"
    for row in routes[:MOST_ROUTES]:
        own = x.kind.among(row.kind) & (x.server_call == row.server_call)
        own &= x.method.among(row.method) & x.route.among(row.route)
        answered = np.flatnonzero(own & np.isfinite(latency))
        worst = answered[np.argsort(-latency[answered], kind="stable")][:SLOWEST]
        broken = np.flatnonzero(own & failed)
        broken = broken[np.argsort(x.sent[broken], kind="stable")][:SLOWEST]
        chosen = (*worst.tolist(), *broken.tolist())
        yield tuple(_slow(capture, int(x.id[place]), float(latency[place]), at_client=at_client) for place in chosen)


def _slow(capture: Capture, exchange_id: int, took_ns: float, *, at_client: bool) -> Slow:
    e = capture.exchange(exchange_id)
    assert e is not None
    return Slow(
        ref=str(e.id),
        target=e.target,
        outcome=e.outcome,
        status=e.status,
        took_ns=None if np.isnan(took_ns) else int(took_ns),
        sent_ns=e.sent_ns,
        stretches=break_down(e, at_client=at_client),
    )
