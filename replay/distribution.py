"""A column of durations in bounded memory: counts in buckets that are 1/128 of their value wide. Pure.

For numbers about the generator itself (send lag, loop lag) and for what is watched while a run goes on; the verdict
on the application takes its percentiles from the stored exchanges, exactly.
"""

from __future__ import annotations

import math
from array import array
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from nestperf.percentiles import rank_of

_BITS = 7
"""A bucket is 2**-7 of its value wide: percentiles are exact to 0.8 %, and never too low."""
_EXACT = 2 << _BITS
"""Below this each value has a bucket of its own."""
_FOLDED_AT = 4_000
"""So many fresh values are worth a turn of numpy's."""


class Distribution:
    """Durations in nanoseconds; those below 0 count as 0. Minimum memory, maximum exact."""

    __slots__ = ("_counts", "_fresh", "_max_ns", "append")

    def __init__(self) -> None:
        self._fresh = array("q")
        self._counts: NDArray[np.int64] = np.zeros(0, dtype=np.int64)
        """By bucket, as far as the largest one that has any."""
        self._max_ns: int | None = None
        self.append = self._fresh.append
        """One more."""

    def __len__(self) -> int:
        self._fold()
        return int(self._counts.sum())

    @property
    def max_ns(self) -> int | None:
        """The largest so far; None for none."""
        self._fold()
        return self._max_ns

    def extend(self, values: array[int] | list[int]) -> None:
        """Several more."""
        self._fresh.extend(values)

    def add(self, values: NDArray[np.int64]) -> None:
        """One or more, at once."""
        largest = int(np.max(values))
        self._max_ns = largest if self._max_ns is None else max(largest, self._max_ns)
        self._count(np.bincount(_buckets(values)))

    def fold(self) -> None:
        """Called now and then, so that memory stays flat."""
        if len(self._fresh) >= _FOLDED_AT:
            self._fold()

    def _fold(self) -> None:
        """Take in what was added."""
        if not self._fresh:
            return
        self.add(np.array(self._fresh, dtype=np.int64))
        del self._fresh[:]

    def _count(self, counts: NDArray[np.int64]) -> None:
        if len(counts) > len(self._counts):
            self._counts = np.pad(self._counts, (0, len(counts) - len(self._counts)))
        self._counts[: len(counts)] += counts

    def merge(self, other: Distribution) -> None:
        """All of another one as well."""
        other._fold()
        self._fold()
        self._count(other._counts)
        if other._max_ns is not None:
            self._max_ns = other._max_ns if self._max_ns is None else max(self._max_ns, other._max_ns)

    def percentile(self, share: float) -> int | None:
        """The upper end of the bucket that holds the nearest rank, and never more than the maximum; None for none."""
        n = len(self)
        if not n:
            return None
        return self.ranked(rank_of(n, Fraction(round(share * 10_000), 10_000)))

    def ranked(self, rank: int) -> int:
        """The value of a rank, counted from 1, no more than there are."""
        self._fold()
        assert self._max_ns is not None
        return min(_upper(int(np.searchsorted(np.cumsum(self._counts), rank))), self._max_ns)

    def over(self, limit_ns: float) -> int:
        """How many were longer: those of buckets that begin above the limit, or at it."""
        self._fold()
        limit = int(_buckets(np.array([math.ceil(limit_ns)], dtype=np.int64))[0])
        return int(self._counts[limit + 1 :].sum())


def _buckets(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Buckets ascend with their values; those below 256 ns hold one value each."""
    values = np.maximum(values, 0)
    bits = np.frexp(values.astype(np.float64))[1].astype(np.int64)
    # Above 2**53 a float may round up to the next power of two.
    bits -= (values >> np.maximum(bits - 1, 0)) == 0
    shift = np.maximum(bits - _BITS - 1, 0)
    return (shift << _BITS) + (values >> shift)


def _upper(key: int) -> int:
    """The largest value of a bucket."""
    if key < _EXACT:
        return key
    shift = (key >> _BITS) - 1
    return ((key - (shift << _BITS)) + 1 << shift) - 1
