"""Tables of what was measured: routes with their slowest exchanges, times, events, broadcasts, sockets, changes."""

from __future__ import annotations

from markupsafe import Markup

from nestperf.console import duration
from reports.compare.model import Comparison, RouteChange
from reports.concurrency import RouteLoad
from reports.pictures import Pictures, Slow
from reports.render import comparison as compared
from reports.render.html.latency_figures import slope_text
from reports.render.html.markup import element, joined, path, shown
from reports.render.html.promises import stretched
from reports.render.html.tables import Cell, Column, command, count, expandable, table, took
from reports.render.sections import bounds_of, group_of, repeated_route
from reports.render.units import format_rate, format_share
from reports.route_rows import RouteRow
from reports.summary import Summary

FINDINGS = 12


def routes(summary: Summary, pictures: Pictures, capture_path: str) -> Markup | None:
    """Every route, its slowest exchanges below it when asked for."""
    if not summary.routes:
        return None
    columns = (
        Column("route", number=False), Column("kind", number=False), Column("n"), Column("/min"),
        Column("p50"), Column("p95"), Column("95 % of p95"), Column("p99"), Column("max"),
        Column("failed"), Column("refused", help="4xx in a recording"), Column("limited", help="429"),
        Column("aborted"), Column("open", help="unfinished when the run ended"),
    )  # fmt: skip
    slowest = (*pictures.slowest, *((),) * (len(summary.routes) - len(pictures.slowest)))
    rows = [_route(row, slow, capture_path) for row, slow in zip(summary.routes, slowest, strict=True)]
    return joined((_repeated(summary, capture_path), table("routes", columns, rows, search="Search routes")))


def _repeated(summary: Summary, capture_path: str) -> Markup | None:
    found = [
        element(
            "li",
            element("b", "N+1 "),
            f"{repeated_route(item)}. ",
            command(f"nestperf show {shown(capture_path, 200)} {item.exchange_id}"),
        )
        for item in summary.page_routes[:FINDINGS]
    ]
    return element("ul", found, class_="findings") if found else None


def _route(row: RouteRow, slow: tuple[Slow, ...], capture_path: str) -> list[Cell]:
    times = row.latency
    name = joined((element("b", shown(row.method, 10)), " ", element("span", path(row.route))))
    inside = [element("li", _slow(item, capture_path)) for item in slow]
    label = expandable(name, element("ul", inside, class_="worst")) if inside else name
    return [
        Cell(label, shown(f"{row.route} {row.method}", 200)),
        Cell(group_of(row)),
        count(row.n),
        Cell(format_rate(row.per_minute), row.per_minute),
        took(times.p50_ns),
        took(times.p95_ns, "strong"),
        Cell(bounds_of(times) if times.n else "", times.p95_low_ns),
        took(times.p99_ns),
        took(times.max_ns),
        count(row.failed, "bad"),
        count(row.refused),
        count(row.limited),
        count(row.aborted),
        count(row.unfinished),
    ]


def _slow(item: Slow, capture_path: str) -> Markup:
    status = "" if item.status is None else f" {item.status}"
    lasted = "" if item.took_ns is None else f"{duration(item.took_ns)} · "
    return joined(
        (
            element("span", f"{lasted}{shown(item.target, 140)} · {item.outcome.replace('_', ' ')}{status} · "),
            element("span", f"at {duration(item.sent_ns)} · {stretched(item.stretches)} "),
            command(f"nestperf show {shown(capture_path, 200)} {item.ref}"),
        )
    )


def both_times(summary: Summary) -> Markup | None:
    """What the application took beside what a user would have felt."""
    rows = [
        [
            Cell(f"{kind}, {what}"),
            count(times.n),
            *map(took, (times.p50_ns, times.p95_ns, times.p99_ns, times.max_ns)),
        ]
        for kind, service, response in summary.both_times
        if response.n
        for what, times in (("service", service), ("response", response))
    ]
    columns = (Column("time", number=False), *map(Column, ("n", "p50", "p95", "p99", "max")))
    return table("both-times", columns, rows, sort=False) if rows else None


def load(routes: tuple[RouteLoad, ...]) -> Markup | None:
    """The slope of every route."""
    moving = [route for route in routes if route.slope_ns is not None]
    if not moving:
        return None
    columns = (Column("route", number=False), Column("n"), Column("under way, most"), Column("median, quiet"),
               Column("median, busy"), Column("each further one adds"))  # fmt: skip
    rows = [
        [
            Cell(joined((element("b", shown(route.method, 10)), " ", path(route.route, 120))), shown(route.route, 120)),
            count(route.n),
            count(route.levels[-1].most),
            took(route.levels[0].p50_ns),
            took(route.levels[-1].p50_ns),
            Cell(slope_text(route), route.slope_ns, "strong" if (route.low_ns or 0) > 0 else None),
        ]
        for route in moving
    ]
    return table("load", columns, rows)


