"""Calls what is due, on the nanosecond grid of the run's clock: never early, and late by what the kernel needs.

The loop's own timers have a grain of 1 ms (uvloop's fire up to 1.3 ms early). On Linux a timerfd wakes the loop within
some 50 µs; elsewhere the loop is woken a little early and a short spin does the rest.
"""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from nestperf.capture.clock import Clock

SPIN_NS = 1_500_000
"""How much earlier than due the loop's own timer is set where there is no timerfd; at most 1 ms of it is spun."""
_SPIN_AT_MOST_NS = 1_000_000
_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1


class _Alarm(Protocol):
    def set(self, due_ns: int) -> None:
        """Ring at that `perf_counter_ns`, replacing what was set before."""

    def close(self) -> None:
        """Ring no more."""


class _TimerSpec(ctypes.Structure):
    """`struct itimerspec` (timerfd_settime(2))."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class _KernelAlarm:
    """A timerfd. On Linux `perf_counter_ns` is CLOCK_MONOTONIC, so stamps need no conversion."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        # PyDLL keeps the interpreter: the call takes 1 µs, and getting the interpreter back may take 1 ms.
        self._libc = ctypes.PyDLL(None, use_errno=True)
        self._fd = int(self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC))
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._loop = loop
        self._ring = ring
        loop.add_reader(self._fd, self._rings)

    def set(self, due_ns: int) -> None:
        spec = _TimerSpec(0, 0, *divmod(max(1, due_ns), 1_000_000_000))
        self._libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(spec), None)

    def close(self) -> None:
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _rings(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            # Set anew since it rang: the new moment is still to come.
            return
        self._ring()


class _LoopAlarm:
    """The loop's timer, set early, and a spin."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._due_ns = 0
        self._handle: asyncio.TimerHandle | None = None

    def set(self, due_ns: int) -> None:
        self.close()
        self._due_ns = due_ns
        delay_ns = due_ns - time.perf_counter_ns() - SPIN_NS
        self._handle = self._loop.call_later(max(0, delay_ns) / 1e9, self._near)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()

    def _near(self) -> None:
        left_ns = self._due_ns - time.perf_counter_ns()
        if left_ns > _SPIN_AT_MOST_NS:
            self._handle = self._loop.call_later(0.0002, self._near)
            return
        while time.perf_counter_ns() < self._due_ns:
            pass
        self._ring()


class Pacer:
    """All that a run has still to do at a known moment. One alarm for everybody."""

    def __init__(self, clock: Clock, *, kernel: bool = sys.platform == "linux") -> None:
        """`kernel` False: without timerfd."""
        loop = asyncio.get_running_loop()
        self._clock = clock
        self._loop = loop
        self._ringing = False
        self._due: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self._set_ns: int | None = None
        self._alarm: _Alarm = _KernelAlarm(loop, self._ring) if kernel else _LoopAlarm(loop, self._ring)

    def at(self, due_ns: int, call: Callable[..., None], *arguments: Any) -> None:
        """Call at that moment of the run or as soon after as possible, in order of due time; never from in here."""
        if due_ns <= self._clock.now_ns():
            self._loop.call_soon(call, *arguments)
            return
        self._count += 1
        heapq.heappush(self._due, (due_ns, self._count, call, arguments))
        if self._ringing:
            return
        if self._set_ns is None or due_ns < self._set_ns:
            self._set(due_ns)

    def clear(self) -> None:
        """Forget all that is still to come."""
        self._due.clear()

    def close(self) -> None:
        """Ring no more."""
        self.clear()
        self._alarm.close()

    def _set(self, due_ns: int) -> None:
        self._set_ns = due_ns
        self._alarm.set(due_ns + self._clock.anchor_ns)

    def _ring(self) -> None:
        self._set_ns = None
        self._ringing = True
        due = self._due
        # A bounded number at once: answers must be read, and stamped, in between.
        for _ in range(64):
            if not due or due[0][0] > self._clock.now_ns():
                break
            _, _, call, arguments = heapq.heappop(due)
            call(*arguments)
        self._ringing = False
        if due:
            self._set(due[0][0])
