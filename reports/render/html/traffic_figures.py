"""Figures of what sockets did: events, broadcasts, connections."""

from __future__ import annotations

from typing import Any

from nestperf.console import plural
from reports.render.html.figures import Figure, axis, labelled, layout, log_ms, margin_for, ms, of_traces, seconds
from reports.render.html.markup import drawn
from reports.traffic import Traffic


def events(traffic: Traffic) -> Figure | None:
    """Every event over time, a row an event."""
    rows = traffic.events
    if not rows:
        return None
    traces = []
    for from_server, name, colour in ((True, "from server", "@violet"), (False, "to server", "@orange")):
        marks = [
            (place, at, n) for place, row in enumerate(rows) if row.from_server is from_server for at, n in row.marks
        ]
        if marks:
            traces.append({
                "type": "scatter", "mode": "markers", "name": name, "x": [seconds(at) for _, at, _ in marks],
                "y": [place for place, _, _ in marks], "customdata": [n for _, _, n in marks],
                "hovertemplate": "%{customdata} at %{x:.2f} s<extra></extra>",
                "marker": {"color": colour, "symbol": "triangle-down" if from_server else "triangle-up", "opacity": 0.8,
                           "size": [min(16, 6 + 2 * n.bit_length()) for _, _, n in marks]},
            })  # fmt: skip
    bare = [f"{drawn(row.event, 30)} {drawn(row.namespace, 16)}" for row in rows]
    names = [f"{drawn(row.event, 30)} <i>{drawn(row.namespace, 16)}</i>" for row in rows]
    notes = ["A larger mark is several packets at nearly the same moment."]
    if traffic.events_left_out:
        notes.append(f"{plural(traffic.events_left_out, 'rarer event')} not drawn.")
    return Figure(
        id="events",
        label="Socket.IO events over time",
        traces=traces,
        height=120 + 24 * len(rows),
        layout=layout(
            xaxis=axis("seconds since the run began"),
            yaxis=labelled(names),
            margin=margin_for(bare),
            meta={"narrow": [drawn(row.event, 16) for row in rows]},
        ),
        notes=tuple(notes),
    )  # fmt: skip


def fan_out(traffic: Traffic) -> Figure | None:
    """Each broadcast: from its first receiver to its last, and whom it did not reach."""
    if not traffic.broadcasts:
        return None
    traces = []
    whole = [b for b in traffic.broadcasts if len(b.deliveries_ns) >= b.expected]
    short = [b for b in traffic.broadcasts if len(b.deliveries_ns) < b.expected]
    for found, name, colour, symbol in (
        (whole, "reached everybody", "@violet", "circle"),
        (short, "did not reach everybody", "@red", "x"),
    ):
        if found:
            traces.append({
                "type": "scatter", "mode": "markers", "name": name, "x": [seconds(b.first_ns) for b in found],
                "y": [ms(max(b.skew_ns, 1_000)) for b in found],
                "text": [f"{drawn(b.event, 40)}: {len(b.deliveries_ns)} of {b.expected}" for b in found],
                "hovertemplate": "%{text}, last %{y:,.4~g} ms after the first<extra></extra>",
                "marker": {"color": colour, "symbol": symbol, "size": 8, "opacity": 0.7},
            })  # fmt: skip
    total, shown = traffic.broadcasts_total, len(traffic.broadcasts)
    left = (f"{shown:,} of {total:,} broadcasts: those that did not reach everybody, and the most spread.",)
    return Figure(
        id="fan-out",
        label="Broadcasts: how long after the first receiver the last had it",
        traces=traces,
        height=340,
        layout=layout(
            xaxis=axis("seconds since the run began"), yaxis=log_ms("last after first receiver", of_traces(traces))
        ),
        notes=left if shown < total else (),
    )


def connections(traffic: Traffic) -> Figure | None:
    """The sockets of each user: how long each was open, how it ended, what followed."""
    rows = traffic.users
    if not rows:
        return None
    lives = [(place, life) for place, row in enumerate(rows) for life in row.lives]
    traces: list[dict[str, Any]] = [{
        "type": "bar", "orientation": "h", "name": "open", "y": [place for place, _ in lives],
        "base": [seconds(life.begin_ns) for _, life in lives],
        "x": [seconds(life.end_ns - life.begin_ns) for _, life in lives],
        "customdata": [life.ref for _, life in lives], "text": [life.end for _, life in lives], "textposition": "none",
        "hovertemplate": "%{customdata}: %{text}<extra></extra>", "offset": -0.3, "width": 0.6, "showlegend": False,
        "marker": {"color": ["@red" if life.lost else "@violet" for _, life in lives], "opacity": 0.55,
                   "line": {"color": "@paper", "width": 1}},
    }]  # fmt: skip
    lost = [(place, life) for place, life in lives if life.lost]
    if lost:
        traces.append({
            "type": "scatter", "mode": "markers", "name": "lost", "x": [seconds(life.end_ns) for _, life in lost],
            "y": [place for place, _ in lost], "text": [life.end for _, life in lost],
            "hovertemplate": "%{text} at %{x:.2f} s<extra></extra>",
            "marker": {"symbol": "x", "size": 9, "color": "@red"},
        })  # fmt: skip
    names = [drawn(row.who, 28) for row in rows]
    all_ = plural(traffic.sockets, "socket")
    notes = [f"{all_}, {traffic.lost:,} lost, {plural(traffic.reconnects, 'reconnect')}."]
    if traffic.users_left_out:
        notes.append(f"{plural(traffic.users_left_out, 'more user')} not drawn: those that lost sockets come first.")
    return Figure(
        id="connections",
        label="Sockets of each user over time",
        traces=traces,
        height=100 + 17 * len(rows),
        layout=layout(
            barmode="overlay",
            xaxis=axis("seconds since the run began"),
            yaxis=labelled(names, showgrid=False),
            margin=margin_for(names),
            meta={"narrow": [drawn(row.who, 12) for row in rows]},
        ),
        notes=tuple(notes),
    )  # fmt: skip
