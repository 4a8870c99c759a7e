"""`nestperf report`: connects a capture, thresholds and a rendering; measures and judges nothing itself."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nestperf.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from reports.rendering import Look

_FORMATS = ("text", "markdown", "junit", "json", "html")
_FILE_WIDTH = 100
"""Columns of a text report that is written to a file or a pipe."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "format_", type=click.Choice(_FORMATS), default="text", show_default=True,
              help="How to render it.")  # fmt: skip
@click.option("--thresholds", "thresholds_path", type=click.Path(path_type=Path), metavar="FILE",
              help="Judge by this TOML file, not by ./nestperf.toml or the built-in MediaNest promises.")  # fmt: skip
@click.option("--baseline", "baselines", type=click.Path(path_type=Path), multiple=True, metavar="FILE",
              help="Compare with this earlier run; repeatable: three or more show how much runs differ by "
              "themselves.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="OUT",
              help="Write the report there instead of printing it.")  # fmt: skip
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE",
              help="Write the report as a page there as well: one file, with pictures.")  # fmt: skip
@click.option("--source", type=click.Path(path_type=Path), metavar="FILE",
              help="The recording of a replay, where it is not beside it: a page shows both side by side.")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite the files that -o and --html name.")
@click.option("--judge-all", is_flag=True, help="Judge and show a replay's ramp and warm-up as well.")
def report(
    file: Path,
    format_: str,
    thresholds_path: Path | None,
    baselines: tuple[Path, ...],
    output: Path | None,
    html: Path | None,
    source: Path | None,
    force: bool,
    judge_all: bool,
) -> ExitCode:
    """Print tables and verdicts of a capture.

    Prints whether the promises held, then latency by route, Socket.IO events and broadcasts, sockets, and how far the
    run can be trusted. With --baseline also what changed since, route by route. --html FILE writes a page with
    pictures. Ends with 0 where every required promise held, 1 where one is broken or something got worse, 4 where the
    run or a required promise could not be judged.
    """
    from nestperf.capture.reader import Capture
    from reports.rendering import RENDERERS, read_report
    from reports.step_summary import append_to_step_summary
    from reports.thresholds import load_thresholds

    look = _look(to_file=output is not None)
    if format_ == "html" and look.is_terminal:
        raise UsageError("A page is nothing for a terminal: name a file for it with -o report.html.")
    if source is not None and html is None and format_ != "html":
        raise UsageError("--source is what a page shows beside a replay: add --html report.html.")
    _check_outputs((output, html), (file, *baselines), force=force)
    with Capture.open(file) as capture:
        thresholds = load_thresholds(thresholds_path, Path.cwd())
        facts = read_report(capture, baselines, thresholds, source, everything=judge_all)
        text = RENDERERS[format_](facts, look)
        append_to_step_summary(facts.judgement, facts.summary)
        page = "" if html is None else RENDERERS["html"](facts, look)
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text)
        click.echo(f"Wrote {output}.")
    if html is not None:
        _write(html, page)
        click.echo(f"Wrote {html}.", err=output is None)
    return facts.judgement.exit_code


def _look(*, to_file: bool) -> Look:
    from reports.rendering import Look

    is_terminal = not to_file and sys.stdout.isatty()
    width = _FILE_WIDTH if to_file else shutil.get_terminal_size((_FILE_WIDTH, 24)).columns
    colour = is_terminal and not os.environ.get("NO_COLOR")
    return Look(width=width, colour=colour, is_terminal=is_terminal, to_file=to_file)


def _check_outputs(outputs: tuple[Path | None, ...], captures: tuple[Path, ...], *, force: bool) -> None:
    named = [output for output in outputs if output is not None]
    if len(named) == 2 and named[0].absolute() == named[1].absolute():
        raise UsageError(f"-o and --html both name {named[0]}: give each a file of its own.")
    for output in named:
        for capture_path in captures:
            _check_output(output, capture_path, force=force)


def _check_output(output: Path, capture: Path, *, force: bool) -> None:
    """Refuse before anything is read.

    Raises:
        UsageError: the file exists, is the capture itself, or cannot be written.
    """
    from nestperf.capture.files import check_writable

    if output.exists() and capture.exists() and output.samefile(capture):
        raise UsageError(f"{output} is the capture itself: name another file with -o.")
    check_writable(output, force=force)


def _write(output: Path, text: str) -> None:
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"Cannot write {output}: {error.strerror}. Name another file with -o.") from error
