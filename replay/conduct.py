"""One run from beginning to end: opens the captures, shows how it goes, plays, and gives back what came of it."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from nestperf import __version__
from nestperf.capture.clock import Clock
from nestperf.capture.files import remove_capture
from nestperf.capture.model import Mark, Run, Upstream
from nestperf.capture.remarks import REDACT
from nestperf.capture.secret_names import SecretNames
from nestperf.capture.vault import Vault
from nestperf.capture.writer import CaptureWriter
from replay.journal import Journal
from replay.pacing import Load, session_of
from replay.progress import Progress
from replay.runner import Ended, Runner, Settings, Side
from replay.steps import Plan
from replay.transport.dial import Target

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Where one side of a run goes to, and what it is written into."""

    path: Path
    targets: tuple[Target, ...]
    force: bool


def play(
    plan: Plan,
    settings: Settings,
    outputs: tuple[Output, ...],
    recorded: Run,
    source: Path,
    *,
    marks: Sequence[Mark] = (),
) -> tuple[Ended, ...]:
    """Play a plan; one capture for each output, with `marks` in it.

    Raises:
        UsageError: a capture cannot be written.
    """
    clock = Clock.start()
    sides = tuple(_side(output, settings, recorded, source, clock) for output in outputs)
    for side in sides:
        side.journal.writer.extend(marks)
    direction = settings.direction
    view = Progress(direction.expected_ns if direction else expected_ns(plan, settings.load, len(sides)))
    view.start()
    try:
        return run_loop(_run(plan, settings, sides, clock, view))
    finally:
        view.stop()


async def _run(
    plan: Plan, settings: Settings, sides: tuple[Side, ...], clock: Clock, view: Progress
) -> tuple[Ended, ...]:
    return await Runner(plan, settings, sides, clock, view).run()


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on uvloop, or on asyncio's own loop where there is none."""
    factory = None
    if sys.platform != "win32":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


def _side(output: Output, settings: Settings, recorded: Run, source: Path, clock: Clock) -> Side:
    if output.force:
        remove_capture(output.path)
    vault = Vault.for_a_run(output.path, source)
    names = SecretNames(recorded.settings.get(REDACT, ()))
    run = Run(
        uid=secrets.token_hex(8),
        purpose="replay" if settings.direction is None else "check",
        vantage="client",
        state="running",
        version=__version__,
        started_unix_ns=clock.unix_ns,
        upstreams=tuple(Upstream(target.url) for target in output.targets),
        settings=asked(settings) | ({REDACT: names.added} if names.added else {}),
        source_uid=recorded.uid,
        source_path=source.name,
    )
    writer = CaptureWriter.create(output.path, run, vault=vault)
    return Side(targets=output.targets, journal=Journal(writer, vault, names), run=run)


def asked(settings: Settings) -> dict[str, object]:
    """The run's `settings`."""
    load = settings.load
    return {
        "model": load.model,
        "users" if load.model == "users" else "max_users": load.users,
        "stages": [list(stage) for stage in load.stages],
        "duration_ns": load.duration_ns,
        "ramp_ns": load.ramp_ns,
        "warm_up_ns": load.warm_up_ns,
        "loops": load.loops,
        "start": load.start,
        "think": str(load.think),
        "speed": load.speed,
        "max_idle_ns": load.max_idle_ns,
        "seed": load.seed,
        "timeout_ns": round(settings.timeout_s * 1e9),
        "abort_on": None if settings.abort_on is None else settings.abort_on.text,
        "forwarded_for": settings.forwarded_for,
        "network": settings.network,
        **({} if settings.direction is None else {"contract": settings.direction.about}),
    }


def expected_ns(plan: Plan, load: Load, sides: int) -> int | None:
    """How long the run will take if answers come as fast as recorded; None where nobody knows."""
    profile = load.profile
    if load.is_timed:
        return profile.end_ns
    if load.think.factor == 0:
        return None
    lengths = [round(session.length_ns * load.pace(0, 0).factor) for session in plan.sessions]
    if load.model == "sessions":
        return (profile.end_ns or 0) + max(lengths)
    ends = []
    sessions = len(lengths) * sides
    for due_ns, user in load.comings(max(session.length_ns for session in plan.sessions)):
        iteration, end_ns = 0, due_ns
        while (visit := load.visit_of(user, iteration, sessions)) is not None:
            end_ns += lengths[session_of(visit, len(lengths), sides, load.seed)[0]]
            iteration += 1
        ends.append(end_ns)
    return max(ends)
