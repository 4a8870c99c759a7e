"""A report as markdown for a pull request or a job's summary: the verdict, what changed, the promises; the rest folded.

Nothing of a capture can become markup, a mention or a link: captured text stands in `code` elements, every character
that means something to markdown as an entity. Nothing is measured or judged here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nestperf.capture.remarks import remarks_of
from nestperf.console import duration, plural
from nestperf.printable import printable
from nestperf.verdicts import Verdict
from reports.compare.model import Change, Comparison, RouteChange
from reports.pages import PageRow
from reports.render import comparison as comparing
from reports.render import sentences
from reports.render.explanations import cause_sentences
from reports.render.pages import PAGE_TITLES, SLOWEST, group_of, page_cells, slowest_sentence
from reports.render.units import format_count
from reports.route_rows import MarkRow, RouteRow
from reports.rules import Judged
from reports.summary import Summary
from reports.verdict import Judgement

_MOST_ROWS = 40
"""GitHub takes a comment of 65,536 characters."""
_LABEL = 80
_SENTENCE = 600
_PLAIN = frozenset(" /.,:;()-+=%?!'\"…–−→×µ")
"""What means nothing to markdown, beside letters and digits."""


def render_markdown(judgement: Judgement, summary: Summary | None = None) -> str:
    """The whole document, ending with a newline; without a `summary` only what was judged."""
    parts = [
        opening(judgement),
        f"## nestperf: {sentences.headline_word(judgement)}",
        text(sentences.headline(judgement), 2 * _SENTENCE),
        _about(judgement),
        *(f"> {text(remark)}" for remark in remarks_of(judgement.run, judgement.capture_name)),
    ]
    if judgement.comparison is not None:
        parts += _compared(judgement.comparison)
    parts += _promises(judgement)
    if judgement.explanations:
        parts.append(_folded("Why", "\n".join(_explained(judgement))))
    if summary is not None:
        parts += _facts(summary)
    if remarks := list(sentences.remarks(judgement)):
        parts.append(_folded("Remarks", "\n".join(f"- {text(remark)}" for remark in remarks)))
    parts.append(closing(judgement))
    return "\n\n".join(part for part in parts if part) + "\n"


def opening(judgement: Judgement) -> str:
    """The line that a report on this run begins with."""
    return f"<!-- nestperf {_identity(judgement)} -->"


def closing(judgement: Judgement) -> str:
    """The line that it ends with."""
    return f"<!-- /nestperf {_identity(judgement)} -->"


def _identity(judgement: Judgement) -> str:
    return "".join(char for char in judgement.run.uid if char.isalnum())[:64]


def text(sentence: str, width: int = _SENTENCE) -> str:
    """A sentence that may hold captured text. A mention of a person or team becomes none."""
    shown = _escaped(printable(sentence, width))
    return shown.replace("&#64;", "&#64;&#8288;").replace("&#35;", "&#35;&#8288;")


def code(captured: str, width: int = _LABEL) -> str:
    """Captured text, as it is."""
    return f"<code>{_escaped(printable(captured, width))}</code>" if captured else ""


def _escaped(shown: str) -> str:
    escaped = "".join(char if char.isalnum() or char in _PLAIN else f"&#{ord(char)};" for char in shown)
    return escaped.replace("://", "&#58;//").replace("www.", "www&#46;")


def _about(judgement: Judgement) -> str:
    run = judgement.run
    what = sentences.words_for(run)
    users = run.settings.get("users")
    parts = [
        f"{code(judgement.capture_name)}, {text(what)}" + (f" of {code(run.source_path)}" if run.source_path else ""),
        plural(users, "user") if isinstance(users, int) else "",
        f"against {code(', '.join(run.addresses[:4]))}" if run.upstreams else "",
        f"judged by {code(judgement.origin)}",
    ]
    return f"{', '.join(filter(None, parts))}. {sentences.LATENCY[judgement.latency_name]}"


def _compared(comparison: Comparison) -> Iterator[str]:
    """What changed in sight; what did not, folded."""
    changed = comparison.of(Change.REGRESSION, Change.IMPROVEMENT)
    rest = [route for route in comparison.routes if route not in changed]
    titles = ("", "route", "p50", "p95", "change (95 % interval)", "detectable")
    yield "### What changed"
    if changed:
        yield _table(titles, map(_changed_row, changed[:_MOST_ROWS]), right=(2, 3, 4, 5))
    else:
        yield "No route got slower or faster beyond what chance and noise explain."
    if rest:
        table = _table(titles, map(_changed_row, rest[:_MOST_ROWS]), right=(2, 3, 4, 5))
        yield _folded(plural(len(rest), "other route"), table)
    said = "\n".join(f"- {text(remark)}" for remark in comparing.remarks(comparison))
    if said:
        yield _folded("How it was compared", said)


def _changed_row(route: RouteChange) -> tuple[str, ...]:
    change = str(route.change)
    return (
        f"**{change}**" if route.change is Change.REGRESSION else change,
        code(comparing.name_of(route.key)),
        text(comparing.times(route.old.p50_ns, route.new.p50_ns)),
        text(comparing.times(route.old.p95_ns, route.new.p95_ns)),
        text(comparing.format_change(route.typical)),
        text(comparing.detectable_of(route)),
    )


def _promises(judgement: Judgement) -> Iterator[str]:
    """What is not kept in sight; what is kept as well, if it is required."""
    shown = [judged for judged in judgement.judged if not sentences.is_left_out(judged)]
    seen = [judged for judged in shown if judged.required or judged.verdict is not Verdict.PASS]
    optional = [judged for judged in shown if judged not in seen]
    titles = ("", "promise", "limit", "measured", "95 % interval", "n")
    if seen:
        order = sorted(seen, key=lambda judged: judged.verdict is Verdict.PASS)
        yield "### Promises"
        yield _table(titles, map(_promise_row, order), right=(2, 3, 4, 5))
    if optional:
        table = _table(titles, map(_promise_row, optional), right=(2, 3, 4, 5))
        yield _folded(f"{len(optional):,} optional and kept", table)


def _promise_row(judged: Judged) -> tuple[str, ...]:
    verdict = sentences.verdict_of(judged)
    optional = "" if judged.required else " (optional)"
    broken = judged.verdict in (Verdict.FAIL, Verdict.REGRESSION)
    expression = judged.threshold.expression
    return (
        (f"**{verdict}**" if broken else verdict) + optional,
        text(judged.threshold.name, _LABEL),
        text(f"{expression.comparison} {sentences.limit_text(expression)}"),
        text(sentences.measured_of(judged)),
        text(sentences.interval_of(judged)),
        format_count(judged.n) if judged.n else "",
    )


def _explained(judgement: Judgement) -> Iterator[str]:
    said: dict[object, str] = {}
    for explanation in judgement.explanations:
        yield f"- {text(f'{sentences.name_of(explanation.judged)}: {sentences.reason(explanation.judged)}')}"
        for sentence in cause_sentences(explanation, judgement, said):
            yield f"  - {text(sentence)}"


def _facts(summary: Summary) -> Iterator[str]:
    if summary.routes:
        titles = ("", "route", "n", "refused", "limited", "failed", "p50", "p95", "max")
        table = _table(titles, map(_route_row, summary.routes[:_MOST_ROWS]), right=tuple(range(2, 9)))
        yield _folded(plural(len(summary.routes), "route"), table)
    if summary.pages is not None:
        table = _table(("", "page", *PAGE_TITLES), map(_page_row, summary.pages.pages[:_MOST_ROWS]), right=range(2, 9))
        waited = "\n".join(f"- {text(slowest_sentence(page))}" for page in summary.pages.slowest[:SLOWEST])
        yield _folded("Pages in the browser, 75th percentiles", f"{table}\n\n{waited}".strip())
    if summary.marks:
        named = ("name", "n", "refused", "limited", "failed", "p50", "p95", "max")
        table = _table(named, map(_mark_row, summary.marks[:_MOST_ROWS]), right=tuple(range(1, 8)))
        yield _folded("Marks and tests", table)


def _route_row(row: RouteRow) -> tuple[str, ...]:
    by = " (by a server)" if row.server_call else ""
    return (text(row.kind, 20) + by, code(f"{row.method} {row.route}"), *_counts_and_times(row))


def _page_row(row: PageRow) -> tuple[str, ...]:
    return (text(group_of(row)), code(row.route), *page_cells(row))


def _mark_row(row: MarkRow) -> tuple[str, ...]:
    return (code(row.text), *_counts_and_times(row))


def _counts_and_times(row: RouteRow | MarkRow) -> tuple[str, ...]:
    counts = (f"{count:,}" if count else "" for count in (row.refused, row.limited, row.failed))
    times = (row.latency.p50_ns, row.latency.p95_ns, row.latency.max_ns)
    return (format_count(row.n), *counts, *("" if ns is None else duration(ns) for ns in times))


def _table(titles: Sequence[str], rows: Iterator[tuple[str, ...]], *, right: Sequence[int]) -> str:
    """A table without the columns that are empty."""
    lines = list(rows)
    kept = [place for place in range(len(titles)) if any(line[place] for line in lines)]
    rule = ["---:" if place in right else "---" for place in kept]
    table = [[titles[place] for place in kept], rule, *([line[place] for place in kept] for line in lines)]
    return "\n".join(f"| {' | '.join(line)} |" for line in table)


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{text(title)}</summary>\n\n{content}\n\n</details>"
