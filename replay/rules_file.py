"""Reads the file of `--rules`."""

from __future__ import annotations

from pathlib import Path

from nestperf.errors import UsageError
from replay.provenance.rules import Rules, parse_rules


def read_rules(path: Path | None) -> Rules:
    """The rules of a file; none where none was named.

    Raises:
        UsageError: it cannot be read, or says something that no rule can say.
    """
    if path is None:
        return Rules()
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"Cannot read the rules in {path} ({reason}): name a TOML file with --rules.") from error
    return parse_rules(text, str(path))
