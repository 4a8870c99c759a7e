"""The tables below the verdict, one function a section; each gives lines, none where there is nothing to show.

Every captured string passes `printable` on its way. Nothing is measured or judged here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from nestperf.capture.marks import TEST
from nestperf.capture.model import Kind, Run
from nestperf.console import NOTHING, duration, plural
from nestperf.printable import printable
from reports.render.followed import render_effects, render_returns
from reports.render.pages import render_named, render_pages
from reports.render.queries import render_queries
from reports.render.table import Row, facts, note, render_table
from reports.render.units import format_count, format_rate, format_share
from reports.repeats import PageRoute
from reports.route_rows import BothTimes, MarkRow, RouteRow
from reports.socket_rows import BroadcastRow, EventRow, SocketRow
from reports.spread import Percentiles
from reports.statistics import MIN_SAMPLES
from reports.summary import Summary

MOST_ROWS = 60
"""A table shows so many; the rest is counted, and whole in JSON."""
_LABEL = 200
_MOST_OF_A_MARK = 6
"""Routes that are shown under a mark: the slowest calls first."""
_FINDINGS = 5
_INTERVAL_FROM = 110
"""From this width on the routes table has room for the interval of p95."""
_ALL_OF_EVENTS_FROM = 100


def sections(run: Run, summary: Summary, width: int) -> Iterator[tuple[str, list[str]]]:
    """Title and lines of each section, in order."""
    yield "Routes", _routes(summary, width)
    yield "Pages in the browser", render_pages(summary.pages, width)
    yield "From data to picture, and the application's own measures", render_named(summary.pages, width)
    yield "Marks", _marks([row for row in summary.marks if row.source != TEST], width)
    yield "Tests", _marks([row for row in summary.marks if row.source == TEST], width)
    yield "Service and response time", _both_times(summary.both_times, width)
    yield "Events", _events(summary, width)
    yield "Broadcasts", _broadcasts(summary, width)
    yield "From cause to effect", render_effects(summary, width)
    yield "Sockets", _sockets(summary, width)
    yield "Returns after abnormal ends", render_returns(summary, width)
    yield "Database queries", render_queries(summary.queries, width)
    yield "The load", _load(run, summary, width)
    yield "What nestperf added", _added(run, summary, width)


def _routes(summary: Summary, width: int) -> list[str]:
    if not summary.routes:
        return []
    wide = width >= _INTERVAL_FROM
    titles = ("n", "/min", "refused", "limited", "failed", "aborted", "open", "p50", "p95",
              *(("95 % of p95",) if wide else ()), "p99", "max")  # fmt: skip
    shown = summary.routes[:MOST_ROWS]
    rows = [
        Row(
            label=printable(row.route, _LABEL),
            lead=printable(row.method, 10),
            group=group_of(row),
            cells=_route_cells(row, interval=wide),
        )
        for row in shown
    ]
    lines = render_table(titles, rows, width, give_way=("/min", "open", "aborted", "p99", "p50"))
    if len(summary.routes) > len(shown):
        lines += note(f"{len(summary.routes) - len(shown):,} more routes: see --format json.", width)
    if any(0 < row.latency.n < 100 for row in shown):
        few = any(0 < row.latency.n < MIN_SAMPLES for row in shown)
        lines += note(_FEW if few else "p99 of fewer than 100 samples is their maximum.", width)
    for found in summary.page_routes[:_FINDINGS]:
        sentence = f"N+1: {repeated_route(found)} (nestperf show FILE {found.exchange_id})."
        lines += note(sentence, width)
    return lines


def repeated_route(found: PageRoute) -> str:
    """What a page asks for many times, in words."""
    which = plural(found.targets, "address", "addresses")
    loads = f"; {plural(found.pages, 'load')} of the page did so" if found.pages > 1 else ""
    return (
        f"the page {printable(found.page, 80)} called {printable(f'{found.method} {found.route}', 120)} "
        f"{found.most:,} times within 3 s ({which}), {duration(found.total_ns)} in all{loads}"
    )


_FEW = f"p95 of fewer than {MIN_SAMPLES} samples, and p99 of fewer than 100, is their maximum."


def _route_cells(row: RouteRow, *, interval: bool) -> tuple[str, ...]:
    counts = (row.refused, row.limited, row.failed, row.aborted, row.unfinished)
    times = _times(row.latency, interval=interval)
    return (format_count(row.n), format_rate(row.per_minute), *map(_some, counts), *times)


_GROUPS: dict[str, str] = {
    Kind.CALL: "calls",
    Kind.PAGE: "pages",
    Kind.ASSET: "assets",
    Kind.STREAM: "streams, to their first byte",
    Kind.PREFLIGHT: "preflights",
    Kind.POLL: "polls",
    Kind.UPGRADE: "upgrades",
}


def group_of(row: RouteRow) -> str:
    """What a route's exchanges were for, and who sent them."""
    name = _GROUPS.get(row.kind, printable(row.kind, 20))
    return f"{name} by a server, not a browser" if row.server_call else name


