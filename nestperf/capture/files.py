"""The file of a capture and what lies beside it: where a new one may be written, and whether somebody is writing it."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path

from nestperf.errors import UsageError


def default_output() -> Path:
    """`nestperf-<date>-<time>.db` in the working folder."""
    return Path(f"nestperf-{datetime.now().astimezone():%Y%m%d-%H%M%S}.db")


def check_writable(path: Path, *, force: bool = False) -> None:
    """Refuse a capture path before anything has begun.

    Raises:
        UsageError: it exists (and not `force`), somebody is writing it, it is a folder, or its folder does not exist or
            is not writable, or its name is too long.
    """
    probe = path.parent / f".{path.name}.probe"
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder: name a file in it with -o.")
        if path.exists() and not force:
            raise UsageError(f"{path} exists: name another file with -o, or overwrite it with --force.")
        if path.with_name(path.name + "-wal").exists() and _is_being_written(path):
            raise UsageError(f"{path} is being written: end its run first, or name another file with -o.")
        if not path.parent.is_dir():
            raise UsageError(f"Cannot write {path}: the folder {path.parent} does not exist.")
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UsageError(f"Cannot write {path}: {error.strerror}. Name another file with -o.") from error


def remove_capture(path: Path) -> None:
    """Remove a capture and its companions: a run that never began leaves nothing behind."""
    for suffix in ("", "-wal", "-shm", "-journal", ".secrets"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def size_of(path: Path) -> int:
    """Bytes of a capture on disk, with what has not been moved into it yet."""
    names = (path, path.with_name(path.name + "-wal"))
    return sum(name.stat().st_size for name in names if name.exists())


def is_open_elsewhere(connection: sqlite3.Connection) -> bool:
    """Whether another connection holds a capture with a log beside it: only the last one may do away with the log."""
    try:
        return str(connection.execute("pragma journal_mode = delete").fetchone()[0]) != "delete"
    except sqlite3.OperationalError:
        return True


def _is_being_written(path: Path) -> bool:
    """Whether a run goes on with what lies at `path` beside a log; one that was killed does not."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        return is_open_elsewhere(connection)
    except sqlite3.DatabaseError:  # it is no database
        return False
    finally:
        connection.close()
