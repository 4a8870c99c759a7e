"""Watched pages: how long they took, and what of them showed data. Measures, never judges.

Durations are nanoseconds. The ratings are those of https://web.dev/articles/vitals, taken at the 75th percentile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from nestperf.capture import model
from nestperf.capture.model import FAILED
from nestperf.capture.reader import Capture
from nestperf.pages.rules import rules_of
from nestperf.percentiles import nearest_rank
from reports.expressions import SCORE
from reports.networks import Opened, read_opened
from reports.page_waterfalls import PageWaterfall, waterfall_of

_P75 = Fraction(3, 4)
_MOST_REASONS = 5
_S, _MS = 1_000_000_000, 1_000_000
VITALS = {"fcp": (1_800 * _MS, 3 * _S), "lcp": (2_500 * _MS, 4 * _S), "cls": (SCORE // 10, SCORE // 4),
          "inp": (200 * _MS, 500 * _MS)}  # fmt: skip
"""Good up to the first, poor above the second: https://web.dev/articles/fcp, lcp, cls, inp."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """The watched pages of one capture."""

    rows: tuple[model.Page, ...] = ()
    timings: tuple[model.Timing, ...] = ()
    """Renders and measures of the application."""
    failed: frozenset[int] = frozenset()
    """Pages whose document did not come as it should."""
    at_least: tuple[tuple[str, int], ...] = ()
    """How many things a picture must show to count, by the name of its rule."""

    def __len__(self) -> int:
        return len(self.rows)


class PageTimes(NamedTuple):
    """Durations or scores of selected pages."""

    ordered: tuple[int, ...]
    """In order of time."""
    failed: int


class Rated(NamedTuple):
    """One of the vitals over some loads."""

    n: int
    p75: int | None
    """Nanoseconds; of CLS billionths."""
    rating: str
    """`good`, `fair`, `poor`; empty where there is none."""


class PageRow(NamedTuple):
    """All loads of a route, or all navigations to it within a page."""

    kind: str
    route: str
    profile: str
    cache: str
    n: int
    unloaded: int
    """Of `n`, left or closed before they were loaded."""
    failed: int
    hidden: int
    """In the background, and so in no number."""
    errors: int
    load_p50_ns: int | None
    load_p75_ns: int | None
    load_max_ns: int | None
    fcp: Rated
    lcp: Rated
    cls: Rated
    inp: Rated
    rating: str
    """The worst of the four."""


class NamedRow(NamedTuple):
    """All renders of a rule, or all measures of a name."""

    kind: str
    name: str
    n: int
    p50_ns: int | None
    p95_ns: int | None
    max_ns: int | None
    fewest: int | None
    """Things that were shown."""
    most: int | None
    restless: int
    """Renders that had no end."""
    reasons: tuple[tuple[str, int], ...] = ()
    """Why, and how many; the most frequent first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFacts:
    """What a report shows of watched pages."""

    pages: tuple[PageRow, ...]
    named: tuple[NamedRow, ...]
    impossible: tuple[Opened, ...]
    """Those that no server could bring within 2 s, over the network that they were opened over."""
    slowest: tuple[PageWaterfall, ...]
    """One of each row that has a load, the slowest first."""


def read_pages(capture: Capture) -> Pages:
    """Read the watched pages of a capture."""
    rows = tuple(sorted(capture.pages(), key=lambda page: page.started_ns))
    if not rows:
        return Pages()
    documents = {page.exchange_id: page.id for page in rows if page.exchange_id is not None}
    outcomes = capture.columns(model.Exchange, "id", "outcome")
    return Pages(
        rows=rows,
        timings=tuple(timing for timing in capture.timings() if timing.kind in ("render", "measure")),
        failed=frozenset(
            documents[number] for number, outcome in outcomes if number in documents and outcome in FAILED
        ),
        at_least=tuple((rule.name, rule.at_least) for rule in rules_of(capture.run.settings)),
    )


def page_times(pages: Pages, chosen: Callable[[model.Page], bool], quantity: str) -> PageTimes:
    """`load`, `navigation`, `fcp`, `lcp`, `cls` or `inp` of the chosen pages."""
    kind = _kind_of(quantity)
    picked = [page for page in pages.rows if chosen(page) and not page.hidden and kind in (None, page.kind)]
    found = [value for page in picked if page.id not in pages.failed and (value := _value(page, quantity)) is not None]
    timed = quantity in ("load", "fcp", "lcp")
    return PageTimes(tuple(found), sum(page.id in pages.failed for page in picked) if timed else 0)


def named_times(
    pages: Pages, chosen: Callable[[model.Page], bool], kind: str, matches: Callable[[str], bool]
) -> PageTimes:
    """Durations of the renders or measures whose name matches, on the chosen pages."""
    shown = {page.id for page in pages.rows if chosen(page) and not page.hidden}
    least = dict(pages.at_least)
    return PageTimes(
        tuple(
            timing.duration_ns
            for timing in pages.timings
            if timing.kind == kind and timing.page_id in shown and matches(timing.name)
            if timing.duration_ns is not None and (timing.items or 0) >= least.get(timing.name, 0)
        ),
        0,
    )


class Slow(NamedTuple):
    """One of the pages, or pictures, that took longest."""

    page: model.Page
    exchange_id: int | None
    """Its document, the call whose data it shows, or what a navigation waited for longest."""
    name: str
    """Of a render or measure, empty for a page's own times."""
    value: int | None
    """Nanoseconds, of CLS billionths; None where it failed."""
    started_ns: int


