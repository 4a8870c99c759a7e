"""`nestperf replay`: parses what is asked, wires plan, run and judgement, decides nothing else."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from dataclasses import replace as changed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nestperf.capture.clock import Clock
from nestperf.capture.marks import for_a_replay
from nestperf.capture.reader import Capture
from nestperf.capture.remarks import remarks_of
from nestperf.capture.vault import Vault
from nestperf.capture.writer import default_output
from nestperf.console import plural
from nestperf.errors import ExitCode, UsageError
from replay.asked import build_load
from replay.before import run_before
from replay.conduct import Output, play
from replay.descriptors import allowed_descriptors, connections_of, users_with_descriptors
from replay.identities import choose_identities, columns_of, enough_for, refuse_expired
from replay.options import asked_of, load_options, peer_options
from replay.outputs import check_output
from replay.pacing import Load
from replay.plan import build_plan
from replay.rules_file import read_rules
from replay.runner import Ended, Settings
from replay.steps import Plan
from replay.summary import describe_load, describe_plan, summarize
from replay.tap import Tap
from replay.targets import choose_targets, everywhere, permissions
from replay.transport.dial import Target
from replay.transport.tls import Trust

if TYPE_CHECKING:
    from reports.thresholds import Thresholds
    from reports.verdict import Judgement


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@load_options
@click.option("--judge-all", is_flag=True, help="Judge ramp and warm-up as well.")
@peer_options
@click.option(
    "--vs",
    metavar="[UPSTREAM=]URL",
    multiple=True,
    help="Play against this one as well, visits taking turns, into a capture of its own (FILE-vs).",
)
@click.option("--repeat", type=click.IntRange(1, 100), default=1, help="So many runs, judged together.")
@click.option("--check-bodies", is_flag=True, help="Hold the shape of JSON answers against the recorded ones.")
@click.option("--before", metavar="COMMAND", help="Run this first, to reset the application; if it fails, stop.")
@click.option(
    "--tap",
    "taps",
    metavar="LISTEN_PORT=postgres://HOST:PORT",
    multiple=True,
    help="Record the application's database queries meanwhile; it has to use this port. Repeatable.",
)
@click.option(
    "--database",
    metavar="URL",
    help="Ask this database the recorded reads again, each in BEGIN READ ONLY, instead of sending requests.",
)
@click.option(
    "--concurrency", type=click.IntRange(1, 1000), help="Connections of --database that ask at once.  [default: 10]"
)
@click.option("--thresholds", type=click.Path(path_type=Path), help="Thresholds to judge the result by.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Capture to write; default nestperf-<date>.db.")
@click.option("--force", is_flag=True, help="Overwrite the capture if it exists.")
def replay(
    file: Path,
    output: Path | None,
    force: bool,
    targets: tuple[str, ...],
    vs: tuple[str, ...],
    repeat: int,
    allowed: tuple[str, ...],
    allow_writes: bool,
    ca: Path | None,
    client_cert: Path | None,
    client_key: Path | None,
    insecure: bool,
    thresholds: Path | None,
    rules: Path | None,
    taps: tuple[str, ...],
    database: str | None,
    concurrency: int | None,
    before: str | None,
    check_bodies: bool,
    identities: Path | None,
    identity_command: str | None,
    share_identities: bool,
    judge_all: bool,
    **options: Any,
) -> int:
    """Play the capture FILE back with many users and check the thresholds.

    Without options: one user, every session once. Writes a capture of its own, which `nestperf report` reads and
    `nestperf replay` can play again. `nestperf plan FILE` says what would be sent.
    """
    from reports.thresholds import load_thresholds

    if database is not None:
        from replay.database.command import Wanted, refuse_others, replay_database

        refuse_others(click.get_current_context())
        return replay_database(
            file,
            Wanted(
                url=database,
                concurrency=concurrency,
                duration_ns=options["duration"],
                loops=options["loops"],
                timeout_ns=options["timeout"],
                allowed=allowed,
                trust=Trust(ca=ca, insecure=insecure),
                before=before,
                thresholds=thresholds,
                output=output,
                force=force,
            ),
        )
    if concurrency is not None:
        raise UsageError("--concurrency says how many connections ask a database: name that with --database.")
    if taps and vs:
        raise UsageError("--tap listens before one application's database: leave out --vs, or --tap.")
    tap = Tap(taps)
    limits = load_thresholds(thresholds, Path())
    persons = choose_identities(identities, identity_command, _users_asked(options))
    with Capture.open(file) as capture:
        runs = _outputs(output or default_output(), repeat, sides=2 if vs else 1)
        for path in (path for paths in runs for path in paths):
            check_output(file, path, force=force)
        recorded = capture.run
        marks = tuple(for_a_replay(capture.named()))
        trust = Trust(ca=ca, insecure=insecure, certificate=client_cert, key=client_key)
        sides = [choose_targets(recorded.upstreams, targets, allowed, trust)]
        if vs:
            sides.append(choose_targets(recorded.upstreams, vs, allowed, trust))
        may = everywhere(permissions(side, allowed, writes=allow_writes) for side in sides)
        plan = build_plan(
            capture, Vault.find(file), may, read_rules(rules), columns_of(persons), check_bodies=check_bodies
        )
    load = _load(options, plan, len(sides))
    if persons:
        enough_for(persons, load.users, share=share_identities)
    refuse_expired(plan, persons, Clock.start().unix_ns / 1e9)
    for remark in remarks_of(recorded, str(file)):
        click.echo(f"{file}: {remark}")
    _announce(file, plan, load, sides)
    judgements: list[Judgement] = []
    # Every run has addresses of its own: the application may still count what those of the last one did.
    network = secrets.randbelow(253)
    try:
        for number, paths in enumerate(runs, 1):
            if repeat > 1:
                click.echo(f"\nRun {number} of {repeat}")
            settings = Settings(
                load=load,
                timeout_s=options["timeout"] / 1e9,
                forwarded_for=options["forwarded_for"],
                network=1 + (network + number) % 253,
                abort_on=options["abort_on"],
                identities=persons,
            )
            outputs = (Output(path=p, targets=side, force=force) for p, side in zip(paths, sides, strict=True))
            with tap:
                run_before(before)  # which may start the application that uses the tap
                ended = play(plan, settings, tuple(outputs), recorded, file, marks=marks)
                tap.end()
                queries = tap.pour(paths[0])
            if taps:
                click.echo(f"The application asked {plural(queries, 'SQL query', 'SQL queries')} meanwhile.")
            judged, code = _conclude(paths, ended, limits, file, judge_all=judge_all, quiet=repeat > 1)
            if judged is None:
                return code
            judgements.append(judged)
            if ended[0].run.state == "interrupted" or ended[0].run.certificate["given_up"]:
                return code
    except KeyboardInterrupt:
        click.echo(f"Interrupted: {paths[0]} holds the run; judge it with `nestperf report {paths[0]}`.", err=True)
        return ExitCode.INTERRUPTED
    return _together(judgements) if len(judgements) > 1 else code


def _users_asked(options: dict[str, Any]) -> int | None:
    """How many users there may be at once; None where that was not said."""
    asked = asked_of(options)
    load = build_load(asked, 1)
    return load.users if load.model == "users" or asked.max_users is not None else None


def _outputs(path: Path, repeat: int, *, sides: int) -> list[tuple[Path, ...]]:
    """The captures of each run: FILE and, of its other side, FILE-vs; from the second run on with the run's number."""
    runs = [path if number == 1 else path.with_stem(f"{path.stem}-{number}") for number in range(1, repeat + 1)]
    return [(run, run.with_stem(f"{run.stem}-vs"))[:sides] for run in runs]


