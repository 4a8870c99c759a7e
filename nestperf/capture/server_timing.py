"""Reads what an application says of its own time in `Server-Timing` fields (https://www.w3.org/TR/server-timing/).

Pure. Only metrics that speak of a database count; what is no metric, or says no duration, is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from nestperf.capture.model import Pairs

_FIELD = "server-timing"
_METRIC = re.compile(
    r"""
    (?<![^,])\s*([!#$%&'*+.^_`|~0-9A-Za-z-]{1,80})\s*          # its name
    ((?:;\s*[\w-]{0,40}\s*(?:=\s*(?:"(?:[^"\\]|\\.)*"|[^\s",;]*)\s*)?)*)
    (?:,|\Z)
    """,
    re.VERBOSE,
)
_PARAMETER = re.compile(r';\s*([\w-]{1,40})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*))')
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{0,9})?|\.\d{1,9}")
_DATABASE = re.compile(r"(?:db|sql|database|postgres(?:ql)?|query|queries)(?:[-_.:\d].*)?", re.IGNORECASE)
_LONGEST = 10_000
"""Characters of a field that are read."""
_MOST = 100
"""Metrics of one answer that are read."""


class DatabaseTime(NamedTuple):
    """One metric."""

    name: str
    description: str
    """Empty where there is none."""
    duration_ns: int


def database_times(headers: Pairs) -> tuple[DatabaseTime, ...]:
    """The durations of databases that an answer's head tells, in order: `db;dur=12.5`, `sql-main;desc="users";dur=3`.

    >>> database_times((("Server-Timing", 'cache;dur=1, db;dur=53.2;desc="users"'),))
    (DatabaseTime(name='db', description='users', duration_ns=53200000),)
    """
    return tuple(_times([value for name, value in headers if name.lower() == _FIELD]))


def _times(values: list[str]) -> Iterator[DatabaseTime]:
    count = 0
    for value in values:
        for metric in _METRIC.finditer(value[:_LONGEST]):
            count += 1
            if count > _MOST:
                return
            name = metric[1]
            if not _DATABASE.fullmatch(name):
                continue
            # The first of two parameters of one name counts (2. of the specification).
            told = {key.lower(): quoted or plain for key, quoted, plain in reversed(_PARAMETER.findall(metric[2]))}
            if _NUMBER.fullmatch(told.get("dur", "")):
                description = re.sub(r"\\(.)", r"\1", told.get("desc", ""))
                yield DatabaseTime(name, description, round(float(told["dur"]) * 1e6))
