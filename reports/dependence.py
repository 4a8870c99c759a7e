"""How much samples that follow each other depend on each other: one burst of slow answers is not fifty witnesses.

The variance of an average of n dependent samples is that of n / inflation independent ones. The inflation is the
spectral density at frequency zero over the variance, the density taken from a fitted autoregression (Plummer et al.,
*CODA*, R News 6/1, 2006). Its order is chosen by the corrected criterion of Hurvich and Tsai (Biometrika 76, 1989),
and samples count as independent unless the stricter one of Schwarz also finds an order. Long bursts, which no short
autoregression sees, are looked for once more in the averages of batches. Pure: arrays in, numbers out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reports.statistics import student_limit

Floats = NDArray[np.float64]

MOST_LAGS = 24
_PATIENCE = 6
"""Further orders are tried until so many in a row were no better."""
_BATCHES = 250
"""Long series are looked at a second time as averages of so many batches."""
_FEWEST = 10
"""Shorter series say nothing about their own dependence."""
_LONGEST_TRANSFORM = 50_000
"""Beyond so many samples a sum a lag is cheaper than a Fourier transform, in memory above all."""
_NORMAL_975 = 1.959964


class Dependence(NamedTuple):
    """What a sample of dependent values is worth."""

    inflation: float
    """At least 1: how many samples are worth one independent one."""
    freedom: float
    """Degrees of freedom of the estimated inflation; infinite where the samples look independent."""

    @property
    def for_an_interval(self) -> float:
        """The inflation, made larger by what is not certain about it, for an interval of 95 %."""
        if math.isinf(self.freedom):
            return self.inflation
        return self.inflation * (student_limit(0.025, round(self.freedom, 2)) / _NORMAL_975) ** 2


INDEPENDENT = Dependence(1.0, math.inf)


def of_percentile(in_order: Floats, threshold: float) -> Dependence:
    """The dependence of exceeding `threshold`, a percentile of `in_order`, which is in order of time."""
    exceeds = (in_order > threshold).astype(np.float64)
    return dependences([np.stack((midranks(in_order), exceeds))])[1]


def midranks(values: Floats) -> Floats:
    """The rank of every value among them, from 1; equal values share their average."""
    order = np.argsort(values)
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    ends = np.append(starts[1:], len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((starts + ends + 1) / 2, ends - starts)
    return ranks


def dependences(series: Sequence[Floats]) -> list[Dependence]:
    """The dependence of each row, one row a kind of value, one column a sample.

    `series` holds one or more runs of the same process, each in order of time. The first row, ranks, says for all
    whether there is any: it knows most about it.
    """
    kinds = series[0].shape[0]
    total = sum(part.shape[1] for part in series)
    if total < _FEWEST:
        return [INDEPENDENT] * kinds
    inflations, found = _autoregressive(series)
    inflations = np.where(found | found[0], np.maximum(inflations, 1.0), 1.0)
    if total >= 4 * _BATCHES:
        inflations = np.maximum(inflations, _of_batches(series, total))
    return [Dependence(float(f), max(1.0, total / (2 * float(f)))) if f > 1 else INDEPENDENT for f in inflations]


def _autoregressive(series: Sequence[Floats]) -> tuple[Floats, NDArray[np.bool_]]:
    """One inflation for each row, and whether the stricter criterion too finds a dependence."""
    total = sum(part.shape[1] for part in series)
    lags = min(MOST_LAGS, int(10 * math.log10(total)), total // 5)
    covariances = _covariances(series, lags)
    varied = covariances[:, 0] > 0
    inflations, found = np.ones(len(covariances)), np.zeros(len(covariances), dtype=bool)
    if varied.any():
        inflations[varied], found[varied] = _inflation_of(covariances[varied], total)
    dependent = varied & (inflations > 1)
    if dependent.any():
        # Taking each run's own average away lowers every covariance by the variance of that average.
        shift = inflations * covariances[:, 0] * len(series) / total
        inflations[dependent], _ = _inflation_of((covariances + shift[:, np.newaxis])[dependent], total)
    return inflations, found


def _covariances(series: Sequence[Floats], lags: int) -> Floats:
    """The autocovariances at lags 0..lags of each row, over all runs, each about its own average."""
    kinds = series[0].shape[0]
    total = sum(part.shape[1] for part in series)
    sums = np.zeros((kinds, lags + 1))
    for part in series:
        length = part.shape[1]
        if not length:
            continue
        if length <= _LONGEST_TRANSFORM:
            centred = part - part.mean(axis=1, keepdims=True)
            size = 1 << (length + lags).bit_length()
            power = np.abs(np.fft.rfft(centred, size)) ** 2
            sums += np.fft.irfft(power, size)[:, : lags + 1]
            continue
        for kind, row in enumerate(part):
            centred = row - row.mean()
            sums[kind] += [np.dot(centred[: length - lag], centred[lag:]) for lag in range(lags + 1)]
    shared: Floats = sums / total
    return shared


def _inflation_of(covariances: Floats, total: int) -> tuple[Floats, NDArray[np.bool_]]:
    """The spectral density at zero over the variance, by Levinson and Durbin's recursion."""
    kinds, width = covariances.shape
    rho = covariances / covariances[:, :1]
    weights = np.zeros((kinds, width))  # of the order reached so far, by lag
    noise = np.ones(kinds)
    best = np.full(kinds, 2.0 / max(1, total - 2))
    found = np.zeros(kinds, dtype=bool)
    inflation = np.ones(kinds)
    last_better = 0
    for order in range(1, width):
        past = np.einsum("ij,ij->i", weights[:, 1:order], rho[:, order - 1 : 0 : -1])
        reflection = np.clip((rho[:, order] - past) / noise, -0.999, 0.999)
        weights[:, 1:order] -= reflection[:, np.newaxis] * weights[:, order - 1 : 0 : -1].copy()
        weights[:, order] = reflection
        noise = noise * (1 - reflection**2)
        fit = np.log(noise)
        criterion = fit + 2.0 * (order + 1) / max(1, total - order - 2)
        found |= fit + order * math.log(total) / total < 0
        better = criterion < best
        if better.any():
            last_better = order
            best = np.where(better, criterion, best)
            left = np.maximum(1 - weights[:, 1 : order + 1].sum(axis=1), 1e-3)
            inflation = np.where(better, noise / left**2, inflation)
        elif order - last_better >= _PATIENCE:
            break
    return inflation, found


def _of_batches(series: Sequence[Floats], total: int) -> Floats:
    """The inflation that the averages of batches show, 1 where it could be chance."""
    size = total // _BATCHES
    batches = [
        part[:, : part.shape[1] // size * size].reshape(part.shape[0], -1, size).mean(axis=2)
        for part in series
        if part.shape[1] >= size
    ]
    count = sum(part.shape[1] for part in batches)
    variance = _covariances(series, 0)[:, 0]
    between = _covariances(batches, 0)[:, 0] * count / max(1, count - len(batches))
    ratio = np.divide(size * between, variance, out=np.ones_like(variance), where=variance > 0)
    chance = 1 + 3 * math.sqrt(2 / max(1, count - len(batches)))
    further, _ = _autoregressive(batches)
    return np.where(ratio > chance, ratio * np.maximum(further, 1.0), 1.0)
