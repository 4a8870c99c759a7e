"""`nestperf replay FILE --database URL`: wires reads, connections, capture and judgement; decides nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click
from click.core import ParameterSource

from nestperf.capture.files import default_output
from nestperf.capture.reader import Capture
from nestperf.capture.remarks import remarks_of
from nestperf.capture.vault import Vault
from nestperf.errors import CaptureEmpty, ExitCode, UsageError
from replay.before import run_before
from replay.database.access import find_access, read_reads
from replay.database.conduct import Into, ask_reads
from replay.database.reads import Reads
from replay.database.run import Asking
from replay.database.tally import describe_reads, summarize_asked
from replay.outputs import check_output
from replay.transport.tls import Trust

CONCURRENCY = 10
_TAKEN = frozenset({"file", "database", "concurrency", "duration", "loops", "timeout", "allowed", "before", "ca",
                    "insecure", "thresholds", "output", "force"})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line says."""

    url: str
    concurrency: int | None
    duration_ns: int | None
    loops: int | None
    timeout_ns: int
    allowed: tuple[str, ...]
    trust: Trust
    before: str | None
    thresholds: Path | None
    output: Path | None
    force: bool


def refuse_others(context: click.Context) -> None:
    """Options that speak of users and requests do not go with a database.

    Raises:
        UsageError: one of them was given.
    """
    for option in context.command.params:
        name = option.name or ""
        if name not in _TAKEN and context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise UsageError(f"{option.opts[0]} does not go with --database, which asks queries and nothing else.")


def replay_database(file: Path, wanted: Wanted) -> int:
    """Ask the reads of a capture again; the exit code."""
    from reports.thresholds import load_thresholds

    limits = load_thresholds(wanted.thresholds, Path())
    target, person = find_access(wanted.url, wanted.allowed, wanted.trust)
    output = wanted.output or default_output()
    check_output(file, output, force=wanted.force)
    with Capture.open(file) as capture:
        recorded, reads = capture.run, read_reads(capture, Vault.find(file))
    asking = Asking(
        target=target,
        person=person,
        concurrency=wanted.concurrency or CONCURRENCY,
        loops=wanted.loops or 1,
        duration_ns=wanted.duration_ns,
        timeout_s=wanted.timeout_ns / 1e9,
    )
    for remark in remarks_of(recorded, str(file)):
        click.echo(f"{file}: {remark}")
    where = f"{target.url} on {asking.concurrency} connections"
    click.echo(f"Asking {where}, each read in BEGIN READ ONLY: {_length(asking)}.")
    for line in describe_reads(reads):
        click.echo(line)
    if not reads.reads:
        raise CaptureEmpty(f"{file} holds no read that can be asked again: {_remedy(reads)}.")
    run_before(wanted.before)
    asked = ask_reads(reads, asking, Into(path=output, force=wanted.force, recorded=recorded, source=file))
    for line in summarize_asked(asked.tally, asked.spent, asking.concurrency):
        click.echo(line)
    for sentence in asked.run.invalid:
        click.echo(f"Invalid: {sentence}")
    click.echo(f"Stored in {output}; see more with `nestperf report {output}`.")
    if asked.at_once:
        return ExitCode.INTERRUPTED
    from reports.conclusion import print_judgement
    from reports.verdict import judge_capture

    with Capture.open(output) as capture:
        judgement = judge_capture(capture, limits)
    click.echo("")
    print_judgement(judgement)
    return judgement.exit_code


def _length(asking: Asking) -> str:
    if asking.duration_ns is not None:
        return f"for {asking.duration_ns / 1e9:g} s"
    return "every read once" if asking.loops == 1 else f"every read {asking.loops:,} times"


def _remedy(reads: Reads) -> str:
    return "see above why" if reads.left_out else "record with postgres://HOST:PORT among the addresses"
