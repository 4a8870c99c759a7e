"""What runs beside a recording and ends with it: a browser, or a test suite."""

from __future__ import annotations

from typing import Protocol


class Companion(Protocol):
    """A process that was started for the recording."""

    @property
    def closed(self) -> bool:
        """It has ended, and so does the recording."""

    def interrupt(self, number: int) -> bool:
        """Signal `number` came for nestperf: whether it is this one's, and the recording goes on until it has ended."""

    def close(self) -> None:
        """End it, if it goes on, and clean up after it."""
