"""A figure: what plotly needs to draw it, as plain data. Colours are names of the page's, so that it can change its
theme; nanoseconds become milliseconds and seconds here.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from reports.render.html.markup import element, island

MS, S = 1e6, 1e9
PALETTE = ("@blue", "@orange", "@teal", "@violet", "@sky", "@amber", "@pink", "@grey")
"""Of curves; told apart with any colour vision (Okabe and Ito), and by their dashes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One picture."""

    id: str
    label: str
    """What it shows, for who cannot see it."""
    traces: list[dict[str, Any]]
    layout: dict[str, Any]
    height: int = 320
    notes: tuple[str, ...] = field(default=())
    """Sentences below it."""


def draw(figure: Figure) -> Markup:
    """The place of a figure, its data beside it."""
    notes = [element("p", note, class_="note") for note in figure.notes]
    place = element(
        "div", id=figure.id, class_="plot", role="img", aria_label=figure.label, style=f"height:{figure.height}px"
    )
    data = {"data": figure.traces, "layout": {**figure.layout, "height": figure.height}}
    return element("figure", place, island(f"{figure.id}-data", data), notes)


def ms(ns: float | None) -> float | None:
    """Milliseconds, exact to the nanosecond."""
    return None if ns is None else round(float(ns) / MS, 6)


def seconds(ns: float) -> float:
    """Seconds, exact to the microsecond."""
    return round(float(ns) / S, 6)


def axis(title: str = "", **more: Any) -> dict[str, Any]:
    """An axis as all figures have it."""
    return {
        "title": {"text": title, "standoff": 8},
        "gridcolor": "@grid",
        "linecolor": "@line",
        "zeroline": False,
        "automargin": True,
        "tickcolor": "@line",
        **more,
    }


_CHARACTER = 7.0
"""So many pixels a character of a label takes, at most."""


def labelled(labels: list[str], **more: Any) -> dict[str, Any]:
    """An axis of rows with a label each, the first at the top.

    Plotly would hold every label against every other, and measure each for the margin: seconds, where there are
    hundreds. `margin_for` says what room they need.
    """
    rows = len(labels)
    plain = axis(
        tickmode="array",
        tickvals=list(range(rows)),
        ticktext=labels,
        range=[rows - 0.4, -0.6],
        fixedrange=True,
        tickangle=0,
        ticklabeloverflow="allow",
        **more,
    )
    return plain | {"automargin": False}


def margin_for(labels: list[str]) -> dict[str, int]:
    """Room on the left for the longest of these labels."""
    longest = max((len(html.unescape(label)) for label in labels), default=0)
    return {"l": min(330, 18 + round(longest * _CHARACTER)), "r": 12, "t": 12, "b": 44}


_TICKS = tuple(
    (factor * 10.0**power, f"{factor * 10 ** (power % 3)} {unit}")
    for power, unit in ((p, ("µs", "ms", "s")[(p + 3) // 3]) for p in range(-3, 6))
    for factor in (1, 2, 5)
)
"""Of an axis of milliseconds: 1, 2, 5, 10 µs and so on, to 500 s."""
_CLOSE = 3.0
"""Up to so many decades every tick has room, beyond that those of the tens."""


def log_ms(title: str, values: Iterable[float | None], **more: Any) -> dict[str, Any]:
    """A logarithmic axis for these milliseconds, whose ticks read as people say them; nothing is below 1 µs."""
    shown = [value for value in values if value is not None and value > 0]
    least, most = max(min(shown, default=1.0), 0.001), max(max(shown, default=1.0), 0.001)
    close = math.log10(most / least) <= _CLOSE
    ticks = [(at, text) for at, text in _TICKS if close or text.startswith("1")]
    span = [math.log10(least) - 0.12, math.log10(most) + 0.12]
    return axis(
        title,
        type="log",
        range=span,
        tickmode="array",
        tickvals=[at for at, _ in ticks],
        ticktext=[text for _, text in ticks],
        **more,
    )


def of_traces(traces: Iterable[dict[str, Any]], axis_name: str | None = None) -> Iterator[float | None]:
    """The heights of all points on one axis."""
    for trace in traces:
        if trace.get("yaxis") == axis_name:
            yield from trace["y"]


def layout(**more: Any) -> dict[str, Any]:
    """What all figures have in common."""
    return {"margin": {"l": 56, "r": 12, "t": 12, "b": 44}, "hovermode": "closest", "legend": LEGEND, **more}


LEGEND: dict[str, Any] = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.01, "yanchor": "bottom"}
