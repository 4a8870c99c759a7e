"""The database's part of the page: statements by the time they took, and what looks wrong."""

from __future__ import annotations

from markupsafe import Markup

from nestperf.console import duration, plural
from reports.queries import QueryFacts
from reports.render.html.markup import element, joined, shown
from reports.render.html.tables import Cell, Column, command, count, table, took
from reports.render.units import format_share

MOST_STATEMENTS = 100
FINDINGS = 12


def statements(facts: QueryFacts | None, capture_path: str) -> Markup | None:
    """SQL by the time it took in all, and what looks wrong."""
    if facts is None:
        return None
    titles = ("n", "p50", "p95", "max", "rows", "errors", "total", "share")
    rows = [
        [
            Cell(element("code", shown(row.statement or "(not seen being parsed)", 240), class_="sql")),
            count(row.n),
            *map(took, (row.p50_ns, row.p95_ns, row.max_ns)),
            count(row.rows),
            count(row.errors, "bad"),
            took(row.total_ns),
            Cell(joined((_bar(row.share), format_share(row.share, 2))), row.share),
        ]
        for row in facts.statements[:MOST_STATEMENTS]
    ]
    found = [
        element(
            "li",
            element("b", "N+1 "),
            f"{shown(f'{item.method} {item.route}', 100)} asked {item.most:,} times for one statement, "
            f"{duration(item.total_ns)} in {plural(item.exchanges, 'exchange')}: ",
            element("code", shown(item.statement, 160), class_="sql"),
            " ",
            command(f"nestperf show {shown(capture_path, 200)} {item.exchange_id}"),
        )
        for item in facts.repeated[:FINDINGS]
    ]
    found += [
        element(
            "li",
            element("b", "N+1 "),
            f"the page {shown(item.page, 100)} asked {item.most:,} times for one statement, in "
            f"{plural(item.exchanges, 'exchange')}, {duration(item.total_ns)} in all: ",
            element("code", shown(item.statement, 160), class_="sql"),
            " ",
            command(f"nestperf show {shown(capture_path, 200)} {item.page_id}"),
        )
        for item in facts.repeated_by_pages[:FINDINGS]
    ]
    found += [
        element(
            "li",
            element("b", "idle in transaction "),
            f"for {duration(item.idle_ns)}{'' if item.answered_id is None else ', across think time'}, after ",
            element("code", shown(item.after, 160), class_="sql"),
            " ",
            command(f"nestperf show {shown(capture_path, 200)} query:{item.query_id}"),
        )
        for item in facts.held_open[:FINDINGS]
    ]
    links, more = facts.links, len(facts.statements) - MOST_STATEMENTS
    sure = format_share(links.linked / max(links.total, 1))
    linked = (
        f"{sure} of {plural(links.total, 'query', 'queries')} could be linked to "
        f"the one exchange that asked; {links.ambiguous:,} fit several, {links.background:,} fit none."
    )
    return joined(
        (
            element("ul", found, class_="findings") if found else None,
            table(
                "statements",
                (Column("statement", number=False), *map(Column, titles)),
                rows,
                search="Search statements",
            ),
            element("p", linked, class_="note") if links.total > links.background else None,
            element("p", f"{more:,} more statements: nestperf report --format json.", class_="note")
            if more > 0
            else None,
        )
    )


def _bar(share: float) -> Markup:
    return element("span", element("span", style=f"width:{100 * share:.1f}%"), class_="bar", aria_hidden="true")
