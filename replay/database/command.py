"""`nestperf replay FILE --database URL`: wires reads, connections, capture and judgement; decides nothing else."""

from __future__ import annotations

import os
import secrets
import shutil
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import click
from click.core import ParameterSource

from nestperf import __version__
from nestperf.capture.clock import Clock
from nestperf.capture.model import ONLY_QUERIES, Run, Upstream
from nestperf.capture.reader import DAMAGE, Capture
from nestperf.capture.remarks import PARAMETERS, remarks_of
from nestperf.capture.vault import Vault
from nestperf.capture.writer import CaptureWriter, default_output, remove_capture
from nestperf.errors import CaptureEmpty, ExitCode, UsageError
from nestperf.printable import printable
from replay.before import run_before
from replay.conduct import run_loop
from replay.database.address import Address, parse_address
from replay.database.reads import Reads, Recorded, choose_reads
from replay.database.run import Asking, DatabaseRun
from replay.database.tally import Spent, describe_reads, summarize_asked
from replay.outputs import check_output
from replay.transport.database import LoginRefused, Person
from replay.transport.dial import Target, resolve_place
from replay.transport.tls import Trust, client_context

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
    address = parse_address(wanted.url, os.environ.get("PGPASSWORD"))
    target = _target(address, wanted.allowed)
    person = _person(address, wanted.trust)
    output = wanted.output or default_output()
    check_output(file, output, force=wanted.force)
    with Capture.open(file) as capture:
        recorded, reads = capture.run, read_reads(capture, Vault.open(file))
    concurrency = wanted.concurrency or CONCURRENCY
    loops = wanted.loops or 1
    asking = Asking(
        target=target,
        person=person,
        concurrency=concurrency,
        loops=loops,
        duration_ns=wanted.duration_ns,
        timeout_s=wanted.timeout_ns / 1e9,
    )
    for remark in remarks_of(recorded, str(file)):
        click.echo(f"{file}: {remark}")
    click.echo(f"Asking {target.url} on {concurrency} connections, each read in BEGIN READ ONLY: {_length(asking)}.")
    for line in describe_reads(reads):
        click.echo(line)
    if not reads.reads:
        raise CaptureEmpty(f"{file} holds no read that can be asked again: {_remedy(reads)}.")
    run_before(wanted.before)
    run, spent, asked = _play(reads, asking, (recorded.uid, file.name), output, force=wanted.force)
    for line in summarize_asked(asked.tally, spent, concurrency):
        click.echo(line)
    for sentence in run.invalid:
        click.echo(f"Invalid: {sentence}")
    click.echo(f"Stored in {output}; see more with `nestperf report {output}`.")
    if asked.interrupts > 1:
        return ExitCode.INTERRUPTED
    from reports.render.encodable import encodable
    from reports.render.text import render_judgement
    from reports.verdict import judge_capture

    with Capture.open(output) as capture:
        judgement = judge_capture(capture, limits)
    click.echo("")
    click.echo(encodable(render_judgement(judgement, shutil.get_terminal_size().columns)))
    return judgement.exit_code


def read_reads(capture: Capture, vault: Vault | None) -> Reads:
    """The reads of a capture; `vault` as far as there is one."""
    recorded = Recorded(
        queries=capture.queries(),
        statements={statement.id: statement for statement in capture.statements()},
        wordings={wording.id: wording for wording in capture.wordings()},
        literals={literals.id: literals for literals in capture.literals()},
        with_values=bool(capture.run.settings.get(PARAMETERS)),
    )
    return choose_reads(recorded, (lambda text: text) if vault is None else vault.reveal)


def _target(address: Address, allowed: Iterable[str]) -> Target:
    target = resolve_place(address.url, address.host, address.port, "--database")
    if not target.is_loopback and address.host not in allowed:
        raise UsageError(f"{address.url} is not on this machine: allow it with --allow-host {address.host}.")
    return target


def _person(address: Address, trust: Trust) -> Person:
    mode = address.ssl_mode
    context: ssl.SSLContext | None = None
    if mode != "disable":
        root = trust.ca if address.ssl_root is None else Path(address.ssl_root)
        context = client_context(replace(trust, ca=root, insecure=trust.insecure or not mode.startswith("verify")))
        if mode == "verify-ca":
            context.check_hostname = False
        context.set_alpn_protocols(["postgresql"])
    return Person(address.user, address.password, address.database, context, mode not in ("disable", "prefer"))


def _length(asking: Asking) -> str:
    if asking.duration_ns is not None:
        return f"for {asking.duration_ns / 1e9:g} s"
    return "every read once" if asking.loops == 1 else f"every read {asking.loops:,} times"


def _remedy(reads: Reads) -> str:
    return "see above why" if reads.left_out else "record with postgres://HOST:PORT among the addresses"


def _new_run(source: tuple[str, str], asking: Asking, clock: Clock) -> Run:
    return Run(
        uid=secrets.token_hex(8),
        purpose="replay",
        vantage="client",
        state="running",
        version=__version__,
        started_unix_ns=clock.unix_ns,
        upstreams=(Upstream(asking.target.url),),
        settings={
            "model": ONLY_QUERIES,
            "users": asking.concurrency,
            "loops": None if asking.duration_ns is not None else asking.loops,
            "duration_ns": asking.duration_ns,
            "timeout_ns": round(asking.timeout_s * 1e9),
        },
        source_uid=source[0],
        source_path=source[1],
    )


def _play(
    reads: Reads, asking: Asking, source: tuple[str, str], output: Path, *, force: bool
) -> tuple[Run, Spent, DatabaseRun]:
    """Connect, then make the capture, then ask: who cannot log in leaves no file behind. `source`: the recording's uid
    and file name."""

    async def play() -> tuple[Run, Spent, DatabaseRun]:
        clock = Clock.start()
        asked = DatabaseRun(reads.reads, asking, clock)
        try:
            await asked.connect()
        except LoginRefused as refusal:
            raise UsageError(_refused(asking, refusal)) from None
        if force:
            remove_capture(output)
        writer = CaptureWriter.create(output, _new_run(source, asking, clock))
        writer.extend(reads.statements)
        return await _ask(asked, writer, reads, asking, clock)

    return run_loop(play())


async def _ask(
    asked: DatabaseRun, writer: CaptureWriter, reads: Reads, asking: Asking, clock: Clock
) -> tuple[Run, Spent, DatabaseRun]:
    spent = await asked.run(writer)
    planned = None if asking.duration_ns is not None else asking.loops * len(reads.reads)
    run = writer.run._replace(
        state="interrupted" if asked.interrupts else "finished",
        ended_ns=clock.now_ns(),
        certificate=asked.tally.certificate(spent, reads, planned),
        invalid=asked.tally.invalid(),
    )
    writer.set_run(run)
    try:
        writer.close()
    except (*DAMAGE, OSError) as error:
        raise UsageError(f"Cannot write {writer.path}: {error}. What is stored stays readable.") from error
    return run, spent, asked


def _refused(asking: Asking, refusal: LoginRefused) -> str:
    code = refusal.sqlstate or ""
    state = f" (SQLSTATE {code})" if code else ""
    remedy = {
        "53300": "ask with a lower --concurrency",
        "3D000": "check the database's name in --database",
        "28P01": "check user and password in --database, or the password in PGPASSWORD",
    }.get(code, "check --database")
    return f"No connection to {asking.target.url}: {printable(str(refusal), 300)}{state}. Nothing was asked: {remedy}."
