"""Makes captured text fit for a terminal: what a server or browser sent never moves the cursor or breaks a line."""

from __future__ import annotations

import unicodedata

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e"}
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode categories without a shape of their own: controls, direction changes, surrogates, line separators."""


def printable(text: str, width: int | None = None) -> str:
    """`text` on one line, controls written out as `\\e` or `\\u202e`, at most `width` columns, shortened in the middle.

    The end of a path tells as much as its beginning, so both are kept: `/api/v1/…/verify`.
    """
    if width is None:
        return "".join(map(_shown, text))
    if len(text) <= width and text.isascii() and text.isprintable():
        return text
    # A megabyte is not worth escaping for the sake of its ends.
    keep = 2 * width
    if len(text) > 2 * keep:
        text = text[:keep] + "…" * 3 + text[-keep:]
    return shorten("".join(map(_shown, text)), width)


def _shown(char: str) -> str:
    if char.isascii() and char.isprintable():
        return char
    if char in _SHORT:
        return _SHORT[char]
    if unicodedata.category(char) in _HIDDEN:
        code = ord(char)
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return " " if char.isspace() else char


def columns_of(text: str) -> int:
    """How many columns a terminal takes for it."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def shorten(text: str, width: int) -> str:
    """Cut the middle out of a line that is wider than `width` columns, an ellipsis in its place; of a path whole
    segments where that costs little."""
    if columns_of(text) <= width:
        return text
    room = max(0, width - 1)
    tail = text[len(text) - _fitting(text[::-1], room * 2 // 3) :]
    slash = tail.find("/")
    if 0 < slash <= len(tail) // 2:
        tail = tail[slash:]
    head = text[: _fitting(text, room - columns_of(tail))]
    slash = head.rfind("/")
    if tail.startswith("/") and slash > len(head) // 2:
        head = head[:slash]
    return f"{head}…{tail}"


def clip(text: str, width: int) -> str:
    """Cut the end off a line that is wider than `width` columns: of what reads from its beginning, such as SQL."""
    return text if columns_of(text) <= width else f"{text[: _fitting(text, max(0, width - 1))]}…"


def _fitting(text: str, columns: int) -> int:
    """How many characters from the front fit."""
    used = 0
    for count, char in enumerate(text):
        used += _columns(char)
        if used > columns:
            return count
    return len(text)
