"""Columns of a table as numpy arrays: numbers as they are, strings as codes into their few distinct values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Stamps = NDArray[np.float64]
Mask = NDArray[np.bool_]
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Labels:
    """A column of few distinct strings."""

    codes: Codes
    names: tuple[str, ...]

    def where(self, holds: Callable[[str], bool]) -> Mask:
        """The rows whose string `holds`."""
        kept = np.fromiter(map(holds, self.names), dtype=bool, count=len(self.names))
        return kept[self.codes] if len(self.names) else np.zeros(len(self.codes), dtype=bool)

    def among(self, *names: str) -> Mask:
        """The rows whose string is one of `names`."""
        return self.where(frozenset(names).__contains__)

    def pick(self, rows: Mask | Codes) -> Labels:
        """Some rows of the column."""
        return Labels(codes=self.codes[rows], names=self.names)


class _Known(dict[str | None, int]):
    """The code of each string met so far; a new one gets the next. None counts as empty."""

    def __missing__(self, value: str | None) -> int:
        code = self[""] if value is None else len(self.names)
        if value is not None:
            self.names.append(value)
        self[value] = code
        return code

    def __init__(self) -> None:
        self.names: list[str] = []


class _Labelling:
    """Gives equal strings equal codes, over many batches."""

    def __init__(self) -> None:
        self.known = _Known()
        self.codes: list[Codes] = []

    def extend(self, values: tuple[str | None, ...]) -> None:
        self.codes.append(np.fromiter(map(self.known.__getitem__, values), dtype=np.int64, count=len(values)))

    def labels(self) -> Labels:
        return Labels(codes=_joined(self.codes, np.int64), names=tuple(self.known.names))


def _joined(parts: list[Any], dtype: Any) -> Any:
    return np.concatenate(parts, dtype=dtype) if parts else np.zeros(0, dtype=dtype)


def _numbers(values: tuple[int | None, ...]) -> NDArray[Any]:
    """Numbers, NULL as NaN: numpy takes a third of the time for integers as for what may be anything."""
    first = values[0]
    if first is values[-1] and values.count(first) == len(values):
        return np.full(len(values), np.nan if first is None else first)
    try:
        return np.array(values, dtype=np.int64)
    except TypeError:
        return np.fromiter(values, dtype=np.float64, count=len(values))  # None becomes NaN


def read_columns(batches: Iterator[list[tuple[Any, ...]]], texts: frozenset[int], width: int) -> list[Any]:
    """Each column as `Labels` where it is one of `texts`, else whole numbers as float64 with NaN for NULL."""
    labelled = {place: _Labelling() for place in texts}
    numbers: dict[int, list[Any]] = {place: [] for place in range(width) if place not in texts}
    for rows in batches:
        for place, values in enumerate(zip(*rows, strict=True)):
            if place in labelled:
                labelled[place].extend(values)
            else:
                numbers[place].append(_numbers(values))
    return [
        labelled[place].labels() if place in labelled else _joined(numbers[place], np.float64) for place in range(width)
    ]


def groups(keys: Codes, rows: Codes) -> Iterator[Codes]:
    """Split `rows` by equal columns of `keys`."""
    if not len(rows):
        return
    order = np.lexsort(keys[:, rows])
    rows = rows[order]
    changes = np.flatnonzero((np.diff(keys[:, rows], axis=1) != 0).any(axis=0)) + 1
    yield from np.split(rows, changes)
