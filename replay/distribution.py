"""A column of durations in bounded memory: counts in buckets that are 1/128 of their value wide. Pure.

For numbers about the generator itself (send lag, loop lag) and for what is watched while a run goes on; the verdict
on the application takes its percentiles from the stored exchanges, exactly.
"""

from __future__ import annotations

import math
from array import array
from bisect import insort
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from nestperf.percentiles import rank_of

_BITS = 7
"""A bucket is 2**-7 of its value wide: percentiles are exact to 0.8 %, and never too low."""
_EXACT = 2 << _BITS
"""Below this each value has a bucket of its own."""
_AS_ARRAY = 200
"""From so many values on, arrays are faster."""


class Distribution:
    """Durations in nanoseconds; those below 0 count as 0. Minimum memory, maximum exact."""

    __slots__ = ("_buckets", "_fresh", "_keys", "append", "max_ns")

    def __init__(self) -> None:
        self._fresh = array("q")
        self._buckets: dict[int, int] = {}
        self._keys: list[int] = []
        self.max_ns: int | None = None
        self.append = self._fresh.append
        """One more; folded into the buckets by `fold`."""

    def __len__(self) -> int:
        self.fold()
        return sum(self._buckets.values())

    def extend(self, values: array[int] | list[int]) -> None:
        """Several more."""
        self._fresh.extend(values)

    def fold(self) -> None:
        """Take in what was added; called now and then, so that memory stays flat and no single call is long."""
        if not self._fresh:
            return
        fresh, buckets = self._fresh, self._buckets
        if not fresh:
            return
        for value in fresh:
            # `_bucket`, written out: this runs several times for every request.
            if value < _EXACT:
                key = max(0, value)
            else:
                shift = value.bit_length() - _BITS - 1
                key = (shift << _BITS) + (value >> shift)
            try:
                buckets[key] += 1
            except KeyError:
                buckets[key] = 1
                insort(self._keys, key)
        largest = max(fresh)
        self.max_ns = largest if self.max_ns is None else max(largest, self.max_ns)
        del self._fresh[:]

    def merge(self, other: Distribution) -> None:
        """All of another one as well."""
        other.fold()
        self.fold()
        for key in other._keys:
            if key not in self._buckets:
                insort(self._keys, key)
                self._buckets[key] = 0
            self._buckets[key] += other._buckets[key]
        if other.max_ns is not None:
            self.max_ns = other.max_ns if self.max_ns is None else max(self.max_ns, other.max_ns)

    def percentile(self, share: float) -> int | None:
        """The upper end of the bucket that holds the nearest rank, and never more than the maximum; None for none."""
        n = len(self)
        if not n:
            return None
        return self.ranked(rank_of(n, Fraction(round(share * 10_000), 10_000)))

    def ranked(self, rank: int) -> int:
        """The value of a rank, counted from 1, no more than there are."""
        assert self.max_ns is not None
        for key, upto in self._cumulated():
            if upto >= rank:
                return min(_upper(key), self.max_ns)
        raise AssertionError(rank)

    def over(self, limit_ns: float) -> int:
        """How many were longer: those of buckets that begin above the limit, or at it."""
        self.fold()
        limit = _bucket(math.ceil(limit_ns))
        return sum(self._buckets[key] for key in self._keys if key > limit)

    def _cumulated(self) -> Iterator[tuple[int, int]]:
        total = 0
        for key in self._keys:
            total += self._buckets[key]
            yield key, total


def _bucket_counts(values: array[int]) -> Iterator[tuple[int, int]]:
    """Buckets, and how many of the values are in each; as arrays where there are many."""
    if len(values) < _AS_ARRAY:
        yield from Counter(map(_bucket, values)).items()
        return
    column = np.maximum(np.frombuffer(values, dtype=np.int64), 0)
    bits = np.frexp(column.astype(np.float64))[1]
    # Above 2**53 a float may round up to the next power of two.
    bits -= (column >> np.maximum(bits - 1, 0)) == 0
    shift = np.maximum(bits - _BITS - 1, 0)
    keys, counts = np.unique((shift << _BITS) + (column >> shift), return_counts=True)
    yield from zip(keys.tolist(), counts.tolist(), strict=True)


def _bucket(value: int) -> int:
    """Buckets ascend with their values; those below 256 ns hold one value each."""
    if value < _EXACT:
        return max(0, value)
    shift = value.bit_length() - _BITS - 1
    return (shift << _BITS) + (value >> shift)


def _upper(key: int) -> int:
    """The largest value of a bucket."""
    if key < _EXACT:
        return key
    shift = (key >> _BITS) - 1
    return ((key - (shift << _BITS)) + 1 << shift) - 1
