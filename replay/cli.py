"""`nestperf replay`: parses what is asked, wires plan, runner and judgement, decides nothing else."""

from __future__ import annotations

import secrets
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nestperf import __version__
from nestperf.capture.clock import Clock
from nestperf.capture.model import Run, Upstream
from nestperf.capture.reader import Capture
from nestperf.capture.vault import Vault, secrets_path
from nestperf.capture.writer import CaptureWriter, check_writable, default_output, remove_capture
from nestperf.errors import ExitCode, UsageError
from replay.journal import Journal
from replay.pacing import Load, Start, Think, parse_duration
from replay.plan import build_plan
from replay.progress import Progress
from replay.runner import Ended, Runner, Settings, run_loop
from replay.steps import Plan
from replay.summary import describe_plan, summarize
from replay.targets import choose_targets
from replay.transport.dial import Target
from replay.transport.tls import Trust

if TYPE_CHECKING:
    from reports.thresholds import Thresholds


_PEM = click.Path(path_type=Path, dir_okay=False)


class _Duration(click.ParamType[int]):
    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_duration(str(value))
        except UsageError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--users", type=click.IntRange(1, 65_000), default=1, show_default=True, help="Virtual users.")
@click.option("--duration", type=_Duration(), help="How long, such as 30s or 2m; default: every session once.")
@click.option(
    "--target",
    "targets",
    metavar="[UPSTREAM=]URL",
    multiple=True,
    help="Where to send instead of the recorded upstreams; repeatable.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Capture to write; default nestperf-<date>.db.")
@click.option("--force", is_flag=True, help="Overwrite the capture if it exists.")
@click.option("--seed", type=int, default=1, show_default=True, help="For all that is left to chance.")
@click.option(
    "--start",
    type=click.Choice(["spread", "together"]),
    default="spread",
    show_default=True,
    help="Users arrive over a session's length (at most 10 s), or all at once.",
)
@click.option(
    "--think",
    type=click.Choice(["recorded", "none"]),
    default="recorded",
    show_default=True,
    help="Pauses between steps as recorded, or none.",
)
@click.option("--timeout", type=_Duration(), default="30s", show_default=True, help="For each answer.")
@click.option(
    "--allow-host", "allowed", metavar="HOST", multiple=True, help="Send to this host, which is not loopback."
)
@click.option("--forwarded-for", is_flag=True, help="Give each user an address of its own in X-Forwarded-For.")
@click.option("--thresholds", type=click.Path(path_type=Path), help="Thresholds to judge the result by.")
@click.option("--ca", type=_PEM, help="Trust the authorities in this PEM file too, for https targets.")
@click.option("--client-cert", type=_PEM, help="Certificate (PEM) to show to https targets.")
@click.option("--client-key", type=_PEM, help="Its key (PEM), where it stands in a file of its own.")
@click.option("--insecure", is_flag=True, help="Accept any certificate of https targets.")
def replay(
    file: Path,
    users: int,
    duration: int | None,
    targets: tuple[str, ...],
    output: Path | None,
    force: bool,
    seed: int,
    start: Start,
    think: Think,
    timeout: int,
    allowed: tuple[str, ...],
    forwarded_for: bool,
    thresholds: Path | None,
    ca: Path | None,
    client_cert: Path | None,
    client_key: Path | None,
    insecure: bool,
) -> int:
    """Play the capture FILE back with many users and check the thresholds.

    Without options: one user, every session once. Writes a capture of its own, which `nestperf report` reads and
    `nestperf replay` can play again.
    """
    from reports.thresholds import load_thresholds

    limits = load_thresholds(thresholds, Path())
    with Capture.open(file) as capture:
        path = output or default_output()
        _check_output(file, path, force=force)
        recorded = capture.run
        plan = build_plan(capture, Vault.open(file))
    trust = Trust(ca=ca, insecure=insecure, certificate=client_cert, key=client_key)
    chosen = choose_targets(recorded.upstreams, targets, allowed, trust)
    load = Load(users=users, duration_ns=duration, start=start, think=think, seed=seed)
    settings = Settings(
        load=load,
        targets=chosen,
        timeout_s=timeout / 1e9,
        forwarded_for=forwarded_for,
        network=1 + secrets.randbelow(253),
    )
    _announce(file, plan, load, chosen)
    ended = _play(path, file, plan, settings, recorded, force=force)
    try:
        return _conclude(path, ended, limits)
    except KeyboardInterrupt:
        click.echo(f"Interrupted: {path} holds the run; judge it with `nestperf report {path}`.", err=True)
        return ExitCode.INTERRUPTED


