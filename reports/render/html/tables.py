"""Tables that a reader can sort and search: a cell is what is shown and the value that it sorts by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup

from nestperf.console import duration
from reports.render.html.markup import element, joined


class Column(NamedTuple):
    """One column."""

    title: str
    number: bool = True
    help: str = ""


class Cell(NamedTuple):
    """One cell."""

    content: Any
    """Text or markup."""
    value: float | str | None = None
    """What it sorts by; its text where there is none."""
    class_: str | None = None


def took(ns: float | None, class_: str | None = None) -> Cell:
    """A duration."""
    return Cell(duration(ns), ns, class_) if ns is not None else Cell("")


def count(number: float | None, class_: str | None = None) -> Cell:
    """A whole number; nothing for 0, so that what is there stands out."""
    if not number:
        return Cell("", 0)
    return Cell(f"{number:,.0f}", number, class_)


def table(
    identity: str,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Cell]],
    *,
    search: str = "",
    sort: bool = True,
) -> Markup:
    """A table; `search` is what its search field asks for, empty for none. A column of numbers that has none is left
    out."""
    rows = list(rows)
    kept = [place for place, column in enumerate(columns) if not column.number or _is_filled(rows, place)]
    columns, rows = [columns[place] for place in kept], [[row[place] for place in kept] for row in rows]
    body = [element("tr", [_cell(cell, column) for cell, column in zip(row, columns, strict=True)]) for row in rows]
    head = element("tr", [_head(column, sort=sort) for column in columns])
    field = element(
        "input", type="search", class_="search", placeholder=search, aria_label=search, data_for=identity
    )  # fmt: skip
    return joined(
        (
            element("div", field, element("span", class_="count", role="status"), class_="tools") if search else None,
            element(
                "div",
                element(
                    "table",
                    element("thead", head),
                    element("tbody", body),
                    id=identity,
                    class_="sortable" if sort else None,
                ),
                class_="scroll",
                tabindex=0,
            ),
        )
    )


def _is_filled(rows: Iterable[Sequence[Cell]], place: int) -> bool:
    return any(row[place].content != "" for row in rows)


def _head(column: Column, *, sort: bool) -> Markup:
    inside: Any = column.title
    if sort and column.title:
        inside = element("button", column.title, type="button", title=column.help or None)
    return element("th", inside, scope="col", class_="number" if column.number else None)


def _cell(cell: Cell, column: Column) -> Markup:
    classes = " ".join(filter(None, ("number" if column.number else "", cell.class_ or "")))
    return element("td", cell.content, class_=classes or None, data_value=cell.value)


def facts(pairs: Iterable[tuple[Any, Any]]) -> Markup:
    """Names with their values."""
    return element("dl", [(element("dt", name), element("dd", value)) for name, value in pairs], class_="facts")


def command(text: str) -> Markup:
    """A command to be copied."""
    button = element("button", "copy", type="button", class_="copy", aria_label="copy the command")
    return element("span", element("code", text), button, class_="command")


def expandable(title: Any, *content: Any, opened: bool = False) -> Markup:
    """Something that is shown when asked for, and always on paper."""
    return element("details", element("summary", title), *content, open=opened)
