"""The verdict, the promises with what is behind each, and what was not measured."""

from __future__ import annotations

from typing import Any

from markupsafe import Markup

from nestperf.capture.remarks import remarks_of
from nestperf.console import duration
from nestperf.verdicts import Verdict
from reports.explain import Explanation, Worst
from reports.expressions import Comparison, Statistic
from reports.render import sentences
from reports.render.explanations import cause_sentences
from reports.render.html.markup import element, joined, shown
from reports.render.html.tables import Cell, Column, command, expandable, table
from reports.render.units import format_count
from reports.rules import Judged
from reports.thresholds import SELECTING
from reports.verdict import Judgement

MARKS: dict[str, tuple[str, str]] = {
    "PASS": ("pass", "✓"),
    "FAIL": ("fail", "✕"),
    "INVALID": ("fail", "!"),
    "CAN'T TELL": ("open", "?"),
    "NOTHING JUDGED": ("none", "–"),
    Verdict.PASS: ("pass", "✓"),
    Verdict.FAIL: ("fail", "✕"),
    Verdict.REGRESSION: ("fail", "↗"),
    Verdict.INCONCLUSIVE: ("open", "?"),
    Verdict.NOT_MEASURED: ("open", "○"),
    Verdict.NOT_APPLICABLE: ("none", "–"),
}
"""How a verdict looks beside its word: no colour stands alone."""


def badge(verdict: str, word: str = "") -> Markup:
    """A verdict as sign and word."""
    class_, sign = MARKS[verdict]
    return element(
        "span", element("span", sign, class_="sign", aria_hidden="true"), word or verdict, class_=f"badge {class_}"
    )


def verdict(judgement: Judgement) -> Markup:
    """The first thing on the page: the answer, and why it may not count."""
    word = sentences.headline_word(judgement)
    class_, sign = MARKS[word]
    remarks = [element("p", shown(text, 400), class_="remark") for text in _remarks(judgement)]
    return element(
        "div",
        element("span", sign, class_="sign", aria_hidden="true"),
        element("div", element("h1", word), element("p", sentences.headline(judgement), class_="lead"), remarks),
        class_=f"verdict {class_}",
        id="verdict",
    )


def _remarks(judgement: Judgement) -> tuple[str, ...]:
    return (*remarks_of(judgement.run, judgement.capture_name), *judgement.doubts)


def promises(judgement: Judgement) -> Markup | None:
    """All that were judged, the broken ones first."""
    rows = [judged for judged in judgement.judged if not sentences.is_left_out(judged)]
    if not rows:
        return None
    explained = {id(explanation.judged): explanation for explanation in judgement.explanations}
    rows.sort(key=lambda judged: (judged.verdict not in _BROKEN, not judged.required, _ORDER[judged.verdict]))
    said: dict[object, str] = {}
    columns = (
        Column("verdict", number=False), Column("promise", number=False), Column("limit"), Column("measured"),
        Column("95 % interval"), Column("", number=False), Column("n"),
    )  # fmt: skip
    return table(
        "promises",
        columns,
        [_row(judged, explained.get(id(judged)), judgement, said) for judged in rows],
    )


_SIGNS = {Comparison.LESS: "<", Comparison.AT_MOST: "≤", Comparison.MORE: ">", Comparison.AT_LEAST: "≥",
          Comparison.EQUAL: "="}  # fmt: skip
_BROKEN = (Verdict.FAIL, Verdict.REGRESSION)
_ORDER = {verdict: place for place, verdict in enumerate(
    (Verdict.FAIL, Verdict.REGRESSION, Verdict.INCONCLUSIVE, Verdict.NOT_MEASURED, Verdict.PASS, Verdict.NOT_APPLICABLE)
)}  # fmt: skip


