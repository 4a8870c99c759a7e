"""A visit's waterfall: a row a page load, a request with its queries (the recorded one below it), a socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nestperf.capture.model import Kind
from nestperf.console import duration, plural
from reports.breakdown import Part
from reports.render.html.figures import Figure, axis, labelled, layout, margin_for
from reports.render.html.folding import Fold
from reports.render.html.markup import drawn
from reports.waterfall import Bar, Lane, Pair, Visit

_PARTS = {
    Part.BEFORE: "@line",
    Part.CONNECT: "@amber",
    Part.SEND: "@sky",
    Part.WAIT: "@blue",
    Part.TRANSFER: "@teal",
}
_LABEL, _NARROW = 44, 15
"""Characters of a row's label that have room beside the plot, and on a phone."""


class _Rows:
    """What stands in which row."""

    def __init__(self, visit: Visit, recorded: Visit | None) -> None:
        by_step = {bar.step: bar for bar in recorded.bars if bar.step} if recorded else {}
        played = {bar.step for bar in visit.bars}
        rows: list[tuple[Bar | None, Bar | None]] = [(bar, by_step.get(bar.step)) for bar in visit.bars]
        if recorded is not None and not visit.bars_left_out:
            rows += [(None, bar) for bar in recorded.bars if bar.step not in played]
        self.loads = list(enumerate(visit.loads))
        first = len(self.loads)
        self.own = [(place, bar) for place, (bar, _) in enumerate(rows, first) if bar is not None]
        self.old = [(place, bar) for place, (_, bar) in enumerate(rows, first) if bar is not None]
        self.lanes = list(enumerate(visit.lanes, first + len(rows)))
        self.named = [bar or other for bar, other in rows]
        self.paired = recorded is not None
        ends = [bar.end_ns for _, bar in (*self.own, *self.old)]
        ends += [*(load.end_ns for load in visit.loads), *(lane.end_ns for lane in visit.lanes)]
        busy = [(b.begin_ns, b.end_ns) for _, b in (*self.own, *self.old) if b.kind != Kind.STREAM]
        self.fold = Fold(busy, max(ends, default=0))

    def span(self, begin_ns: int, length_ns: int) -> tuple[float, float]:
        """Where a bar begins on the axis, and its length there."""
        begin = self.fold.at(begin_ns)
        return begin, round(self.fold.at(begin_ns + length_ns) - begin, 9)

    def bars(self, name: str, found: list[tuple[int, str, int, int, str]], **more: Any) -> dict[str, Any]:
        """A trace of bars: row, reference, begin, length, and what is said of each. Their true times go with them."""
        spans = [self.span(begin, length) for _, _, begin, length, _ in found]
        return {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "y": [place for place, *_ in found],
            "base": [begin for begin, _ in spans],
            "x": [length for _, length in spans],
            "customdata": [[ref, begin, length] for _, ref, begin, length, _ in found],
            "text": [said for *_, said in found],
            "textposition": "none",
            "hovertemplate": "%{text}<extra></extra>",
            **more,
        }


def waterfall(number: int, pair: Pair) -> Figure | None:
    """One visit; None of one that did nothing."""
    visit, recorded = pair.visit, pair.recorded
    rows = _Rows(visit, recorded)
    count = len(rows.loads) + len(rows.named) + len(rows.lanes)
    if not count:
        return None
    named = [bar for bar in rows.named if bar is not None]
    labels = [f"{_said(load.kind)} {drawn(load.route, _LABEL - len(load.kind) - 4)}" for load in visit.loads]
    labels += [_title(bar, _LABEL) for bar in named] + [drawn(lane.title, _LABEL) for lane in visit.lanes]
    narrow = [drawn(text, _NARROW) for text in (*(load.route for load in visit.loads), *(bar.target for bar in named),
                                                *(lane.title for lane in visit.lanes))]  # fmt: skip
    places, texts = rows.fold.labels()
    return Figure(
        id=f"waterfall-{number}",
        label=f"Waterfall of {visit.ref}: {plural(len(visit.bars), 'request')}, {plural(len(visit.lanes), 'socket')}",
        traces=list(_traces(rows)),
        height=120 + 21 * count,
        layout=layout(
            barmode="overlay",
            xaxis=axis("time in the visit, pauses folded" if rows.fold.pauses else "time in the visit",
                       tickmode="array", tickvals=places, ticktext=texts, range=[0, max(rows.fold.end, 1e-6) * 1.02]),
            yaxis=labelled(labels, showgrid=False),
            margin=margin_for(labels),
            meta={"narrow": narrow},
            shapes=[_pause(rows.fold.at(begin), rows.fold.at(end)) for begin, end in rows.fold.pauses],
        ),
        notes=tuple(_notes(visit, recorded)),
    )  # fmt: skip


def _said(kind: str) -> str:
    return f"{kind} {'to' if kind == 'navigation' else 'of'}"


def _pause(begin: float, end: float) -> dict[str, Any]:
    return {"type": "rect", "x0": begin, "x1": end, "yref": "paper", "y0": 0, "y1": 1, "layer": "below",
            "line": {"width": 0}, "fillcolor": "@shade", "opacity": 0.6}  # fmt: skip


def _notes(visit: Visit, recorded: Visit | None) -> Iterator[str]:
    if visit.bars_left_out:
        yield f"The first {len(visit.bars):,} requests; {visit.bars_left_out:,} more are not drawn."
    if more := sum(lane.more for lane in visit.lanes):
        yield f"{more:,} more packets and frames of its sockets are not drawn."
    if visit.ambiguous:
        which = plural(visit.ambiguous, "query", "queries")
        yield f"{which} meanwhile may be this visit's or another's, and are not drawn."
    if recorded is not None and not visit.bars_left_out:
        missing = {bar.step for bar in recorded.bars} - {bar.step for bar in visit.bars}
        if missing:
            yield f"{plural(len(missing), 'recorded request')} not played in this visit: at the end, in grey."


