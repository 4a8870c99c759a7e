"""The figure of percentiles: what every promise about durations is made of, with its limit where it has to be kept."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from nestperf.console import plural
from nestperf.verdicts import Verdict
from reports.curves import Curve, Limit, Point
from reports.render.html.figures import PALETTE, Figure, axis, layout, log_ms, ms, of_traces
from reports.render.html.markup import drawn

MOST_CURVES = 8
_VERDICT_SYMBOLS = {Verdict.PASS: "circle", Verdict.FAIL: "x", Verdict.REGRESSION: "x"}


def percentiles(curves: tuple[Curve, ...]) -> Figure | None:
    """Each distribution as a curve over its percentiles, the limits where they have to be kept."""
    if not curves:
        return None
    traces: list[dict[str, Any]] = []
    for number, curve in enumerate(curves[:MOST_CURVES]):
        colour = PALETTE[number % len(PALETTE)]
        traces.append(_curve(curve.title, curve.points, curve.n, colour))
        if curve.baseline:
            old = _curve(f"{curve.title}, baseline", curve.baseline, curve.baseline_n, colour)
            traces.append(old | {"line": {"color": colour, "width": 1.5, "dash": "dot"}})
        traces += [trace for limit in curve.limits for trace in _limit(limit, curve, colour)]
    ticks = (0, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999)
    notes = [
        "A dashed line is a limit: up to its end the curve has to stay below it. The upright bar is the 95 % interval."
    ]
    if any(curve.failed for curve in curves):
        notes.append("What failed counts as slower than anything: a curve ends where failures begin.")
    if len(curves) > MOST_CURVES:
        notes.append(f"{plural(len(curves) - MOST_CURVES, 'promise')} on fewer samples not drawn; the table has them.")
    return Figure(
        id="percentiles",
        label="Percentiles of latency with the limits of the promises",
        traces=traces,
        height=460,
        layout=layout(
            xaxis=axis("percentile", tickmode="array", tickvals=[nines(t) for t in ticks],
                       ticktext=[f"p{100 * t:g}" if t else "min" for t in ticks]),
            yaxis=log_ms("duration", of_traces(traces)),
        ),
        notes=tuple(notes),
    )  # fmt: skip


def nines(share: float, n: int = 10**6) -> float:
    """Where a percentile stands on the axis: each nine is as wide as the one before. All of n samples: half a rank
    short."""
    return round(-math.log10(max(1 - share, 0.5 / n)), 6)


def _curve(title: str, points: tuple[Point, ...], n: int, colour: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"{drawn(title, 60)} ({n:,})",
        "legendgroup": title,
        "x": [nines(point.share, n) for point in points],
        "y": [ms(point.took_ns) for point in points],
        "customdata": [round(100 * point.share, 4) for point in points],
        "line": {"color": colour, "width": 2.5},
        "hovertemplate": f"{drawn(title, 60)}<br>p%{{customdata}}: %{{y:,.4~g}} ms<extra></extra>",
    }


def _limit(limit: Limit, curve: Curve, colour: str) -> Iterator[dict[str, Any]]:
    at = nines(limit.share, curve.n)
    common = {"type": "scatter", "showlegend": False, "legendgroup": curve.title}
    name = drawn(limit.name, 60)
    yield {
        **common, "mode": "lines+markers", "name": f"limit: {name}", "x": [0, at], "y": [ms(limit.limit_ns)] * 2,
        "line": {"color": colour, "width": 1.5, "dash": "dash"},
        "marker": {"symbol": ["circle", "line-ns"], "size": [0, 14], "line": {"color": colour, "width": 3}},
        "hovertemplate": f"limit: {name}<br>%{{y:,.4~g}} ms at p{100 * limit.share:g}<extra></extra>",
    }  # fmt: skip
    if limit.measured_ns is not None:
        low, high = (limit.measured_ns if end is None else end for end in (limit.low_ns, limit.high_ns))
        yield {
            **common, "mode": "markers", "name": f"measured: {name}", "x": [at], "y": [ms(limit.measured_ns)],
            "error_y": {"type": "data", "symmetric": False, "array": [ms(high - limit.measured_ns)],
                        "arrayminus": [ms(limit.measured_ns - low)], "color": colour, "thickness": 1.5, "width": 5},
            "marker": {"symbol": _VERDICT_SYMBOLS.get(Verdict(limit.verdict), "diamond-open"), "size": 11,
                       "color": "@red" if limit.verdict in (Verdict.FAIL, Verdict.REGRESSION) else colour,
                       "line": {"color": "@paper", "width": 1}},
            "hovertemplate": f"{name}: {limit.verdict}<br>%{{y:,.4~g}} ms<extra></extra>",
        }  # fmt: skip
