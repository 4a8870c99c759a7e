"""Runs work where nobody waits for it: while it keeps up, in a thread that yields to everything else on the machine.

Linux's SCHED_IDLE gives way the moment anything else wants the core, so that storing never delays application or relay;
on a busy machine it would starve, and an unprivileged thread can never leave it. Hence two threads that take turns.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Background:
    """Two threads, of which one works at a time."""

    def __init__(self) -> None:
        self._calm = ThreadPoolExecutor(1, initializer=_step_back) if hasattr(os, "SCHED_IDLE") else None
        if self._calm is None:
            with contextlib.suppress(OSError, AttributeError):
                os.nice(5)

    def run(self, work: Callable[[], T], *, urgent: bool) -> T:
        """Do `work`: at everybody's expense where it is `urgent`, else when nobody else wants the core."""
        if urgent or self._calm is None:
            return work()
        return self._calm.submit(work).result()


def _step_back() -> None:
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
