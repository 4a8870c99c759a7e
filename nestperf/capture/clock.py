"""The run's clock: integer nanoseconds since the run began, tied once to the wall clock.

Every stamp in a capture is such a number. `time.perf_counter_ns` never steps, and on one machine it is the same
clock in every process, so the relay and the recorder agree on it.
"""

from __future__ import annotations

import time
from typing import NamedTuple


class Clock(NamedTuple):
    """One run's time base."""

    anchor_ns: int
    """`time.perf_counter_ns()` at the run's beginning."""
    unix_ns: int
    """The wall clock at the same moment, nanoseconds since 1970-01-01 UTC."""

    @classmethod
    def start(cls) -> Clock:
        """Begin a run now."""
        return cls(time.perf_counter_ns(), time.time_ns())

    def now_ns(self) -> int:
        """Nanoseconds since the run began."""
        return time.perf_counter_ns() - self.anchor_ns

    def stamp_ns(self, perf_counter_ns: int) -> int:
        """Turn a raw `time.perf_counter_ns()` reading into a stamp of this run."""
        return perf_counter_ns - self.anchor_ns
