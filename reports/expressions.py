"""What a threshold demands, as data: a measure, a comparison and a limit. Knows no text and no capture."""

from __future__ import annotations

import enum
import operator
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any


class Statistic(enum.StrEnum):
    """What is taken of the samples."""

    PERCENTILE = "percentile"
    MAX = "max"
    MIN = "min"
    AVG = "avg"
    RATE = "rate"
    COUNT = "count"
    REACH = "reach"


class Dimension(enum.StrEnum):
    """What a measured value and its limit are numbers of."""

    TIME = "time"
    """Nanoseconds."""
    SHARE = "share"
    """0 to 1."""
    NUMBER = "number"
    SCORE = "score"
    """Without a unit, such as layout shift; in billionths."""


class Comparison(enum.StrEnum):
    """How the measured value must stand to the limit."""

    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    EQUAL = "=="

    def holds(self, value: Fraction | int | float, limit: Fraction) -> bool:
        """Whether `value` keeps the limit."""
        return bool(_OPERATORS[self](value, limit))

    def each(self, values: Any, limit: float) -> Any:
        """As `holds`, of an array."""
        return _OPERATORS[self](values, limit)

    @property
    def is_upper(self) -> bool:
        """Whether smaller is better."""
        return self in (Comparison.LESS, Comparison.AT_MOST)


_OPERATORS: dict[Comparison, Callable[[Any, Any], bool]] = {
    Comparison.LESS: operator.lt,
    Comparison.AT_MOST: operator.le,
    Comparison.MORE: operator.gt,
    Comparison.AT_LEAST: operator.ge,
    Comparison.EQUAL: operator.eq,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """One parsed threshold. Numbers are exact: 1 failure in 100 is not less than `1%`."""

    text: str
    statistic: Statistic
    percentile: Fraction | None = None
    """0 to 1, of a percentile."""
    quantity: str
    """`latency`, `failed`, `exchanges`, ...; empty for reach."""
    event: str | None = None
    """The event of reach, delivery and gap."""
    name: str | None = None
    """Of render and measure."""
    comparison: Comparison
    limit: Fraction
    """Nanoseconds, 0 to 1, a plain number, or billionths: see `dimension`. With `of_baseline` the factor instead."""
    of_baseline: bool = False
    """Whether the limit is `limit` times the same measure of the baseline."""
    per_ns: int | None = None
    """The window of a count, nanoseconds."""

    @property
    def dimension(self) -> Dimension:
        """What `limit` is a number of."""
        return Dimension.SCORE if self.quantity in SCORES else DIMENSIONS[self.statistic]


DIMENSIONS = {
    Statistic.PERCENTILE: Dimension.TIME,
    Statistic.MAX: Dimension.TIME,
    Statistic.MIN: Dimension.TIME,
    Statistic.AVG: Dimension.TIME,
    Statistic.RATE: Dimension.SHARE,
    Statistic.REACH: Dimension.SHARE,
    Statistic.COUNT: Dimension.NUMBER,
}

DURATIONS = ("latency", "service_time", "response_time", "ttfb", "send_lag", "session_time", "connect_time",
             "query_time", "delivery", "gap", "load", "navigation", "fcp", "lcp", "inp", "render",
             "measure")  # fmt: skip
SCORES = frozenset({"cls"})
SCORE = 1_000_000_000
"""1 of a score: they are measured in billionths, so that they are whole numbers as durations are."""
OF_PAGES = frozenset({"load", "navigation", "fcp", "lcp", "inp", "render", "measure", *SCORES})
"""What only a watched browser knows."""
SHARES = ("failed", "refused", "limited", "aborted", "lost")
COUNTED = ("exchanges", "users", "sessions", "sockets", "events", *SHARES)
OF_AN_EVENT = frozenset({"delivery", "gap"})
OF_A_NAME = frozenset({"render", "measure"})
PER_WINDOW = frozenset({"exchanges", "sessions", "sockets", "events"})

UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # the micro sign
    "μs": 1_000,  # the Greek letter that looks the same
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
}
