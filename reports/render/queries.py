"""The section of the database's queries. Every captured string passes `printable`; nothing is measured here."""

from __future__ import annotations

from nestperf.console import duration, plural
from nestperf.printable import clip, printable
from reports.queries import HeldOpen, QueryFacts
from reports.render.outlines import outline
from reports.render.table import Row, note, render_table
from reports.render.units import format_count, format_share

_MOST = 15
_FINDINGS = 5
_LABEL = 200
_SENTENCE = 120


def _short(statement: str, width: int = _SENTENCE) -> str:
    return clip(printable(outline(statement)), width)


def _held_open(held: HeldOpen) -> str:
    meanwhile = ""
    if held.answered_id is not None:
        meanwhile = f", across its user's think time (exchange {held.answered_id} was answered meanwhile)"
    return (
        f"A transaction stayed open for {duration(held.idle_ns)} without a query{meanwhile}, after: "
        f"{_short(held.after)}."
    )


def render_queries(facts: QueryFacts | None, width: int) -> list[str]:
    """The lines: statements by the time they took in all, then findings."""
    if facts is None:
        return []
    shown = facts.statements[:_MOST]
    rows = [
        Row(
            label=_short(row.statement, _LABEL) or "(a statement that was not seen being parsed)",
            cells=(
                format_count(row.n),
                duration(row.p50_ns),
                duration(row.p95_ns),
                duration(row.max_ns),
                format_count(row.rows),
                format_count(row.errors) if row.errors else "",
                duration(row.total_ns),
                format_share(row.share),
            ),
        )
        for row in shown
    ]
    titles = ("n", "p50", "p95", "max", "rows", "errors", "total", "share")
    lines = render_table(titles, rows, width, give_way=("rows", "p50", "total", "errors"), cut=clip)
    if len(facts.statements) > len(shown):
        lines += note(f"{len(facts.statements) - len(shown):,} more statements: see --format json.", width)
    for found in facts.repeated[:_FINDINGS]:
        where = printable(f"{found.method} {found.route}", 80)
        lines += note(
            f"N+1: {where} asked {found.most:,} times for one statement, {duration(found.total_ns)} in "
            f"{plural(found.exchanges, 'exchange')}: {_short(found.statement)} "
            f"(nestperf show FILE {found.exchange_id}).",
            width,
        )
    for asked in facts.repeated_by_pages[:_FINDINGS]:
        lines += note(
            f"N+1: the page {printable(asked.page, 80)} asked {asked.most:,} times for one statement, in "
            f"{plural(asked.exchanges, 'exchange')}, {duration(asked.total_ns)} in all: "
            f"{_short(asked.statement)} (nestperf show FILE {asked.page_id}).",
            width,
        )
    for held in facts.held_open[:_FINDINGS]:
        lines += note(_held_open(held), width)
    links = facts.links
    if links.total > links.background:
        lines += note(
            f"{format_share(links.linked / links.total)} of {plural(links.total, 'query', 'queries')} could be linked "
            f"to the one exchange that asked; {links.ambiguous:,} fit several, {links.background:,} fit none.",
            width,
        )
    return lines
