"""Tables of what followed what: events at others after what one did, returns after abnormal ends."""

from __future__ import annotations

from markupsafe import Markup

from reports.render.followed import missed_sentence
from reports.render.html.markup import element, joined, shown
from reports.render.html.tables import Cell, Column, count, table, took
from reports.render.units import format_share
from reports.summary import Summary

_MISSED = 20


def effects(summary: Summary) -> Markup | None:
    """Causes, and their events at others."""
    if not summary.effects:
        return None
    titles = ("n", "followed", "before the answer", "reach", "delivery p50", "p95", "slowest", "skew p50", "max")
    columns = (Column("cause", number=False), Column("event", number=False), *map(Column, titles))
    rows = [
        [
            Cell(shown(row.cause, 120)),
            Cell(joined((element("b", shown(row.event, 120)), " ", shown(row.namespace, 60)))),
            count(row.causes),
            count(row.followed),
            count(row.before_answer),
            Cell(format_share(row.received / row.expected), row.received / row.expected),
            *map(took, (row.delivery.p50_ns, row.delivery.p95_ns, row.delivery.max_ns, row.skew.p50_ns)),
            took(row.skew.max_ns),
        ]
        for row in summary.effects
    ]
    return table("effect-rows", columns, rows)


def returns(summary: Summary) -> Markup | None:
    """Connections that ended abnormally, and who came back."""
    if not summary.returns:
        return None
    titles = ("ended", "by nestperf", "back", "tried p50", "back p50", "slowest", "subscribed p50", "slowest")
    rows = [
        [
            Cell(joined((element("b", shown(row.protocol, 20)), " ", shown(row.path, 120)))),
            count(row.ends),
            count(row.by_nestperf),
            count(row.back),
            *map(took, (row.tried.p50_ns, row.back_after.p50_ns, row.back_after.max_ns)),
            *map(took, (row.subscribed_after.p50_ns, row.subscribed_after.max_ns)),
        ]
        for row in summary.returns
    ]
    found = [element("li", shown(missed_sentence(one), 300)) for one in summary.missed[:_MISSED]]
    columns = (Column("socket", number=False), *map(Column, titles))
    return joined((table("return-rows", columns, rows), element("ul", found) if found else ""))
