"""Performs one contract: plays its traffic into a capture of its own, reads the rows, and has them judged."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nestperf.capture.model import Pairs, Run
from nestperf.capture.reader import Capture
from nestperf.verdicts import Verdict
from replay.checks.contract import Finding, Rows, Source, Traffic
from replay.checks.suite import Entry
from replay.conduct import Output, play
from replay.identities import Identity
from replay.runner import Direction, Settings
from replay.steps import Plan
from replay.transport.dial import Target

_CLEAN = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where contracts are performed, the same for all of them."""

    file: Path
    """The capture that is repeated."""
    recorded: Run
    targets: tuple[Target, ...]
    identities: tuple[Identity, ...]
    timeout_s: float
    forwarded_for: bool
    force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Performed:
    """A contract that was performed, or could not be."""

    entry: Entry
    finding: Finding
    path: Path | None = None
    """Its capture; None where nothing was played."""
    invalid: tuple[str, ...] = ()
    """Why nothing of it counts."""
    state: str = "finished"
    """`interrupted` by Ctrl-C."""
    at_once: bool = False
    """By a second one."""
    runs: tuple[Verdict, ...] = ()
    """Of several runs: their verdicts."""


def source_of(capture: Capture, plan: Plan, seed: int) -> Source:
    """What contracts choose from."""
    return Source(
        plan=plan,
        exchanges=tuple(capture.exchanges()),
        sockets=tuple(capture.sockets()),
        packets=tuple(capture.packets()),
        seed=seed,
    )


def perform(entry: Entry, traffic: Traffic, place: Place, path: Path, *, network: int, first: int) -> Performed:
    """Play it into the capture `path` and judge what came of it.

    `network`: which of the 127.N networks its users come from. `first`: which identity its first user is.

    Raises:
        UsageError: the capture cannot be written.
    """
    settings = Settings(
        load=traffic.load,
        timeout_s=place.timeout_s,
        forwarded_for=place.forwarded_for,
        network=network,
        identities=rotated(place.identities, first),
        direction=Direction(
            direct=traffic.direct,
            about={"name": entry.name, "kind": entry.kind},
            expected_ns=traffic.takes_ns,
            lateness_ns=traffic.lateness_ns,
        ),
    )
    output = Output(path=path, targets=place.targets, force=place.force)
    (ended,) = play(traffic.plan, settings, (output,), place.recorded, place.file)
    with Capture.open(path) as capture:
        finding = entry.contract.judge(traffic, rows_of(capture))
    if ended.run.state == "interrupted":
        finding = interrupted(finding)
    return Performed(
        entry=entry,
        finding=finding,
        path=path,
        invalid=_invalid(ended.run),
        state=ended.run.state,
        at_once=ended.at_once,
    )


def rows_of(capture: Capture) -> Rows:
    """The rows of a contract's capture."""
    exchanges = tuple(capture.exchanges())
    heads: dict[int, Pairs] = {
        kept: capture.headers(kept)
        for kept in {exchange.response_headers for exchange in exchanges}
        if kept is not None
    }
    return Rows(
        run=capture.run,
        exchanges=exchanges,
        sessions=capture.sessions(),
        sockets=tuple(capture.sockets()),
        packets=tuple(capture.packets()),
        heads=heads,
        capture=capture,
    )


def rotated(identities: Sequence[Identity], first: int) -> tuple[Identity, ...]:
    """The identities beginning with another one: what one contract used up, the next does not begin with."""
    start = first % len(identities) if identities else 0
    return (*identities[start:], *identities[:start])


def interrupted(finding: Finding) -> Finding:
    """What was found in a part of the traffic: a broken promise is broken, the rest nobody can tell."""
    if finding.verdict is not Verdict.PASS:
        return finding
    return Finding(
        verdict=Verdict.INCONCLUSIVE,
        measured=finding.measured,
        limit=finding.limit,
        n=finding.n,
        numbers=finding.numbers,
        sentences=("Interrupted: what was recorded is kept, and is not all.", *finding.sentences),
    )


def path_of(output: Path, name: str, number: int) -> Path:
    """The capture of a contract: `check.db` and `20 health checks` make `check-20-health-checks.db`, its second run
    `check-20-health-checks-2.db`."""
    slug = _CLEAN.sub("-", name.lower()).strip("-")[:60] or "contract"
    return output.with_stem(f"{output.stem}-{slug}" + (f"-{number}" if number > 1 else ""))


def _invalid(run: Run) -> tuple[str, ...]:
    """Why nothing of a run counts."""
    lost = ", ".join(f"{count:,} {kind}" for kind, count in sorted(run.losses.items()) if count)
    losses = (f"Not everything was stored; lost: {lost}.",) if lost else ()
    return (*run.invalid, *losses)
