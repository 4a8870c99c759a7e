"""`nestperf import`: parses what is asked, lets it be imported, says what came of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import click

from nestperf.capture.files import check_writable, default_output, remove_capture
from nestperf.capture.foreign import ForeignFile
from nestperf.capture.har.reading import HarFile
from nestperf.capture.output import output_options
from nestperf.capture.postgres_log.reading import PostgresLog
from nestperf.capture.reader import SQLITE
from nestperf.capture.remarks import IN_CLEAR
from nestperf.console import plural
from nestperf.errors import CaptureForeign, CaptureMissing, UsageError
from nestperf.printable import printable
from proxy_addon.adding import Added, add_queries
from proxy_addon.importing import Contribution, Import, first_query, survey_all
from proxy_addon.live import counts
from proxy_addon.redacting import no_redact_option, redact_option

_BEGINNING = 2**16
IS_FLOWS = re.compile(rb"\d{1,12}:\d{1,6}:")
"""How a flow file of mitmproxy begins: netstrings."""


@click.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@output_options
@click.option(
    "--only",
    metavar="URL",
    multiple=True,
    help="Import only exchanges with this application (https://app.test, or app.test, or localhost:4000); repeatable.",
)
@redact_option
@no_redact_option
@click.option(
    "--log-line-prefix",
    "prefix",
    metavar="PREFIX",
    help="log_line_prefix of a PostgreSQL log, such as '%m [%p] %u@%d '; default: found out line by line.",
)
@click.option(
    "--into",
    metavar="CAPTURE",
    type=click.Path(path_type=Path),
    help="Add the queries of PostgreSQL logs to this recording, as far as they ran meanwhile, and write no other.",
)
def import_(
    files: tuple[Path, ...],
    output: Path | None,
    force: bool,
    only: tuple[str, ...],
    names: tuple[str, ...],
    no_redact: bool,
    prefix: str | None,
    into: Path | None,
) -> None:
    """Make a capture out of what other programs recorded: a browser's HAR, mitmproxy's flows, PostgreSQL's log.

    Several FILEs become one capture, on one axis of time. Secrets are replaced as in a recording. What browsers took
    from their cache is left out.
    """
    opened = [_open(file, prefix) for file in files]
    logs = [one for one in opened if isinstance(one, PostgresLog)]
    contributions = [Contribution(one) for one in opened if not isinstance(one, PostgresLog)]
    if into is not None:
        if contributions or output is not None or only or names or no_redact or force:
            raise UsageError("--into takes nothing but PostgreSQL logs: import the rest into a capture of its own.")
        _say_added(add_queries(into, logs), logs, into)
        return
    path = output or default_output()
    check_writable(path, force=force)
    began, upstreams = survey_all(contributions, only) if contributions else (first_query(logs), ())
    if contributions and logs:
        began = min(began, first_query(logs))
    if force:
        remove_capture(path)
    importing = Import(
        path, contributions, logs, began_unix_ns=began, upstreams=upstreams, redact=names, redacted=not no_redact
    )
    try:
        importing.run()
    except BaseException:
        remove_capture(path)
        raise
    if no_redact:
        click.secho(IN_CLEAR, fg="red", bold=True)
    _say(contributions, importing, path)
    _say_logs(logs)
    click.echo(f"Next: nestperf report {path}" + (f"   or play it back: nestperf replay {path}" if upstreams else ""))


def _open(path: Path, prefix: str | None) -> ForeignFile | PostgresLog:
    if not path.is_file():
        raise CaptureMissing(f"There is no file {path}.")
    try:
        with path.open("rb") as file:
            beginning = file.read(_BEGINNING)
    except OSError as error:
        raise CaptureMissing(f"Cannot read {path}: {error.strerror}.") from error
    har = HarFile.recognise(path, beginning)
    if har is not None:
        return har
    if IS_FLOWS.match(beginning):
        from proxy_addon.flow_files import FlowFile  # mitmproxy: only where it is needed

        return FlowFile(path)
    if prefix is not None or PostgresLog.recognise(beginning):
        return PostgresLog(path, beginning, prefix)
    if beginning.startswith(SQLITE):
        raise CaptureForeign(f"{path} looks like a capture already: `nestperf report {path}` reads it as it is.")
    raise CaptureForeign(f"{path} is neither a HAR, nor a flow file of mitmproxy, nor a log of PostgreSQL.")


def _say(contributions: Sequence[Contribution], importing: Import, path: Path) -> None:
    for one in contributions:
        account, name = one.account, one.file.name
        for reason, count in account.left_out.most_common():
            click.echo(f"{name}: left out {count:,}, each of which {reason}.")
        if one.elsewhere:
            click.echo(f"{name}: left out {plural(one.elsewhere, 'exchange')} with other applications (--only).")
        if account.unreadable:
            click.echo(
                f"{name}: LEFT OUT {account.unreadable:,} that make no sense, such as {account.first_unreadable}."
            )
        if one.file.format == "har" and account.taken and not account.with_credentials:
            click.echo(
                f"{name}: no cookie and no Authorization in it: if people sign in, export it again with sensitive data."
            )
        if account.without_content:
            click.echo(f"{name}: of {plural(account.without_content, 'body', 'bodies')} it tells only the size.")
    run = importing.writer.run
    for sentence, count in importing.recorder.tally.notices.items():
        click.echo(f"{sentence}{'' if count == 1 else f' ({count:,} times)'}")
    click.echo(f"Imported {counts(importing.recorder.tally)}.")
    for upstream in run.upstreams:
        click.echo(f"  with {upstream.url}")
    kept = f", {plural(len(importing.vault), 'secret')} in {path.name}.secrets" if importing.vault else ""
    click.echo(f"Capture: {path}{kept}")


def _say_logs(logs: Sequence[PostgresLog]) -> None:
    for log in logs:
        if log.failed:
            failed = plural(log.failed, "statement")
            click.echo(f"{log.name}: {failed} failed; the log has no duration of such, and they are not counted.")
        if log.whole_seconds:
            click.echo(f"{log.name}: its stamps are whole seconds (%t): %m in log_line_prefix tells when a query ran.")
        if log.unknown_zone:
            click.echo(
                f"{log.name}: taken for UTC, since its time zone {printable(log.unknown_zone)} has no known offset."
            )


def _say_added(added: Added, logs: Sequence[PostgresLog], path: Path) -> None:
    outside = f", left out {added.outside:,} before or after it" if added.outside else ""
    click.echo(f"Added {plural(added.queries, 'query', 'queries')} to {path}{outside}.")
    _say_logs(logs)
    click.echo(f"Next: nestperf report {path}")