def _check_output(source: Path, path: Path, *, force: bool) -> None:
    if path.exists() and path.resolve() == source.resolve():
        raise UsageError(f"{path} is the capture to replay: name another file with -o.")
    check_writable(path, force=force)
    if not force and secrets_path(path).exists():
        raise UsageError(
            f"{secrets_path(path)} exists without its capture: move it away, or overwrite it with --force."
        )


def _announce(file: Path, plan: Plan, load: Load, targets: tuple[Target, ...]) -> None:
    how_long = "every session once" if load.duration_ns is None else f"{load.duration_ns / 1e9:g} s"
    where = ", ".join(dict.fromkeys(target.url for target in targets))
    click.echo(f"Replaying {file} against {where}: {load.users} user{'s' if load.users > 1 else ''}, {how_long}.")
    for line in describe_plan(plan):
        click.echo(line)


def _play(path: Path, file: Path, plan: Plan, settings: Settings, recorded: Run, *, force: bool) -> Ended:
    if force:
        remove_capture(path)
    clock = Clock.start()
    vault = Vault.create(path)
    run = Run(
        uid=secrets.token_hex(8),
        purpose="replay",
        vantage="client",
        state="running",
        version=__version__,
        started_unix_ns=clock.unix_ns,
        upstreams=tuple(Upstream(target.url) for target in settings.targets),
        settings=_asked(settings),
        source_uid=recorded.uid,
        source_path=file.name,
    )
    writer = CaptureWriter.create(path, run, vault=vault)
    view = Progress(_expected_ns(plan, settings.load))
    view.start()
    try:
        return run_loop(_run(plan, settings, Journal(writer, vault), run, clock, view))
    finally:
        view.stop()


async def _run(plan: Plan, settings: Settings, journal: Journal, run: Run, clock: Clock, view: Progress) -> Ended:
    return await Runner(plan, settings, journal, run, clock, view).run()


def _asked(settings: Settings) -> dict[str, object]:
    load = settings.load
    return {
        "users": load.users,
        "duration_ns": load.duration_ns,
        "start": load.start,
        "think": load.think,
        "seed": load.seed,
        "timeout_ns": round(settings.timeout_s * 1e9),
        "forwarded_for": settings.forwarded_for,
        "network": settings.network,
    }


def _expected_ns(plan: Plan, load: Load) -> int | None:
    """How long the run will take if answers come as fast as recorded."""
    if load.duration_ns is not None:
        return load.duration_ns
    if load.think == "none":
        return None
    lengths = [session.length_ns for session in plan.sessions]
    ends = []
    for user, arrival_ns in enumerate(load.arrivals(max(lengths))):
        iteration, end_ns = 0, arrival_ns
        while (session := load.session_for(user, iteration, len(lengths))) is not None:
            end_ns += lengths[session]
            iteration += 1
        ends.append(end_ns)
    return max(ends)


def _conclude(path: Path, ended: Ended, limits: Thresholds) -> int:
    """Print what it came to and the thresholds' table; the exit code."""
    for line in summarize(ended.run, ended.tally):
        click.echo(line)
    for sentence in ended.run.invalid:
        click.echo(f"Invalid: {sentence}")
    click.echo(f"Stored in {path}; see more with `nestperf report {path}`.")
    if ended.at_once:
        return ExitCode.INTERRUPTED
    from reports.render.text import render_thresholds
    from reports.verdict import judge_capture

    with Capture.open(path) as capture:
        judgement = judge_capture(capture, limits)
    click.echo("")
    click.echo(render_thresholds(judgement, shutil.get_terminal_size().columns))
    return judgement.exit_code
