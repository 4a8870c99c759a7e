"""Moments of a run as people read them, with the wall clock's for looking into logs."""

from __future__ import annotations

from datetime import UTC, datetime

from nestperf.capture.model import Run
from nestperf.console import duration


def moment(ns: int, run: Run) -> str:
    """`5.00 s (22:13:25 UTC)`; without the wall clock's where that makes no sense."""
    try:
        clock = datetime.fromtimestamp((run.started_unix_ns + ns) // 1_000_000_000, tz=UTC)
    except (OverflowError, ValueError, OSError):
        return duration(ns)
    return f"{duration(ns)} ({clock:%H:%M:%S} UTC)"


def beginning(run: Run) -> str:
    """`2026-11-29 22:13 UTC`; empty where the wall clock's makes no sense."""
    try:
        return f"{datetime.fromtimestamp(run.started_unix_ns // 1_000_000_000, tz=UTC):%Y-%m-%d %H:%M} UTC"
    except (OverflowError, ValueError, OSError):
        return ""


def offset(ns: int) -> str:
    """Before or after something: `−3.79 ms`, `+162 µs`."""
    return f"{'−' if ns < 0 else '+'}{duration(abs(ns))}"
