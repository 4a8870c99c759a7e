"""Reads a PostgreSQL log message by message, of which only one is in memory: stderr's text, csvlog, jsonlog."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from nestperf.capture.postgres_log.durations import Durations, LoggedMessage, LoggedQuery
from nestperf.capture.postgres_log.prefix import Line, Prefix
from nestperf.capture.postgres_log.zones import parse_stamp
from nestperf.errors import CaptureEmpty, CaptureMissing, CaptureTruncated

_LONGEST = 2**24
"""Characters of a message that are kept."""
_IS_CSV = re.compile(rb'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} [^,"\n]{1,40},')
_IS_JSON = re.compile(rb'\{"timestamp":"')
_IS_TEXT = re.compile(rb"(?m)^[^\n]{0,400}?\b(?:LOG|ERROR|FATAL|STATEMENT|DETAIL):  ")
_CSV_FIELDS = 23
"""Up to `application_name` (https://www.postgresql.org/docs/current/runtime-config-logging.html)."""


class PostgresLog:
    """One log file."""

    format = "postgres-log"

    def __init__(self, path: Path, beginning: bytes, log_line_prefix: str | None) -> None:
        """
        Raises:
            UsageError: a prefix without a time stamp.
        """
        self.path = path
        self.name = path.name
        self.failed = 0
        """Statements that failed, which have no duration."""
        self.unknown_zone = ""
        """The name of a time zone that was taken for UTC."""
        self.whole_seconds = True
        """Its stamps have no milliseconds."""
        self._prefix = Prefix(log_line_prefix)
        self._read = _read_csv if _IS_CSV.match(beginning) else _read_json if _IS_JSON.match(beginning) else None

    @staticmethod
    def recognise(beginning: bytes) -> bool:
        """Whether a file that begins so is a log of PostgreSQL."""
        return any(pattern.match(beginning) for pattern in (_IS_CSV, _IS_JSON)) or bool(_IS_TEXT.search(beginning))

    def queries(self) -> Iterator[LoggedQuery]:
        """Its queries with durations, in the order in which they ended.

        Raises:
            CaptureEmpty, CaptureTruncated, CaptureMissing: it has no durations, is damaged, or gone.
        """
        durations = Durations()
        found = False
        for message in self._messages():
            for query in durations.take(message):
                found = True
                yield query
        for query in durations.finish():
            found = True
            yield query
        self.failed = durations.failed
        if not found:
            raise CaptureEmpty(
                f"{self.path} holds no durations: set log_min_duration_statement = 0, lc_messages = 'C' and a "
                "log_line_prefix with a time, e.g. '%m [%p] %d ', then `select pg_reload_conf()`."
            )

    def _messages(self) -> Iterator[LoggedMessage]:
        try:
            with self.path.open(encoding="utf-8", errors="replace", newline="") as file:
                lines = _read_text(file, self._prefix) if self._read is None else self._read(file)
                for line in lines:
                    stamp = parse_stamp(line.time)
                    if stamp is None:
                        continue
                    if stamp[0] % 10**9:
                        self.whole_seconds = False
                    self.unknown_zone = self.unknown_zone or stamp[1]
                    yield LoggedMessage(
                        stamp[0], line.session, line.database, line.application, line.severity, line.message
                    )
        except OSError as error:
            raise CaptureMissing(f"Cannot read {self.path}: {error.strerror}.") from error
        except csv.Error as error:
            raise CaptureTruncated(f"{self.path} is no whole csvlog ({error}): copy it again.") from error


def _read_text(file: Iterable[str], prefix: Prefix) -> Iterator[Line]:
    begun: Line | None = None
    more: list[str] = []
    size = 0
    for raw in file:
        text = raw.rstrip("\r\n")
        line = prefix.read(text)
        if line is None:
            size += len(text)
            if begun is not None and size < _LONGEST:
                more.append(text.removeprefix("\t"))
            continue
        if begun is not None:
            yield begun._replace(message="\n".join((begun.message, *more)))
        begun, more, size = line, [], 0
    if begun is not None:
        yield begun._replace(message="\n".join((begun.message, *more)))


def _read_csv(file: Iterable[str]) -> Iterator[Line]:
    csv.field_size_limit(_LONGEST)
    for row in csv.reader(file, strict=False):
        if len(row) >= _CSV_FIELDS - 1:
            yield Line(
                time=row[0],
                session=row[5] or row[3],
                database=row[2],
                application=row[22] if len(row) >= _CSV_FIELDS else "",
                severity=row[11],
                sqlstate=row[12],
                message=row[13],
            )


def _read_json(file: Iterable[str]) -> Iterator[Line]:
    for raw in file:
        try:
            told = json.loads(raw)
        except (ValueError, RecursionError):
            continue  # the line that a rotation or a copy cut off
        if isinstance(told, dict):
            yield Line(
                time=_text(told, "timestamp"),
                session=_text(told, "session_id") or _text(told, "pid"),
                database=_text(told, "dbname"),
                application=_text(told, "application_name"),
                severity=_text(told, "error_severity"),
                sqlstate=_text(told, "state_code"),
                message=_text(told, "message"),
            )


def _text(told: dict[str, Any], name: str) -> str:
    value = told.get(name)
    return str(value) if isinstance(value, str | int) else ""
