"""Markup that holds captured text safely: one way to write an element, and every string in it is escaped.

A `Markup` is trusted and everything else is text. Captured text passes `shown` first, so that it stays on one line,
moves no cursor when copied, and a megabyte of it does not become a megabyte of page.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from typing import Any

from markupsafe import Markup, escape

from nestperf.printable import printable

LONGEST = 300
"""Columns of captured text that a page shows."""
_VOID = frozenset({"br", "col", "hr", "input", "meta", "link"})


def shown(text: str, width: int = LONGEST) -> str:
    """Captured text, fit to be shown; still to be escaped."""
    return printable(text, width)


def path(text: str, width: int = 160) -> Markup:
    """A captured path, fit to be shown, with places to break it after its slashes."""
    return Markup("/<wbr>").join(map(escape, shown(text, width).split("/")))


def element(name: str, /, *content: Any, **attributes: str | float | bool | None) -> Markup:
    """One element. `class_` and `for_` lose their underline, others get hyphens; True is a bare attribute, None and
    False are none."""
    parts = [name]
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            parts.append(key)
        elif value is not None and value is not False:
            parts.append(f'{key}="{escape(value)}"')
    start = Markup(f"<{' '.join(parts)}>")  # noqa: S704 - names are ours, values were escaped above
    if name in _VOID:
        return start
    return start + joined(content) + Markup(f"</{name}>")  # noqa: S704 - an element's name of ours


def joined(parts: Iterable[Any], between: str = "") -> Markup:
    """Pieces one after the other, texts escaped, None left out; nested lists are walked into."""
    flat: list[Markup] = []
    for part in parts:
        if part is None:
            continue
        flat.append(joined(part) if isinstance(part, list | tuple) else escape(part))
    return Markup(between).join(flat)  # noqa: S704 - a separator of ours


def island(identity: str, value: Any) -> Markup:
    """Data for the page's script: JSON that no markup can end, as `<` and `&` are written as escapes."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for char in "<>&":
        text = text.replace(char, f"\\u{ord(char):04x}")
    inside = Markup(text)  # noqa: S704 - has no < and no & left
    return element("script", inside, type="application/json", id=identity)


def drawn(text: str, width: int = 120) -> str:
    """Captured text for plotly, which reads a little markup in its labels: none is left in it."""
    return html.escape(printable(text, width), quote=False)
