"""Runs what resets the application's state before a run."""

from __future__ import annotations

import subprocess

from nestperf.errors import UsageError


def run_before(command: str | None) -> None:
    """Run a command of `--before` in the shell; what it prints is seen.

    Raises:
        UsageError: it ended with another code than 0.
    """
    if command is None:
        return
    # The person who runs nestperf wrote this command; it is theirs to use the shell.
    code = subprocess.run(command, shell=True, stdin=subprocess.DEVNULL, check=False).returncode  # noqa: S602
    if code:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with {code}"
        raise UsageError(f"The command of --before {how}, nothing was sent: run it alone to see why.")
