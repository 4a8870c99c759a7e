"""Durations as people write them."""

from __future__ import annotations

import pytest

from nestperf.durations import SECOND_NS, parse_duration
from nestperf.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [("30s", 30), ("2m", 120), ("1h", 3600), ("500ms", 0.5), ("1m30s", 90), ("1.5s", 1.5), (" 10S ", 10)],
)
def test_duration_is_understood(text: str, expected: float) -> None:
    assert parse_duration(text) == round(expected * SECOND_NS)


@pytest.mark.parametrize("text", ["", "30", "s", "-5s", "0s", "5 minutes", "1s2", "nan"])
def test_duration_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="30s"):
        parse_duration(text)
