"""The runs of one `nestperf replay`, one after the other: plays each, says what it came to, judges them together."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nestperf.capture.model import Mark, Run
from nestperf.capture.reader import Capture
from nestperf.console import plural
from nestperf.errors import ExitCode
from replay.before import run_before
from replay.conduct import Output, play
from replay.pacing import network_of
from replay.runner import Ended, Settings
from replay.steps import Plan
from replay.summary import summarize
from replay.tap import Tap
from replay.transport.dial import Target

if TYPE_CHECKING:
    from reports.thresholds import Thresholds
    from reports.verdict import Judgement


@dataclass(frozen=True, slots=True, kw_only=True)
class EveryRun:
    """What every run is asked to do."""

    source: Path
    recorded: Run
    marks: tuple[Mark, ...]
    plan: Plan
    sides: tuple[tuple[Target, ...], ...]
    """Where to send, for each application that is played against."""
    settings: Settings
    """Those of the first run; each later one takes the next network."""
    tap: Tap
    before: str | None
    limits: Thresholds
    judge_all: bool
    force: bool


def play_runs(every: EveryRun, outputs: Sequence[tuple[Path, ...]]) -> int:
    """Play a run into each of `outputs`, which has a capture for each side; the exit code."""
    several = len(outputs) > 1
    judgements: list[Judgement] = []
    try:
        for number, paths in enumerate(outputs):
            if several:
                click.echo(f"\nRun {number + 1} of {len(outputs)}")
            ended = _play(every, paths, number)
            _describe(every, paths, ended)
            if ended[0].at_once:
                return ExitCode.INTERRUPTED
            judgement = _judge(every, paths, ended)
            code = _print_verdict(judgement, ended, in_summary=not several)
            if ended[0].run.state == "interrupted" or ended[0].run.certificate["given_up"]:
                return code
            judgements.append(judgement)
    except KeyboardInterrupt:
        click.echo(f"Interrupted: {paths[0]} holds the run; judge it with `nestperf report {paths[0]}`.", err=True)
        return ExitCode.INTERRUPTED
    return _print_together(judgements) if several else code


def _play(every: EveryRun, paths: tuple[Path, ...], number: int) -> tuple[Ended, ...]:
    # Every run has addresses of its own: the application may still count what those of the last one did.
    settings = changed(every.settings, network=network_of(every.settings.network - 1 + number))
    outputs = tuple(
        Output(path=path, targets=side, force=every.force) for path, side in zip(paths, every.sides, strict=True)
    )
    with every.tap as tap:
        run_before(every.before)  # which may start the application that uses the tap
        ended = play(every.plan, settings, outputs, every.recorded, every.source, marks=every.marks)
        tap.end()
        queries = tap.pour(paths[0])
    if every.tap.is_asked_for:
        click.echo(f"The application asked {plural(queries, 'SQL query', 'SQL queries')} meanwhile.")
    return ended


def _describe(every: EveryRun, paths: tuple[Path, ...], ended: tuple[Ended, ...]) -> None:
    """Print what was played, and where it is stored."""
    for path, side in zip(paths, ended, strict=True):
        if len(paths) > 1:
            click.echo(f"\n{', '.join(side.run.addresses)}")
        for line in summarize(side.run, side.tally):
            click.echo(line)
        for sentence in side.run.invalid:
            click.echo(f"Invalid: {sentence}")
        if side.tally.mismatch is not None:
            shown = f"nestperf show {path} {side.tally.mismatch} --source {every.source}"
            click.echo(f"The first that was answered otherwise, beside its recording: `{shown}`")
        click.echo(f"Stored in {path}; see more with `nestperf report {path}`.")


def _judge(every: EveryRun, paths: tuple[Path, ...], ended: tuple[Ended, ...]) -> Judgement:
    """Judge the run's first side, compared with the other one where both are valid."""
    from reports.verdict import judge_capture

    invalid = _is_invalid(ended)
    with contextlib.ExitStack() as opened:
        first, *others = [opened.enter_context(Capture.open(path)) for path in paths]
        judgement = judge_capture(first, every.limits, everything=every.judge_all, baselines=() if invalid else others)
    if len(paths) > 1 and invalid:
        click.echo("The two are not compared: a run that is invalid measured nothing to compare.")
    elif len(paths) > 1:
        click.echo(f"See all of the comparison with `nestperf report {paths[0]} --baseline {paths[1]}`.")
    return judgement


def _print_verdict(judgement: Judgement, ended: tuple[Ended, ...], *, in_summary: bool) -> int:
    """Print the thresholds' table, into a job's summary as well (`in_summary`); the exit code."""
    from reports.conclusion import print_judgement

    click.echo("")
    print_judgement(judgement, in_summary=in_summary)
    if _is_invalid(ended):
        return ExitCode.INVALID
    given_up = ended[0].run.certificate["given_up"]
    if given_up and not judgement.invalid:
        click.echo(given_up)
        return ExitCode.FAILED
    return judgement.exit_code


def _is_invalid(ended: tuple[Ended, ...]) -> bool:
    return any(side.run.invalid for side in ended)


def _print_together(judgements: list[Judgement]) -> int:
    """Print what the runs come to together; the exit code."""
    from reports.consistency import judge_together
    from reports.render.text import render_thresholds
    from reports.step_summary import append_to_step_summary

    judgement = judge_together(judgements)
    append_to_step_summary(judgement)
    click.echo(f"All {len(judgements)} runs together\n")
    click.echo(render_thresholds(judgement, shutil.get_terminal_size().columns))
    return judgement.exit_code
