"""Captured text on a terminal: one line, no controls, no wider than asked."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.printable import columns_of, printable, shorten

SHOWN = [
    ("plain text stays", "/api/v1/media?x=1", "/api/v1/media?x=1"),
    ("letters of other scripts stay", "Ärger 語 ελ", "Ärger 語 ελ"),
    ("a terminal escape is written out", "\x1b[2J\x1b]0;owned\x07", "\\e[2J\\e]0;owned\\x07"),
    ("line ends are written out", "a\r\nb\tc", "a\\r\\nb\\tc"),
    ("C1 controls are written out", "a\x9b31m", "a\\x9b31m"),
    ("direction changes are written out", "abc\u202etxt\u2066", "abc\\u202etxt\\u2066"),
    ("line and paragraph separators are written out", "a\u2028b\u2029", "a\\u2028b\\u2029"),
    ("a lone surrogate is written out", "a\ud800", "a\\ud800"),
    ("a hard space is a space", "a\u00a0b", "a b"),
]


@pytest.mark.parametrize(("text", "shown"), [case[1:] for case in SHOWN], ids=[case[0] for case in SHOWN])
def test_printable_of_a_table_shows_it_harmless(text: str, shown: str) -> None:
    assert printable(text) == printable(text, 200) == shown


@given(st.text(max_size=80), st.integers(1, 60))
def test_printable_of_any_text_is_one_harmless_line_of_the_width(text: str, width: int) -> None:
    shown = printable(text, width)
    assert columns_of(shown) <= width
    assert len(shown.splitlines()) <= 1
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in shown)


def test_printable_of_a_megabyte_keeps_both_ends() -> None:
    shown = printable("/start/" + "\x1b[31m" * 200_000 + "/end", 30)
    assert columns_of(shown) <= 30
    assert shown.startswith("/start/")
    assert shown.endswith("/end")
    assert "…" in shown


SHORT = [
    ("what fits stays", "/api/v1/media", 13, "/api/v1/media"),
    ("a path loses whole segments", "GET /api/v1/dashboard/notifications", 27, "GET /api/v1…/notifications"),
    ("a word loses its middle", "abcdefghijklmnopqrstuvwxyz", 10, "abc…uvwxyz"),
    ("wide letters count twice", "語" * 20, 11, "語語…語語語"),
    ("one column is the ellipsis", "abc", 1, "…"),
]


@pytest.mark.parametrize(("text", "width", "short"), [case[1:] for case in SHORT], ids=[case[0] for case in SHORT])
def test_shorten_of_a_table_keeps_both_ends(text: str, width: int, short: str) -> None:
    assert shorten(text, width) == short
