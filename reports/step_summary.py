"""A job's summary on GitHub Actions: the report as markdown, appended to the file that `GITHUB_STEP_SUMMARY` names.

A report on the same run that stands there already, of the same step, is replaced. What cannot be written is said, and
changes nothing else.
"""

from __future__ import annotations

import html
import os
from collections.abc import Callable
from pathlib import Path

import click

from nestperf.printable import printable
from reports.render.markdown import closing, opening, render_markdown
from reports.summary import Summary
from reports.verdict import Judgement

STEP_SUMMARY = "GITHUB_STEP_SUMMARY"


def append_to_step_summary(judgement: Judgement, summary: Summary | None = None) -> None:
    """Append the report where the variable is set."""
    begins, ends = opening(judgement), closing(judgement)
    if STEP_SUMMARY in os.environ:
        _rewrite(lambda present: f"{_without(present, begins, ends)}{render_markdown(judgement, summary)}\n")


def append_terminal_text(title: str, text: str) -> None:
    """Append what a terminal shows, as it is, where the variable is set."""
    _rewrite(lambda present: f"{present}## {html.escape(title)}\n\n<pre>{html.escape(text)}</pre>\n\n")


def _rewrite(change: Callable[[str], str]) -> None:
    name = os.environ.get(STEP_SUMMARY, "")
    if not name:
        return
    path = Path(name)
    try:
        path.write_text(change(path.read_text("utf-8") if path.exists() else ""), encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        click.echo(f"The job's summary {printable(name, 200)} could not be written: {reason}.", err=True)


def _without(present: str, begins: str, ends: str) -> str:
    before, found, rest = present.partition(begins)
    _, ended, after = rest.partition(ends)
    return f"{before}{after.lstrip()}" if found and ended else present
