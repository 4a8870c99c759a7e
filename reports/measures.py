"""What expressions measure in one capture: durations, shares and counts of what a threshold selects. Never judges."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import NamedTuple

import numpy as np

from nestperf.capture.model import Kind
from reports import sockets
from reports.broadcasts import Broadcast, find_broadcasts
from reports.columns import Labels, Stamps
from reports.effective import inflation_of
from reports.estimates import Estimate, estimate_numbers, estimate_share, estimate_times
from reports.expressions import OF_PAGES, Expression, Statistic
from reports.pages import named_times, page_times
from reports.rules import Absent, Unmatched
from reports.samples import ANSWERED, COUNTED, Samples, Times
from reports.thresholds import SELECTING, Threshold, matches_any


class Share(NamedTuple):
    """Of `n` samples, `hits` count."""

    hits: int
    n: int


class Counted(NamedTuple):
    """A count, and what the run asked for."""

    number: int
    asked: int


class Measures:
    """One capture, ready to be measured."""

    def __init__(self, samples: Samples, broadcasts: tuple[Broadcast, ...] | None = None) -> None:
        self.samples = samples
        if broadcasts is not None:
            self.broadcasts = broadcasts

    @cached_property
    def broadcasts(self) -> tuple[Broadcast, ...]:
        """All broadcasts."""
        return find_broadcasts(self.samples)

    @property
    def users(self) -> int:
        """How many users the run had."""
        asked = self.samples.run.settings.get("users")
        return asked if isinstance(asked, int) else len({s.vu for s in self.samples.sessions})

    def times(self, threshold: Threshold) -> Times:
        """The durations that a percentile, maximum, minimum or average is taken of."""
        quantity, event = threshold.expression.quantity, threshold.expression.event
        selector = threshold.selector
        if quantity == "delivery":
            found = self._broadcasts_of(threshold)
            times = np.sort(np.array([ns for b in found for ns in b.deliveries_ns], dtype=np.int64))
            return Times(times, sum(b.expected - len(b.deliveries_ns) for b in found))
        if quantity == "gap" and event is not None:
            return sockets.gaps(self.samples, event, self.samples.select_packets(selector))
        if quantity == "session_time":
            chosen = self.samples.select_sessions(selector)
            return sockets.session_times(s for s in self.samples.sessions if s.id in chosen)
        if quantity == "query_time":
            return self.samples.query_times(selector)
        if quantity in OF_PAGES:
            return self._page_times(threshold)
        if selector.is_of_events:
            return sockets.Acks(self.samples).times(self.samples.select_packets(selector))
        return self.samples.times(quantity, selector)

    def _page_times(self, threshold: Threshold) -> Times:
        expression, chosen = threshold.expression, self.samples.select_page(threshold.selector)
        if expression.name is not None:
            pattern = (expression.name,)
            found = named_times(
                self.samples.pages, chosen, expression.quantity, lambda name: matches_any(name, pattern)
            )
        else:
            found = page_times(self.samples.pages, chosen, expression.quantity)
        in_order = np.array(found.ordered, dtype=np.float64)
        return Times(np.sort(in_order).astype(np.int64), found.failed, in_order)

    def share(self, threshold: Threshold) -> Share:
        """Hits and samples of a rate or of reach."""
        share = threshold.expression.quantity
        if threshold.expression.statistic is Statistic.REACH:
            found = self._broadcasts_of(threshold)
            return Share(sum(len(b.deliveries_ns) for b in found), sum(b.expected for b in found))
        if share == "lost":
            chosen = self.samples.select_sockets(threshold.selector)
            return Share(sum(map(sockets.is_lost, chosen)), len(chosen))
        outcome = self.samples.exchanges.outcome
        hits = sockets.with_outcome(outcome, share)
        mask = self.samples.select(threshold.selector) & (hits | outcome.among(*COUNTED))
        return Share(int((mask & hits).sum()), int(mask.sum()))

    def count(self, threshold: Threshold) -> Counted:
        """A count over the run, or over the busiest window of it."""
        happened, asked = self._moments(threshold)
        window_ns = threshold.expression.per_ns
        if window_ns is None:
            return Counted(len(happened), len(asked))
        return Counted(sockets.busiest_window(happened, window_ns), sockets.busiest_window(asked, window_ns))

    def _moments(self, threshold: Threshold) -> tuple[Stamps, Stamps]:
        """When what is counted happened, and when it was asked for."""
        samples, selector = self.samples, threshold.selector
        x = samples.exchanges
        match threshold.expression.quantity:
            case "users":
                raise AssertionError("users at once are not moments")
            case "sessions":
                chosen = samples.select_sessions(selector)
                begun = _as_stamps(s.started_ns for s in samples.sessions if s.id in chosen)
                return begun, begun
            case "sockets":
                opened = _as_stamps(s.opened_ns for s in samples.select_sockets(selector))
                return opened, opened
            case "lost":
                lost = _as_stamps(s.opened_ns for s in samples.select_sockets(selector) if sockets.is_lost(s))
                return lost, lost
            case "events":
                stamps = samples.packets.stamp[samples.packets.type.among("event") & samples.select_packets(selector)]
                return stamps, stamps
            case "exchanges":
                # A load is all that has to be answered; what a route is asked for is told by the request itself.
                every = not (selector.kind or selector.route or selector.method or selector.status)
                mask = samples.select(selector, preflights=every)
                asked = x.intended if samples.has_intended else x.sent
                return x.done[mask & x.outcome.among(*ANSWERED)], asked[mask]
            case share:
                hits = x.sent[samples.select(selector) & sockets.with_outcome(x.outcome, share)]
                return hits, hits

    def users_at_once(self, threshold: Threshold) -> int:
        """The most sessions under way at one moment."""
        chosen = self.samples.select_sessions(threshold.selector)
        return sockets.users_at_once(s for s in self.samples.sessions if s.id in chosen)

    def has(self, condition: str, threshold: Threshold) -> bool:
        """Whether the capture holds any of what `required_if` names."""
        match condition:
            case "pages" if threshold.expression.quantity in OF_PAGES:
                # Of the kind that the promise is about: a visit without a single list of requests broke none.
                return bool(len((times := self.times(threshold)).ordered) or times.failed)
            case "pages":
                return bool(self.samples.exchanges.kind.among(Kind.PAGE).any())
            case "samples":
                return self.absent(threshold) is None and self.unmatched(threshold) is None
            case "sockets":
                return bool(self.samples.sockets)
            case "broadcasts":
                return bool(self._broadcasts_of(threshold) if threshold.expression.event else self.broadcasts)
            case "queries":
                return bool(len(self.samples.queries))
        return False

    def absent(self, threshold: Threshold) -> Absent | None:
        """What the threshold is about and no part of this capture is."""
        quantity, selector = threshold.expression.quantity, threshold.selector
        of_events = quantity in {"gap", "events"} or (selector.is_of_events and threshold.expression.event is None)
        if quantity in OF_PAGES and not self.samples.pages:
            return Absent.PAGES
        if quantity == "query_time" and not len(self.samples.queries):
            return Absent.QUERIES
        if selector.mark and not self.samples.named:
            return Absent.MARKS
        if quantity in {"response_time", "send_lag"} and not self.samples.has_intended:
            return Absent.INTENDED_TIMES
        if quantity in {"session_time", "sessions", "users"} and not self.samples.sessions:
            return Absent.SESSIONS
        of_broadcasts = threshold.expression.statistic is Statistic.REACH or quantity == "delivery"
        if (of_events or of_broadcasts or quantity in {"lost", "sockets"}) and not self.samples.sockets:
            return Absent.SOCKETS
        if of_broadcasts and not self.broadcasts:
            return Absent.BROADCASTS
        return None

    def unmatched(self, threshold: Threshold) -> Unmatched | None:
        """The first key of a threshold that nothing in the capture matches."""
        event, name = threshold.expression.event, threshold.expression.name
        if name is not None:
            kind = threshold.expression.quantity
            known = sorted({timing.name for timing in self.samples.pages.timings if timing.kind == kind})
            if not any(matches_any(one, (name,)) for one in known):
                near = difflib.get_close_matches(name, known, 1)
                return Unmatched(kind, (name,), near[0] if near else None)
        wanted = {key: getattr(threshold.selector, key) for key in SELECTING}
        if event is not None:
            wanted["event"] = (event,)
        for key, patterns in wanted.items():
            names = self._names(key)
            if key == "route" and threshold.expression.quantity in OF_PAGES:
                names = sorted({page.route for page in self.samples.pages.rows})
            if patterns and not any(map(_matcher(key, patterns), names)):
                near = difflib.get_close_matches(str(patterns[0]), names, 1)
                return Unmatched(key, tuple(map(str, patterns)), near[0] if near else None)
        return None

    def _names(self, key: str) -> list[str]:
        """Everything that a key could select by."""
        x, p = self.samples.exchanges, self.samples.packets
        match key:
            case "profile":
                return sorted({page.profile for page in self.samples.pages.rows})
            case "cache":
                return sorted({page.cache or "" for page in self.samples.pages.rows})
            case "status":
                return [f"{status:.0f}" for status in np.unique(x.status[np.isfinite(x.status)])]
            case "identity":
                return sorted(
                    {*self.samples.identities.of_session.values(), *self.samples.identities.of_client.values()}
                )
            case "upstream":
                return [name for names in self.samples.upstream_names for name in names]
            case "namespace":
                return [name or "/" for name in p.namespace.names]
            case "event":
                return list(p.event.names)
            case "mark":
                return [one.text for one in self.samples.named]
        labels: Labels = getattr(x, key)
        return list(labels.names)

    def _broadcasts_of(self, threshold: Threshold) -> list[Broadcast]:
        event, namespaces = threshold.expression.event or "*", threshold.selector.namespace or ("*",)
        return [
            b for b in self.broadcasts if matches_any(b.event, (event,)) and matches_any(b.namespace or "/", namespaces)
        ]


def estimate_of(all_measures: Iterable[Measures], threshold: Threshold) -> Estimate | None:
    """The measure of a threshold over one capture, or over several baselines together; None of no sample."""
    measures = tuple(all_measures)
    match threshold.expression.statistic:
        case Statistic.COUNT if threshold.expression.quantity == "users":
            return estimate_numbers(m.users_at_once(threshold) for m in measures)
        case Statistic.COUNT:
            return estimate_numbers(m.count(threshold).number for m in measures)
        case Statistic.RATE | Statistic.REACH:
            shares = [m.share(threshold) for m in measures]
            return estimate_share(sum(s.hits for s in shares), sum(s.n for s in shares))
    times = [m.times(threshold) for m in measures]
    if not times:
        return None
    ordered = np.sort(np.concatenate([t.ordered for t in times])) if len(times) > 1 else times[0].ordered
    together = Times(ordered, sum(t.failed for t in times))
    inflation = max(inflation_of_times(threshold.expression, t) for t in times)
    return estimate_times(threshold.expression, together, inflation)


def inflation_of_times(expression: Expression, times: Times) -> float:
    """How many of the durations are worth one independent one, for a percentile of them."""
    if expression.percentile is None or times.in_order is None:
        return 1.0
    return inflation_of(times.in_order, expression.percentile)


def _matcher(key: str, patterns: tuple[str, ...]) -> Callable[[str], bool]:
    if key == "status":
        return lambda name: any(name == p or (p.endswith("xx") and name[:1] == p[0]) for p in patterns)
    if key == "method":
        return lambda name: name.upper() in patterns
    return lambda name: matches_any(name, patterns)


def _as_stamps(stamps: Iterable[int | None]) -> Stamps:
    return np.array(list(stamps), dtype=np.float64)
