"""The replay's own process: its CPU time, its signals, and how it keeps out of its own way while a run goes on."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
import signal
import sys
from collections.abc import Callable, Iterator

GARBAGE = 10_000
"""New objects after which a search for garbage begins; Python's default is 700."""
SWITCH_S = 0.0002
"""How long the storing thread may hold the interpreter while the loop waits for it; Python's default is 5 ms."""


def used_cpu_ns() -> int:
    """CPU time of this process by the operating system's accounting, user and system, nanoseconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return round((used.ru_utime + used.ru_stime) * 1e9)


@contextlib.contextmanager
def signals(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM call instead of raising."""
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, call)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """What exists by now is never searched for garbage, the rest rarely, and threads take turns quickly."""
    interval, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
        sys.setswitchinterval(interval)