def events(summary: Summary) -> Markup | None:
    """Socket.IO events and their acks."""
    if not summary.events:
        return None
    columns = (Column("event", number=False), Column("namespace", number=False), Column("from", number=False),
               *map(Column, ("n", "/min", "sockets", "acks", "no ack", "ack p50", "p95", "max")))  # fmt: skip
    rows = [
        [
            Cell(element("b", shown(row.event, 120))),
            Cell(shown(row.namespace, 60)),
            Cell(row.sender),
            count(row.n),
            Cell(format_rate(row.per_minute), row.per_minute),
            count(row.sockets),
            count(row.acks_asked),
            count(row.acks_missing, "bad"),
            *map(took, (row.ack_latency.p50_ns, row.ack_latency.p95_ns, row.ack_latency.max_ns)),
        ]
        for row in summary.events
    ]
    return table("event-rows", columns, rows, search="Search events")


def broadcasts(summary: Summary) -> Markup | None:
    """Events that reached several sockets."""
    if not summary.broadcasts:
        return None
    columns = (Column("broadcast", number=False), Column("namespace", number=False),
               *map(Column, ("n", "receivers", "reach", "skew p50", "p95", "max")))  # fmt: skip
    rows = [
        [
            Cell(element("b", shown(row.event, 120))),
            Cell(shown(row.namespace, 60)),
            count(row.n),
            Cell(f"{row.fewest_receivers:,} … {row.most_receivers:,}", row.most_receivers),
            Cell(format_share(row.received / row.expected), row.received / row.expected),
            *map(took, (row.skew.p50_ns, row.skew.p95_ns, row.skew.max_ns)),
        ]
        for row in summary.broadcasts
    ]
    return table("broadcast-rows", columns, rows)


def sockets(summary: Summary) -> Markup | None:
    """Connections by address."""
    if not summary.sockets:
        return None
    titles = ("opened", "connected", "failed", "by client", "by server", "cut", "open", "connect p50", "p95", "max")
    rows = [
        [
            Cell(joined((element("b", shown(row.protocol, 20)), " ", shown(row.path, 120)))),
            count(row.opened),
            count(row.connected),
            count(row.failed, "bad"),
            count(row.closed_by_client),
            count(row.closed_by_server),
            count(row.cut, "bad"),
            count(row.still_open),
            *map(took, (row.connect.p50_ns, row.connect.p95_ns, row.connect.max_ns)),
        ]
        for row in summary.sockets
    ]
    return table("socket-rows", (Column("socket", number=False), *map(Column, titles)), rows)


def changed(comparison: Comparison) -> Markup | None:
    """Each route against the baseline."""
    if not comparison.routes:
        return None
    columns = (Column("", number=False), Column("route", number=False), Column("n"), Column("p50"), Column("p95"),
               Column("change"), Column("detectable", help="a smaller slowdown may not have been found"))  # fmt: skip
    rows = [_changed(route) for route in comparison.routes]
    notes = [element("p", text, class_="note") for text in compared.remarks(comparison)]
    return joined((table("changed", columns, rows, search="Search routes"), notes))


_CHANGES = {"regression": ("fail", "↗"), "improvement": ("pass", "↘"), "no regression": ("none", "="),
            "inconclusive": ("open", "?"), "too few": ("none", "–"), "gone": ("open", "–"),
            "new": ("none", "+")}  # fmt: skip


def _changed(route: RouteChange) -> list[Cell]:
    class_, sign = _CHANGES[route.change]
    old, new = route.old, route.new
    badge = element(
        "span", element("span", sign, class_="sign", aria_hidden="true"), str(route.change), class_=f"badge {class_}"
    )
    return [
        Cell(badge, str(route.change)),
        Cell(
            joined((element("b", shown(route.key.method, 10)), " ", path(route.key.route, 120))), route.key.route[:200]
        ),
        Cell(f"{old.n:,} → {new.n:,}", new.n),
        Cell(f"{duration(old.p50_ns)} → {duration(new.p50_ns)}", new.p50_ns),
        Cell(f"{duration(old.p95_ns)} → {duration(new.p95_ns)}", new.p95_ns),
        Cell(compared.format_change(route.typical), None if route.typical is None else route.typical.value, "strong"),
        Cell(compared.detectable_of(route), None if route.detectable is None else route.detectable.whole),
    ]
