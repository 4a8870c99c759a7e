"""`nestperf check`: parses what is asked, has each contract of a suite performed, prints what came of it."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nestperf.capture.clock import Clock
from nestperf.capture.files import default_output
from nestperf.capture.marks import for_a_replay
from nestperf.capture.reader import Capture
from nestperf.capture.remarks import remarks_of
from nestperf.capture.vault import Vault
from nestperf.console import duration, plural
from nestperf.errors import ExitCode
from replay.descriptors import allowed_descriptors, connections_of, users_with_descriptors
from replay.identities import choose_identities, columns_of, enough_for, refuse_expired
from replay.options import peer_options
from replay.outputs import check_output
from replay.pacing import NETWORKS, source_address
from replay.plan import build_plan
from replay.rules_file import read_rules
from replay.summary import describe_plan
from replay.targets import choose_targets, permissions
from replay.transport.dial import can_bind
from replay.transport.tls import Trust

if TYPE_CHECKING:
    from replay.checks.performance import Performed, Place
    from replay.checks.rounds import Planned
    from replay.checks.suite import Suite
    from replay.transport.dial import Target


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--suite",
    "suite_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Contracts to check (TOML; docs/check.md).",
)
@click.option("--init", is_flag=True, help="Print a suite for this capture, with what was inferred; send nothing.")
@click.option("--list", "only_list", is_flag=True, help="Print what would be done; send nothing.")
@click.option("--only", "names", metavar="NAME", multiple=True, help="Only this contract, or kind; repeatable.")
@click.option("--repeat", type=click.IntRange(1, 20), default=1, help="The suite so many times, judged together.")
@click.option("--seed", type=int, default=1, show_default=True, help="For all that is left to chance.")
@peer_options
@click.option("--database", metavar="URL", help="The database that contracts about queries ask (docs/database.md).")
@click.option(
    "--before", metavar="COMMAND", help="Run this before each contract, to reset the application; if it fails, stop."
)
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    type=click.Path(path_type=Path),
    help="Captures to write, OUT-<contract>.db each; default nestperf-<date>.db.",
)
@click.option("--force", is_flag=True, help="Overwrite captures that exist.")
def check(
    file: Path,
    suite_path: Path | None,
    init: bool,
    only_list: bool,
    names: tuple[str, ...],
    repeat: int,
    seed: int,
    targets: tuple[str, ...],
    allowed: tuple[str, ...],
    allow_writes: bool,
    rules: Path | None,
    identities: Path | None,
    identity_command: str | None,
    share_identities: bool,
    forwarded_for: bool,
    timeout: int,
    ca: Path | None,
    client_cert: Path | None,
    client_key: Path | None,
    insecure: bool,
    database: str | None,
    before: str | None,
    output: Path | None,
    force: bool,
) -> int:
    """Check what was promised about many people at once, rate limits and sockets, from the capture FILE.

    Each contract makes its own traffic out of what was recorded, into a capture of its own, and is judged by it. With
    --init, prints the contracts that FILE can be held to.
    """
    from replay.checks.init import write_suite
    from replay.checks.performance import Place, source_of
    from replay.checks.rounds import plan_suite
    from replay.checks.suite import load_suite
    from replay.database.access import find_access, read_reads

    suite = load_suite(suite_path, Path()).only(names)
    most = max(entry.contract.users for entry in suite.entries)
    persons = choose_identities(identities, identity_command, most)
    if persons:
        enough_for(persons, most, share=share_identities)
    trust = Trust(ca=ca, insecure=insecure, certificate=client_cert, key=client_key)
    access = None if database is None else find_access(database, allowed, trust)
    with Capture.open(file) as capture:
        recorded = capture.run
        marks = tuple(for_a_replay(capture.named()))
        where = choose_targets(recorded.upstreams, targets, allowed, trust)
        may = permissions(where, allowed, writes=allow_writes)
        vault = Vault.find(file)
        plan = build_plan(capture, vault, may, read_rules(rules), columns_of(persons))
        source = source_of(capture, plan, seed, read_reads(capture, vault), asks=access is not None)
    if init:
        click.echo(write_suite(source, file.name), nl=False)
        return ExitCode.OK
    refuse_expired(plan, persons, Clock.start().unix_ns / 1e9)
    planned = plan_suite(suite, source)
    _require_descriptors(planned)
    for remark in remarks_of(recorded, str(file)):
        click.echo(f"{file}: {remark}")
    _announce(file, suite, planned, where, repeat)
    for line in describe_plan(plan):
        click.echo(line)
    if only_list:
        return ExitCode.OK
    place = Place(
        file=file,
        recorded=recorded,
        targets=where,
        identities=persons,
        timeout_s=timeout / 1e9,
        database=access,
        forwarded_for=forwarded_for,
        force=force,
        marks=marks,
    )
    return _run(planned, suite, place, output or default_output(), repeat=repeat, before=before)


def _require_descriptors(planned: tuple[Planned, ...]) -> None:
    """Refuse what this process may not have connections enough for."""
    for one in planned:
        if not isinstance(one.traffic, str) and one.traffic.plan.sessions:
            each = max(connections_of(session) for session in one.traffic.plan.sessions)
            users_with_descriptors(one.traffic.load, each, allowed_descriptors(), asked=True)


def _announce(file: Path, suite: Suite, planned: tuple[Planned, ...], targets: tuple[Target, ...], repeat: int) -> None:
    from replay.checks.text import describe_choice

    traffics = [one.traffic for one in planned if not isinstance(one.traffic, str)]
    waits_ns = max((traffic.fresh_ns for traffic in traffics), default=0) * (repeat - 1)
    takes_ns = repeat * sum(traffic.takes_ns for traffic in traffics) + waits_ns
    times = f", {repeat} times" if repeat > 1 else ""
    where = ", ".join(dict.fromkeys(target.url for target in targets if target.addresses))
    click.echo(
        f"Checking {file} against {where}: {plural(len(planned), 'contract')}{times}, about {duration(takes_ns)}."
    )
    click.echo(f"Contracts: {suite.origin}")
    for number, one in enumerate(planned, 1):
        for line in describe_choice(number, one.entry, one.traffic):
            click.echo(line)
    if suite.built_in and len(traffics) < len(planned):
        click.echo(f"Contracts that this capture can be held to: `nestperf check {file} --init`.")


def _run(
    planned: tuple[Planned, ...], suite: Suite, place: Place, output: Path, *, repeat: int, before: str | None
) -> int:
    from replay.checks.performance import path_of
    from replay.checks.rounds import Round, Spent

    played = [one.entry for one in planned if not isinstance(one.traffic, str)]
    for number in range(1, repeat + 1):
        for entry in played:
            check_output(place.file, path_of(output, entry.name, number), force=place.force)
    spent = Spent(Clock.start())
    network = secrets.randbelow(NETWORKS)
    rounds: list[list[Performed]] = []
    for number in range(1, repeat + 1):
        if repeat > 1:
            click.echo(f"\nRun {number} of {repeat}")
        one = Round(
            planned,
            place,
            output,
            number=number,
            network=network + (number - 1) * len(planned),
            before=before,
            own_addresses=place.forwarded_for or _have_own_addresses(place.targets),
            say=click.echo,
            told=_tell,
        )
        one.run(spent)
        rounds.append(one.performed)
        if one.is_over:
            break
    return _conclude(rounds, suite)


def _have_own_addresses(targets: tuple[Target, ...]) -> bool:
    return can_bind(source_address(0, 1)) and all(target.is_loopback for target in targets if target.addresses)


def _tell(performed: Performed) -> None:
    from replay.checks.text import describe_result

    for line in describe_result(performed):
        click.echo(line)


def _conclude(rounds: list[list[Performed]], suite: Suite) -> int:
    from replay.checks.text import render_contracts
    from replay.checks.together import exit_code, judge_together
    from reports.render.encodable import encodable
    from reports.step_summary import append_terminal_text

    together = judge_together(rounds)
    click.echo("")
    if len(rounds) > 1:
        click.echo(f"All {len(rounds)} runs together\n")
    text = render_contracts(together, suite.origin, shutil.get_terminal_size().columns)
    append_terminal_text("nestperf check", text)
    click.echo(encodable(text), nl=False)
    if any(one.at_once for run in rounds for one in run):
        return ExitCode.INTERRUPTED
    return exit_code(together)
