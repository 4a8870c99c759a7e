"""How much samples that follow each other depend on each other: one burst of slow answers is not fifty witnesses.

The variance of an average of n dependent samples is that of n / inflation independent ones. The inflation is the
spectral density at frequency zero over the variance, the density taken from a fitted autoregression (Plummer et al.,
*CODA*, R News 6/1, 2006), its order chosen by Schwarz's criterion (Annals of Statistics 6, 1978), which finds none
where samples are independent. Bursts are no autoregression of a low order: an interval, which pays with a little width
only, looks at the order of Akaike's criterion too where Schwarz's finds any. Long bursts are looked for once more in
the averages of batches; the larger of two estimates is larger than the truth on average, so a test, which pays for
that, heeds batches only where they show more by more than chance. Pure: arrays in, numbers out.
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
    return dependences([np.stack((midranks(in_order), exceeds))], witnesses=2)[1]


def midranks(values: Floats) -> Floats:
    """The rank of every value among them, from 1; equal values share their average."""
    order = np.argsort(values)
    ordered = values[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    ends = np.append(starts[1:], len(values))
    ranks = np.empty(len(values))
    ranks[order] = np.repeat((starts + ends + 1) / 2, ends - starts)
    return ranks


def dependences(series: Sequence[Floats], witnesses: int = 1, *, wary: bool = True) -> list[Dependence]:
    """The dependence of each row, one row a kind of value, one column a sample.

    `series` holds one or more runs of the same process, each in order of time. Where the first rows, so many as there
    are `witnesses`, show no dependence, there is none; the first, ranks, knows most about it. `wary`: an autoregression
    of a higher order, and the larger of what it and the batches say, for an interval that is rather too wide; else that
    of the batches only where it is larger by more than chance.
    """
    kinds = series[0].shape[0]
    total = sum(part.shape[1] for part in series)
    if total < _FEWEST:
        return [INDEPENDENT] * kinds
    first = [part[:witnesses] for part in series] if witnesses < kinds else series
    inflations = _inflations(first, total, wary=wary)
    if (inflations[:witnesses] <= 1).all():
        return [INDEPENDENT] * kinds
    if witnesses < kinds:
        inflations = _inflations(series, total, wary=wary)
    return [Dependence(float(f), max(1.0, total / (2 * float(f)))) if f > 1 else INDEPENDENT for f in inflations]


def _inflations(series: Sequence[Floats], total: int, *, wary: bool) -> Floats:
    """One inflation for each row, at least 1."""
    fitted = np.maximum(_autoregressive(series, wary=wary), 1.0)
    if total < 4 * _BATCHES:
        return fitted
    return np.maximum(fitted, _of_batches(series, total, np.ones_like(fitted) if wary else fitted))


def _autoregressive(series: Sequence[Floats], *, wary: bool = False) -> Floats:
    """One inflation for each row; 1 where no order is better than none."""
    total = sum(part.shape[1] for part in series)
    lags = min(MOST_LAGS, int(10 * math.log10(total)), total // 5)
    inflations = []
    for row in _covariances(series, lags).tolist():
        inflation = _fit(row, total, wary=wary)
        if inflation > 1:
            # Taking each run's own average away lowers every covariance by the variance of that average.
            shift = inflation * row[0] * len(series) / total
            inflation = _fit([value + shift for value in row], total, wary=wary)
        inflations.append(inflation)
    return np.array(inflations)


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


def _variance(series: Sequence[Floats], freedom: int) -> Floats:
    """The variance of each row over all runs, each about its own average."""
    squares = [((part - part.mean(axis=1, keepdims=True)) ** 2).sum(axis=1) for part in series]
    variance: Floats = np.sum(squares, axis=0) / freedom
    return variance


def _fit(covariances: list[float], total: int, *, wary: bool) -> float:
    """The spectral density at zero over the variance, by Levinson and Durbin's recursion: of the order that is best by
    Schwarz's criterion; `wary`, where that is not none, by Akaike's as well, the larger of both."""
    if covariances[0] <= 0:
        return 1.0
    rho = [value / covariances[0] for value in covariances]
    weights: list[float] = []
    noise = 1.0
    strictness = [math.log(total) / total, 2 / total] if wary else [math.log(total) / total]
    best, inflations = [0.0] * len(strictness), [1.0] * len(strictness)
    last_better = 0
    for order in range(1, len(rho)):
        past = sum(weight * rho[order - 1 - lag] for lag, weight in enumerate(weights))
        reflection = min(0.999, max(-0.999, (rho[order] - past) / noise))
        weights = [w - reflection * v for w, v in zip(weights, reversed(weights), strict=True)] + [reflection]
        noise *= 1 - reflection**2
        for place, one in enumerate(strictness):
            criterion = math.log(noise) + order * one
            if criterion < best[place]:
                best[place], last_better = criterion, order
                inflations[place] = noise / max(1e-3, 1 - sum(weights)) ** 2
        if order - last_better >= _PATIENCE:
            break
    return max(inflations) if best[0] < 0 else 1.0


def _of_batches(series: Sequence[Floats], total: int, known: Floats) -> Floats:
    """The inflation that the averages of batches show, 1 where what it is beyond the `known` one could be chance."""
    size = total // _BATCHES
    batches = [
        part[:, : part.shape[1] // size * size].reshape(part.shape[0], -1, size).mean(axis=2)
        for part in series
        if part.shape[1] >= size
    ]
    count = sum(part.shape[1] for part in batches)
    variance = _variance(series, total)
    between = _variance(batches, max(1, count - len(batches)))
    ratio = np.divide(size * between, variance, out=np.ones_like(variance), where=variance > 0)
    chance = 1 + 3 * math.sqrt(2 / max(1, count - len(batches)))
    if (ratio <= chance).all():
        return np.ones_like(ratio)
    inflations = ratio * np.maximum(_autoregressive(batches), 1.0)
    return np.where((ratio > chance) & (inflations > chance * known), inflations, 1.0)