def _times(times: Percentiles, *, interval: bool = False) -> tuple[str, ...]:
    if not times.n:
        return ("",) * (5 if interval else 4)
    bounds = (bounds_of(times),) if interval else ()
    return (
        duration(times.p50_ns),
        duration(times.p95_ns),
        *bounds,
        duration(times.p99_ns),
        duration(times.max_ns),
    )


def bounds_of(times: Percentiles) -> str:
    """The 95 % interval of p95."""
    low = duration(times.p95_low_ns)
    if times.p95_high_ns is None:
        return NOTHING if times.p95_low_ns is None else f"over {low}"
    high = duration(times.p95_high_ns)
    same_unit = low.partition(" ")[2] == high.partition(" ")[2]
    return f"{low.partition(' ')[0] if same_unit else low} … {high}"


def _marks(marks: list[MarkRow], width: int) -> list[str]:
    """What was named while it happened: when it began, and how fast it was answered."""
    if not marks:
        return []
    titles = ("at", "n", "refused", "limited", "failed", "p50", "p95", "p99", "max")
    rows = []
    for row in marks[:MOST_ROWS]:
        at = "" if row.begin_ns is None else duration(row.begin_ns)
        rows.append(Row(label=printable(row.text, _LABEL), cells=(at, *_mark_cells(row))))
        # Tests are many, and what each is made of stands in JSON.
        for route in row.routes[:_MOST_OF_A_MARK] if row.source != TEST and len(row.routes) > 1 else ():
            label = "· " + printable(f"{route.method} {route.route}", _LABEL)
            rows.append(Row(label=label, cells=("", *_mark_cells(route))))
    lines = render_table(titles, rows, width, give_way=("p99", "p50", "limited", "refused"))
    if len(marks) > MOST_ROWS:
        lines += note(f"{len(marks) - MOST_ROWS:,} more: see --format json.", width)
    return lines


def _mark_cells(row: MarkRow | RouteRow) -> tuple[str, ...]:
    return (format_count(row.n), *map(_some, (row.refused, row.limited, row.failed)), *_times(row.latency))


def _both_times(both: tuple[BothTimes, ...], width: int) -> list[str]:
    if not both:
        return []
    rows = [
        Row(label=f"{kind}, {what}", cells=(format_count(times.n), *_times(times)))
        for kind, service, response in both
        if response.n
        for what, times in (("service time", service), ("response time", response))
    ]
    if not rows:
        return []
    lines = render_table(("n", "p50", "p95", "p99", "max"), rows, width)
    return lines + note(
        "Service time begins when a request was sent or a session began, response time when it was due.", width
    )


def _events(summary: Summary, width: int) -> list[str]:
    if not summary.events:
        return []
    wide = width >= _ALL_OF_EVENTS_FROM
    titles = tuple(_EVENT_TITLES) if wide else tuple(title for title in _EVENT_TITLES if _EVENT_TITLES[title])
    shown = summary.events[:MOST_ROWS]
    rows = [
        Row(
            label=printable(row.event, _LABEL),
            lead="server ›" if row.sender == "server" else "› server",
            group=f"namespace {printable(row.namespace, 60)}",
            cells=_event_cells(row, wide=wide),
        )
        for row in sorted(shown, key=lambda row: row.namespace)
    ]
    lines = render_table(titles, rows, width, give_way=("/min", "max", "p95"))
    if len(summary.events) > len(shown):
        lines += note(f"{len(summary.events) - len(shown):,} more events: see --format json.", width)
    return lines


_EVENT_TITLES = {"n": True, "/min": True, "sockets": False, "acks": True, "no ack": True,
                 "ack p50": True, "p95": True, "p99": False, "max": True}  # fmt: skip
"""The columns of events, and whether a narrow terminal has them too."""


def _event_cells(row: EventRow, *, wide: bool) -> tuple[str, ...]:
    acks = (_some(row.acks_asked), _some(row.acks_missing), *_times(row.ack_latency))
    cells = (format_count(row.n), format_rate(row.per_minute), format_count(row.sockets), *acks)
    return tuple(cell for cell, kept in zip(cells, _EVENT_TITLES.values(), strict=True) if wide or kept)


def _broadcasts(summary: Summary, width: int) -> list[str]:
    if not summary.broadcasts:
        return []
    rows = [
        Row(
            label=printable(row.event, _LABEL),
            group=f"namespace {printable(row.namespace, 60)}",
            cells=_broadcast_cells(row),
        )
        for row in summary.broadcasts[:MOST_ROWS]
    ]
    lines = render_table(("n", "receivers", "reach", "skew p50", "p95", "max"), rows, width)
    remark = "Reach: of the sockets then in the namespace. Skew: from the first receiver to the last."
    return lines + note(remark, width)


def _broadcast_cells(row: BroadcastRow) -> tuple[str, ...]:
    receivers = _span(row.fewest_receivers, row.most_receivers)
    skew = (row.skew.p50_ns, row.skew.p95_ns, row.skew.max_ns)
    return (format_count(row.n), receivers, format_share(row.received / row.expected), *map(duration, skew))


