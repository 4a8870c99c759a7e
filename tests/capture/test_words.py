"""Which secrets are looked for elsewhere: at least eight characters, and no dictionary word."""

from __future__ import annotations

import pytest

from nestperf.capture.words import is_distinctive, is_word


@pytest.mark.parametrize(
    "value",
    [
        "administrator",
        "Dashboard",
        "NOTIFICATIONS",
        "undefined",
        "websocket",
        "christopher",
        "refresh_token",
        "sunshine",
    ],
)
def test_dictionary_words_are_not_distinctive(value: str) -> None:
    assert is_word(value)
    assert not is_distinctive(value)


@pytest.mark.parametrize("value", ["admin", "kim", "1234567", "s3cr3t!", ""])
def test_short_values_are_not_distinctive(value: str) -> None:
    assert not is_distinctive(value)


@pytest.mark.parametrize(
    "value",
    ["qwertyuiop", "iloveyou", "abcdefgh", "administrator1", "hunter2hunter2", "correct horse", "94712605", "dEaDbEeF",
     "pässwörtchen", "http://a/?key=abc", "https://kim@a/", "12345678-2026-11-23"],
)  # fmt: skip
def test_everything_else_is_distinctive(value: str) -> None:
    assert is_distinctive(value)


@pytest.mark.parametrize(
    "value",
    ["http://localhost:3000", "http://localhost:3000/login", "/dashboard/settings", "2026-11-23",
     "2026-11-23T12:00:00Z",
     "2026-11-23T12:00:00.123+01:00"],
)  # fmt: skip
def test_addresses_and_dates_are_not_distinctive(value: str) -> None:
    assert not is_distinctive(value)
