"""Performs one contract: plays its traffic into a capture of its own, reads the rows, and has them judged."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nestperf.capture.model import Exchange, Mark, Pairs, Run
from nestperf.capture.reader import Capture
from nestperf.verdicts import Verdict
from replay.checks.contract import Asks, Finding, Rows, Source, Traffic
from replay.checks.suite import Entry
from replay.conduct import Output, play
from replay.database.access import Access
from replay.database.conduct import Into, ask_reads
from replay.database.reads import Reads
from replay.database.run import Asking
from replay.identities import Identity
from replay.runner import Direction, Settings
from replay.steps import Plan
from replay.transport.dial import Target

INTERRUPTED = "interrupted"
"""The state of a run that Ctrl-C ended."""
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
    database: Access | None
    """Where queries are asked."""
    forwarded_for: bool
    force: bool
    marks: tuple[Mark, ...] = ()
    """What was named in the recording, for the captures that repeat it."""


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


def source_of(capture: Capture, plan: Plan, seed: int, reads: Reads | None = None, *, asks: bool = False) -> Source:
    """What contracts choose from; `reads`: its queries, `asks`: there is a database to ask them of."""
    exchanges = tuple(capture.exchanges())
    return Source(
        plan=plan,
        exchanges=exchanges,
        heads=_heads(capture, exchanges),
        sockets=tuple(capture.sockets()),
        packets=tuple(capture.packets()),
        seed=seed,
        reads=reads,
        asks_database=asks,
    )


def perform(entry: Entry, traffic: Traffic, place: Place, path: Path, *, network: int, first: int) -> Performed:
    """Play it into the capture `path` and judge what came of it.

    `network`: which of the 127.N networks its users come from. `first`: which identity its first user is.

    Raises:
        UsageError: the capture cannot be written.
    """
    if traffic.asks is not None:
        return _perform_asking(entry, traffic, traffic.asks, place, path)
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
    (ended,) = play(traffic.plan, settings, (output,), place.recorded, place.file, marks=place.marks)
    return _performed(entry, traffic, path, ended.run, at_once=ended.at_once)


def _perform_asking(entry: Entry, traffic: Traffic, asks: Asks, place: Place, path: Path) -> Performed:
    """The same for queries, which are asked in rounds."""
    assert place.database is not None
    target, person = place.database
    asking = Asking(
        target=target,
        person=person,
        concurrency=asks.concurrency,
        loops=1,
        duration_ns=None,
        timeout_s=place.timeout_s,
        together=True,
    )
    into = Into(
        path=path,
        force=place.force,
        recorded=place.recorded,
        source=place.file,
        purpose="check",
        settings={"contract": {"name": entry.name, "kind": entry.kind}},
    )
    asked = ask_reads(asks.reads, asking, into)
    return _performed(entry, traffic, path, asked.run, at_once=asked.at_once)


def _performed(entry: Entry, traffic: Traffic, path: Path, run: Run, *, at_once: bool) -> Performed:
    with Capture.open(path) as capture:
        finding = entry.contract.judge(traffic, rows_of(capture))
    if run.state == INTERRUPTED:
        finding = interrupted(finding)
    return Performed(entry=entry, finding=finding, path=path, invalid=_invalid(run), state=run.state, at_once=at_once)


def _heads(capture: Capture, exchanges: Sequence[Exchange]) -> Mapping[int, Pairs]:
    kept = {exchange.response_headers for exchange in exchanges if exchange.response_headers is not None}
    return {head: capture.headers(head) for head in kept}


def rows_of(capture: Capture) -> Rows:
    """The rows of a contract's capture."""
    exchanges = tuple(capture.exchanges())
    return Rows(
        run=capture.run,
        exchanges=exchanges,
        sessions=capture.sessions(),
        sockets=tuple(capture.sockets()),
        packets=tuple(capture.packets()),
        queries=tuple(capture.queries()),
        heads=_heads(capture, exchanges),
        capture=capture,
    )


def rotated(identities: Sequence[Identity], first: int) -> tuple[Identity, ...]:
    """The identities beginning with another one: what one contract used up, the next does not begin with."""
    start = first % len(identities) if identities else 0
    return (*identities[start:], *identities[:start])


def interrupted(finding: Finding) -> Finding:
    """What was found in a part of the traffic: a broken promise is broken, the rest nobody can tell."""
    verdict = Verdict.INCONCLUSIVE if finding.verdict is Verdict.PASS else finding.verdict
    told = "Interrupted: what was recorded is kept, and is not all."
    return replace(finding, verdict=verdict, sentences=(told, *finding.sentences))


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
