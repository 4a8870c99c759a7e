"""How a comparison with earlier runs reads: its sentence in the headline, its table, and what lies behind each change.

Every captured string passes `printable` on its way. Nothing is measured or judged here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from nestperf.capture.model import Kind
from nestperf.console import NOTHING, duration, plural
from nestperf.printable import printable
from reports.compare.model import Change, Comparison, Grounds, Key, NoiseKnown, Ratio, RouteChange
from reports.render.table import Row, note, render_table
from reports.render.units import format_count, format_share
from reports.statistics import MIN_SAMPLES

MOST_ROWS = 60
_LABEL = 200
_SHORT = 60
_MOST_NAMES = 8
_FELT_SHIFT = 1.05
_GROUPS = {
    Change.REGRESSION: "regression",
    Change.IMPROVEMENT: "improvement",
    Change.STEADY: "no regression of the detectable size or more",
    Change.INCONCLUSIVE: "can't tell",
}
_ARROW = "→"


def outcome(comparison: Comparison) -> str:
    """One sentence for the headline."""
    worse, better, judged = (
        comparison.of(Change.REGRESSION),
        comparison.of(Change.IMPROVEMENT),
        comparison.judged,
    )
    if worse:
        verb = "is" if len(worse) == 1 else "are"
        return f"{_some(worse, judged)} {verb} worse than in the baseline: {_names(worse)}."
    if not judged:
        return "No route could be compared with the baseline."
    open_ = [route for route in comparison.routes if route.grounds is Grounds.MAYBE_NOISE]
    if open_:
        return f"{_some(open_, comparison.routes)} changed, maybe by noise between runs alone: {_names(open_)}."
    if gone := comparison.of(Change.GONE):
        return f"Not in this run, so not compared: {_names(gone)}."
    faster = f" {_some(better, judged)} got better." if better else ""
    return f"No regression in {plural(len(judged), 'route')} compared with the baseline.{faster}"


def section(comparison: Comparison, width: int) -> list[str]:
    """The table and what is to be known of it."""
    shown = [route for route in comparison.routes if route.change in _GROUPS]
    lines = []
    if shown:
        titles = ("n", "p50", "p95", "change", "detectable")
        rows = [_row(route) for route in shown[:MOST_ROWS]]
        lines += render_table(titles, rows, width, give_way=("n", "p50"))
        if len(shown) > MOST_ROWS:
            lines += note(f"{len(shown) - MOST_ROWS:,} more routes: see --format json.", width)
    for text in remarks(comparison):
        lines += note(text, width)
    return lines


def _row(route: RouteChange) -> Row:
    key = route.key
    kind = "" if key.kind == Kind.CALL else f" ({printable(key.kind, 20)})"
    by = " (by a server)" if key.server_call else ""
    return Row(
        label=printable(key.route, _LABEL) + kind + by,
        lead=printable(key.method, 10),
        group=_GROUPS[route.change],
        cells=(
            _from_to(format_count(route.old.n), format_count(route.new.n)),
            times(route.old.p50_ns, route.new.p50_ns),
            times(route.old.p95_ns, route.new.p95_ns),
            format_change(route.typical),
            detectable_of(route),
        ),
    )


def _from_to(old: str, new: str) -> str:
    return f"{old} {_ARROW} {new}"


def times(old: int | None, new: int | None) -> str:
    """`12.1 → 14.0 ms`: one unit where both have the same."""
    before, after = duration(old), duration(new)
    number, _, unit = before.partition(" ")
    return _from_to(number if unit == after.partition(" ")[2] else before, after)


def format_change(ratio: Ratio | None) -> str:
    """`+20 % (+12 … +29)`, `× 3.1 (2.2 … 4.5)`."""
    if ratio is None:
        return ""
    bounds = [ratio.value, ratio.low, ratio.high]
    if any(value is not None and value >= _TIMES_FROM for value in bounds):
        value, low, high = ("?" if v is None else f"{v:.2g}" if v < 10 else f"{v:,.0f}" for v in bounds)
        return f"× {value} ({low} … {high})"
    value, low, high = ("?" if v is None else _signed(v) for v in bounds)
    return f"{value} % ({low} … {high})"


_TIMES_FROM = 3.0
"""Larger ratios read better as factors."""


def _signed(ratio: float) -> str:
    percent = (ratio - 1) * 100
    text = f"{percent:+.1f}" if abs(percent) < 9.95 else f"{percent:+.0f}"
    return text.replace("-", "−") if float(text) else "0.0"


def _least(ratio: float) -> str:
    """A detectable slowdown, rounded up."""
    if ratio >= _TIMES_FROM:
        return f"× {math.ceil(ratio - 1e-6):,}"
    return f"+{math.ceil((ratio - 1) * 100 - 1e-6)} %"


def detectable_of(route: RouteChange) -> str:
    """The smallest slowdowns that would have been found."""
    found = route.detectable
    if found is None:
        return NOTHING
    return _least(found.whole) + (f", p95 {_least(found.p95)}" if found.p95 is not None else "")


def remarks(comparison: Comparison) -> Iterator[str]:
    """What is to be known of the table, in sentences."""
    if comparison.judged or comparison.of(Change.INCONCLUSIVE):
        yield (
            "Change: of most requests, with its 95 % interval. Detectable: a smaller slowdown of all requests, or of "
            "the slowest tenth alone (p95), may not have been found."
        )
    if maybe := [route for route in comparison.routes if route.grounds is Grounds.MAYBE_NOISE]:
        yield f"Changed by more than chance, but not by more than runs of the same thing may differ: {_names(maybe)}."
    for route in comparison.routes:
        if text := reason(route):
            yield f"{name_of(route.key)}: {text}"
    yield from _noise(comparison)
    for text in comparison.remarks:
        yield printable(text, 400)
    if few := comparison.of(Change.TOO_FEW):
        yield f"Fewer than {MIN_SAMPLES} samples on a side, not compared: {_names(few)}."
    if gone := comparison.of(Change.GONE):
        yield f"In the baseline, not in this run: {_names(gone)}."
    if new := comparison.of(Change.NEW):
        yield f"In this run, not in the baseline: {_names(new)}."


def reason(route: RouteChange) -> str:
    """What a change rests on; empty where there is none."""
    match route.grounds:
        case Grounds.SLOWER:
            return f"slower at {_listed(route.slower_at)}; p95 {format_change(route.p95)}."
        case Grounds.SHAPE:
            faster = f", faster at {_listed(route.faster_at)}" if route.faster_at else ""
            return f"its latencies lie differently: slower at {_listed(route.slower_at)}{faster}."
        case Grounds.FASTER:
            return f"faster at {_listed(route.faster_at)}; p95 {format_change(route.p95)}."
        case Grounds.FAILURES:
            return f"{_failures(route)} failed, in the baseline {_failures(route, old=True)}."
        case Grounds.BLIND:
            return f"not even a doubling would have been found with {route.new.n:,} samples."
    return ""


def _failures(route: RouteChange, *, old: bool = False) -> str:
    side = route.old if old else route.new
    return f"{format_share(side.failed / side.asked if side.asked else None)} of {side.asked:,}"


def _listed(tests: tuple[str, ...]) -> str:
    names = ["most requests" if test == "typical" else test for test in tests]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _noise(comparison: Comparison) -> Iterator[str]:
    match comparison.noise:
        case NoiseKnown.INTERLEAVED:
            yield "Both sides ran at once and took turns, so what slowed the machine hit both."
        case NoiseKnown.NOT:
            runs = len(comparison.baselines)
            yield (
                f"{plural(runs, 'baseline')} cannot show how much runs of the same thing differ, so only changes of "
                f"more than {_least(comparison.floor)[1:]} count: give three or more with --baseline, or replay both "
                "at once with --vs."
            )
        case NoiseKnown.BASELINES:
            yield (
                f"Noise: {plural(len(comparison.baselines), 'baseline')}, whose runs differ by "
                f"{_signed(comparison.run_noise or 1.0).lstrip('+')} % (one standard deviation)."
            )
    if comparison.shift_limit is not None and not 1 / _FELT_SHIFT < comparison.shift < _FELT_SHIFT:
        percent = _signed(comparison.shift)
        limit = _least(comparison.shift_limit)
        proven = abs(math.log(comparison.shift)) > math.log(comparison.shift_limit)
        yield (
            f"The whole run differs by {percent} %, which is more than the noise between the baselines."
            if proven
            else f"The whole run differs by {percent} %. That may be the machine: with these baselines only {limit} "
            "would be more than noise, and no route's change counts beyond what it differs from the others."
        )


def _some(some: list[RouteChange], all_: list[RouteChange] | tuple[RouteChange, ...]) -> str:
    return "The one compared route" if len(all_) == len(some) == 1 else f"{len(some)} of {len(all_)} routes"


def _names(routes: list[RouteChange]) -> str:
    names = "; ".join(name_of(route.key) for route in routes[:_MOST_NAMES])
    return names + (f"; and {len(routes) - _MOST_NAMES} more" if len(routes) > _MOST_NAMES else "")


def name_of(key: Key) -> str:
    """`GET /api/health`, fit for a sentence."""
    return f"{printable(key.method, 10)} {printable(key.route, _SHORT)}"
