"""Explains broken promises: the worst three that broke each, where their time went, and the likely cause.

Which rows a threshold is about and which of them break it is decided as `reports.measures` and `reports.rules` do.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from nestperf.capture.model import Exchange
from nestperf.verdicts import Verdict
from reports import sockets
from reports.breakdown import Stretch, break_down
from reports.causes import likely_causes
from reports.causes.evidence import Cause
from reports.expressions import OF_PAGES, Dimension, Statistic
from reports.page_waterfalls import PageWaterfall, waterfall_of
from reports.pages import slowest_of
from reports.rules import Judged
from reports.samples import ANSWERED, TIMED
from reports.thresholds import matches_any

if TYPE_CHECKING:
    from nestperf.capture.reader import Capture
    from reports.columns import Codes, Mask
    from reports.samples import Packets, Samples
    from reports.verdict import Judgement

WORST = 3
_OF_NO_EXCHANGE = frozenset({"lost", "session_time", "query_time", "users", "sessions", "sockets", "events"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Worst:
    """One of the worst, by what `nestperf show` calls it."""

    ref: str
    """`17`: an exchange; `socket:3`, `packet:9`."""
    title: str
    """Method and route, event and namespace; captured text."""
    outcome: str
    value_ns: int | None
    """What broke the promise; None where it failed."""
    sent_ns: int
    stretches: tuple[Stretch, ...] = ()
    added_ns: int | None = None
    """What nestperf took of it."""
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What is behind one broken promise."""

    judged: Judged
    worst: tuple[Worst, ...]
    causes: tuple[Cause, ...]
    page: PageWaterfall | None = None
    """Of a promise about watched pages: the slowest, and what it waited for."""


def explain(judgement: Judgement, samples: Samples, capture: Capture) -> tuple[Explanation, ...]:
    """An explanation of each promise that is broken, the required ones first."""
    broken = [j for j in judgement.judged if j.verdict in (Verdict.FAIL, Verdict.REGRESSION)]
    broken.sort(key=lambda judged: not judged.required)
    return tuple(_explain(judged, samples, capture) for judged in broken)


def _explain(judged: Judged, samples: Samples, capture: Capture) -> Explanation:
    expression, selector = judged.threshold.expression, judged.threshold.selector
    if expression.quantity == "lost":
        return Explanation(judged=judged, worst=_lost(samples, judged), causes=())
    if expression.quantity in OF_PAGES:
        return _slow_pages(samples, judged, capture)
    if expression.quantity == "query_time":
        return Explanation(judged=judged, worst=_slow_queries(samples, judged), causes=())
    if selector.is_of_events and expression.event is None and expression.dimension is Dimension.TIME:
        return Explanation(judged=judged, worst=_slow_acks(samples, judged), causes=())
    if expression.event is not None or expression.quantity in _OF_NO_EXCHANGE:
        return Explanation(judged=judged, worst=(), causes=())
    selected = samples.select(selector)
    broken, order = _broken(samples, judged, selected)
    worst = order[:WORST]
    durations = samples.durations(expression.quantity if expression.dimension is Dimension.TIME else "latency")
    at_client = samples.run.vantage == "client"
    return Explanation(
        judged=judged,
        worst=tuple(_worst(capture, samples, int(row), float(durations[row]), at_client=at_client) for row in worst),
        causes=likely_causes(samples.exchanges, selected, broken),
    )


def _broken(samples: Samples, judged: Judged, selected: Mask) -> tuple[Mask, Codes]:
    """The exchanges that break a threshold, and their rows, the worst first."""
    expression = judged.threshold.expression
    x = samples.exchanges
    if expression.dimension is Dimension.TIME:
        durations = samples.durations(expression.quantity)
        slow = selected & np.isfinite(durations) & ~expression.comparison.each(durations, _limit(judged))
        failed = selected & sockets.with_outcome(x.outcome, "failed") & x.kind.among(*TIMED)
        if not expression.comparison.is_upper or expression.statistic is Statistic.AVG:
            failed &= False
        worst_first = np.where(failed, np.inf if judged.measured is None else -1.0, durations)
        rows = np.flatnonzero(slow | failed)
        sign = -1 if expression.comparison.is_upper else 1
        return slow | failed, rows[np.argsort(sign * worst_first[rows], kind="stable")]
    if expression.quantity == "exchanges":
        broken = selected & ~x.outcome.among(*ANSWERED)
    else:
        broken = selected & sockets.with_outcome(x.outcome, expression.quantity)
    rows = np.flatnonzero(broken)
    lasted = np.nan_to_num(x.done - x.sent, nan=0.0)
    return broken, rows[np.argsort(-lasted[rows], kind="stable")]


