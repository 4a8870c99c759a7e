"""The database's part of the page: statements by the time they took, and what looks wrong."""

from __future__ import annotations

from collections.abc import Iterator

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
    found = list(_findings(facts, capture_path))
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


def _findings(facts: QueryFacts, capture_path: str) -> Iterator[Markup]:
    """What looks wrong, each with its statement and the command that shows it."""

    def finding(what: str, said: str, statement: str, ref: str) -> Markup:
        sql = element("code", shown(statement, 160), class_="sql")
        show = command(f"nestperf show {shown(capture_path, 200)} {ref}")
        return element("li", element("b", what), f" {said} ", sql, " ", show)

    for item in facts.repeated[:FINDINGS]:
        said = (
            f"{shown(f'{item.method} {item.route}', 100)} asked {item.most:,} times for one statement, "
            f"{duration(item.total_ns)} in {plural(item.exchanges, 'exchange')}:"
        )
        yield finding("N+1", said, item.statement, str(item.exchange_id))
    for asked in facts.repeated_by_pages[:FINDINGS]:
        said = (
            f"the page {shown(asked.page, 100)} asked {asked.most:,} times for one statement, in "
            f"{plural(asked.exchanges, 'exchange')}, {duration(asked.total_ns)} in all:"
        )
        yield finding("N+1", said, asked.statement, str(asked.page_id))
    for held in facts.held_open[:FINDINGS]:
        across = "" if held.answered_id is None else ", across think time"
        yield finding(
            "idle in transaction", f"for {duration(held.idle_ns)}{across}, after", held.after, f"query:{held.query_id}"
        )


def _bar(share: float) -> Markup:
    return element("span", element("span", style=f"width:{100 * share:.1f}%"), class_="bar", aria_hidden="true")
