"""Lays a table out for a terminal, by tabulate: numbers to the right, one column gives way, never wider than asked.

It gets text that is printable already and measures nothing.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tabulate import tabulate

from reports.render.printable import columns_of, shorten

INDENT = "  "
_GAP = 2
_STACKED_BELOW = 28
"""With less room than this for the label, and more needed, it gets a line of its own."""


class Row(NamedTuple):
    """One line of a table, two where it has something `below`."""

    label: str
    """In the column that gives way."""
    cells: tuple[str, ...]
    lead: str = ""
    """Left of the label: a verdict, a method."""
    paint: Callable[[str], str] | None = None
    """Colours the lead."""
    group: str = ""
    """A heading printed where it changes."""
    below: str = ""


def render_table(
    titles: Sequence[str], rows: Sequence[Row], width: int, *, label: str = "", keep_empty: bool = False
) -> list[str]:
    """The lines of a table.

    Columns of which every cell is empty are left out unless `keep_empty`. A row whose label needs more than the room
    left by the numbers is shortened in its middle, or stands above them where the room is very small.
    """
    places = [place for place in range(len(titles)) if keep_empty or any(row.cells[place] for row in rows)]
    titles = [titles[place] for place in places]
    cells = [[row.cells[place] for place in places] for row in rows]
    leads = [row.lead for row in rows]
    room = width - len(INDENT) - _taken(titles, cells) - (_widest(leads) + _GAP if any(leads) else 0)
    needed = _widest([label, *(row.label for row in rows)])
    stacked = room < min(needed, _STACKED_BELOW)
    labels = ["" if stacked else shorten(row.label, room) for row in rows]
    leads = ["" if stacked else row.paint(row.lead) if row.paint else row.lead for row in rows]
    head = "" if stacked else label
    table = [[lead, text, *numbers] for lead, text, numbers in zip(leads, labels, cells, strict=True)]
    columns = ["", head, *titles]
    if not any(leads):
        table, columns = [line[1:] for line in table], columns[1:]
    align = ["left"] * (len(columns) - len(titles)) + ["right"] * len(titles)
    lines = tabulate(table, columns, "simple", colalign=align, disable_numparse=True, maxcolwidths=None).splitlines()
    return _with_extra_lines(lines, rows, width, stacked=stacked)


def _with_extra_lines(lines: list[str], rows: Sequence[Row], width: int, *, stacked: bool) -> list[str]:
    result = [INDENT + line.rstrip() for line in lines[:2]]
    group = ""
    for row, line in zip(rows, lines[2:], strict=True):
        if row.group != group:
            group = row.group
            result.append(INDENT + group)
        if stacked:
            result.append(INDENT + shorten(f"{row.lead} {row.label}".strip(), width - len(INDENT)))
        result.append(INDENT + line.rstrip())
        if row.below:
            result.append(row.below)
    return result


def _taken(titles: Sequence[str], cells: Sequence[Sequence[str]]) -> int:
    widths = (_widest([title, *(line[place] for line in cells)]) for place, title in enumerate(titles))
    return sum(width + _GAP for width in widths)


def _widest(texts: Sequence[str]) -> int:
    return max(map(columns_of, texts), default=0)


def note(text: str, width: int) -> list[str]:
    """A remark below a table."""
    return textwrap.wrap(text, width, initial_indent=INDENT, subsequent_indent=INDENT * 2, break_on_hyphens=False)


def wrapped(text: str, width: int, *, hanging: int) -> list[str]:
    """A paragraph whose further lines are indented by `hanging`; at least one line."""
    return textwrap.wrap(text, width, subsequent_indent=" " * hanging, break_on_hyphens=False) or [""]


def facts(pairs: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Names and values in two columns; empty without any."""
    widest = _widest([name for name, _ in pairs])
    return [INDENT + shorten(f"{name:{widest}}  {value}", width - len(INDENT)) for name, value in pairs]
