"""Pages as browsers saw them: their loads with the vitals, what they drew, and what the slowest load waited for."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from markupsafe import Markup

from nestperf.console import duration, plural
from reports.page_waterfalls import PageWaterfall
from reports.pages import VITALS, NamedRow, PageFacts, PageRow, Rated
from reports.render.html.figures import Figure, axis, labelled, layout, margin_for, seconds
from reports.render.html.markup import drawn, element, joined, path, shown
from reports.render.html.tables import Cell, Column, count, table, took
from reports.render.pages import group_of, impossible_sentence, limits_sentence, slowest_sentence, vital_text

MOST_WATERFALLS = 4
MOST_BARS = 150
_RATINGS = {"good": ("pass", "✓"), "fair": ("open", "~"), "poor": ("fail", "✕")}
_MARKS = (("first_byte_ns", "first byte", "@grey"), ("fcp_ns", "first paint", "@teal"),
          ("lcp_ns", "largest paint", "@violet"), ("load_ns", "loaded", "@red"))  # fmt: skip
_LABEL, _NARROW = 44, 15
_LOOK = "max-width: min(100%, 40rem); border: 1px solid #8886; border-radius: 8px"


def pages(facts: PageFacts | None) -> Markup | None:
    """Loads and navigations by route."""
    if facts is None or not facts.pages:
        return None
    columns = (
        Column("page", number=False), Column("", number=False), Column("n"), Column("load p50"), Column("p75"),
        Column("max"), *(Column(name.upper()) for name in VITALS), Column("errors"),
        Column("unloaded"), Column("failed"),
    )  # fmt: skip
    hidden = sum(row.hidden for row in facts.pages)
    notes = [f"75th percentiles. Good up to, poor above: {limits_sentence()}."]
    if hidden:
        notes.append(f"{plural(hidden, 'page')} in the background, which no time tells of, left out.")
    notes += [impossible_sentence(opened) for opened in facts.impossible]
    return joined(
        (
            table("pages", columns, [_page(row) for row in facts.pages]),
            [element("p", text, class_="note") for text in notes],
        )
    )


def _page(row: PageRow) -> list[Cell]:
    return [
        Cell(path(row.route), shown(row.route, 160)),
        Cell(group_of(row)),
        count(row.n),
        took(row.load_p50_ns),
        took(row.load_p75_ns, "strong"),
        took(row.load_max_ns),
        *(_vital(name, getattr(row, name)) for name in VITALS),
        count(row.errors, "bad"),
        count(row.unloaded),
        count(row.failed, "bad"),
    ]


def _vital(name: str, rated: Rated) -> Cell:
    """A value with its rating as a sign: no colour stands alone."""
    text = vital_text(name, rated)
    if not rated.rating:
        return Cell(text, rated.p75)
    class_, sign = _RATINGS[rated.rating]
    mark = element("span", sign, class_="sign", title=rated.rating)
    return Cell(element("span", mark, text, class_=f"badge {class_}"), rated.p75)


def named(facts: PageFacts | None) -> Markup | None:
    """Renders by rule and measures by name."""
    if facts is None or not facts.named:
        return None
    columns = (Column("name", number=False), Column("", number=False),
               *map(Column, ("n", "p50", "p95", "max", "things", "no end")))  # fmt: skip
    return table("named", columns, [_named(row) for row in facts.named])


def _named(row: NamedRow) -> list[Cell]:
    things = "" if row.most is None else f"{row.most:,}" if row.fewest == row.most else f"{row.fewest:,} … {row.most:,}"
    return [
        Cell(element("b", shown(row.name, 120))),
        Cell(row.kind),
        count(row.n),
        *map(took, (row.p50_ns, row.p95_ns, row.max_ns)),
        Cell(things, row.most),
        count(row.restless),
    ]


def waterfalls(facts: PageFacts | None) -> Iterator[tuple[str, Figure, Markup | None]]:
    """The slowest load of each route with what it asked for, the slowest first; each a title, a figure, and how it
    looked where that is known."""
    for number, page in enumerate((facts.slowest if facts else ())[:MOST_WATERFALLS]):
        if page.bars:
            what = "load of" if page.kind == "load" else "navigation to"
            yield (
                f"Slowest {what} {shown(page.route, 80)}: {duration(page.load_ns)}",
                _waterfall(number, page),
                _look(page),
            )


def _look(page: PageWaterfall) -> Markup | None:
    if page.picture is None:
        return None
    source = f"data:{page.picture.media_type};base64,{base64.b64encode(page.picture.content).decode()}"
    label = f"{shown(page.route, 80)} when it was loaded"
    return element("img", src=source, alt=label, loading="lazy", style=_LOOK)


def _waterfall(number: int, page: PageWaterfall) -> Figure:
    bars = list(enumerate(page.bars[:MOST_BARS]))
    labels = [drawn(_path_of(bar.url), _LABEL) for _, bar in bars]
    left_out = len(page.bars) - len(bars)
    return Figure(
        id=f"page-{number}",
        label=f"What the slowest load of {shown(page.route, 80)} asked for: {plural(len(page.bars), 'resource')}",
        traces=[
            _stretch("to its first byte", "@blue", [
                (place, bar.begin_ns, (bar.end_ns if bar.first_byte_ns is None else bar.first_byte_ns), bar)
                for place, bar in bars
            ]),
            _stretch("its body", "@teal", [
                (place, bar.first_byte_ns, bar.end_ns, bar) for place, bar in bars if bar.first_byte_ns is not None
            ]),
            {"type": "scatter", "mode": "markers", "name": "the load waited for it",
             "x": [seconds(bar.end_ns) for _, bar in bars if bar.waited_for],
             "y": [place for place, bar in bars if bar.waited_for], "hoverinfo": "skip",
             "marker": {"symbol": "diamond", "size": 9, "color": "@orange"}},
            *_marks(page, len(bars)),
        ],
        height=130 + 20 * len(bars),
        layout=layout(
            barmode="overlay",
            xaxis=axis("seconds since the load began", rangemode="tozero"),
            yaxis=labelled(labels, showgrid=False),
            margin=margin_for(labels),
            meta={"narrow": [drawn(_path_of(bar.url), _NARROW) for _, bar in bars]},
        ),
        notes=(slowest_sentence(page), *((f"{left_out:,} more resources are not drawn.",) if left_out else ())),
    )  # fmt: skip


def _path_of(url: str) -> str:
    """Without host and query; what has no path, whole."""
    return "/" + url.partition("?")[0].partition("://")[2].partition("/")[2] if "://" in url else url


def _stretch(name: str, colour: str, found: list[tuple[int, int, int, Any]]) -> dict[str, Any]:
    return {
        "type": "bar", "orientation": "h", "name": name, "y": [place for place, *_ in found],
        "base": [seconds(begin) for _, begin, _, _ in found],
        "x": [seconds(end - begin) for _, begin, end, _ in found],
        "customdata": [bar.exchange_id for *_, bar in found],
        "text": [f"{drawn(bar.url, 80)}<br>{drawn(bar.initiator, 20)}, {duration(bar.end_ns - bar.begin_ns)}"
                 f"{', blocks rendering' if bar.blocking else ''}" for *_, bar in found],
        "textposition": "none", "hovertemplate": "%{text}<extra></extra>", "offset": -0.36, "width": 0.72,
        "marker": {"color": colour},
    }  # fmt: skip


def _marks(page: PageWaterfall, rows: int) -> Iterator[dict[str, Any]]:
    """Upright lines where something became visible."""
    for field, name, colour in _MARKS:
        at = getattr(page, field)
        if at is not None:
            yield {
                "type": "scatter", "mode": "lines", "name": f"{name} {duration(at)}", "x": [seconds(at)] * 2,
                "y": [-0.6, rows - 0.4], "line": {"color": colour, "width": 1.5, "dash": "dot"}, "hoverinfo": "skip",
            }  # fmt: skip