def _load(options: dict[str, Any], plan: Plan, sides: int) -> Load:
    asked = asked_of(options)
    load = build_load(asked, len(plan.sessions) * sides)
    each = max(connections_of(session) for session in plan.sessions)
    named = load.model == "users" or asked.max_users is not None
    return changed(load, users=users_with_descriptors(load, each, allowed_descriptors(), asked=named))


def _announce(file: Path, plan: Plan, load: Load, sides: list[tuple[Target, ...]]) -> None:
    urls = [", ".join(dict.fromkeys(target.url for target in side if target.addresses)) for side in sides]
    click.echo(f"Replaying {file} against {' and, in turns, '.join(urls)}: {describe_load(load)}.")
    for line in describe_plan(plan):
        click.echo(line)


def _conclude(
    paths: tuple[Path, ...], ended: tuple[Ended, ...], limits: Thresholds, source: Path, *, judge_all: bool, quiet: bool
) -> tuple[Judgement | None, int]:
    """Print what it came to and the thresholds' table; the judgement (None: there was no time for one) and the exit
    code. `quiet`: it is one of several runs, and a job's summary is about all of them."""
    for path, side in zip(paths, ended, strict=True):
        if len(paths) > 1:
            click.echo(f"\n{', '.join(side.run.addresses)}")
        for line in summarize(side.run, side.tally):
            click.echo(line)
        for sentence in side.run.invalid:
            click.echo(f"Invalid: {sentence}")
        if side.tally.mismatch is not None:
            shown = f"nestperf show {path} {side.tally.mismatch} --source {source}"
            click.echo(f"The first that was answered otherwise, beside its recording: `{shown}`")
        click.echo(f"Stored in {path}; see more with `nestperf report {path}`.")
    if ended[0].at_once:
        return None, ExitCode.INTERRUPTED
    from reports.render.encodable import encodable
    from reports.render.text import render_judgement
    from reports.step_summary import append_to_step_summary
    from reports.verdict import judge_capture

    with contextlib.ExitStack() as opened:
        captures = [opened.enter_context(Capture.open(path)) for path in paths]
        invalid = any(side.run.invalid for side in ended)
        judgement = judge_capture(captures[0], limits, everything=judge_all, baselines=() if invalid else captures[1:])
    if len(paths) > 1 and invalid:
        click.echo("The two are not compared: a run that is invalid measured nothing to compare.")
    elif len(paths) > 1:
        click.echo(f"See all of the comparison with `nestperf report {paths[0]} --baseline {paths[1]}`.")
    click.echo("")
    click.echo(encodable(render_judgement(judgement, shutil.get_terminal_size().columns)))
    if not quiet:
        append_to_step_summary(judgement)
    if invalid:
        return judgement, ExitCode.INVALID
    given_up = ended[0].run.certificate["given_up"]
    if given_up and not judgement.invalid:
        click.echo(given_up)
        return judgement, ExitCode.FAILED
    return judgement, judgement.exit_code


def _together(judgements: list[Judgement]) -> int:
    """Print what the runs come to together; the exit code."""
    from reports.consistency import judge_together
    from reports.render.text import render_thresholds
    from reports.step_summary import append_to_step_summary

    judgement = judge_together(judgements)
    append_to_step_summary(judgement)
    click.echo(f"All {len(judgements)} runs together\n")
    click.echo(render_thresholds(judgement, shutil.get_terminal_size().columns))
    return judgement.exit_code
