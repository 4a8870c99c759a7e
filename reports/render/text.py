"""A report as text for a terminal of 80 columns or more: the verdict first, then promises, routes, events, sockets.

Every captured string passes `printable` on its way. Nothing is measured or judged here.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from nestperf.capture.remarks import remarks_of
from nestperf.printable import printable
from nestperf.verdicts import Verdict
from reports.expressions import Statistic
from reports.render import comparison, sections, sentences
from reports.render.explanations import render_explanations
from reports.render.table import INDENT, Row, note, render_table, wrapped
from reports.render.units import format_count
from reports.rules import Judged
from reports.summary import Summary
from reports.thresholds import SELECTING, Unchecked
from reports.verdict import Judgement

NARROWEST = 60
WIDEST = 140
_LABEL = 200

_COLOURS: dict[str, dict[str, Any]] = {
    "PASS": {"fg": "green", "bold": True},
    "FAIL": {"fg": "red", "bold": True},
    "INVALID": {"fg": "red", "bold": True},
    "CAN'T TELL": {"fg": "yellow", "bold": True},
    "NOTHING JUDGED": {"fg": "yellow", "bold": True},
    Verdict.PASS: {"fg": "green"},
    Verdict.FAIL: {"fg": "red", "bold": True},
    Verdict.REGRESSION: {"fg": "red", "bold": True},
    Verdict.INCONCLUSIVE: {"fg": "yellow"},
    Verdict.NOT_MEASURED: {"fg": "yellow"},
}


def render_report(judgement: Judgement, summary: Summary, width: int, *, colour: bool = False) -> str:
    """The whole report, ending with a newline."""
    width = max(NARROWEST, min(width, WIDEST))
    parts = _judgement(judgement, width, colour=colour)
    for title, lines in sections.sections(judgement.run, summary, width):
        if lines:
            parts.append([_bold(title, colour), *lines])
    if judgement.unchecked:
        parts.append([_bold("Promises that no capture shows", colour), *_unchecked(judgement.unchecked, width)])
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def render_judgement(judgement: Judgement, width: int) -> str:
    """The thresholds, and what changed since the baseline where there is one; ends with a newline."""
    parts = _judgement(judgement, max(NARROWEST, min(width, WIDEST)), colour=False)
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _judgement(judgement: Judgement, width: int, *, colour: bool) -> list[list[str]]:
    parts = [render_thresholds(judgement, width, colour=colour).splitlines()]
    if judgement.comparison is not None:
        parts.append([_bold("Compared with the baseline", colour), *comparison.section(judgement.comparison, width)])
    return parts


def render_thresholds(judgement: Judgement, width: int, *, colour: bool = False) -> str:
    """The verdict, where the thresholds come from, and a table of them; ends with a newline."""
    width = max(NARROWEST, min(width, WIDEST))
    word = sentences.headline_word(judgement)
    first = wrapped(f"{word}  {sentences.headline(judgement)}", width, hanging=len(word) + 2)
    first[0] = paint(word, word, colour) + first[0][len(word) :]
    lines = [
        *first,
        *wrapped(f"Thresholds: {printable(judgement.origin, _LABEL)}", width, hanging=len("Thresholds: ")),
        *wrapped(f"Capture: {_capture_line(judgement)}", width, hanging=len("Capture: ")),
        *(line for remark in remarks_of(judgement.run, judgement.capture_name) for line in _remark(remark, width)),
        "",
    ]
    shown = [judged for judged in judgement.judged if not sentences.is_left_out(judged)]
    if shown:
        rows = [_threshold_row(judged, width, colour) for judged in shown]
        lines += [
            _bold("Promises", colour),
            *render_table(("measured", "95 % interval", "n"), rows, width, label="promise"),
        ]
    lines += _remarks(judgement, width)
    if judgement.explanations:
        lines += ["", _bold("Why", colour), *render_explanations(judgement, width)]
    return "\n".join(lines) + "\n"


def _remark(remark: str, width: int) -> list[str]:
    return wrapped(f"Note: {printable(remark, 2 * _LABEL)}", width, hanging=len("Note: "))


def _capture_line(judgement: Judgement) -> str:
    run = judgement.run
    source = f" of {printable(run.source_path, _LABEL)}" if run.source_path else ""
    users = run.settings.get("users")
    with_users = f", {users:,} {'user' if users == 1 else 'users'}" if isinstance(users, int) else ""
    what = sentences.words_for(run)
    upstreams = ", ".join(printable(upstream.url, 80) for upstream in run.upstreams[:4])
    against = f" of {upstreams}" if upstreams and not source else ""
    return (
        f"{printable(judgement.capture_name, _LABEL)}, {what}{source}{against}{with_users}. "
        f"{sentences.LATENCY[judgement.latency_name]}"
    )


def _threshold_row(judged: Judged, width: int, colour: bool) -> Row:
    threshold = judged.threshold
    optional = "" if judged.required else "optional"
    expression = "" if threshold.name == threshold.expression.text else threshold.expression.text
    below = " · ".join(filter(None, (threshold.source, expression, _selected(judged), optional)))
    return Row(
        label=printable(threshold.name, _LABEL),
        cells=(sentences.measured_of(judged), sentences.interval_of(judged), _samples(judged)),
        lead=sentences.verdict_of(judged),
        paint=partial(paint, verdict=judged.verdict, colour=colour),
        below=_dim(INDENT * 2 + printable(below, width - 2 * len(INDENT)), colour) if below else "",
    )


def _samples(judged: Judged) -> str:
    """How many samples; a count is no sample of anything."""
    counted = judged.threshold.expression.statistic is Statistic.COUNT
    return "" if counted or not judged.n else format_count(judged.n)


def _selected(judged: Judged) -> str:
    """What the threshold is about, shortly."""
    selector = judged.threshold.selector
    return " ".join("|".join(getattr(selector, key)) for key in SELECTING if getattr(selector, key))


def _remarks(judgement: Judgement, width: int) -> list[str]:
    """Under the table: everything that is no plain pass, what was left out, what is not checked."""
    lines: list[str] = []
    for text in sentences.remarks(judgement):
        lines += note(text, width)
    if judgement.unchecked:
        count = len(judgement.unchecked)
        which = "1 promise that no capture shows" if count == 1 else f"{count} promises that no capture shows"
        lines += note(f"Not checked here: {which}; `nestperf report` ends with a list of them.", width)
    return ["", *lines] if lines else []


def _unchecked(unchecked: tuple[Unchecked, ...], width: int) -> list[str]:
    lines: list[str] = []
    for item in unchecked:
        source = f" ({printable(item.source, 40)})" if item.source else ""
        lines += note(f"{printable(item.name, 80)}{source}: {printable(item.reason, 120)}.", width)
    return lines


def paint(text: str, verdict: str, colour: bool) -> str:
    """`text` in the colour of a verdict."""
    return click.style(text, **_COLOURS[verdict]) if colour and verdict in _COLOURS else text


def _bold(text: str, colour: bool) -> str:
    return click.style(text, bold=True) if colour else text


def _dim(text: str, colour: bool) -> str:
    return click.style(text, dim=True) if colour else text
