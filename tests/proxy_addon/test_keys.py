"""Keys that name moments: what is typed becomes a mark at the moment its m was pressed."""

from __future__ import annotations

import pytest

from proxy_addon.keys import MarkLine


def typed(*keys: str) -> tuple[list[tuple[int, str]], str | None]:
    """The marks that come of keys, pressed at 1, 2, ..., and what is being written at the end."""
    marks: list[tuple[int, str]] = []
    line = MarkLine(lambda stamp_ns, text: marks.append((stamp_ns, text)))
    for now_ns, some in enumerate(keys, 1):
        line.feed(some, now_ns)
    return marks, line.text


@pytest.mark.parametrize(
    ("keys", "marks", "left"),
    [
        (("m", "sea", "rch", "\r"), [(1, "search")], None),
        (("x", "M", "search\n"), [(2, "search")], None),
        (("m", "serc", "\x7f\x7f", "arch", "\r"), [(1, "search")], None),
        (("m", "wrong", "\x15", "right\r"), [(1, "right")], None),
        (("m", "gone", "\x1b", "m", "kept\r"), [(4, "kept")], None),
        (("m", "\r"), [], None),
        (("m", "  \r"), [], None),
        (("m", "left\x1b[D\x1b[C\x1bOH\x1b[3~right\r"), [(1, "leftright")], None),
        (("\x1b[M", "q", "qm", "ü\r"), [(3, "ü")], None),
        (("m", "a\x00\x07b\u202ec\r"), [(1, "abc")], None),
        (("m", "one\rm", "two\r"), [(1, "one"), (2, "two")], None),
        (("m", "still wri"), [], "still wri"),
        (("m", "x" * 500, "\r"), [(1, "x" * 200)], None),
        (("", "\x7f", "\r\n"), [], None),
    ],
)
def test_keys_become_marks(keys: tuple[str, ...], marks: list[tuple[int, str]], left: str | None) -> None:
    assert typed(*keys) == (marks, left)
