"""Reads a text file that somebody named on the command line, or says what is wrong with it."""

from __future__ import annotations

from pathlib import Path

from nestperf.errors import UsageError


def read_toml_text(path: Path, option: str) -> str:
    """The text of a TOML file that `option` named.

    Raises:
        UsageError: it cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: name a TOML file with {option}.") from error
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}. Name another file with {option}.") from error