def _limit(judged: Judged) -> float:
    expression = judged.threshold.expression
    if not expression.of_baseline:
        return float(expression.limit)
    return float(Fraction(judged.baseline or 0) * expression.limit)


def _worst(capture: Capture, samples: Samples, row: int, value_ns: float, *, at_client: bool) -> Worst:
    x = samples.exchanges
    exchange = capture.exchange(int(x.id[row]))
    assert exchange is not None
    return Worst(
        ref=str(exchange.id),
        title=f"{exchange.method} {exchange.route}",
        outcome=_outcome(exchange),
        value_ns=None if np.isnan(value_ns) else int(value_ns),
        sent_ns=exchange.sent_ns,
        stretches=break_down(exchange, at_client=at_client),
        added_ns=exchange.relay_ns,
        detail=exchange.detail or "",
    )


def _outcome(exchange: Exchange) -> str:
    status = "" if exchange.status is None else f" {exchange.status}"
    return f"{exchange.outcome.replace('_', ' ')}{status}"


def _lost(samples: Samples, judged: Judged) -> tuple[Worst, ...]:
    """The sockets that were lost first."""
    lost = (s for s in samples.select_sockets(judged.threshold.selector) if sockets.is_lost(s))
    first = sorted(lost, key=lambda s: s.opened_ns if s.closed_ns is None else s.closed_ns)[:WORST]
    return tuple(
        Worst(
            ref=f"socket:{s.id}",
            title=f"{s.protocol} {s.target.partition('?')[0]}",
            outcome="cut" if s.closed_by == "cut" else s.outcome.replace("_", " "),
            value_ns=None if s.closed_ns is None else s.closed_ns - s.opened_ns,
            sent_ns=s.opened_ns,
            detail=s.detail or "",
        )
        for s in first
    )


def _slow_pages(samples: Samples, judged: Judged, capture: Capture) -> Explanation:
    """The pages or pictures that took longest, and what the first of them waited for."""
    expression = judged.threshold.expression
    pattern = None if expression.name is None else (expression.name,)
    slow = slowest_of(
        samples.pages,
        samples.select_page(judged.threshold.selector),
        expression.quantity,
        None if pattern is None else lambda name: matches_any(name, pattern),
        WORST,
    )
    pages = [one.page for one in slow if one.page.load_ns is not None]
    waterfall = waterfall_of(capture, pages[0]) if pages else None
    is_time = expression.dimension is Dimension.TIME
    worst = tuple(
        Worst(
            ref=f"{one.exchange_id}" if one.exchange_id is not None else "",
            title=f"{one.name or one.page.kind} {one.page.route}",
            outcome="failed" if one.value is None else "drawn" if one.name else "loaded",
            value_ns=one.value if is_time else None,
            sent_ns=one.started_ns,
        )
        for one in slow
    )
    waits = expression.quantity in ("load", "navigation", "fcp", "lcp")
    return Explanation(judged=judged, worst=worst, causes=(), page=waterfall if waits else None)


def _slow_queries(samples: Samples, judged: Judged) -> tuple[Worst, ...]:
    """The queries that took longest."""
    q = samples.queries
    mask = samples.select_queries(judged.threshold.selector) & np.isfinite(q.times)
    rows = np.flatnonzero(mask)
    return tuple(
        Worst(
            ref=f"query:{q.id[row]}",
            title=q.statement.names[q.statement.codes[row]],
            outcome=q.outcome.names[q.outcome.codes[row]],
            value_ns=int(q.times[row]),
            sent_ns=int(q.sent[row]),
        )
        for row in rows[np.argsort(-q.times[rows], kind="stable")][:WORST]
    )


def _slow_acks(samples: Samples, judged: Judged) -> tuple[Worst, ...]:
    """The events that waited longest for their ack, those that never got one first."""
    p = samples.packets
    acks = sockets.Acks(samples)
    chosen = np.flatnonzero(samples.select_packets(judged.threshold.selector)[acks.asked])
    waited = np.where(acks.missing[chosen], np.inf, acks.latency[chosen])
    chosen, waited = chosen[~np.isnan(waited)], waited[~np.isnan(waited)]
    return tuple(_ack(p, acks, int(place)) for place in chosen[np.argsort(-waited, kind="stable")][:WORST])


def _ack(p: Packets, acks: sockets.Acks, place: int) -> Worst:
    row = int(acks.asked[place])
    latency = acks.latency[place]
    return Worst(
        ref=f"packet:{p.id[row]}",
        title=f"{p.event.names[p.event.codes[row]]} in {p.namespace.names[p.namespace.codes[row]] or '/'}",
        outcome="no ack" if np.isnan(latency) else "acknowledged",
        value_ns=None if np.isnan(latency) else int(latency),
        sent_ns=int(p.stamp[row]),
    )
