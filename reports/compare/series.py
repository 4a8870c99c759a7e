"""The latencies of each route of a capture, in order of time. Knows columns, judges nothing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nestperf.capture.model import FAILED, Kind
from reports.compare.model import Key
from reports.dependence import Floats
from reports.samples import COUNTED, TIMED, Samples


class Series(NamedTuple):
    """One route of one capture, in order of time."""

    latencies: Floats
    """Nanoseconds, of the answers that have one."""
    stamps: Floats
    """When each of those was due or sent, nanoseconds of the run."""
    failures: NDArray[np.bool_]
    """Whether each exchange that counts failed."""


class Routes(NamedTuple):
    """All routes of one capture."""

    of: dict[Key, Series]
    backwards: int
    """Exchanges left out because they end before they begin: the clock stepped."""


EMPTY = Series(np.zeros(0), np.zeros(0), np.zeros(0, dtype=bool))


def routes_of(samples: Samples, quantity: str) -> Routes:
    """Split a capture by route; `quantity` is what latency means, a duration of `Samples.durations`."""
    x = samples.exchanges
    durations = samples.durations(quantity)
    stamps = np.where(np.isfinite(x.intended), x.intended, x.sent)
    counts = x.outcome.among(*COUNTED) & x.kind.among(*(TIMED - {Kind.PREFLIGHT}))
    backwards = counts & samples.backwards
    timed = counts & np.isfinite(durations)
    failed = x.outcome.among(*FAILED)
    # One number a route: kinds, methods and routes are few.
    codes = ((x.kind.codes * 2 + x.server_call) * len(x.method.names) + x.method.codes) * len(
        x.route.names
    ) + x.route.codes
    rows = np.flatnonzero(counts)
    rows = rows[np.lexsort((stamps[rows], codes[rows]))]
    groups = np.split(rows, np.flatnonzero(np.diff(codes[rows])) + 1) if len(rows) else []
    found = {}
    for group in groups:
        first = group[0]
        key = Key(
            x.kind.names[x.kind.codes[first]],
            bool(x.server_call[first]),
            x.method.names[x.method.codes[first]],
            x.route.names[x.route.codes[first]],
        )
        kept = group[timed[group]]
        found[key] = Series(durations[kept], stamps[kept], failed[group])
    return Routes(found, int(backwards.sum()))
