"""How latency grows with what is under way at once: for each route a line of medians and a slope. Pure.

The slope is Theil and Sen's, the median of the slopes of all pairs, so that a few odd answers do not turn it; its
interval is Sen's (Kendall's statistic, normal, ties of the load counted). Service times: what waited on our side of the
wire is not the application's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from nestperf.capture.model import Kind, Outcome
from reports.columns import Codes, Mask, Stamps
from reports.samples import Exchanges, Samples

WORK = (Kind.CALL, Kind.PAGE, Kind.ASSET, Kind.PREFLIGHT)
"""The kinds whose time is an application's work; polls, streams and upgrades last by intention."""
ENOUGH = 20
MOST_PAIRED = 500
"""So many exchanges of a route, evenly chosen in time, make pairs."""
MOST_LEVELS = 16
_Z95 = 1.959964


class Level(NamedTuple):
    """The exchanges of a route that were sent while so many were under way."""

    least: int
    most: int
    middle: float
    """Median of how many were under way."""
    n: int
    p50_ns: int
    p95_ns: int


class RouteLoad(NamedTuple):
    """One route under load."""

    method: str
    route: str
    kind: str
    n: int
    levels: tuple[Level, ...]
    slope_ns: float | None
    """So much longer with each further one under way; None where the load never changed."""
    low_ns: float | None
    high_ns: float | None
    """Its 95 % interval."""


def under_way(x: Exchanges, upstreams: Codes | None = None) -> Stamps:
    """Of each exchange: how many of its upstream were under way when it was sent, itself included; at least 1.

    `upstreams`: only of these, 1 for all others.
    """
    count = np.zeros(len(x))
    work = x.kind.among(*WORK)
    for upstream in np.unique(x.upstream) if upstreams is None else upstreams:
        same = x.upstream == upstream
        working = same & work
        begun = np.sort(x.sent[working & np.isfinite(x.sent)])
        ended = np.sort(x.done[working & np.isfinite(x.done)])
        moments = x.sent[same]
        count[same] = np.searchsorted(begun, moments, side="right") - np.searchsorted(ended, moments, side="right")
    return np.maximum(count, 1)


def routes_under_load(samples: Samples) -> tuple[RouteLoad, ...]:
    """Each route with samples enough, the steepest first; those whose load never changed last."""
    x = samples.exchanges
    load, service = under_way(x), samples.durations("service_time")
    usable = np.isfinite(service) & x.kind.among(*WORK) & x.outcome.among(Outcome.OK)
    found = [_route(x, rows, load[rows], service[rows]) for rows in _by_route(x, usable)]
    return tuple(sorted(found, key=lambda r: -math.inf if r.slope_ns is None else r.slope_ns, reverse=True))


def _by_route(x: Exchanges, usable: Mask) -> Iterator[Codes]:
    """The rows of each route of one method and kind, in order of time."""
    rows = np.flatnonzero(usable)
    if not len(rows):
        return
    keys = np.stack((x.kind.codes[rows], x.method.codes[rows], x.route.codes[rows]))
    _, place = np.unique(keys, axis=1, return_inverse=True)
    order = np.lexsort((x.sent[rows], place.reshape(-1)))
    for group in np.split(rows[order], np.flatnonzero(np.diff(place.reshape(-1)[order])) + 1):
        if len(group) >= ENOUGH:
            yield group


def _route(x: Exchanges, rows: Codes, load: Stamps, service: Stamps) -> RouteLoad:
    first = int(rows[0])
    slope, low, high = theil_sen(load, service) or (None, None, None)
    return RouteLoad(
        method=x.method.names[x.method.codes[first]],
        route=x.route.names[x.route.codes[first]],
        kind=x.kind.names[x.kind.codes[first]],
        n=len(rows),
        levels=tuple(_levels(load, service)),
        slope_ns=slope,
        low_ns=low,
        high_ns=high,
    )


def _levels(load: Stamps, service: Stamps) -> Iterator[Level]:
    """Equal loads together; of very many different loads, neighbours too."""
    order = np.lexsort((service, load))
    load, service = load[order], service[order]
    parts = np.searchsorted(load, np.unique(np.quantile(load, np.linspace(0, 1, MOST_LEVELS + 1)[:-1], method="lower")))
    for part_load, part in zip(np.split(load, parts[1:]), np.split(service, parts[1:]), strict=True):
        yield Level(
            least=int(part_load[0]),
            most=int(part_load[-1]),
            middle=float(np.median(part_load)),
            n=len(part),
            p50_ns=int(np.quantile(part, 0.5, method="inverted_cdf")),
            p95_ns=int(np.quantile(part, 0.95, method="inverted_cdf")),
        )


def theil_sen(x: Stamps, y: Stamps) -> tuple[float, float, float] | None:
    """Slope of y over x with its 95 % interval; None where x never changes."""
    if len(x) > MOST_PAIRED:
        chosen = np.linspace(0, len(x) - 1, MOST_PAIRED).astype(np.int64)
        x, y = x[chosen], y[chosen]
    n = len(x)
    first, second = np.triu_indices(n, 1)
    across = x[second] - x[first]
    apart = across != 0
    if not apart.any():
        return None
    slopes = np.sort((y[second] - y[first])[apart] / across[apart])
    _, ties = np.unique(x, return_counts=True)
    pairs_tied = float((ties * (ties - 1) * (2 * ties + 5)).sum())
    spread = math.sqrt(max(n * (n - 1) * (2 * n + 5) - pairs_tied, 0) / 18)
    half = _Z95 * spread / 2
    middle = len(slopes) / 2
    low = slopes[max(0, math.floor(middle - half))]
    high = slopes[min(len(slopes) - 1, math.ceil(middle + half))]
    return float(np.median(slopes)), float(low), float(high)
