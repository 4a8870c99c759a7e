"""Durations as people write them: `30s`, `2m`, `1m30s`, `500ms`, `1h`. Pure."""

from __future__ import annotations

import re

from nestperf.errors import UsageError

SECOND_NS = 1_000_000_000
_UNITS = {"ms": 1_000_000, "s": SECOND_NS, "m": 60 * SECOND_NS, "h": 3600 * SECOND_NS}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


def parse_duration(text: str) -> int:
    """Nanoseconds of `30s`, `2m`, `1m30s`, `500ms`, `1h`.

    Raises:
        UsageError: it is no duration, or not longer than nothing.
    """
    compact = text.strip().lower()
    if not _DURATION.fullmatch(compact):
        raise UsageError(f"{text!r} is no duration: write a number with ms, s, m or h, such as 30s or 2m.")
    total = sum(round(float(number) * _UNITS[unit]) for number, unit in _PART.findall(compact))
    if total <= 0:
        raise UsageError(f"A duration of {text} leaves no time for anything: write one such as 30s or 2m.")
    return total
