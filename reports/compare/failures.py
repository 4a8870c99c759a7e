"""Whether a route fails more often than it did: shares, not durations. Pure: arrays in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reports.compare.evidence import signed_roots
from reports.dependence import dependences
from reports.statistics import student_tail

ERROR = 0.0005
"""How often a report may say so where nothing changed, of all routes together."""
FLOOR = 0.01
"""With fewer than three baselines a share must grow by more than this to be more than noise."""


class Failures(NamedTuple):
    """The shares of one route."""

    more: float
    """P(so much more, if nothing changed)."""
    fewer: float
    growth: float
    """New share minus old."""
    beyond_runs: bool
    """Whether the new share lies outside of what the baseline runs had."""


def weigh_failures(runs: Sequence[NDArray[np.bool_]], new: NDArray[np.bool_]) -> Failures:
    """Compare how often a route failed; each side is in order of time and not empty."""
    old = np.concatenate(runs)
    if not old.any() and not new.any():
        return Failures(1.0, 1.0, 0.0, beyond_runs=False)
    worth = dependences([part[np.newaxis, :].astype(np.float64) for part in (*runs, new)])[0]
    hits = [np.array([float(side.sum())]) for side in (old, new)]
    z = float(signed_roots(hits[0], len(old), hits[1], len(new))[0])
    shares = [float(run.mean()) for run in runs]
    growth = float(new.mean() - old.mean())
    z /= math.sqrt(worth.inflation * _spread_of_runs(runs))
    beyond = new.mean() > max(shares) or new.mean() < min(shares)
    return Failures(student_tail(z, worth.freedom), student_tail(-z, worth.freedom), growth, bool(beyond))


def _spread_of_runs(runs: Sequence[NDArray[np.bool_]]) -> float:
    """How many times as much the baseline runs differ as independent failures would: chi-squared over its freedom."""
    if len(runs) < 2:
        return 1.0
    share = float(np.concatenate(runs).mean())
    expected = np.array([len(run) * share for run in runs])
    hits = np.array([float(run.sum()) for run in runs])
    if share in (0.0, 1.0):
        return 1.0
    return max(1.0, float(((hits - expected) ** 2 / (expected * (1 - share))).sum()) / (len(runs) - 1))
