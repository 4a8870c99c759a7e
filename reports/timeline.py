"""A capture over time: every latency, what failed, percentiles of each stretch, and the users under it.

Moments are when something was due, else sent; all are nanoseconds since the run began. Measures, never judges.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from nestperf.capture.model import FAILED, Kind, Outcome
from nestperf.percentiles import nearest_rank
from reports.columns import Codes, Mask, Stamps
from reports.samples import TIMED, Samples, ordered_ns
from reports.thinning import MOST, thin

STRETCHES = 60
SHORTEST_NS = 1_000_000
_P50, _P95 = Fraction(1, 2), Fraction(95, 100)


class Cloud(NamedTuple):
    """Exchanges as points; all of them, or so many that none which lies apart is missing."""

    name: str
    """A kind of exchange, or the outcome of failed ones."""
    rows: Codes
    """Places in the table of exchanges."""
    when: Stamps
    took: Stamps
    total: int
    """How many there are, drawn or not."""


class Middle(NamedTuple):
    """Percentiles of one stretch of time; None where nothing was answered in it."""

    p50_ns: int | None
    p95_ns: int | None


class Span(NamedTuple):
    """One stretch of time."""

    begin_ns: int
    end_ns: int
    asked: int
    """What was due, or sent, in it."""
    failed: int
    limited: int
    response: Middle
    """Empty where there are no intended times."""
    service: Middle


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Timeline:
    """What a picture of latency over time shows."""

    clouds: tuple[Cloud, ...]
    """Latencies by kind of exchange."""
    failures: tuple[Cloud, ...]
    """What failed, by outcome: how long it took to fail, NaN where it never ended."""
    of_kinds: tuple[str, ...]
    """The kinds that the percentiles are of: calls where there are any, else everything."""
    spans: tuple[Span, ...]
    users: tuple[tuple[int, int], ...]
    """From when on how many users were there."""


def timeline(samples: Samples) -> Timeline | None:
    """The exchanges of a capture over time; None where it has none."""
    x = samples.exchanges
    asked = ~x.outcome.among(Outcome.DROPPED)
    when = moments(samples)
    rows = np.flatnonzero(asked & x.kind.among(*TIMED) & np.isfinite(when))
    if not len(rows):
        return None
    calls = bool(x.kind.among(Kind.CALL)[rows].any())
    kinds = (Kind.CALL,) if calls else tuple(kind for kind in Kind if kind in TIMED)
    return Timeline(
        clouds=tuple(_clouds(samples, when)),
        failures=tuple(_failures(samples, when)),
        of_kinds=kinds,
        spans=_spans(samples, when, rows, kinds),
        users=present(samples),
    )


def moments(samples: Samples) -> Stamps:
    """When each exchange was due, else sent."""
    x = samples.exchanges
    return np.where(np.isfinite(x.intended), x.intended, x.sent)


def _clouds(samples: Samples, when: Stamps) -> Iterable[Cloud]:
    x, latency = samples.exchanges, samples.durations("latency")
    of_kinds = {kind: np.flatnonzero(x.kind.among(kind) & np.isfinite(latency)) for kind in Kind}
    many = sum(len(rows) > MOST for rows in of_kinds.values())
    for kind, rows in of_kinds.items():
        if len(rows):
            drawn = rows[thin(when[rows], latency[rows], kinds=many)]
            yield Cloud(kind, drawn, when[drawn], latency[drawn], len(rows))


def _failures(samples: Samples, when: Stamps) -> Iterable[Cloud]:
    x = samples.exchanges
    for outcome in sorted(FAILED):
        rows = np.flatnonzero(x.outcome.among(outcome) & x.kind.among(*TIMED))
        if len(rows):
            took = x.done[rows] - when[rows]
            drawn = rows[thin(when[rows], np.nan_to_num(took))]
            yield Cloud(outcome, drawn, when[drawn], x.done[drawn] - when[drawn], len(rows))


def _spans(samples: Samples, when: Stamps, rows: Codes, kinds: tuple[str, ...]) -> tuple[Span, ...]:
    x = samples.exchanges
    first, last = float(np.min(when[rows])), float(np.max(when[rows]))
    width = max((last - first) / STRETCHES, SHORTEST_NS)
    place = np.minimum(((when[rows] - first) / width).astype(np.int64), STRETCHES - 1)
    order = np.argsort(place, kind="stable")
    bounds = np.searchsorted(place[order], np.arange(int(place.max()) + 2))
    failed, limited = x.outcome.among(*FAILED), x.outcome.among(Outcome.LIMITED)
    chosen = x.kind.among(*kinds)
    response = samples.durations("response_time") if samples.has_intended else np.full(len(x), np.nan)
    service = samples.durations("service_time")
    spans = []
    for number in range(len(bounds) - 1):
        inside = rows[order[bounds[number] : bounds[number + 1]]]
        counted = inside[chosen[inside]]
        spans.append(
            Span(
                begin_ns=round(first + number * width),
                end_ns=round(first + (number + 1) * width),
                asked=len(inside),
                failed=int(failed[inside].sum()),
                limited=int(limited[inside].sum()),
                response=_middle(response[counted]),
                service=_middle(service[counted]),
            )
        )
    return tuple(spans)


def _middle(durations: Stamps) -> Middle:
    ordered = ordered_ns(durations)
    return Middle(nearest_rank(ordered, _P50), nearest_rank(ordered, _P95)) if len(ordered) else Middle(None, None)


def present(samples: Samples) -> tuple[tuple[int, int], ...]:
    """From when on how many users were there; of a recording, how many clients between their first and last touch."""
    begins, ends = (np.sort(moments) for moments in _visits(samples))
    changes = np.unique(np.concatenate((begins, ends)))
    there = np.searchsorted(begins, changes, side="right") - np.searchsorted(ends, changes, side="right")
    return tuple(zip(changes.astype(np.int64).tolist(), there.tolist(), strict=True))


def _visits(samples: Samples) -> tuple[Stamps, Stamps]:
    if samples.sessions:
        begun = [s for s in samples.sessions if s.started_ns is not None]
        until = [s.started_ns if s.ended_ns is None else s.ended_ns for s in begun]
        return np.array([s.started_ns for s in begun], dtype=float), np.array(until, dtype=float)
    x = samples.exchanges
    rows: Mask = np.isfinite(x.client) & ~x.server_call & np.isfinite(x.sent)
    clients, of = np.unique(x.client[rows], return_inverse=True)
    begins, ends = np.full(len(clients), np.inf), np.full(len(clients), -np.inf)
    np.minimum.at(begins, of, x.sent[rows])
    np.maximum.at(ends, of, np.where(np.isfinite(x.done[rows]), x.done[rows], x.sent[rows]))
    return begins, ends
