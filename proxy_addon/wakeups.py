"""When the event loop wakes up, and how it waits: while both ends answer each other at once it looks again instead of
sleeping, for waking a sleeping core would be most of what the relay adds.

A query on a loopback connection is answered in 50 µs, and a virtual core takes about as long to wake; a person who
waits for either waits twice as long. What takes longer hides a wakeup, and then nothing is gained by staying awake.
"""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable
from typing import TypeAlias

Ready: TypeAlias = list[tuple[selectors.SelectorKey, int]]

STAY_AWAKE_NS = 100_000
"""How long the loop looks for more before it sleeps, at most; what comes that soon pays for it."""
_GAIN, _LOSS = 2, 1
"""One wait of three that ends soon pays for the other two."""
_MOST = 16


class Patience:
    """Whether looking for more has paid lately. Pure."""

    def __init__(self) -> None:
        self._score = 0

    @property
    def pays(self) -> bool:
        """Whether to look again before sleeping."""
        return self._score >= _MOST // 2

    def learn(self, waited_ns: int) -> None:
        """A wait for bytes took so long."""
        if waited_ns < STAY_AWAKE_NS:
            self._score = min(_MOST, self._score + _GAIN)
        else:
            self._score = max(0, self._score - _LOSS)


class Wakeups:
    """When the event loop last woke up. `before_ns` is when the bytes that are handled now became readable: asyncio
    reads them in one turn of the loop and mitmproxy's reader gets them in the next."""

    def __init__(self) -> None:
        self.woke_ns = 0
        self.before_ns = 0

    def note(self) -> None:
        """The loop woke up now."""
        self.before_ns = self.woke_ns
        self.woke_ns = time.perf_counter_ns()


class WatchedSelector(selectors.DefaultSelector):
    """Notes when the event loop wakes up: the moment from which the relay holds what has arrived.

    `gives_way` tells that somebody else should have the core now, so that a wait is a sleep.
    """

    def __init__(self, wakeups: Wakeups, gives_way: Callable[[], bool]) -> None:
        super().__init__()
        self._wakeups = wakeups
        self._gives_way = gives_way
        self._patience = Patience()
        self._alone = os.cpu_count() == 1
        """The other end would have to wait for this core."""

    def select(self, timeout: float | None = None) -> Ready:
        """What is ready, as `selectors` has it."""
        ready = super().select(timeout) if timeout is not None and timeout <= 0 else self._wait(timeout)
        self._wakeups.note()
        return ready

    def _wait(self, timeout: float | None) -> Ready:
        begun = time.perf_counter_ns()
        ready: Ready = []
        if self._patience.pays and not self._alone and not self._gives_way():
            most = STAY_AWAKE_NS if timeout is None else min(STAY_AWAKE_NS, round(timeout * 1e9))
            while not ready and time.perf_counter_ns() - begun < most:
                ready = super().select(0)
            if timeout is not None:
                timeout = max(0.0, timeout - most / 1e9)
        if not ready:
            ready = super().select(timeout)
        if ready:
            self._patience.learn(time.perf_counter_ns() - begun)
        return ready
