"""Ends a hopeless run early: a condition over what was answered in the last ten seconds, looked at once a second.

A time or a share is looked at only where the window holds 20 answers or more; what failed is slower than any limit.
Pure: told of answers and moments.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from nestperf.capture.model import FAILED, Outcome
from nestperf.percentiles import rank_of
from replay.distribution import Distribution

WINDOW_S = 10
FEWEST = 20
_SECOND_NS = 1_000_000_000
_ANSWERED = frozenset({Outcome.OK, Outcome.REFUSED})
_SHARED = FAILED | _ANSWERED | {Outcome.LIMITED}
"""What a share is a share of, as in the thresholds."""
QUANTITIES = ("latency", "response_time", "service_time", "ttfb", "send_lag")
COUNTS = ("failed", "refused", "limited", "aborted", "exchanges")


class Condition(NamedTuple):
    """When to give up."""

    text: str
    statistic: str
    """`percentile`, `max`, `min`, `avg`, `rate` or `count`."""
    percentile: float
    """0 to 1, of a percentile."""
    quantity: str
    """One of `QUANTITIES`, of a time; else one of `COUNTS`."""
    holds: Callable[[float], bool]


class Stamps(NamedTuple):
    """The stamps of one answer."""

    intended_ns: int
    sent_ns: int | None
    first_byte_ns: int | None
    done_ns: int | None


class _Second:
    """What was answered within one second."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.outcomes: Counter[Outcome] = Counter()
        self.times = Distribution()
        self.sum_ns = 0
        self.least_ns: int | None = None


class Watch:
    """The window of one condition."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self._seconds: deque[_Second] = deque()

    def note(self, now_ns: int, outcome: Outcome, stamps: Stamps) -> None:
        """An exchange is over."""
        number = now_ns // _SECOND_NS
        if not self._seconds or self._seconds[-1].number != number:
            self._seconds.append(_Second(number))
        second = self._seconds[-1]
        second.outcomes[outcome] += 1
        time_ns = _time(self.condition.quantity, stamps) if outcome in _ANSWERED else None
        if time_ns is not None:
            second.times.append(time_ns)
            second.sum_ns += time_ns
            second.least_ns = time_ns if second.least_ns is None else min(time_ns, second.least_ns)

    def verdict(self, now_ns: int) -> str | None:
        """Why to give up, in a sentence; None where there is no reason to."""
        oldest = now_ns // _SECOND_NS - WINDOW_S
        while self._seconds and self._seconds[0].number < oldest:
            self._seconds.popleft()
        outcomes: Counter[Outcome] = Counter()
        for second in self._seconds:
            outcomes.update(second.outcomes)
        measured, n = self._measure(outcomes)
        if measured is None or not self.condition.holds(measured):
            return None
        return f"Given up: {self.condition.text} held over the last {WINDOW_S} s ({n:,} answers)."

    def _measure(self, outcomes: Counter[Outcome]) -> tuple[float | None, int]:
        """The value the condition is about, and of how many answers."""
        statistic, quantity = self.condition.statistic, self.condition.quantity
        total = sum(outcomes.values())
        if statistic == "count":
            return float(total if quantity == "exchanges" else _hits(outcomes, quantity)), total
        if statistic == "rate":
            hits = _hits(outcomes, quantity)
            n = sum(count for outcome, count in outcomes.items() if outcome in _SHARED)
            n += 0 if quantity != "aborted" else hits
            return (hits / n if n >= FEWEST else None), n
        failed = _hits(outcomes, "failed") if quantity != "send_lag" else 0
        timed = sum(len(second.times) for second in self._seconds)
        if timed + failed < FEWEST:
            return None, timed + failed
        return self._time(statistic, timed, failed), timed + failed

    def _time(self, statistic: str, timed: int, failed: int) -> float | None:
        if statistic == "avg":
            return sum(second.sum_ns for second in self._seconds) / timed if timed else None
        if statistic == "min":
            return min((s.least_ns for s in self._seconds if s.least_ns is not None), default=None)
        share = self.condition.percentile if statistic == "percentile" else 1.0
        rank = rank_of(timed + failed, _fraction(share))
        if rank > timed:
            return float("inf")
        whole = Distribution()
        for second in self._seconds:
            whole.merge(second.times)
        return float(whole.ranked(rank))


def _fraction(share: float) -> Fraction:
    return Fraction(round(share * 1_000_000), 1_000_000)


def _hits(outcomes: Counter[Outcome], quantity: str) -> int:
    if quantity == "failed":
        return sum(count for outcome, count in outcomes.items() if outcome in FAILED)
    return outcomes[Outcome(quantity)]


def _time(quantity: str, stamps: Stamps) -> int | None:
    """One answer's time in nanoseconds; None where it has none."""
    begin_ns = stamps.intended_ns if quantity in ("latency", "response_time", "send_lag") else stamps.sent_ns
    end_ns = {"send_lag": stamps.sent_ns, "ttfb": stamps.first_byte_ns}.get(quantity, stamps.done_ns)
    return None if begin_ns is None or end_ns is None else end_ns - begin_ns
