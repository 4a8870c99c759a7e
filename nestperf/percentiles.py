"""Nearest-rank percentiles, exact: one arithmetic for recorder, replay and report. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Protocol


class Ordered(Protocol):
    """Ascending whole numbers: a list or a numpy array."""

    def __len__(self) -> int: ...
    def __getitem__(self, place: Any, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...


def rank_of(n: int, share: Fraction) -> int:
    """The nearest rank of a percentile among `n` sorted samples, counted from 1."""
    return max(1, math.ceil(share * n))


def nearest_rank(ordered: Ordered, share: Fraction) -> int:
    """The smallest sample that at least `share` of all samples do not exceed; `ordered` ascends and is not empty."""
    return int(ordered[rank_of(len(ordered), share) - 1])
