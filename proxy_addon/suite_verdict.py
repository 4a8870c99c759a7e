"""How a suite's recording ends: the thresholds' table, or why there is nothing to judge."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TypeAlias

import click

from nestperf.capture import model
from nestperf.capture.reader import Capture
from nestperf.errors import ExitCode
from proxy_addon.environment import URL
from reports.thresholds import Thresholds, load_thresholds

Limits: TypeAlias = Thresholds
_NOTHING = (
    f"Nothing was sent through the recorder: the suite does not use {URL}, which it has in its environment. A suite "
    "that calls the application in its own process, as supertest does with request(app), sends nothing over the "
    "network that the recorder sees. One line changes that:\n\n"
    f"    request(process.env.{URL} ?? app)\n"
)


def load_limits(path: Path | None) -> Limits:
    """What to judge by: that file, else `nestperf.toml` in the working folder, else MediaNest's promises.

    Raises:
        UsageError: the file cannot be read, or is wrong.
    """
    return load_thresholds(path, Path())


def conclude(path: Path, thresholds: Limits) -> int:
    """Print what became of the promises in the recording at `path`; the exit code.

    Raises:
        CaptureError: it cannot be read.
    """
    from reports.render.encodable import encodable
    from reports.render.text import render_thresholds
    from reports.step_summary import append_to_step_summary
    from reports.verdict import judge_capture

    with Capture.open(path) as capture:
        sent = capture.count(model.Exchange) + capture.count(model.Socket)
        if not sent:
            click.echo(f"\n{_NOTHING}")
        if not sent and not capture.count(model.Query):
            return ExitCode.CAPTURE
        judgement = judge_capture(capture, thresholds)
    append_to_step_summary(judgement)
    click.echo(f"\n{encodable(render_thresholds(judgement, shutil.get_terminal_size((100, 24)).columns))}")
    return judgement.exit_code
