"""What a comparison says, as data. Durations are nanoseconds, changes are new over old."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from typing import NamedTuple


class Change(enum.StrEnum):
    """What became of one route."""

    REGRESSION = "regression"
    IMPROVEMENT = "improvement"
    STEADY = "no regression"
    """No change of at least the minimum detectable one."""
    INCONCLUSIVE = "inconclusive"
    TOO_FEW = "too few"
    """Too few samples on a side to compare at all."""
    GONE = "gone"
    """The baseline has it, the new run does not."""
    NEW = "new"


class Grounds(enum.StrEnum):
    """What a change rests on."""

    SLOWER = "slower"
    SHAPE = "shape"
    """Some percentiles are slower, others faster or as they were."""
    FASTER = "faster"
    FAILURES = "failures"
    MAYBE_NOISE = "maybe_noise"
    """More than chance, but runs of the same thing may differ as much."""
    NOTHING_SEEN = "nothing_seen"
    BLIND = "blind"
    """Not even a doubling would have been seen."""
    SAMPLES = "samples"
    """There are too few, or none."""


class Key(NamedTuple):
    """One route of one method and kind."""

    kind: str
    server_call: bool
    method: str
    route: str


class Ratio(NamedTuple):
    """New over old with its 95 % interval; None where nothing bounds it."""

    value: float
    low: float | None
    high: float | None


class Side(NamedTuple):
    """One route on one side."""

    n: int = 0
    """Answers with a latency."""
    failed: int = 0
    asked: int = 0
    """Everything that a share of failures is a share of."""
    p50_ns: int | None = None
    p95_ns: int | None = None


class Detectable(NamedTuple):
    """The smallest slowdowns (new over old) that would have been found, in nine of ten cases."""

    whole: float
    """Of all requests."""
    p95: float | None
    """Of the slowest tenth alone, by p95; None where none would have been."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteChange:
    """One route, new against old."""

    key: Key
    change: Change
    grounds: Grounds
    old: Side
    new: Side
    typical: Ratio | None = None
    """The median of the ratios of all percentiles: by how much most requests changed."""
    p50: Ratio | None = None
    p95: Ratio | None = None
    slower_at: tuple[str, ...] = ()
    """The tests that found it slower: `typical`, `p95`, `p25`, ..."""
    faster_at: tuple[str, ...] = ()
    detectable: Detectable | None = None

    @property
    def is_open(self) -> bool:
        """Whether something was there to judge, and was not."""
        return self.change in (Change.INCONCLUSIVE, Change.GONE)


class NoiseKnown(enum.StrEnum):
    """Where the noise between runs is known from."""

    BASELINES = "baselines"
    """Three or more baseline runs."""
    INTERLEAVED = "interleaved"
    """Both sides ran at once, taking turns."""
    NOT = "not"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A run against one or more earlier ones."""

    baselines: tuple[str, ...]
    """File names."""
    quantity: str
    """What latency means here: `response_time` or `service_time`."""
    noise: NoiseKnown
    floor: float
    """The least ratio that is called a change."""
    routes: tuple[RouteChange, ...]
    run_noise: float | None = None
    """By what ratio runs of the same thing differ (one standard deviation); None where it is not known."""
    shift: float = 1.0
    """By what ratio the whole run is slower."""
    shift_limit: float | None = None
    """What it would take to be more than the noise between runs; None where that is not known."""
    old_per_minute: float | None = None
    new_per_minute: float | None = None
    remarks: tuple[str, ...] = ()
    """Sentences: in what the runs differ that is not the application."""

    def of(self, *changes: Change) -> list[RouteChange]:
        """The routes of which that became."""
        return [route for route in self.routes if route.change in changes]

    @property
    def judged(self) -> list[RouteChange]:
        """The routes that could be judged."""
        return self.of(Change.REGRESSION, Change.IMPROVEMENT, Change.STEADY)

    @property
    def is_regression(self) -> bool:
        """Whether anything got worse."""
        return bool(self.of(Change.REGRESSION))

    @property
    def is_open(self) -> bool:
        """Whether it is neither red nor green: a change that may be noise, a route that is gone, nothing judged."""
        return not self.judged or any(
            route.change is Change.GONE or route.grounds is Grounds.MAYBE_NOISE for route in self.routes
        )


def ratio(effect: float, error: float, limit: float = 1.96) -> Ratio:
    """A ratio of a logarithm and its standard error."""
    return Ratio(*(math.exp(min(effect + side * limit * error, 700.0)) for side in (0, -1, 1)))
