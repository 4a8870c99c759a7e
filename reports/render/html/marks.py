"""What was named while it happened: marks and tests, each with the routes it is made of."""

from __future__ import annotations

from markupsafe import Markup

from nestperf.capture.marks import TEST
from nestperf.console import duration
from reports.render.html.markup import element, joined, shown
from reports.render.html.tables import Cell, Column, command, count, expandable, table, took
from reports.route_rows import MarkRow, RouteRow
from reports.summary import Summary

_MOST_ROUTES = 20


def marks(summary: Summary, capture_path: str) -> Markup | None:
    """A row a mark or test."""
    if not summary.marks:
        return None
    columns = (
        Column("name", number=False), Column("given by", number=False), Column("first at"), Column("n"),
        Column("p50"), Column("p95"), Column("p99"), Column("max"), Column("failed"),
        Column("refused", help="4xx in a recording"), Column("limited", help="429"),
    )  # fmt: skip
    return table("marks", columns, [_mark(row, capture_path) for row in summary.marks], search="Search marks and tests")


def _mark(row: MarkRow, capture_path: str) -> list[Cell]:
    name = element("b", shown(row.text, 160))
    inside = [element("li", _route(route, capture_path)) for route in row.routes[:_MOST_ROUTES]]
    label = expandable(name, element("ul", inside, class_="worst")) if inside else name
    times = row.latency
    return [
        Cell(label, shown(row.text, 200)),
        Cell("a test" if row.source == TEST else shown(row.source, 20)),
        took(row.begin_ns),
        count(row.n),
        *map(took, (times.p50_ns, times.p95_ns, times.p99_ns, times.max_ns)),
        count(row.failed, "bad"),
        count(row.refused),
        count(row.limited),
    ]


def _route(row: RouteRow, capture_path: str) -> Markup:
    times = "" if row.latency.p95_ns is None else f"p95 {duration(row.latency.p95_ns)}, "
    worst = [] if row.slowest_id is None else [command(f"nestperf show {shown(capture_path, 200)} {row.slowest_id}")]
    name = element("span", f"{shown(row.method, 10)} {shown(row.route, 140)} · {times}n {row.n:,} ")
    return joined((name, *worst))
