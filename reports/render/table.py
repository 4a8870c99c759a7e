"""Lays a table out for a terminal, by tabulate: numbers to the right, one column gives way, never wider than asked.

It gets text that is printable already and measures nothing.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import NamedTuple

import click
from tabulate import tabulate

from nestperf.printable import columns_of, shorten

_Cut = Callable[[str, int], str]

INDENT = "  "
_GAP = 2
_STACKED_BELOW = 24
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
    titles: Sequence[str],
    rows: Sequence[Row],
    width: int,
    *,
    label: str = "",
    give_way: Sequence[str] = (),
    cut: _Cut = shorten,
) -> list[str]:
    """The lines of a table.

    Columns of which every cell is empty are left out. A row whose label needs more than the room left by the numbers
    is shortened by `cut` (in its middle), or stands above them where the room is very small. Where even the numbers do
    not fit, the columns that `give_way` names go, in that order, and a remark says so.
    """
    indent = INDENT * 2 if any(row.group for row in rows) else INDENT
    places = [place for place in range(len(titles)) if any(row.cells[place] for row in rows)]
    places, gone = _fitting(titles, rows, places, width - len(indent), give_way)
    titles = [titles[place] for place in places]
    cells = [[row.cells[place] for place in places] for row in rows]
    names, stacked = _names(rows, label, width - len(indent) - _taken(titles, cells), cut)
    head = [] if stacked else ["", label][-len(names[0]) :] if names else [label]
    table = [[*head, *titles], *([*name, *numbers] for name, numbers in zip(names, cells, strict=True))]
    rule = ["-" * _widest([line[place] for line in table]) for place in range(len(table[0]))]
    align = ["left"] * len(head) + ["right"] * len(titles)
    # Head and rule are rows to tabulate: its own heads are two columns wider than they need to be.
    table.insert(1, rule)
    lines = tabulate(table, tablefmt="plain", colalign=align, disable_numparse=True).splitlines()
    above = [cut(_joined(row), width - len(indent)) for row in rows] if stacked else None
    lines = _with_extra_lines(lines, rows, indent, above)
    return lines + (note(f"Not shown for want of room: {', '.join(gone)}.", width) if gone else [])


def _fitting(
    titles: Sequence[str], rows: Sequence[Row], places: list[int], room: int, give_way: Sequence[str]
) -> tuple[list[int], list[str]]:
    """The columns that fit beside nothing but an indent, and the titles of those that had to go."""
    gone: list[str] = []
    for title in (title for title in give_way if title in titles):
        taken = _taken([titles[place] for place in places], [[row.cells[place] for place in places] for row in rows])
        if taken <= room:
            break
        if (place := titles.index(title)) in places:
            places = [kept for kept in places if kept != place]
            gone.append(title)
    return places, gone


def _names(rows: Sequence[Row], label: str, room: int, cut: _Cut) -> tuple[list[list[str]], bool]:
    """The left columns of every row: lead and label, or both in one where that saves room; or none, and True, where
    the label has to stand above the numbers."""
    needed = _widest([label, *(row.label for row in rows)])
    leads = [row.lead for row in rows]
    beside = room - (_widest(leads) + _GAP if any(leads) else 0)
    fixed = any(row.paint for row in rows)
    if fixed or beside >= needed:
        if not any(leads):
            return [[cut(row.label, room)] for row in rows], False
        painted = (row.paint(row.lead) if row.paint else row.lead for row in rows)
        return [[lead, cut(row.label, beside)] for lead, row in zip(painted, rows, strict=True)], False
    needed = _widest([label, *map(_joined, rows)])
    if room < min(needed, _STACKED_BELOW):
        return [[] for _ in rows], True
    return [[cut(_joined(row), room)] for row in rows], False


def _joined(row: Row) -> str:
    return f"{row.lead} {row.label}".strip()


def _with_extra_lines(lines: list[str], rows: Sequence[Row], indent: str, above: list[str] | None) -> list[str]:
    inner = indent if above is None else indent + INDENT
    result = [inner + line.rstrip() for line in lines[:2]]
    group = ""
    for place, (row, line) in enumerate(zip(rows, lines[2:], strict=True)):
        if row.group != group:
            group = row.group
            result.append(INDENT + group)
        if above is not None:
            result.append(indent + above[place])
        result.append((inner + line).rstrip())
        if row.below:
            result.append(row.below)
    return result


def _taken(titles: Sequence[str], cells: Sequence[Sequence[str]]) -> int:
    widths = (_widest([title, *(line[place] for line in cells)]) for place, title in enumerate(titles))
    return sum(width + _GAP for width in widths)


def _widest(texts: Sequence[str]) -> int:
    return max((columns_of(click.unstyle(text)) for text in texts), default=0)


def note(text: str, width: int) -> list[str]:
    """A remark below a table."""
    return textwrap.wrap(text, width, initial_indent=INDENT, subsequent_indent=INDENT * 2, break_on_hyphens=False)


def wrapped(text: str, width: int, *, hanging: int) -> list[str]:
    """A paragraph whose further lines are indented by `hanging`; at least one line."""
    return textwrap.wrap(text, width, subsequent_indent=" " * hanging, break_on_hyphens=False) or [""]


def facts(pairs: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Names and values in two columns; empty without any. A sentence goes on below; a word that is too long is
    shortened."""
    widest = _widest([name for name, _ in pairs])
    room = width - len(INDENT) - widest - _GAP
    lines = []
    for name, value in pairs:
        parts = [value]
        if columns_of(value) > room > 0:
            parts = textwrap.wrap(value, room, break_long_words=False, break_on_hyphens=False)
        for place, part in enumerate(parts):
            lines.append(f"{INDENT}{name if place == 0 else '':{widest}}{' ' * _GAP}{shorten(part, room)}")
    return lines