def _sockets(summary: Summary, width: int) -> list[str]:
    if not summary.sockets:
        return []
    titles = ("opened", "connected", "failed", "by client", "by server", "cut", "open", "connect p50", "max")
    rows = [
        Row(
            label=f"{printable(row.protocol, 20)} {printable(row.path, _LABEL)}",
            cells=_socket_cells(row),
        )
        for row in summary.sockets[:MOST_ROWS]
    ]
    return render_table(titles, rows, width, give_way=("max", "open", "connected", "connect p50"))


def _socket_cells(row: SocketRow) -> tuple[str, ...]:
    ends = (row.failed, row.closed_by_client, row.closed_by_server, row.cut, row.still_open)
    connect = (row.connect.p50_ns, row.connect.max_ns)
    return (format_count(row.opened), format_count(row.connected), *map(_some, ends), *map(duration, connect))


def _load(run: Run, summary: Summary, width: int) -> list[str]:
    return facts(load_facts(run, summary), width)


def load_facts(run: Run, summary: Summary) -> list[tuple[str, str]]:
    """Was it the load it promised? Of replays: what the replayer certified, and what its rows say."""
    if run.purpose in ("record", "import", "browse", "measure"):
        return []
    pairs: list[tuple[str, str]] = [
        ("lasted", duration(summary.span_ns)),
        ("sessions", format_count(summary.sessions)),
        ("most users at once", format_count(summary.users_at_once)),
    ]
    if summary.session_time.n and not summary.both_times:
        pairs.append(("session time", _p50_p99_max(summary.session_time)))
    if summary.send_lag.n:
        pairs.append(("send lag", _p50_p99_max(summary.send_lag)))
    pairs += _certified(run.certificate)
    if run.purpose == "replay" and isinstance(never := run.certificate.get("never_asked"), int):
        routes = ", ".join(map(str, run.certificate.get("never_asked_first", ())))
        pairs.append(
            ("never asked", f"{never:,} of {run.certificate.get('routes')} routes: {printable(routes, _LABEL)}")
        )
    if summary.left_out:
        pairs.append(("not judged", f"{summary.left_out:,} exchanges of ramp and warm-up; --judge-all counts them"))
    return pairs


def _certified(certificate: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What only the replayer can know; send lags, users and times the rows themselves say."""
    steps = [f"{certificate[key]:,} {key.replace('_', ' ')}" for key in _STEPS if isinstance(certificate.get(key), int)]
    if steps:
        yield "steps", ", ".join(steps)
    for noun in ("requests", "sessions"):
        if isinstance(asked := certificate.get(f"{noun}_per_minute_asked"), int | float):
            yield "asked for", f"{format_rate(asked)} {noun} a minute"
        if isinstance(reached := certificate.get(f"{noun}_per_minute_reached"), int | float):
            yield "reached", f"{format_rate(reached)} {noun} a minute"
    if isinstance(sent := certificate.get("requests_per_minute"), int | float):
        yield "requests", f"{format_rate(sent)} a minute over the whole run"
    if isinstance(visits := certificate.get("visits"), dict) and visits:
        yield "visits", printable(", ".join(f"{count} {state}" for state, count in visits.items()), _LABEL)
    if isinstance(share := certificate.get("cpu_share"), int | float):
        busiest = certificate.get("cpu_share_busiest")
        peak = f", {busiest:.0%} in the busiest 5 s" if isinstance(busiest, int | float) else ""
        yield "generator's CPU", f"{share:.0%} of a core{peak}"
    if isinstance(lag := certificate.get("loop_lag_p99_ns"), int):
        yield "loop lag", f"p99 {duration(lag)}, max {duration(certificate.get('loop_lag_max_ns'))}"
    if isinstance(limit := certificate.get("limit"), str):
        yield "limit", limit
    if isinstance(given_up := certificate.get("given_up"), str):
        yield "given up", printable(given_up, _LABEL)
    if addresses := certificate.get("source_addresses"):
        yield "sent from", printable(str(addresses), _LABEL)


_STEPS = ("planned", "sent", "dropped", "not_reached")


def _added(run: Run, summary: Summary, width: int) -> list[str]:
    return facts(added_facts(run, summary), width)


def added_facts(run: Run, summary: Summary) -> list[tuple[str, str]]:
    """Of recordings: how much later everything was because of the recorder."""
    relay = run.relay
    added = [(name, relay.get(f"added_{name}_ns")) for name in ("p50", "p99")]
    said = [f"{name} {duration(ns)}" for name, ns in added if isinstance(ns, int | float)]
    pairs: list[tuple[str, str]] = []
    if said:
        pairs.append(("to an exchange", ", ".join(said)))
    elif summary.added.n:
        pairs.append(("to an exchange", _p50_p99_max(summary.added)))
    if isinstance(lag_ns := relay.get("loop_lag_p99_ns"), int | float):
        pairs.append(("event loop late", f"p99 {duration(lag_ns)}"))
    return pairs


def _p50_p99_max(times: Percentiles) -> str:
    return f"p50 {duration(times.p50_ns)}, p99 {duration(times.p99_ns)}, max {duration(times.max_ns)}"


def _span(fewest: int, most: int) -> str:
    return f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"


def _some(count: int) -> str:
    """A count that is worth a column only where it is not 0."""
    return f"{count:,}" if count else ""
