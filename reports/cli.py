"""`nestperf report`: connects a capture, thresholds and a rendering; measures and judges nothing itself."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nestperf.errors import CaptureEmpty, ExitCode, UsageError

if TYPE_CHECKING:
    from nestperf.capture.reader import Capture
    from reports.samples import Samples
    from reports.thresholds import Thresholds

_FILE_WIDTH = 100
"""Columns of a text report that is written to a file or a pipe."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="How to render it.")  # fmt: skip
@click.option("--thresholds", "thresholds_path", type=click.Path(path_type=Path), metavar="FILE",
              help="Judge by this TOML file, not by ./nestperf.toml or the built-in MediaNest promises.")  # fmt: skip
@click.option("--baseline", "baselines", type=click.Path(path_type=Path), multiple=True, metavar="FILE",
              help="Compare with this earlier run; three or more show how much runs differ by themselves.")  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="Write the report there instead of printing it.")  # fmt: skip
@click.option("--force", is_flag=True, help="Overwrite the file that -o names.")
@click.option("--judge-all", is_flag=True, help="Judge and show a replay's ramp and warm-up as well.")
def report(
    file: Path,
    format_: str,
    thresholds_path: Path | None,
    baselines: tuple[Path, ...],
    output: Path | None,
    force: bool,
    judge_all: bool,
) -> ExitCode:
    """Tables and verdicts of a capture.

    Prints whether the promises held, then latency by route, Socket.IO events and broadcasts, sockets, and how far the
    run can be trusted. With --baseline also what changed since, route by route. Ends with 0 where every required
    promise held, 1 where one is broken or something got worse, 4 where the run or a required promise could not be
    judged.
    """
    from nestperf.capture.reader import Capture
    from reports.thresholds import load_thresholds

    if output is not None:
        for capture_path in (file, *baselines):
            _check_output(output, capture_path, force=force)
    with Capture.open(file) as capture:
        thresholds = load_thresholds(thresholds_path, Path.cwd())
        text, exit_code = _render(
            capture, baselines, thresholds, format_, to_file=output is not None, everything=judge_all
        )
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text)
        click.echo(f"Wrote {output}.")
    return exit_code


def _render(
    capture: Capture,
    baselines: tuple[Path, ...],
    thresholds: Thresholds,
    format_: str,
    *,
    to_file: bool,
    everything: bool,
) -> tuple[str, ExitCode]:
    from reports.broadcasts import find_broadcasts
    from reports.compare.compare import Named, compare
    from reports.queries import summarize_queries
    from reports.render.encodable import encodable
    from reports.render.json import render_json
    from reports.render.text import render_report
    from reports.summary import summarize
    from reports.verdict import explained, judge_samples

    samples = _read(capture, everything=everything)
    broadcasts = find_broadcasts(samples)
    old = [Named(path.name, _read_closing(path, everything=everything)) for path in baselines]
    comparison = compare(Named(capture.path.name, samples), old) if old else None
    judgement = judge_samples(samples, broadcasts, thresholds, capture.path.name, [named.samples for named in old])
    judgement = explained(replace(judgement, comparison=comparison), samples, capture)
    summary = summarize(samples, broadcasts, summarize_queries(capture, samples.queries))
    if format_ == "json":
        return render_json(judgement, summary), judgement.exit_code
    terminal = not to_file and sys.stdout.isatty()
    width = shutil.get_terminal_size((_FILE_WIDTH, 24)).columns if not to_file else _FILE_WIDTH
    colour = terminal and not os.environ.get("NO_COLOR")
    text = render_report(judgement, summary, width, colour=colour)
    return text if to_file else encodable(text), judgement.exit_code


def _read(capture: Capture, *, everything: bool) -> Samples:
    from reports.samples import Samples

    samples = Samples.read(capture, everything=everything)
    if samples.is_empty:
        raise CaptureEmpty(
            f"{capture.path} holds no exchange and no socket: nothing passed through nestperf; record again."
        )
    return samples


def _read_closing(path: Path, *, everything: bool) -> Samples:
    from nestperf.capture.reader import Capture

    with Capture.open(path) as capture:
        return _read(capture, everything=everything)


def _check_output(output: Path, capture: Path, *, force: bool) -> None:
    """Refuse before anything is read.

    Raises:
        UsageError: the file exists, is the capture itself, or cannot be written.
    """
    from nestperf.capture.writer import check_writable

    if output.exists() and capture.exists() and output.samefile(capture):
        raise UsageError(f"{output} is the capture itself: name another file with -o.")
    check_writable(output, force=force)


def _write(output: Path, text: str) -> None:
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"Cannot write {output}: {error.strerror}. Name another file with -o.") from error
