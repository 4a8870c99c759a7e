"""What a tour says in lines: each visit as it happens, and at the end the medians with what is certain about them.

A median's interval runs between two order statistics, whatever the distribution (see `reports.statistics`); with fewer
than six visits there is none at 95 %, and the range is printed in its place, which says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from statistics import median
from urllib.parse import urlsplit

from nestperf.console import duration, plural
from nestperf.printable import printable
from replay.browse.tour_run import Asked, Visited
from reports.networks import Opened


def describe_visit(visited: Visited, asked: Asked) -> str:
    """One visit, just over."""
    where = printable(_page(visited), 60)
    number = f"{visited.round}/{asked.runs}"
    if visited.trouble:
        return f"  {number:>7}  {visited.cache}  {where}: {printable(visited.trouble, 160)}"
    assert visited.load_ms is not None
    led = f"  led on to {printable(urlsplit(visited.url).path, 60)}" if visited.led_elsewhere else ""
    return f"  {number:>7}  {visited.cache}  {visited.load_ms / 1e3:7.2f} s  {where}{led}"


def summarize(visits: Sequence[Visited], source: str) -> Iterator[str]:
    """What is to be said beside the report's own tables."""
    yield from _troubles(visits)
    yield from _elsewhere(visits, source)


def _troubles(visits: Sequence[Visited]) -> Iterator[str]:
    failed = [visited for visited in visits if visited.trouble]
    if failed and len(failed) < len(visits):
        first = failed[0]
        yield (
            f"{plural(len(failed), 'visit')} of {len(visits)} did not load; the first, {printable(_page(first), 60)}: "
            f"{printable(first.trouble, 160)}."
        )
    for person in dict.fromkeys(visited.person for visited in visits):
        for trouble in person.troubles[:3]:
            yield f"Signing in differs from the recording: {printable(trouble, 200)}."


def _elsewhere(visits: Sequence[Visited], source: str) -> Iterator[str]:
    for url in dict.fromkeys(visited.stop.url for visited in visits if visited.led_elsewhere):
        here = [visited for visited in visits if visited.stop.url == url]
        led = next(visited for visited in here if visited.led_elsewhere)
        there = printable(urlsplit(led.url).path, 60)
        count = sum(visited.led_elsewhere for visited in here)
        yield (
            f"{printable(_page(led), 60)} led on to {there} in {count} of {plural(len(here), 'visit')}, in the "
            f"recording to {printable(led.stop.led_to, 60)}: the person may not be signed in as recorded. If the "
            "application keeps a token in the browser's storage, name it with --storage session:KEY=NAME; if what was "
            f"recorded has expired, record {source} again, or bring --identities (docs/pages.md)."
        )


def _page(visited: Visited) -> str:
    parts = urlsplit(visited.stop.url)
    identity = visited.person.identity
    return f"{parts.path or '/'}{f' as {identity.label}' if identity is not None else ''}"


def tabulate_results(results: Sequence[Opened], width: int) -> list[str]:
    """The lines of the table of loads."""
    from reports.render.table import Row, render_table

    rows = [Row(printable(opened.route, 60), _cells(opened), lead=opened.cache) for opened in results]
    titles = ("n", "median load", "its interval", "slowest", "at best")
    return render_table(titles, rows, width, label="page", give_way=("slowest",))


def _cells(opened: Opened) -> tuple[str, ...]:
    n = len(opened.loads_ns)
    if not n:
        return ("0", *[""] * 4)
    return (
        str(n),
        duration(median(opened.loads_ns)),
        median_interval(opened.loads_ns),
        duration(opened.loads_ns[-1]),
        duration(opened.least_ns) if opened.least_ns is not None else "",
    )


def median_interval(ordered: Sequence[int]) -> str:
    """Between which order statistics the true median lies, and how surely: 95 % where the sample allows it."""
    from reports.statistics import CONFIDENCE, percentile_ranks

    n = len(ordered)
    if n < 2:
        return ""
    low, high = percentile_ranks(n, Fraction(1, 2))
    confidence = CONFIDENCE
    if low is None or high is None:
        low, high, confidence = 1, n, 1 - 0.5 ** (n - 1)  # all below it, or all above it, is what speaks against
    return f"{duration(ordered[low - 1])} to {duration(ordered[high - 1])} ({confidence:.0%})".replace("%", " %")