def _row(judged: Judged, explanation: Explanation | None, judgement: Judgement, said: dict[object, str]) -> list[Cell]:
    threshold, expression = judged.threshold, judged.threshold.expression
    counted = expression.statistic is Statistic.COUNT
    name = shown(threshold.name, 120)
    below = [shown(threshold.source, 60), shown(expression.text, 120), _selected(judged)]
    inside = [
        element("p", f"{name[:1].upper()}{name[1:]}: {sentences.reason(judged)}"),
        element("p", f"Note: {shown(threshold.note)}.") if threshold.note else None,
        _explained(explanation, judgement, said) if explanation else None,
    ]
    broken = judged.verdict in _BROKEN
    promise = element(
        "div",
        expandable(
            joined((element("span", name, class_="name"), element("span", "", class_="hint"))),
            element("div", *inside, class_="why"),
            opened=broken,
        ),
        element("div", " · ".join(filter(None, below)), class_="below"),
    )
    optional = None if judged.required else element("span", "optional", class_="below")
    return [
        Cell(joined((badge(judged.verdict, sentences.verdict_of(judged)), optional), " "), _ORDER[judged.verdict]),
        Cell(promise, name),
        Cell(f"{_SIGNS[expression.comparison]} {sentences.limit_text(expression)}", float(expression.limit)),
        Cell(sentences.measured_of(judged), judged.measured, "strong"),
        Cell(sentences.interval_of(judged), judged.low),
        Cell(_gauge(judged)),
        Cell("" if counted or not judged.n else format_count(judged.n), judged.n),
    ]


def _selected(judged: Judged) -> str:
    selector = judged.threshold.selector
    return shown(" ".join("|".join(getattr(selector, key)) for key in SELECTING if getattr(selector, key)), 120)


def _gauge(judged: Judged) -> Markup | None:
    """Limit, interval and value on one small line, from 0 on."""
    limit, value = float(judged.threshold.expression.limit), judged.measured
    if judged.threshold.expression.of_baseline or value is None or limit <= 0:
        return None
    low, high = (value if end is None else end for end in (judged.low, judged.high))
    most = max(limit, value, high) * 1.1
    at = {name: f"{100 * number / most:.2f}" for name, number in zip("lvbh", (limit, value, low, high), strict=True)}
    class_ = MARKS[judged.verdict][0]
    return element(
        "svg",
        element("line", x1=0, x2=100, y1=8, y2=8, class_="rail"),
        element("line", x1=at["b"], x2=at["h"], y1=8, y2=8, class_="interval"),
        element("line", x1=at["l"], x2=at["l"], y1=1, y2=15, class_="limit"),
        element("circle", cx=at["v"], cy=8, r=3.2, class_="value"),
        viewBox="-4 0 108 16",
        class_=f"gauge {class_}",
        role="img",
        aria_label="measured value, its interval and the limit",
    )


def _explained(explanation: Explanation, judgement: Judgement, said: dict[object, str]) -> Markup:
    worst = [element("li", _worst(item, judgement)) for item in explanation.worst]
    causes = [
        element("p", text) for text in cause_sentences(explanation, judgement, said) if not text.startswith("Next: ")
    ]
    return joined((causes, element("ul", worst, class_="worst") if worst else None))


def _worst(item: Worst, judgement: Judgement) -> Markup:
    value = "" if item.value_ns is None else f"{duration(item.value_ns)} · "
    detail = f": {shown(item.detail, 160)}" if item.detail else ""
    return joined(
        (
            element("span", f"{value}{shown(item.title, 120)} · {shown(item.outcome, 40)}{detail} "),
            element("span", stretched(item.stretches), " "),
            command(f"nestperf show {shown(judgement.capture_path, 200)} {item.ref}"),
        )
    )


def stretched(stretches: Any) -> str:
    """Where the time went, in words."""
    parts = sorted(stretches, key=lambda s: -s.length_ns)[:3]
    return ", ".join(f"{s.part} {duration(s.length_ns)}" for s in parts)


def not_measured(judgement: Judgement) -> Markup | None:
    """What this capture cannot show, why, and how to get it."""
    left_out = [judged for judged in judgement.judged if sentences.is_left_out(judged)]
    open_ = [
        judged
        for judged in judgement.judged
        if judged.verdict in (Verdict.NOT_MEASURED, Verdict.INCONCLUSIVE) and judged not in left_out
    ]
    rows = [
        [
            Cell(badge(judged.verdict), _ORDER[judged.verdict]),
            Cell(shown(judged.threshold.name, 120)),
            Cell(sentences.reason(judged)),
        ]
        for judged in (*open_, *left_out)
    ]
    rows += [
        [
            Cell(badge(Verdict.NOT_APPLICABLE, "not checked"), 9),
            Cell(shown(item.name, 120)),
            Cell(f"{shown(item.reason)}."),
        ]
        for item in judgement.unchecked
    ]
    if not rows:
        return None
    columns = (
        Column("", number=False),
        Column("promise", number=False),
        Column("why, and how to get it", number=False),
    )
    return table("not-measured", columns, rows, sort=False)
