"""Stamps of the log: offsets and known abbreviations count, unknown ones are named."""

from __future__ import annotations

import pytest

from nestperf.capture.postgres_log.zones import parse_stamp

NOON = 1_795_953_600_000_000_000


@pytest.mark.parametrize(
    ("text", "unix_ns", "unknown"),
    [
        ("2026-11-29 12:00:00 UTC", NOON, ""),
        ("2026-11-29 12:00:00.250 GMT", NOON + 250_000_000, ""),
        ("2026-11-29 13:00:00 CET", NOON, ""),
        ("2026-11-29 07:00:00 EST", NOON, ""),
        ("2026-11-29 17:30:00 +0530", NOON, ""),
        ("2026-11-29 09:00:00 -03", NOON, ""),
        ("2026-11-29 12:00:00 XYZT", NOON, "XYZT"),
        ("1795953600.123", NOON + 123_000_000, ""),
    ],
)
def test_stamps_are_moments(text: str, unix_ns: int, unknown: str) -> None:
    assert parse_stamp(text) == (unix_ns, unknown)


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-41 99:00:00 UTC", "12:00:00", "9999-01-01 00:00:00 UTC"])
def test_what_is_no_stamp_is_none(text: str) -> None:
    assert parse_stamp(text) is None
