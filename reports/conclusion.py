"""How a command that made a run ends: with the thresholds' table on the terminal, and in a job's summary."""

from __future__ import annotations

import shutil

import click

from reports.render.encodable import encodable
from reports.render.text import render_judgement
from reports.step_summary import append_to_step_summary
from reports.verdict import Judgement


def print_judgement(judgement: Judgement, *, in_summary: bool = True) -> None:
    """Print the thresholds' table; into a job's summary as well, unless the run is one of several."""
    click.echo(encodable(render_judgement(judgement, shutil.get_terminal_size().columns)))
    if in_summary:
        append_to_step_summary(judgement)
