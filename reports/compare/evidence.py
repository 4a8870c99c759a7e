"""What the samples of one route say about a change: tests, effects and errors, before any noise between runs.

All tests compare averages over the two sides of something that needs no model of the latency: the rank of a sample
among all samples (the Wilcoxon, Mann and Whitney test), or whether it exceeds a percentile of all samples. Under "no
change" every order of the samples is equally likely, so ties, constants and any shape are exact; samples that depend
on their predecessors count for fewer (`reports.dependence`). The percentiles are p95 and Tukey's letter values, so a
second mode is seen wherever it lies. Effects are logarithms of new over old. Pure: arrays in, numbers out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reports.dependence import INDEPENDENT, Dependence, Floats, dependences, midranks
from reports.statistics import student_tail

Codes = NDArray[np.int64]

LEVELS = (0.95, 0.25, 0.5, 0.75, 0.875, 0.9375, 0.99)
TESTS = ("rank", *LEVELS)
"""The columns of everything here: the rank test, then one test a percentile."""
WEIGHTS: Floats = np.array([0.35, 0.35, *(0.3 / 6 for _ in range(6))])
"""How the permitted error is shared between the tests of a route; the sum is 1."""
TYPICAL = np.linspace(0.05, 0.95, 19)
"""Where ranks do not tell, the ratio of typical latencies is the median of the ratios at these levels."""
_SHARES = np.array(LEVELS)
_CROWDED = 0.25
"""Beyond such a difference of average ranks, ranks say little of how large a shift is."""
_GRID = 128
_PROBE = 0.1
_SHIFTS = np.concatenate(([0.0], np.geomspace(0.004, 4.0, 24)))
_CONTINUITY = 0.5
_OF_ROUNDING = 12**-0.5
"""The standard deviation of what rounding to steps of 1 does (Sheppard's)."""
_DRIFT = 0.01
"""How rarely two sides without a common drift look as if they had one."""
_FEWEST_BLOCKS = 10
_LEAST_INFLATION = 0.05
"""A drift adds to the variance of samples, not to that of differences: what is left can be below 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """One route: a column for each of `TESTS`, positive where the new run is slower."""

    z: Floats
    """Standard scores under "no change"."""
    freedom: Floats
    """Degrees of freedom of their error; infinite where the samples look independent."""
    effect: Floats
    """log(new / old): of typical latencies under `rank`, else of that percentile."""
    error: Floats
    """The standard error of `effect`, by sampling alone."""
    run_effects: Floats
    """One row a baseline run: its effect against all of them."""
    run_errors: Floats
    """The standard errors of what those effects compare, by sampling alone."""
    inflation: Floats
    """How many samples are worth one independent one."""
    n_old: int
    n_new: int


def weigh_evidence(runs: Sequence[Floats], new: Floats, blocks: Codes | None = None) -> Evidence:
    """Compare a new run with one or more old ones; each is in order of time, nanoseconds, not empty.

    `blocks` says of runs that were under way at once in which stretch of time each sample lies, the old ones first:
    what moved both sides in a stretch says nothing about either, nor about the dependence of their samples.
    """
    old = np.concatenate(runs)
    n_old, n_new = len(old), len(new)
    both = np.concatenate((old, new))
    ordered_old, ordered_new, ordered = np.sort(old), np.sort(new), np.sort(both)
    ranks = midranks(both)
    cuts = ordered[np.ceil(_SHARES * len(both)).astype(int) - 1]
    worth = _worth(both, ranks, cuts, [len(run) for run in (*runs, new)], blocks)
    inflation = np.array([w.inflation for w in worth])
    variance = ranks.var(ddof=1) * (1 / n_old + 1 / n_new)
    difference = ranks[n_old:].mean() - ranks[:n_old].mean()
    of_ranks = difference / math.sqrt(variance) if variance > 0 else 0.0
    hits_old, hits_new = (len(o) - np.searchsorted(o, cuts, "right") for o in (ordered_old, ordered_new))
    z = np.concatenate(([of_ranks], signed_roots(hits_old, n_old, hits_new, n_new))) / np.sqrt(inflation)
    slope = _sensitivity(ordered_old)
    sides = [np.sort(run) for run in runs] if len(runs) > 1 else []
    among_old = np.split(midranks(old) / n_old, np.cumsum([len(side) for side in sides])[:-1]) if sides else []
    middle = (n_old + 1) / 2 / n_old
    return Evidence(
        z=z,
        freedom=np.array([w.freedom for w in worth]),
        effect=_effects(ordered_old, ordered_new, difference / len(both), slope),
        error=np.hypot(_errors(ordered_old, inflation, slope), _errors(ordered_new, inflation, slope)),
        run_effects=np.array(
            [
                _effects(ordered_old, side, ranks.mean() - middle, slope)
                for side, ranks in zip(sides, among_old, strict=True)
            ]
        ).reshape(-1, len(TESTS)),
        run_errors=np.array([_errors(side, inflation, slope) for side in sides]).reshape(-1, len(TESTS)),
        inflation=inflation,
        n_old=n_old,
        n_new=n_new,
    )


def _worth(both: Floats, ranks: Floats, cuts: Floats, sizes: Sequence[int], blocks: Codes | None) -> list[Dependence]:
    """The dependence of what each test averages. Ranks and p95 are looked at first: mostly there is none."""
    places = np.cumsum(sizes)[:-1]

    def rows(some: Floats) -> Floats:
        return np.concatenate((ranks[np.newaxis, :], both > some[:, np.newaxis]))

    if blocks is not None:
        drift = _under_drift(rows(cuts), sizes[0], blocks)
        if drift:
            return drift
    first = rows(cuts[:1])
    if dependences(np.split(first, places, axis=1), witnesses=2, wary=False) == [INDEPENDENT] * 2:
        return [INDEPENDENT] * len(TESTS)
    return dependences(np.split(rows(cuts), places, axis=1), witnesses=len(TESTS), wary=False)


def _under_drift(rows: Floats, n_old: int, blocks: Codes) -> list[Dependence]:
    """The dependence that is left of two sides that took turns when a drift moves both, by the differences between
    them in each block; empty where their blocks do not move together."""
    old, new = (_averages(rows[:, side], blocks[side]) for side in (slice(n_old), slice(n_old, None)))
    counts = [
        np.bincount(blocks[side], minlength=int(np.max(blocks)) + 1) for side in (slice(n_old), slice(n_old, None))
    ]
    full = (counts[0] > 0) & (counts[1] > 0)
    if full.sum() < _FEWEST_BLOCKS:
        return []
    freedom = int(full.sum()) - 2
    together = float(np.corrcoef(old[0, full], new[0, full])[0, 1]) if np.ptp(old[0]) and np.ptp(new[0]) else 0.0
    t = together * math.sqrt(freedom / max(1e-9, 1 - together**2))
    if student_tail(t, freedom) > _DRIFT:
        return []
    differences = (new - old)[:, full]
    expected = rows.var(axis=1) * (1 / counts[0][full] + 1 / counts[1][full]).mean()
    seen = differences.var(axis=1, ddof=1)
    inflation = np.divide(seen, expected, out=np.ones_like(seen), where=expected > 0)
    return [Dependence(float(max(f, _LEAST_INFLATION)), freedom + 1.0) for f in inflation]


def _averages(rows: Floats, blocks: Codes) -> Floats:
    """The average of each row in each block."""
    counts = np.maximum(np.bincount(blocks), 1)
    return np.stack([np.bincount(blocks, row) / counts for row in rows])


def signed_roots(hits_old: Floats, n_old: int, hits_new: Floats, n_new: int) -> Floats:
    """Standard scores of two shares being equal: signed roots of the likelihood ratio (Barndorff-Nielsen and Cox,
    *Inference and Asymptotics*, 4.4), which unlike differences stay right for few hits and unequal sides.

    The counts are moved half a hit towards each other first, as Yates did: they are whole.
    """
    n = n_old + n_new
    expected = (hits_old + hits_new) * n_new / n
    excess = hits_new - expected
    moved = expected + np.sign(excess) * np.maximum(np.abs(excess) - _CONTINUITY, 0)
    hits = hits_old + hits_new
    statistic = 2 * (
        _likelihood(moved, expected)
        + _likelihood(n_new - moved, n_new - expected)
        + _likelihood(hits - moved, hits - expected)
        + _likelihood(n_old - hits + moved, n_old - hits + expected)
    )
    roots: Floats = np.sign(excess) * np.sqrt(np.maximum(statistic, 0))
    return roots


def _likelihood(seen: Floats, expected: Floats) -> Floats:
    some = (seen > 0) & (expected > 0)
    part: Floats = np.where(some, seen * np.log(np.where(some, seen, 1) / np.where(some, expected, 1)), 0.0)
    return part


def _effects(ordered_old: Floats, ordered_new: Floats, difference: float, slope: float) -> Floats:
    """log(new / old) for each of `TESTS`.

    Under `rank` it is the shift that explains the `difference` of average ranks (0 to 1), which whole milliseconds do
    not make jump as they do a percentile; and where hardly any rank is left to move to, the ratio of typical
    percentiles.
    """
    levels = np.concatenate((TYPICAL, _SHARES))
    logs = np.log(np.maximum(_quantiles(ordered_new, levels), 1)) - np.log(
        np.maximum(_quantiles(ordered_old, levels), 1)
    )
    typical = difference / slope if abs(difference) < _CROWDED else np.median(logs[: len(TYPICAL)])
    return np.concatenate(([typical], logs[len(TYPICAL) :]))


def _quantiles(ordered: Floats, levels: Floats) -> Floats:
    """By nearest rank."""
    places = np.maximum(np.ceil(levels * len(ordered) - 1e-9).astype(int), 1) - 1
    picked: Floats = ordered[places]
    return picked


def _errors(ordered: Floats, inflation: Floats, slope: float) -> Floats:
    """The standard error of each logarithm that `effects` compares, of one side.

    Of percentiles half the interval between the order statistics one standard deviation of a count to either side
    (Woodruff, JASA 47, 1952), and what coarse steps between latencies add; under `rank` the shift that moves the side's
    average rank by its standard deviation.
    """
    n = len(ordered)
    spread = np.sqrt(_SHARES * (1 - _SHARES) * inflation[1:] * n)
    low = np.maximum(np.floor(_SHARES * n - spread), 1).astype(int) - 1
    high = np.minimum(np.ceil(_SHARES * n + spread), n).astype(int) - 1
    width = np.log(np.maximum(ordered[high], 1)) - np.log(np.maximum(ordered[low], 1))
    of_percentiles = np.hypot(width * spread / np.maximum(high - low, 1), _steps(ordered) * _OF_ROUNDING)
    of_ranks = math.sqrt(inflation[0] / (12 * n)) / slope
    error: Floats = np.concatenate(([of_ranks], of_percentiles))
    return error


def _steps(ordered: Floats) -> Floats:
    """How far apart the logarithms of neighbouring latencies are at each percentile: nothing to speak of where they are
    continuous, a millisecond's worth where they are whole milliseconds."""
    picked = _quantiles(ordered, _SHARES)
    below = ordered[np.maximum(np.searchsorted(ordered, picked, "left") - 1, 0)]
    above = ordered[np.minimum(np.searchsorted(ordered, picked, "right"), len(ordered) - 1)]
    steps: Floats = (np.log(np.maximum(above, 1)) - np.log(np.maximum(below, 1))) / 2
    return steps


def _sensitivity(ordered: Floats) -> float:
    """By how much a shift of the logarithm moves the average rank (0 to 1), a shift: an integral of the density.

    Taken between no shift and the one that moves it by `_PROBE`, so that whole milliseconds do not matter.
    """
    grid = np.log(np.maximum(_quantiles(ordered, (np.arange(_GRID) + 0.5) / _GRID), 1))
    moved = (grid[np.newaxis, :] + _SHIFTS[:, np.newaxis]).ravel()
    below = (np.searchsorted(grid, moved, "left") + np.searchsorted(grid, moved, "right")) / (2 * _GRID)
    difference = below.reshape(len(_SHIFTS), _GRID).mean(axis=1) - 0.5
    return _PROBE / float(np.interp(_PROBE, difference, _SHIFTS))
