"""One visit's way through its graph: which step is due when, told from when the others ended. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from replay.pacing import Pace
from replay.steps import Step


class Due(NamedTuple):
    """A step whose turn has come."""

    step: Step
    intended_ns: int
    """When it is to be sent; it may be in the past."""


class Walk:
    """How far a visit has come. Told of each end once; gives each step once."""

    __slots__ = ("_ended", "_followers", "_pace", "_released_ns", "_steps", "_waiting", "last_ns", "left")

    def __init__(
        self, steps: Sequence[Step], followers: Sequence[tuple[int, ...]], pace: Pace, arrival_ns: int
    ) -> None:
        """`followers`: by step, those that wait for its end (`invert`)."""
        self._steps = steps
        self._followers = followers
        self._pace = pace
        self._waiting = [len(step.after) for step in steps]
        self._released_ns = [arrival_ns] * len(steps)
        self._ended = bytearray(len(steps))
        self.left = len(steps)
        """Steps that have not ended."""
        self.last_ns = arrival_ns
        """The latest end so far."""

    def first(self) -> list[Due]:
        """The steps that wait for nobody: due their offset after the arrival."""
        return [self._due(step) for step in self._steps if not step.after]

    def end(self, index: int, stamp_ns: int) -> list[Due]:
        """A step has ended; the steps that were waiting for it last."""
        if self._ended[index]:
            return []
        self._ended[index] = 1
        self.left -= 1
        self.last_ns = max(self.last_ns, stamp_ns)
        freed = []
        for follower in self._followers[index]:
            self._released_ns[follower] = max(self._released_ns[follower], stamp_ns)
            self._waiting[follower] -= 1
            if not self._waiting[follower]:
                freed.append(self._due(self._steps[follower]))
        return freed

    def _due(self, step: Step) -> Due:
        return Due(step, self._released_ns[step.index] + self._pace.pause_ns(step.think_ns, step.index))


def invert(steps: Sequence[Step]) -> tuple[tuple[int, ...], ...]:
    """By step: those that wait for its end."""
    followers: list[list[int]] = [[] for _ in steps]
    for step in steps:
        for other in step.after:
            followers[other].append(step.index)
    return tuple(map(tuple, followers))
