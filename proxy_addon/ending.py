"""How a recording ends: waits until everything is stored, and mends the capture where the recorder process died."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import click

from nestperf.capture.writer import close_orphan
from nestperf.errors import CaptureError, ExitCode
from proxy_addon.spool import Spool

_PATIENCE_S = 60
"""How long the recorder may take to store the rest."""


def end_recording(path: Path, spool: Spool) -> int:
    """Wait for the recorder process, and say what it could not store; the exit code."""
    assert spool.process is not None
    code = -1 if spool.died else _await_recorder(spool.process)
    return _mend(path, spool) if code < 0 else code  # a signal ended it, on the way or at the end


def _await_recorder(process: subprocess.Popen[bytes]) -> int:
    """Wait until everything is stored; a second Ctrl-C does not wait."""
    try:
        return process.wait(_PATIENCE_S)
    except KeyboardInterrupt:
        process.terminate()
        click.echo("Interrupted: the capture holds what was stored until now.", err=True)
        return ExitCode.INTERRUPTED
    except subprocess.TimeoutExpired:
        process.terminate()
        click.echo(f"The recorder did not finish storing within {_PATIENCE_S} s and was ended.", err=True)
        return ExitCode.INVALID


def _mend(path: Path, spool: Spool) -> int:
    """The recorder process died on the way: say so, here and in the capture."""
    assert spool.process is not None
    spool.process.wait()
    losses = {"recorder processes": 1} | ({"bytes": spool.dropped_bytes} if spool.dropped_bytes else {})
    lost = ", ".join(f"{count:,} {kind}" for kind, count in losses.items())
    try:
        close_orphan(path, losses)
    except CaptureError as error:
        click.echo(str(error), err=True)
    click.echo(f"NOT EVERYTHING WAS RECORDED: {lost} lost. {path} holds what was stored until then.")
    click.echo(f"Next: nestperf report {path}")
    return ExitCode.INVALID


def would_be_committed(path: Path) -> bool:
    """Whether a file is there, in a git work tree, and not ignored by it."""
    git = shutil.which("git")
    if git is None or not path.exists():
        return False
    command = [git, "-C", str(path.parent), "check-ignore", "--quiet", path.name]
    return subprocess.run(command, capture_output=True, check=False).returncode == 1  # noqa: S603 - 128: no work tree
