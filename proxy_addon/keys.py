"""What the tester's keys mean: `m` names the moment, and the name is written on one line of the live view."""

from __future__ import annotations

from collections.abc import Callable

_KEY = "m"
_ENTER, _ESCAPE = "\r\n", "\x1b"
_BACKSPACE = "\x7f\b"
_CLEAR = "\x15"
"""Ctrl-U."""
_LONGEST = 200


class MarkLine:
    """A line of text that grows by keys: keys and their moments in, marks out."""

    def __init__(self, take: Callable[[int, str], None]) -> None:
        """`take`: gets the moment at which `m` was pressed, and the text."""
        self._take = take
        self._began_ns = 0
        self.text: str | None = None
        """What was written so far; None where nobody is writing."""

    def feed(self, keys: str, now_ns: int) -> None:
        """What was typed since the last time."""
        at = 0
        while at < len(keys):
            key, at = keys[at], at + 1
            if key == _ESCAPE and keys[at : at + 1] in ("[", "O"):
                at = _after_arrow(keys, at + 1)
            elif self.text is None:
                if key.lower() == _KEY:
                    self.text, self._began_ns = "", now_ns
            else:
                self._write(key)

    def _write(self, key: str) -> None:
        assert self.text is not None
        if key in _ENTER:
            text, self.text = self.text.strip(), None
            if text:
                self._take(self._began_ns, text)
        elif key == _ESCAPE:
            self.text = None
        elif key in _BACKSPACE:
            self.text = self.text[:-1]
        elif key == _CLEAR:
            self.text = ""
        elif key.isprintable() and len(self.text) < _LONGEST:
            self.text += key


def _after_arrow(keys: str, at: int) -> int:
    """Behind an arrow key and its like, which begin as Escape does and come in one piece."""
    while at < len(keys) and not (keys[at].isalpha() or keys[at] == "~"):
        at += 1
    return at + 1
