"""Where a replay's capture may be written."""

from __future__ import annotations

from pathlib import Path

from nestperf.capture.files import check_writable
from nestperf.capture.vault import refuse_lone_secrets
from nestperf.errors import UsageError


def check_output(source: Path, path: Path, *, force: bool, what: str = "to replay") -> None:
    """Refuse a capture that cannot be written, or that is the source; `what`: what is done with that.

    Raises:
        UsageError: it is, or it exists (and not `force`).
    """
    if path.exists() and path.resolve() == source.resolve():
        raise UsageError(f"{path} is the capture {what}: name another file with -o.")
    check_writable(path, force=force)
    if not force:
        refuse_lone_secrets(path)
