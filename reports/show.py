"""`nestperf show`: connects a capture, a reference and a rendering; reads and measures nothing itself."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import click

from nestperf.errors import ExitCode


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("ref", metavar="ID")
@click.option("--lines", type=click.IntRange(0, 10_000), default=12, show_default=True,
              help="So many lines of a body or payload.")  # fmt: skip
@click.option("--source", type=click.Path(path_type=Path), metavar="FILE",
              help="The recording of a replay, where it is not beside it.")  # fmt: skip
def show(file: Path, ref: str, lines: int, source: Path | None) -> ExitCode:
    """Print one exchange of a capture with everything around it.

    ID is an exchange's number as reports print it, or socket:N, packet:N, query:N or session:N. Shows heads and the
    beginning of bodies as they are stored (secrets are placeholders), where the time went, what the same user did
    before and after, what went on inside, and of a replay the recorded exchange.
    """
    from nestperf.capture.reader import Capture
    from reports.around import look_up
    from reports.render.encodable import encodable
    from reports.render.show import render_view
    from reports.views import parse_ref

    wanted = parse_ref(ref)
    with Capture.open(file) as capture:
        view = look_up(capture, wanted, source)
        run = capture.run
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    width = shutil.get_terminal_size((100, 24)).columns
    click.echo(encodable(render_view(view, run, str(file), width, lines=lines, colour=colour)), nl=False)
    return ExitCode.OK
