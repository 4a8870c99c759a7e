"""An axis of time on which pauses are folded: a person thinks for seconds where requests take milliseconds. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from nestperf.console import duration

SHORTEST_NS = 50_000_000
PART = 0.05
"""A pause longer than this part of all that is under way is folded, to `FOLDED` of it."""
FOLDED = 0.03
MOST_FOLDED = 24
"""The longest so many."""
APART = 0.055
"""Labels stand so far apart at least, as a part of the whole axis."""


class Pause(NamedTuple):
    """A stretch in which nothing was under way."""

    begin_ns: int
    end_ns: int

    @property
    def length_ns(self) -> int:
        """How long it lasts."""
        return self.end_ns - self.begin_ns


class Fold:
    """Where moments stand on the axis, in seconds; between pauses as far apart as they are."""

    def __init__(self, busy: Iterable[tuple[int, int]], end_ns: int) -> None:
        """`busy`: begin and end of what is under way."""
        joined = _joined(busy)
        under_way_ns = sum(end - begin for begin, end in joined)
        least_ns = max(SHORTEST_NS, PART * under_way_ns)
        edges = [(0, 0), *joined, (end_ns, end_ns)] if joined else []
        pauses = (Pause(before[1], after[0]) for before, after in pairwise(edges))
        longest = sorted((pause for pause in pauses if pause.length_ns > least_ns), key=lambda pause: -pause.length_ns)
        self.pauses = tuple(sorted(longest[:MOST_FOLDED]))
        self._folded_ns = max(FOLDED * under_way_ns, 1_000_000.0)
        self.end = self.at(end_ns)

    def at(self, ns: int) -> float:
        """A moment's place; pauses shrink evenly."""
        gone = 0.0
        for begin, end in self.pauses:
            if ns <= begin:
                break
            part = min(ns, end) - begin
            gone += part - self._folded_ns * part / (end - begin)
        return round((ns - gone) / 1e9, 9)

    def labels(self) -> tuple[list[float], list[str]]:
        """Places and texts: the beginning, and where it goes on after each pause."""
        places, texts = [0.0], ["0 s"]
        for pause in self.pauses:
            place = self.at(pause.end_ns)
            if place - places[-1] >= APART * self.end:
                places.append(place)
                texts.append(duration(pause.end_ns))
        return places, texts


def _joined(busy: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for begin, end in sorted(busy):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return joined
