"""What followed what: events at others after what one did, and returns after connections that ended abnormally."""

from __future__ import annotations

from nestperf.console import duration
from nestperf.printable import printable
from reports.render.table import Row, note, render_table
from reports.render.units import format_count, format_share
from reports.socket_rows import EffectRow, Missed, ReturnRow
from reports.summary import Summary

MOST = 20
_LABEL = 200


def render_effects(summary: Summary, width: int) -> list[str]:
    """The table of causes and effects; nothing where there are none."""
    if not summary.effects:
        return []
    rows = [
        Row(
            label=printable(row.event, _LABEL),
            group=printable(row.cause, 100),
            cells=_effect_cells(row),
        )
        for row in sorted(summary.effects, key=lambda row: row.cause)[:MOST]
    ]
    titles = ("n", "followed", "before answer", "reach", "delivery p50", "p95", "slowest", "skew p50", "max")
    lines = render_table(titles, rows, width, give_way=("p95", "skew p50", "before answer", "n"))
    remark = (
        "Delivery: from the cause's first byte to the event's last at each of the others, on one clock. Learnt from "
        "what followed what; `nestperf check` makes it a promise."
    )
    return lines + note(remark, width)


def _effect_cells(row: EffectRow) -> tuple[str, ...]:
    early = "" if row.before_answer is None else format_count(row.before_answer)
    times = (row.delivery.p50_ns, row.delivery.p95_ns, row.delivery.max_ns, row.skew.p50_ns, row.skew.max_ns)
    reach = format_share(row.received / row.expected)
    return (format_count(row.causes), format_count(row.followed), early, reach, *map(duration, times))


def render_returns(summary: Summary, width: int) -> list[str]:
    """The table of returns, and who is missing; nothing where no connection ended abnormally."""
    if not summary.returns:
        return []
    rows = [
        Row(label=f"{printable(row.protocol, 20)} {printable(row.path, _LABEL)}", cells=_return_cells(row))
        for row in summary.returns[:MOST]
    ]
    titles = ("ended", "by nestperf", "back", "tried p50", "back p50", "slowest", "subscribed p50", "slowest")
    lines = render_table(titles, rows, width, give_way=("tried p50", "subscribed p50"))
    shown = [line for missed in summary.missed[:MOST] for line in note(missed_sentence(missed), width)]
    more = len(summary.missed) - MOST
    left = note(f"and {more:,} more clients that did not come back: see --format json.", width) if more > 0 else []
    return lines + shown + left


def _return_cells(row: ReturnRow) -> tuple[str, ...]:
    times = (row.tried.p50_ns, row.back_after.p50_ns, row.back_after.max_ns)
    subscribed = (row.subscribed_after.p50_ns, row.subscribed_after.max_ns)
    told = (duration(ns) if ns is not None else "" for ns in (*times, *subscribed))
    ours = format_count(row.by_nestperf) if row.by_nestperf else ""
    return (format_count(row.ends), ours, format_count(row.back), *told)


def missed_sentence(missed: Missed) -> str:
    """A finding: somebody was cut off and is not back."""
    by = " by nestperf" if missed.by_nestperf else ""
    how = f"was cut{by}" if missed.how == "cut" else f"was closed with {missed.how}"
    then = (
        "its client connected again and did not get into all namespaces that it had been in"
        if missed.tried
        else "its client did not come back"
    )
    return (
        f"socket {missed.socket} ({printable(missed.path, 60)}) {how} after {duration(missed.closed_ns)}, and {then}: "
        f"`nestperf show FILE socket:{missed.socket}`."
    )
