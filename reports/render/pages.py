"""The sections of watched pages. Every captured string passes `printable`; nothing is measured here."""

from __future__ import annotations

from nestperf.console import duration, plural, size
from nestperf.network.profiles import PROFILES
from nestperf.printable import printable
from reports.expressions import SCORE
from reports.networks import PROMISE_NS, Opened
from reports.page_waterfalls import BROWSER, PageWaterfall, Part
from reports.pages import VITALS, NamedRow, PageFacts, PageRow, Rated
from reports.render.table import Row, note, render_table
from reports.render.units import format_count, format_score

_MOST = 40
PAGE_TITLES = ("n", "load", "max", "FCP", "LCP", "CLS", "INP", "not good", "errors", "unloaded", "failed")
SLOWEST = 3
"""Loads of which it is told what they waited for."""
_LABEL = 200
_NAMES = {"fcp": "FCP", "lcp": "LCP", "cls": "CLS", "inp": "INP"}


def render_pages(facts: PageFacts | None, width: int) -> list[str]:
    """Loads and navigations by route, and what the slowest of them waited for."""
    if facts is None:
        return []
    shown = facts.pages[:_MOST]
    rows = [
        Row(label=printable(row.route, _LABEL), group=group_of(row), cells=page_cells(row), lead=row.rating)
        for row in shown
    ]
    lines = render_table(PAGE_TITLES, rows, width, give_way=("max", "errors", "unloaded", "FCP", "INP"))
    if len(facts.pages) > len(shown):
        lines += note(f"{len(facts.pages) - len(shown):,} more: see --format json.", width)
    lines += note(f"75th percentiles. Good up to, poor above: {limits_sentence()} (web.dev/articles/vitals).", width)
    if hidden := sum(row.hidden for row in facts.pages):
        lines += note(f"{plural(hidden, 'page')} in the background, which no time tells of, left out.", width)
    for opened in facts.impossible:
        lines += note(impossible_sentence(opened), width)
    for page in facts.slowest[:SLOWEST]:
        lines += note(slowest_sentence(page), width)
    return lines


def impossible_sentence(opened: Opened) -> str:
    """That no server could keep the promise over that network, because one answer alone takes longer."""
    worst, network = opened.too_large[0], PROFILES[opened.profile].name
    return (
        f"Over {network} {duration(PROMISE_NS, 1)} is impossible for {printable(opened.route, _LABEL)}: its "
        f"{printable(worst.name, _LABEL)} alone ({size(worst.size)}) takes {duration(worst.least_ns)}."
    )


def render_named(facts: PageFacts | None, width: int) -> list[str]:
    """Render times by rule, measures by name."""
    if facts is None or not facts.named:
        return []
    shown = facts.named[:_MOST]
    rows = [Row(label=printable(row.name, _LABEL), group=f"{row.kind}s", cells=named_cells(row)) for row in shown]
    lines = render_table(("n", "p50", "p95", "max", "things", "no end"), rows, width, give_way=("things", "no end"))
    if len(facts.named) > len(shown):
        lines += note(f"{len(facts.named) - len(shown):,} more: see --format json.", width)
    for row in shown:
        if reasons := [f"{printable(detail, 80)} ({count:,})" for detail, count in row.reasons if detail]:
            lines += note(f"{printable(row.name, 60)}, without an end: {', '.join(reasons)}.", width)
    remark = "Renders: from the end of the answer to the frame after which the element that shows it changed no more."
    return lines + (note(remark, width) if any(row.kind == "render" for row in shown) else [])


def group_of(row: PageRow) -> str:
    """What kind of page, over which network, with which cache."""
    kind = "loads" if row.kind == "load" else "navigations within a page"
    over = f" over {printable(row.profile, 40)}" if row.profile else ""
    return f"{kind}{over}{f', {row.cache} cache' if row.cache else ''}"


def page_cells(row: PageRow) -> tuple[str, ...]:
    """The cells of a page's row."""
    vitals = {name: getattr(row, name) for name in VITALS}
    bad = [f"{_NAMES[name]} {one.rating}" for name, one in vitals.items() if one.rating in ("fair", "poor")]
    return (
        format_count(row.n),
        duration(row.load_p75_ns) if row.load_p75_ns is not None else "",
        duration(row.load_max_ns) if row.load_max_ns is not None else "",
        *(vital_text(name, one) for name, one in vitals.items()),
        ", ".join(bad),
        *(format_count(count) if count else "" for count in (row.errors, row.unloaded, row.failed)),
    )


def vital_text(name: str, rated: Rated) -> str:
    """One of the vitals."""
    if rated.p75 is None:
        return ""
    return format_score(rated.p75) if name == "cls" else duration(rated.p75)


def named_cells(row: NamedRow) -> tuple[str, ...]:
    """The cells of a render's or measure's row."""
    times = (row.p50_ns, row.p95_ns, row.max_ns)
    things = "" if row.most is None else f"{row.most:,}" if row.fewest == row.most else f"{row.fewest:,} … {row.most:,}"
    return (
        format_count(row.n),
        *(duration(ns) if ns is not None else "" for ns in times),
        things,
        format_count(row.restless) if row.restless else "",
    )


def limits_sentence() -> str:
    """The limits of the vitals."""
    said = []
    for name, (good, poor) in VITALS.items():
        texts = (f"{good / SCORE:g}", f"{poor / SCORE:g}") if name == "cls" else (duration(good), duration(poor))
        said.append(f"{_NAMES[name]} {texts[0]}, {texts[1]}")
    return "; ".join(said)


def slowest_sentence(page: PageWaterfall) -> str:
    """What the slowest load of a route waited for."""
    what = "The slowest load of" if page.kind == "load" else "The slowest navigation to"
    over = f" over {printable(page.profile, 40)}" if page.profile else ""
    head = f"{what} {printable(page.route, 80)}{over} took {duration(page.load_ns)}"
    if not page.parts:
        return f"{head}."
    parts = ", then ".join(map(part_text, page.parts))
    refs = [part for part in page.parts if part.exchange_id is not None]
    longest = max(refs, key=lambda part: part.length_ns, default=None)
    show = f" (nestperf show FILE {longest.exchange_id})" if longest is not None else ""
    return f"{head} and waited for {parts}{show}."


def part_text(part: Part) -> str:
    """One stretch of a load."""
    what = BROWSER if part.what == BROWSER else printable(part.what.partition("?")[0], 80)
    return f"{what} {duration(part.length_ns)}"