def _traces(rows: _Rows) -> Iterator[dict[str, Any]]:
    yield from _loads(rows)
    place = {"offset": -0.38, "width": 0.48} if rows.paired else {"offset": -0.36, "width": 0.72}
    for part, colour in _PARTS.items():
        found = [
            (row, bar.ref, s.begin_ns, s.length_ns, f"{bar.ref}: {part} {duration(s.length_ns)}")
            for row, bar in rows.own
            for s in bar.stretches
            if s.part is part
        ]
        if found:
            yield rows.bars(str(part), found, marker={"color": colour}, **place)
    if rows.own:
        # Invisible, the whole of each: to point at, and to count.
        yield rows.bars("requests", list(map(_whole, rows.own)), showlegend=False, **place,
                        marker={"color": "rgba(0,0,0,0)", "line": {"width": 0}})  # fmt: skip
    if rows.old:
        yield rows.bars("as recorded", list(map(_whole, rows.old)), offset=0.14, width=0.22, marker={"color": "@grey"})
    queries = [
        (row, q.ref, q.begin_ns, q.length_ns, f"{drawn(q.statement, 80)}<br>{duration(q.length_ns)} · {q.ref}")
        for row, bar in rows.own
        for q in bar.queries
    ]
    if queries:
        middle = -0.14 if rows.paired else 0.0
        yield rows.bars("queries", queries, offset=middle - 0.12, width=0.24, marker={"color": "@pink"})
    yield from _failed(rows)
    yield from _sockets(rows)


def _whole(row: tuple[int, Bar]) -> tuple[int, str, int, int, str]:
    place, bar = row
    return place, bar.ref, bar.begin_ns, bar.end_ns - bar.begin_ns, _about(bar)


def _title(bar: Bar, width: int) -> str:
    method = drawn(bar.method, 8)
    return f"{method} {drawn(bar.target, width - len(method) - 1)}"


def _about(bar: Bar) -> str:
    status = "" if bar.status is None else f" {bar.status}"
    lasted = duration(bar.end_ns - bar.begin_ns)
    parts = ", ".join(f"{s.part} {duration(s.length_ns)}" for s in bar.stretches)
    end = f"{bar.kind}, {bar.outcome.replace('_', ' ')}{status}, {lasted} · {bar.ref}"
    return f"{_title(bar, 70)}<br>{end}<br>{parts}"


def _failed(rows: _Rows) -> Iterator[dict[str, Any]]:
    """A cross at the end of what failed."""
    failed = [(place, bar) for place, bar in rows.own if bar.failed]
    if failed:
        yield {
            "type": "scatter", "mode": "markers", "name": "failed",
            "x": [rows.fold.at(bar.end_ns) for _, bar in failed], "y": [place for place, _ in failed],
            "text": [_about(bar) for _, bar in failed],
            "customdata": [bar.ref for _, bar in failed], "hovertemplate": "%{text}<extra></extra>",
            "marker": {"symbol": "x", "size": 9, "color": "@red"},
        }  # fmt: skip


def _loads(rows: _Rows) -> Iterator[dict[str, Any]]:
    """Page loads as the browser saw them, with their paints."""
    if not rows.loads:
        return
    found = [
        (place, load.ref, load.begin_ns, load.end_ns - load.begin_ns,
         f"{_said(load.kind)} {drawn(load.route, 70)}<br>{duration(load.end_ns - load.begin_ns)} · {load.ref}")
        for place, load in rows.loads
    ]  # fmt: skip
    yield rows.bars("page loads", found, offset=-0.3, width=0.6, marker={"color": "@sky"})
    paints = [(place, name, at) for place, load in rows.loads for name, at in load.paints]
    if paints:
        yield {
            "type": "scatter", "mode": "markers", "name": "paints", "x": [rows.fold.at(at) for _, _, at in paints],
            "y": [place for place, _, _ in paints], "customdata": [at for _, _, at in paints],
            "text": [f"{name} at {duration(at)}" for _, name, at in paints],
            "hovertemplate": "%{text}<extra></extra>", "marker": {"symbol": "diamond", "size": 8, "color": "@violet"},
        }  # fmt: skip


def _sockets(rows: _Rows) -> Iterator[dict[str, Any]]:
    if not rows.lanes:
        return
    found = [(place, lane.ref, lane.begin_ns, lane.end_ns - lane.begin_ns, _socket(lane)) for place, lane in rows.lanes]
    yield rows.bars("socket open", found, offset=-0.15, width=0.3,
                    marker={"color": "@shade", "line": {"color": "@violet", "width": 1}})  # fmt: skip
    for from_server, name, symbol, up in (
        (True, "from server", "triangle-down", -0.2),
        (False, "to server", "triangle-up", 0.2),
    ):
        ticks = [(place, tick) for place, lane in rows.lanes for tick in lane.ticks if tick.from_server is from_server]
        if ticks:
            yield {
                "type": "scatter", "mode": "markers", "name": name,
                "x": [rows.fold.at(tick.at_ns) for _, tick in ticks], "y": [place + up for place, _ in ticks],
                "customdata": [tick.at_ns for _, tick in ticks],
                "text": [f"{drawn(tick.what, 80)} at {duration(tick.at_ns)}" for _, tick in ticks],
                "hovertemplate": f"{name}: %{{text}}<extra></extra>",
                "marker": {"symbol": symbol, "size": 7, "color": "@violet" if from_server else "@orange"},
            }  # fmt: skip


def _socket(lane: Lane) -> str:
    return f"{drawn(lane.title, 60)}<br>{lane.end} · {lane.ref}"
