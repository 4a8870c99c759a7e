"""`nestperf export` and `nestperf trim`: parse what is asked, let it be written, say what came of it."""

from __future__ import annotations

from pathlib import Path

import click

from nestperf.capture.files import check_writable
from nestperf.capture.model import RUNNING
from nestperf.capture.reader import Capture
from nestperf.capture.remarks import cautions_of
from nestperf.capture.rewriting import Rewritten, Stretch, rewrite, settle
from nestperf.capture.vault import Vault, refuse_lone_secrets, secrets_path
from nestperf.console import plural, size
from nestperf.durations import parse_duration
from nestperf.errors import UsageError

_STILL_IN_IT = "What the application showed people (names, titles) is still in it: --without-bodies takes it out."


def _duration(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    return None if value is None else parse_duration(value)


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), metavar="OUT", help="File to write.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["capture", "har"]),
    default="capture",
    show_default=True,
    help="What to write: a capture, which every nestperf command reads, or a HAR for DevTools and its like.",
)
@click.option(
    "--without-bodies",
    is_flag=True,
    help="Leave out the contents of bodies, frames and packets: paths, headers, sizes and times remain.",
)
@click.option(
    "--for-replay",
    is_flag=True,
    help="Leave out what a replay does not need: of answers their structure stays, and what was sent again.",
)
@click.option(
    "--with-secrets",
    is_flag=True,
    help="Put the secrets beside it, in OUT.secrets; in a HAR: where they stood.",
)
@click.option("--force", is_flag=True, help="Overwrite OUT if it exists.")
def export(
    file: Path,
    output: Path,
    format_: str,
    without_bodies: bool,
    for_replay: bool,
    with_secrets: bool,
    force: bool,
) -> None:
    """Write a copy of the capture FILE to hand on, or a HAR of it.

    Secrets stay behind: placeholders stand in their place. What the application showed people (names, titles,
    addresses) is still in it, unless --without-bodies; paths, headers and times always are.
    """
    if for_replay and (without_bodies or format_ != "capture"):
        raise UsageError("--for-replay makes a capture that can be replayed: leave out --without-bodies and --format.")
    _check_output(file, output, force=force)
    with Capture.open(file) as capture:
        vault = Vault.open(file)
        if with_secrets and vault is None:
            raise UsageError(f"{secrets_path(file)} is not there: copy it beside {file}, or leave out --with-secrets.")
        if format_ == "har":
            _export_har(capture, output, vault if with_secrets else None, contents=not without_bodies)
            return
        came = rewrite(capture, output, vault, payloads=without_bodies, answers=for_replay, with_secrets=with_secrets)
    if not with_secrets:
        secrets_path(output).unlink(missing_ok=True)
    _say_cautions(output)
    click.echo(f"Exported {file} ({size(came.size_before)}) to {output} ({size(came.size_after)}).")
    _say_swept(came)
    if with_secrets and vault is not None:
        _say_loudly(
            f"SECRETS: {secrets_path(output)} holds {plural(len(vault), 'secret')} in clear, readable by you alone; "
            "whoever gets both files can act as the people who were recorded."
        )
    elif for_replay:
        click.echo("What people were shown is gone from it; what they sent (forms, searches, paths) is still in it.")
    elif not without_bodies:
        click.echo(_STILL_IN_IT)


def _export_har(capture: Capture, output: Path, vault: Vault | None, *, contents: bool) -> None:
    """`vault`: put the originals where placeholders are."""
    from nestperf.capture.har.writing import write_har

    if capture.run.state == RUNNING:
        raise UsageError(
            f"{capture.path} is being written or was killed: a secret that was recognised late may still stand in "
            f"it. End its run, or `nestperf trim {capture.path}` first."
        )
    entries = write_har(capture, output, vault, contents=contents)
    for caution in cautions_of(capture.run, str(output)):
        _say_loudly(f"{output}: {caution}")
    click.echo(f"Exported {plural(entries, 'exchange')} of {capture.path} to {output} ({size(output.stat().st_size)}).")
    if vault is not None:
        _say_loudly(
            f"SECRETS: {output} holds {plural(len(vault), 'secret')} in clear, readable by you alone; whoever gets it "
            "can act as the people who were recorded."
        )
    elif contents:
        click.echo(_STILL_IN_IT)


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--bodies",
    is_flag=True,
    help="Drop the contents of bodies and frames: the numbers of reports stay, but a replay needs them.",
)
@click.option("--before", metavar="T", callback=_duration, help="Drop what began before T: 30s, 2m into the run.")
@click.option("--after", metavar="T", callback=_duration, help="Drop what began after T.")
@click.option("--from", "from_", metavar="T", callback=_duration, help="With --to: drop what began between the two.")
@click.option("--to", metavar="T", callback=_duration, help="With --from: drop what began between the two.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="Write the result there, its secrets beside it, and leave FILE as it is.",
)
@click.option("--force", is_flag=True, help="Overwrite OUT if it exists.")
def trim(
    file: Path,
    bodies: bool,
    before: int | None,
    after: int | None,
    from_: int | None,
    to: int | None,
    output: Path | None,
    force: bool,
) -> None:
    """Take bodies or a stretch of time out of the capture FILE, and give the disk space back.

    Without options it takes out secrets that were recognised late, after a recording that was killed. FILE is
    replaced when the new one is whole: Ctrl-C or a full disk leave it as it was.
    """
    stretch = _stretch(before, after, from_, to)
    target = output or file
    if output is not None:
        _check_output(file, output, force=force)
    Capture.open(file).close()
    if output is None:
        settle(file)
    with Capture.open(file) as capture:
        vault = Vault.open(file)
        came = rewrite(capture, target, vault, stretch=stretch, bodies=bodies, with_secrets=True)
    _say_cautions(target)
    click.echo(f"{target}: {size(came.size_before)} before, {size(came.size_after)} after.")
    if came.rows:
        click.echo(f"Took out {plural(came.rows, 'row')}.")
    if bodies:
        click.echo("Took out the contents of bodies and frames: what had a body cannot be replayed any more.")
    _say_swept(came)


def _stretch(before: int | None, after: int | None, from_: int | None, to: int | None) -> Stretch | None:
    if (from_ is None) != (to is None):
        raise UsageError("--from and --to go together: name both, or use --before or --after.")
    asked = [Stretch(None, before)] if before is not None else []
    asked += [Stretch(after, None)] if after is not None else []
    asked += [Stretch(from_, to)] if from_ is not None else []
    if len(asked) > 1:
        raise UsageError("One stretch at a time: use --before, --after, or --from with --to, and trim again.")
    if from_ is not None and to is not None and from_ >= to:
        raise UsageError("--from lies after --to: nothing began between them.")
    return asked[0] if asked else None


def _check_output(file: Path, output: Path, *, force: bool) -> None:
    if output.exists() and file.exists() and output.samefile(file):
        raise UsageError(f"{output} is the capture itself: name another file with -o.")
    check_writable(output, force=force)
    if not force:
        refuse_lone_secrets(output)


def _say_cautions(path: Path) -> None:
    with Capture.open(path) as capture:
        cautions = cautions_of(capture.run, str(path))
    for caution in cautions:
        _say_loudly(f"{path}: {caution}")


def _say_loudly(text: str) -> None:
    click.secho(text, fg="red", bold=True)


def _say_swept(came: Rewritten) -> None:
    if came.swept:
        click.echo(f"{plural(came.swept, 'row')} held secrets that had been recognised late: placeholders stand there.")
