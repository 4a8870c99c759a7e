"""One visit's way through its graph: which step is due when, told from when the others ended. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from replay.pacing import Pace
from replay.steps import Step

Due: TypeAlias = tuple[Step, int]
"""A step whose turn has come, and when it is to be sent, which may be in the past."""


class Walk:
    """How far a visit has come. Told of each end once; gives each step once."""

    __slots__ = ("_ended", "_followers", "_pace", "_pauses", "_released_ns", "_steps", "_waiting", "last_ns", "left")

    def __init__(
        self, steps: Sequence[Step], followers: Sequence[tuple[int, ...]], pace: Pace, arrival_ns: int
    ) -> None:
        """`followers`: by step, those that wait for its end (`invert`)."""
        self._steps = steps
        self._followers = followers
        self._pace = pace
        self._pauses = pace.factor != 0
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
        if stamp_ns > self.last_ns:
            self.last_ns = stamp_ns
        freed: list[Due] = []
        waiting, released_ns = self._waiting, self._released_ns
        for follower in self._followers[index]:
            if stamp_ns > released_ns[follower]:
                released_ns[follower] = stamp_ns
            waiting[follower] -= 1
            if not waiting[follower]:
                freed.append(self._due(self._steps[follower]))
        return freed

    def pass_by(self, index: int, stamp_ns: int) -> None:
        """A step has ended, and who comes next is known without looking: the one that waits for it and nobody else."""
        self._ended[index] = 1
        self.left -= 1
        if stamp_ns > self.last_ns:
            self.last_ns = stamp_ns

    def _due(self, step: Step) -> Due:
        due_ns = self._released_ns[step.index]
        return step, due_ns + self._pace.pause_ns(step.think_ns, step.index) if self._pauses else due_ns


def chained(steps: Sequence[Step], followers: Sequence[tuple[int, ...]]) -> tuple[Step | None, ...]:
    """By step: the only one that waits for its end, where that one waits for nobody else; `followers` as `invert` gives
    them."""
    return tuple(
        steps[following[0]] if len(following) == 1 and len(steps[following[0]].after) == 1 else None
        for following in followers
    )


def invert(steps: Sequence[Step]) -> tuple[tuple[int, ...], ...]:
    """By step: those that wait for its end."""
    followers: list[list[int]] = [[] for _ in steps]
    for step in steps:
        for other in step.after:
            followers[other].append(step.index)
    return tuple(map(tuple, followers))
