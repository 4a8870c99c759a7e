"""How much runs of the same thing differ from each other, and so what a difference of one run can mean.

Two kinds of noise are kept apart. A run can be slower as a whole (a busy machine): that moves all routes together,
and as many baselines as there are say how often; a few say little, so a shift of the whole run is proven late. And
each route can differ by itself: there every route of every baseline is a witness. Pure: arrays in, numbers out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.compare.evidence import TESTS, Evidence
from reports.dependence import Floats
from reports.statistics import student_limit

FEWEST_RUNS = 3
"""Fewer baselines say nothing about the noise between runs."""
FEWEST_ROUTES = 6
"""With fewer the run's own shift and that of its routes cannot be told apart."""
SHIFT_ERROR = 0.0015
"""How often a shift of the whole run may be believed though there was none, in either direction."""
_TINY = 1e-9
_STANDS_OUT = 5.0
"""A route whose baselines differ so many times as much as expected is judged by its own noise."""
_STEPS = 60


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Noise:
    """The noise between runs. Effects and variances are of logarithms of new over old."""

    variance: Floats
    """One row a route, one column a test: what is added to the sampling variance."""
    freedom: float
    """Degrees of freedom of `variance`."""
    runs: int
    shift: float = 0.0
    """By how much the whole run is slower."""
    shift_error: float = 0.0
    """The standard error of `shift`, by sampling alone."""
    shift_limit: float = math.inf
    """A shift must be larger to be more than the noise between runs."""
    shift_known: bool = False
    """Whether there are enough runs and routes to tell a shift."""
    deviation: float | None = None
    """The standard deviation of typical latencies between runs; None where it is not known."""

    @property
    def is_shifted(self) -> bool:
        """Whether the shift is more than the noise between runs."""
        return self.shift_known and abs(self.shift) > self.shift_limit

    @property
    def unproven_shift(self) -> float:
        """The part of every route's effect that may be the run's: its shift, shrunk by what may be chance of sampling
        (James and Stein's factor, Fourth Berkeley Symposium 1, 1961)."""
        if not self.shift_known or self.is_shifted or not self.shift:
            return 0.0
        return self.shift * max(0.0, 1 - (self.shift_error / self.shift) ** 2)


def no_noise(routes: int, runs: int) -> Noise:
    """Where the noise is not known, or does not matter because both sides ran at once."""
    return Noise(variance=np.zeros((routes, len(TESTS))), freedom=math.inf, runs=runs)


def measure_noise(evidence: Sequence[Evidence], runs: int) -> Noise:
    """The noise between `runs` baseline runs, at least `FEWEST_RUNS`.

    Routes that some of the runs do not have are no witnesses; they get what the others say of the noise.
    """
    witnesses = [place for place, e in enumerate(evidence) if len(e.run_effects) == runs]
    if not witnesses:
        return no_noise(len(evidence), 1)
    effects = np.stack([evidence[place].run_effects for place in witnesses])
    errors = np.stack([evidence[place].run_errors for place in witnesses])
    routes = len(witnesses)
    together = routes >= FEWEST_ROUTES
    shifts = np.zeros(runs)
    shift, by_sampling, limit = 0.0, 0.0, math.inf
    freedom = float(runs - 1)
    if together:
        weights = 1 / np.maximum(np.array([evidence[place].error[0] for place in witnesses]), _TINY)
        shifts = np.array([weighted_median(effects[:, run, 0], weights) for run in range(runs)])
        shift = weighted_median(np.array([evidence[place].effect[0] for place in witnesses]), weights)
        by_sampling = math.sqrt(math.pi / 2 / (weights**2).sum())
        between = math.sqrt(shifts.var(ddof=1) * (1 + 1 / runs))
        limit = student_limit(SHIFT_ERROR, freedom) * max(between, by_sampling)
        freedom *= routes - 1
    residuals = effects - shifts[np.newaxis, :, np.newaxis]
    common, own = _between(residuals**2, errors**2, (routes - together) * (runs - 1))
    counts = np.array([max(1, len(e.run_effects)) for e in evidence])
    variance = np.tile(common, (len(evidence), 1))
    variance[witnesses] = own
    return Noise(
        variance=variance * (1 + 1 / counts[:, np.newaxis]),
        freedom=freedom,
        runs=runs,
        shift=shift,
        shift_error=by_sampling,
        shift_limit=limit,
        shift_known=together,
        deviation=math.sqrt(float(common[0]) + float(shifts.var(ddof=1))),
    )


def _between(squares: Floats, errors: Floats, freedom: int) -> tuple[Floats, Floats]:
    """The variance between runs that makes squared residuals as large as they are (Paule and Mandel, Journal of
    Research of the NBS 87, 1982): one for each test and all routes, and then each route's, its own where it stands
    out."""
    routes, runs, tests = squares.shape
    errors = errors + _TINY
    low, high = np.zeros(tests), squares.max(axis=(0, 1)) * routes * runs
    for _ in range(_STEPS):
        middle = (low + high) / 2
        too_small = (squares / (errors + middle)).sum(axis=(0, 1)) > freedom
        low, high = np.where(too_small, middle, low), np.where(too_small, high, middle)
    common = np.where((squares / errors).sum(axis=(0, 1)) > freedom, high, 0.0)
    own, expected = squares.sum(axis=1) / (runs - 1), errors.mean(axis=1)
    stands_out = own > _STANDS_OUT * (common + expected)
    variance: Floats = np.where(stands_out, np.maximum(own - expected, common), common)
    return common, variance


def weighted_median(values: Floats, weights: Floats) -> float:
    """The value with half of the weight on either side."""
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])
