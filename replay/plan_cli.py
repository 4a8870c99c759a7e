"""`nestperf plan`: what a replay of a capture would send, without sending anything."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import click

from nestperf.capture.reader import Capture
from nestperf.capture.vault import Vault
from replay.identities import choose_identities, columns_of
from replay.plan import build_plan
from replay.plan_text import plan_document, render_plan
from replay.rules_file import read_rules
from replay.targets import preview_permissions

_FILE_WIDTH = 100
"""Columns where nobody knows the terminal's."""


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--target",
    "targets",
    metavar="[UPSTREAM=]URL",
    multiple=True,
    help="Where it would be sent instead of the recorded upstreams; repeatable.",
)
@click.option(
    "--allow-host",
    "allowed",
    metavar="HOST",
    multiple=True,
    help="Plan for this host too, which is not loopback; repeatable.",
)
@click.option("--allow-writes", is_flag=True, help="Plan for writes to allowed hosts as well.")
@click.option(
    "--rules",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Rules for live values (TOML; docs/live-values.md).",
)
@click.option(
    "--identities",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Who the users would be: a CSV file, a line for each.",
)
@click.option("--all", "everything", is_flag=True, help="Every step, and everything that is not sent.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
def plan(
    file: Path,
    targets: tuple[str, ...],
    allowed: tuple[str, ...],
    allow_writes: bool,
    rules: Path | None,
    identities: Path | None,
    everything: bool,
    as_json: bool,
) -> None:
    """Show what `nestperf replay FILE` would send, and what not, and why.

    Sessions, their steps, what each step waits for and how long it then pauses; which values come from which answers,
    and why that is believed. Sends nothing and connects to nobody.
    """
    with Capture.open(file) as capture:
        permissions = preview_permissions(capture.run.upstreams, targets, allowed, writes=allow_writes)
        columns = columns_of(choose_identities(identities, None, None))
        planned = build_plan(capture, Vault.find(file), permissions, read_rules(rules), columns)
    if as_json:
        click.echo(json.dumps(plan_document(planned, file.name), indent=2, ensure_ascii=True))
        return
    width = max(60, min(shutil.get_terminal_size((_FILE_WIDTH, 24)).columns, 160))
    click.echo(render_plan(planned, file.name, width, everything=everything), nl=False)
