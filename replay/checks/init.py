"""Writes a suite for a capture: the contracts that it can be held to, with what was inferred in comments. Pure."""

from __future__ import annotations

from replay.checks.contract import Source
from replay.checks.registry import KINDS

_HEAD = """\
# Contracts for `nestperf check {file} --suite FILE`; docs/check.md explains every key.
# What was inferred from the capture says so behind it: mend what is wrong.
"""


def write_suite(source: Source, file: str) -> str:
    """The text of a suite, ending with a newline."""
    parts = [_HEAD.format(file=file)]
    for kind in KINDS.values():
        suggested = kind.suggest(source)
        parts += ["\n".join(["[[contract]]", *lines]) + "\n" for lines in suggested]
        if not suggested:
            parts.append(f"# {kind.name}: the capture has nothing for it.\n")
    return "\n".join(parts)
