"""`nestperf replay`: parses what is asked, checks that it goes together, plans, and hands on what is to be played."""

from __future__ import annotations

import secrets
from dataclasses import replace as changed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nestperf.capture.clock import Clock
from nestperf.capture.files import default_output
from nestperf.capture.marks import for_a_replay
from nestperf.capture.output import output_options
from nestperf.capture.reader import Capture
from nestperf.capture.remarks import remarks_of
from nestperf.capture.vault import Vault
from nestperf.errors import UsageError
from replay.asked import build_load
from replay.descriptors import allowed_descriptors, connections_of, users_with_descriptors
from replay.identities import choose_identities, columns_of, enough_for, refuse_expired
from replay.options import asked_of, load_options, peer_options
from replay.outputs import check_output
from replay.pacing import NETWORKS, Load, network_of
from replay.plan import build_plan
from replay.rules_file import read_rules
from replay.runner import Settings
from replay.runs import EveryRun, play_runs
from replay.steps import Plan
from replay.summary import describe_load, describe_plan
from replay.tap import Tap
from replay.targets import choose_targets, everywhere, permissions
from replay.transport.dial import Target
from replay.transport.tls import Trust

if TYPE_CHECKING:
    pass


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@load_options
@click.option("--judge-all", is_flag=True, help="Judge ramp and warm-up as well.")
@peer_options
@click.option(
    "--vs",
    metavar="[UPSTREAM=]URL",
    multiple=True,
    help="Play against this one too, the baseline: visits take turns, into a capture of its own (OUT-vs); repeatable.",
)
@click.option("--repeat", type=click.IntRange(1, 100), default=1, help="So many runs, judged together.")
@click.option("--check-bodies", is_flag=True, help="Hold the shape of JSON answers against the recorded ones.")
@click.option(
    "--before", metavar="COMMAND", help="Run this before each run, to reset the application; if it fails, stop."
)
@click.option(
    "--tap",
    "taps",
    metavar="LISTEN_PORT=postgres://HOST:PORT",
    multiple=True,
    help="Record the application's database queries meanwhile; it has to use this port; repeatable.",
)
@click.option(
    "--database",
    metavar="URL",
    help="Ask this database the recorded reads again, each in BEGIN READ ONLY, instead of sending requests.",
)
@click.option(
    "--concurrency", type=click.IntRange(1, 1000), help="Connections of --database that ask at once.  [default: 10]"
)
@click.option(
    "--thresholds", metavar="FILE", type=click.Path(path_type=Path), help="Thresholds to judge the result by."
)
@output_options
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
        outputs = _outputs(output or default_output(), repeat, sides=2 if vs else 1)
        for path in (path for paths in outputs for path in paths):
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
    settings = Settings(
        load=load,
        timeout_s=options["timeout"] / 1e9,
        forwarded_for=options["forwarded_for"],
        network=network_of(secrets.randbelow(NETWORKS)),
        abort_on=options["abort_on"],
        identities=persons,
    )
    every = EveryRun(
        source=file,
        recorded=recorded,
        marks=marks,
        plan=plan,
        sides=tuple(sides),
        settings=settings,
        tap=tap,
        before=before,
        limits=limits,
        judge_all=judge_all,
        force=force,
    )
    return play_runs(every, outputs)


def _users_asked(options: dict[str, Any]) -> int | None:
    """How many users there may be at once; None where that was not said."""
    asked = asked_of(options)
    load = build_load(asked, 1)
    return load.users if load.model == "users" or asked.max_users is not None else None


def _outputs(path: Path, repeat: int, *, sides: int) -> list[tuple[Path, ...]]:
    """The captures of each run: OUT and, of its other side, OUT-vs; from the second run on with the run's number."""
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
