"""A barrier: visits come to a point, and something happens once when all of them have, or are over without it."""

from __future__ import annotations

from collections.abc import Callable

from replay.player import Visit


class Barrier:
    """Waits for so many users, each in a visit of its own."""

    def __init__(self, users: int, passed: Callable[[], None]) -> None:
        """`passed`: called when nobody is missing any more."""
        self._missing = users
        self._passed = passed
        self._came: set[int] = set()

    @property
    def is_open(self) -> bool:
        """Whether nobody is missing any more."""
        return self._missing == 0

    def come(self, visit: Visit) -> None:
        """A visit has come to it, or is over: whichever is first counts."""
        if visit.user.number in self._came:
            return
        self._came.add(visit.user.number)
        self._missing -= 1
        if self._missing == 0:
            self._passed()
