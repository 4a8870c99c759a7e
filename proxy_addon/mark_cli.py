"""`nestperf mark`: names the present moment of a recording that runs in another terminal."""

from __future__ import annotations

import time
from pathlib import Path

import click

from nestperf.capture.reader import Capture
from nestperf.capture.writer import add_mark
from nestperf.console import duration
from nestperf.errors import UsageError
from nestperf.printable import printable

_LONGEST = 200


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("text", metavar="TEXT")
def mark(file: Path, text: str) -> None:
    """Give this moment of the recording into FILE a name.

    What happens from now on goes by TEXT in reports and thresholds until the next mark, such as
    `nestperf mark qa.db "now requesting The Matrix"`. In the terminal of `nestperf record` itself the key m does it.
    """
    now_ns = time.time_ns()
    text = " ".join(text.split())
    if not text:
        raise UsageError('A mark needs a text, such as "now requesting The Matrix".')
    if len(text) > _LONGEST:
        raise UsageError(f"A mark is one short line: {len(text)} characters are more than {_LONGEST}.")
    Capture.open(file).close()
    row = add_mark(file, text, "command", now_ns)
    click.echo(f"{duration(row.stamp_ns)} into the recording: {printable(row.text, 100)}")
