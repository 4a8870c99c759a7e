"""The options of every command that writes one capture: where to, and whether over another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

_OUTPUT = click.option(
    "-o",
    "--output",
    metavar="OUT",
    type=click.Path(path_type=Path),
    help="Capture to write; default nestperf-<date>.db.",
)
_FORCE = click.option("--force", is_flag=True, help="Overwrite the capture if it exists.")


def output_options(command: Command) -> Command:
    """Give a command `-o` and `--force`, as `output` and `force`."""
    return _OUTPUT(_FORCE(command))