def slowest_of(
    pages: Pages,
    chosen: Callable[[model.Page], bool],
    quantity: str,
    matches: Callable[[str], bool] | None,
    most: int,
) -> list[Slow]:
    """Those that took longest of what a promise is judged on, failed ones first."""
    by_id = {page.id: page for page in pages.rows if chosen(page) and not page.hidden}
    if matches is not None:
        least = dict(pages.at_least)
        found = [
            Slow(by_id[timing.page_id], timing.exchange_id, timing.name, timing.duration_ns, timing.started_ns)
            for timing in pages.timings
            if timing.kind == quantity and timing.page_id in by_id and matches(timing.name)
            if timing.duration_ns is not None and (timing.items or 0) >= least.get(timing.name, 0)
        ]
    else:
        kind = _kind_of(quantity)
        found = [
            Slow(
                page, page.exchange_id, "", None if page.id in pages.failed else _value(page, quantity), page.started_ns
            )
            for page in by_id.values()
            if kind in (None, page.kind)
        ]
        found = [one for one in found if one.value is not None or one.page.id in pages.failed]
    return sorted(found, key=lambda one: (one.value is not None, -(one.value or 0)))[:most]


def _kind_of(quantity: str) -> str | None:
    """What kind of page has such a time; None: any."""
    return "navigation" if quantity == "navigation" else "load" if quantity in ("load", "fcp", "lcp") else None


def _value(page: model.Page, quantity: str) -> int | None:
    match quantity:
        case "cls":
            loaded = page.load_ns is not None
            return round(page.cls * SCORE) if page.cls is not None and loaded else None
        case "inp":
            return page.inp_ns
        case "fcp":
            end = page.fcp_ns
        case "lcp":
            end = page.lcp_ns if page.load_ns is not None else None
        case _:
            end = page.load_ns
    return end - page.started_ns if end is not None else None


def summarize_pages(capture: Capture, pages: Pages) -> PageFacts | None:
    """The facts of a capture's watched pages; None where it has none."""
    if not pages:
        return None
    groups = _grouped(pages.rows)
    slowest = [page for group in groups.values() if (page := _slowest(group, pages)) is not None]
    slowest.sort(key=lambda page: page.started_ns - (page.load_ns or 0))
    return PageFacts(
        pages=tuple(sorted((_row(group, pages) for group in groups.values()), key=_order)),
        named=tuple(_named(pages)),
        impossible=tuple(opened for opened in read_opened(capture) if opened.too_large),
        slowest=tuple(waterfall_of(capture, page) for page in slowest),
    )


def _grouped(rows: Iterable[model.Page]) -> dict[tuple[str, str, str, str], list[model.Page]]:
    groups: dict[tuple[str, str, str, str], list[model.Page]] = {}
    for page in rows:
        groups.setdefault((page.kind, page.route, page.profile, page.cache or ""), []).append(page)
    return groups


def _order(row: PageRow) -> tuple[bool, str, str, int, str]:
    return (row.kind != "load", row.profile, row.cache, -(row.load_p75_ns or 0), row.route)


def _row(group: list[model.Page], pages: Pages) -> PageRow:
    first = group[0]
    shown = [page for page in group if not page.hidden]
    sound = [page for page in shown if page.id not in pages.failed]
    loads = sorted(page.load_ns - page.started_ns for page in sound if page.load_ns is not None)
    rated = {name: _rated(sound, name) for name in VITALS}
    ratings = [one.rating for one in rated.values() if one.rating]
    return PageRow(
        kind=first.kind,
        route=first.route,
        profile=first.profile,
        cache=first.cache or "",
        n=len(group),
        unloaded=sum(page.load_ns is None and page.ended_ns is not None for page in sound),
        failed=len(shown) - len(sound),
        hidden=len(group) - len(shown),
        errors=sum(page.errors for page in group),
        load_p50_ns=nearest_rank(loads, Fraction(1, 2)) if loads else None,
        load_p75_ns=nearest_rank(loads, _P75) if loads else None,
        load_max_ns=loads[-1] if loads else None,
        **rated,
        rating=max(ratings, key=_RATINGS.index, default=""),
    )


_RATINGS = ("good", "fair", "poor")


def _rated(group: list[model.Page], name: str) -> Rated:
    values = sorted(value for page in group if (value := _value(page, name)) is not None)
    if not values:
        return Rated(0, None, "")
    value = nearest_rank(values, _P75)
    good, poor = VITALS[name]
    return Rated(len(values), value, "good" if value <= good else "fair" if value <= poor else "poor")


def _named(pages: Pages) -> Iterator[NamedRow]:
    """Renders and measures by name, in the order in which they were first seen; measures that lasted."""
    hidden = {page.id for page in pages.rows if page.hidden}
    groups: dict[tuple[str, str], list[model.Timing]] = {}
    for timing in pages.timings:
        if timing.page_id not in hidden:
            groups.setdefault((timing.kind, timing.name), []).append(timing)
    for (kind, name), timings in sorted(groups.items(), key=lambda item: item[0][0] != "render"):
        times = sorted(timing.duration_ns for timing in timings if timing.duration_ns is not None)
        items = [timing.items for timing in timings if timing.items is not None]
        yield NamedRow(
            kind=kind,
            name=name,
            n=len(times),
            p50_ns=nearest_rank(times, Fraction(1, 2)) if times else None,
            p95_ns=nearest_rank(times, Fraction(95, 100)) if times else None,
            max_ns=times[-1] if times else None,
            fewest=min(items, default=None),
            most=max(items, default=None),
            restless=len(timings) - len(times),
            reasons=tuple(Counter(t.detail or "" for t in timings if t.duration_ns is None).most_common(_MOST_REASONS)),
        )


def _slowest(group: list[model.Page], pages: Pages) -> model.Page | None:
    loaded = [page for page in group if page.load_ns is not None and not page.hidden and page.id not in pages.failed]
    return max(loaded, key=lambda page: (page.load_ns or 0) - page.started_ns, default=None)
