"""Where a replay's capture may be written."""

from __future__ import annotations

from pathlib import Path

from nestperf.capture.vault import secrets_path
from nestperf.capture.writer import check_writable
from nestperf.errors import UsageError


def check_output(source: Path, path: Path, *, force: bool) -> None:
    """Refuse a capture that cannot be written, or that is the one being replayed.

    Raises:
        UsageError: it is, or it exists (and not `force`).
    """
    if path.exists() and path.resolve() == source.resolve():
        raise UsageError(f"{path} is the capture to replay: name another file with -o.")
    check_writable(path, force=force)
    if not force and secrets_path(path).exists():
        raise UsageError(
            f"{secrets_path(path)} exists without its capture: move it away, or overwrite it with --force."
        )
