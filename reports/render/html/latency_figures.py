"""Figures of latency: over time, against what was under way, and against a baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from nestperf.capture.model import Kind
from nestperf.console import duration, plural
from reports.compare.model import Comparison
from reports.concurrency import RouteLoad
from reports.pictures import Pictures
from reports.render.html.figures import (
    PALETTE,
    Figure,
    axis,
    labelled,
    layout,
    log_ms,
    margin_for,
    ms,
    of_traces,
    seconds,
)
from reports.render.html.markup import drawn
from reports.samples import Exchanges
from reports.timeline import Cloud, Timeline

_KINDS = {Kind.CALL: "@blue", Kind.PAGE: "@violet", Kind.ASSET: "@teal", Kind.STREAM: "@amber", Kind.PREFLIGHT: "@grey"}
_SYMBOLS = {Kind.CALL: "circle", Kind.PAGE: "square", Kind.ASSET: "diamond", Kind.STREAM: "triangle-up"}
_NAMES = {"response_time": "response time", "service_time": "service time"}
MOST_SLOPES = 8


def over_time(pictures: Pictures) -> Figure | None:
    """Every latency, what failed, and the users under it, on one axis of time."""
    line = pictures.timeline
    if line is None:
        return None
    traces = [_cloud(cloud, pictures.exchanges) for cloud in line.clouds]
    traces += _middles(line, has_response=pictures.latency_name == "response_time")
    traces += [_failed(cloud, pictures.exchanges, line) for cloud in line.failures]
    traces += list(_counts(line))
    # Plotly cannot place an axis on which nothing stands.
    users = line.users or ((line.spans[0].begin_ns, 0), (line.spans[-1].end_ns, 0))
    times = [ns for ns, _ in users]
    traces.append(
        {"type": "scatter", "mode": "lines", "name": "users", "x": [seconds(ns) for ns in times],
         "y": [count for _, count in users], "yaxis": "y3",
         "line": {"shape": "hv", "color": "@grey", "width": 1.5},
         "fill": "tozeroy", "fillcolor": "@shade", "showlegend": False,
         "hovertemplate": "%{y} users from %{x:.2f} s<extra></extra>"}
    )  # fmt: skip
    return Figure(
        id="latency-over-time",
        label="Latency of every exchange over time, failures and users below it",
        traces=traces,
        height=560,
        layout=layout(
            xaxis=axis("seconds since the run began", anchor="y3"),
            yaxis=log_ms(_NAMES[pictures.latency_name], of_traces(traces), domain=[0.44, 1]),
            yaxis2=axis("failed", domain=[0.22, 0.36], rangemode="tozero", nticks=3),
            yaxis3=axis("users", domain=[0, 0.14], rangemode="tozero", nticks=3),
            barmode="stack",
            bargap=0,
        ),
        notes=tuple(_drawn_of(line)),
    )


def _drawn_of(line: Timeline) -> Iterator[str]:
    """How much of what there is has a point of its own."""
    total = sum(cloud.total for cloud in (*line.clouds, *line.failures))
    points = sum(len(cloud.rows) for cloud in (*line.clouds, *line.failures))
    if points == total:
        yield f"Every one of {plural(total, 'exchange')} has its point."
    else:
        yield (
            f"{points:,} of {total:,} exchanges have a point of their own: one of each place in the picture, the "
            "fastest and the slowest of each moment, and the 100 slowest of each kind. No outlier is left out. "
            "Percentiles and counts are of all of them."
        )
    of = "calls" if line.of_kinds == (Kind.CALL,) else "everything"
    yield f"Lines: p50 and p95 of {of}, in {len(line.spans)} stretches of time."


def _cloud(cloud: Cloud, x: Exchanges) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"{cloud.name}s",
        "x": [seconds(ns) for ns in cloud.when],
        "y": [ms(ns) for ns in cloud.took],
        "text": [_hover(x, int(row)) for row in cloud.rows],
        "customdata": [int(x.id[row]) for row in cloud.rows],
        "hovertemplate": "%{text}<br>%{y:,.4~g} ms at %{x:.2f} s<extra></extra>",
        "marker": {
            "color": _KINDS.get(Kind(cloud.name), "@grey"),
            "symbol": _SYMBOLS.get(Kind(cloud.name), "circle"),
            "size": 6 if len(cloud.rows) < 500 else 4,
            "opacity": 0.75 if len(cloud.rows) < 500 else 0.4,
        },
    }


def _hover(x: Exchanges, row: int) -> str:
    return (
        f"{drawn(x.method.names[x.method.codes[row]], 10)} {drawn(x.route.names[x.route.codes[row]], 70)} · {x.id[row]}"
    )


def _failed(cloud: Cloud, x: Exchanges, line: Timeline) -> dict[str, Any]:
    """At the height of how long it took; what never ended stands at the top."""
    greatest = max((float(np.max(c.took)) for c in line.clouds if len(c.took)), default=1e9)
    took = [float(ns) if math.isfinite(ns) and ns > 0 else greatest for ns in cloud.took]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": cloud.name.replace("_", " "),
        "x": [seconds(ns) for ns in cloud.when],
        "y": [ms(ns) for ns in took],
        "text": [_hover(x, int(row)) for row in cloud.rows],
        "customdata": [int(x.id[row]) for row in cloud.rows],
        "hovertemplate": f"%{{text}}<br>{cloud.name.replace('_', ' ')} at %{{x:.2f}} s<extra></extra>",
        "marker": {"color": "@red", "symbol": "x", "size": 8},
    }


def _middles(line: Timeline, *, has_response: bool) -> list[dict[str, Any]]:
    middle = [seconds((span.begin_ns + span.end_ns) / 2) for span in line.spans]
    shown = [("service", "@teal"), *((("response", "@ink"),) if has_response else ())]
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"{which} {name}",
            "x": middle,
            "y": [ms(getattr(getattr(span, which), f"{name}_ns")) for span in line.spans],
            "line": {"color": colour, "width": 2, "dash": "solid" if name == "p95" else "dot"},
            "connectgaps": False,
            "hovertemplate": f"{which} time {name}: %{{y:,.4~g}} ms<extra></extra>",
        }
        for which, colour in shown
        for name in ("p50", "p95")
    ]


def _counts(line: Timeline) -> Iterator[dict[str, Any]]:
    """Failures and 429s of each stretch, as bars."""
    widths = [seconds(span.end_ns - span.begin_ns) for span in line.spans]
    middle = [seconds((span.begin_ns + span.end_ns) / 2) for span in line.spans]
    for what, colour, name in (("failed", "@red", "failed"), ("limited", "@amber", "limited (429)")):
        yield {
            "type": "bar", "name": name, "x": middle, "y": [getattr(span, what) for span in line.spans],
            "width": widths, "yaxis": "y2", "marker": {"color": colour}, "showlegend": False,
            "customdata": [span.asked for span in line.spans],
            "hovertemplate": f"%{{y}} {name} of %{{customdata}} at %{{x:.1f}} s<extra></extra>",
        }  # fmt: skip


def under_load(load: tuple[RouteLoad, ...]) -> Figure | None:
    """Medians of each route over how many exchanges were under way; the steepest routes."""
    moving = [route for route in load if route.slope_ns is not None and len(route.levels) > 1]
    if not moving:
        return None
    traces = []
    for number, route in enumerate(moving[:MOST_SLOPES]):
        name = f"{drawn(route.method, 10)} {drawn(route.route, 50)}"
        traces.append(
            {
                "type": "scatter", "mode": "lines+markers", "name": name,
                "x": [level.middle for level in route.levels], "y": [ms(level.p50_ns) for level in route.levels],
                "error_y": {"type": "data", "symmetric": False, "thickness": 1, "width": 0,
                            "array": [ms(level.p95_ns - level.p50_ns) for level in route.levels],
                            "arrayminus": [0] * len(route.levels), "color": PALETTE[number]},
                "customdata": [level.n for level in route.levels],
                "line": {"color": PALETTE[number], "width": 2}, "marker": {"size": 7, "color": PALETTE[number]},
                "hovertemplate": f"{name}<br>%{{x}} under way: %{{y:,.4~g}} ms "
                                 "(median of %{customdata})<extra></extra>",
            }
        )  # fmt: skip
    return Figure(
        id="latency-under-load",
        label="Median service time of each route against the requests under way",
        traces=traces,
        height=420,
        layout=layout(
            xaxis=axis("requests under way at once"),
            yaxis=log_ms("service time", _reached(moving[:MOST_SLOPES])),
        ),
        notes=(
            "Points are medians, the line above each reaches to p95. Under way includes the request itself.",
            "It is service time, so that our own queue is not in it.",
        ),
    )


def _reached(routes: list[RouteLoad]) -> Iterator[float | None]:
    for route in routes:
        for level in route.levels:
            yield from (ms(level.p50_ns), ms(level.p95_ns))


def changes(comparison: Comparison) -> Figure | None:
    """By how much most requests of each route changed, with the interval."""
    routes = [route for route in comparison.routes if route.typical is not None]
    if not routes:
        return None
    colours = {"regression": "@red", "improvement": "@teal"}
    symbols = {"regression": "x", "improvement": "triangle-left"}
    ratios = [route.typical for route in routes if route.typical is not None]
    trace = {
        "type": "scatter", "mode": "markers", "x": [round(r.value, 6) for r in ratios], "y": list(range(len(ratios))),
        "error_x": {"type": "data", "symmetric": False, "color": "@muted", "thickness": 1.5, "width": 4,
                    "array": [round((r.value if r.high is None else r.high) - r.value, 6) for r in ratios],
                    "arrayminus": [round(r.value - (r.value if r.low is None else r.low), 6) for r in ratios]},
        "text": [str(route.change) for route in routes],
        "marker": {"size": 10, "color": [colours.get(route.change, "@grey") for route in routes],
                   "symbol": [symbols.get(route.change, "circle") for route in routes]},
        "hovertemplate": "%{text}: × %{x:.3f}<extra></extra>",
    }  # fmt: skip
    names = [f"{drawn(route.key.method, 8)} {drawn(route.key.route, 42)}" for route in routes]
    return Figure(
        id="changes",
        label="Change of each route against the baseline, with its 95 % interval",
        traces=[trace],
        height=110 + 26 * len(routes),
        layout=layout(
            xaxis=axis("new ÷ baseline", type="log"),
            yaxis=labelled(names),
            margin=margin_for(names),
            meta={"narrow": [drawn(route.key.route, 16) for route in routes]},
            shapes=[{"type": "line", "x0": 1, "x1": 1, "yref": "paper", "y0": 0, "y1": 1,
                     "line": {"color": "@ink", "width": 1, "dash": "dot"}}],
        ),
    )  # fmt: skip


def slope_text(route: RouteLoad) -> str:
    """`+1.9 ms (1.2 ms … 2.4 ms)`; empty where the load never changed."""
    if route.slope_ns is None or route.low_ns is None or route.high_ns is None:
        return ""
    value, low, high = (_signed(ns) for ns in (route.slope_ns, route.low_ns, route.high_ns))
    return f"{value} ({low} … {high})"


def _signed(ns: float) -> str:
    return f"{'−' if ns < 0 else '+'}{duration(abs(ns))}"
