"""What stands before a message in PostgreSQL's text log: `log_line_prefix`, told or guessed.

Pure. (https://www.postgresql.org/docs/current/runtime-config-logging.html#GUC-LOG-LINE-PREFIX)
"""

from __future__ import annotations

import re
from typing import NamedTuple

from nestperf.errors import UsageError

_SEVERITIES = (
    "LOG|ERROR|FATAL|PANIC|WARNING|NOTICE|INFO|DEBUG[1-5]?|DETAIL|HINT|STATEMENT|CONTEXT|QUERY|LOCATION|LOGDETAIL"
)
_MESSAGE = rf"(?P<severity>{_SEVERITIES}):  (?P<message>.*)\Z"
_TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})? ?[A-Za-z0-9+:/_-]{0,40}"
_GROUPS = {
    "m": rf"(?P<time>{_TIME})",
    "t": rf"(?P<time>{_TIME})",
    "n": r"(?P<epoch>\d{9,12}\.\d{3})",
    "p": r"(?P<pid>\d+)",
    "c": r"(?P<session>[0-9a-f]+\.[0-9a-f]+)",
    "a": r"(?P<application>.*?)",
    "d": r"(?P<database>.*?)",
    "u": r".*?",
    "e": r"(?P<sqlstate>[0-9A-Z]{5})",
    "l": r"\d+",
}
_ESCAPE = re.compile(r"%(-?\d*)([a-zA-Z%])")

_ANYWHERE = re.compile(rf"(?P<before>.*?)(?:\b|(?<=:)){_MESSAGE}", re.DOTALL)
_SOME_TIME = re.compile(_TIME)
_SOME_EPOCH = re.compile(r"(?<![\d.])\d{10}\.\d{3}(?![\d.])")
_SOME_PID = re.compile(r"\[(\d{1,9})(?:-\d+)?\]")
_SOME_DATABASE = re.compile(r"\b(?:db|database|dbname)=([^,\s\]]*)|[^\s@\[,]*@([^\s@:,\]]+)")
_SOME_APPLICATION = re.compile(r"\b(?:app|application|application_name)=([^,\]]*?)(?=,|\s+\w+=|\s*\Z)")


class Line(NamedTuple):
    """One line of the log that begins a message."""

    time: str
    """As it stands; empty where there is none."""
    session: str
    """What tells sessions apart: the process id, else the session id."""
    database: str
    application: str
    severity: str
    sqlstate: str
    message: str


class Prefix:
    """Reads lines that begin with one `log_line_prefix`; without one, guesses for each line what is what."""

    def __init__(self, log_line_prefix: str | None = None) -> None:
        """
        Raises:
            UsageError: it has no time stamp in it.
        """
        self._pattern = None if log_line_prefix is None else _pattern(log_line_prefix)

    def read(self, line: str) -> Line | None:
        """What a line begins; None where it goes on with the message before it."""
        if line.startswith("\t"):
            return None
        return self._read_told(line) if self._pattern is not None else _guess(line)

    def _read_told(self, line: str) -> Line | None:
        assert self._pattern is not None
        match = self._pattern.match(line)
        if match is None:
            return None
        found = {name: value or "" for name, value in match.groupdict().items()}
        return Line(
            time=found.get("time") or found.get("epoch", ""),
            session=found.get("pid") or found.get("session", ""),
            database=found.get("database", ""),
            application=found.get("application", "").strip(),
            severity=found["severity"],
            sqlstate=found.get("sqlstate", ""),
            message=found["message"],
        )


def _pattern(prefix: str) -> re.Pattern[str]:
    parts: list[str] = []
    used: set[str] = set()
    end, depth = 0, 0
    for escape in _ESCAPE.finditer(prefix):
        parts.append(re.escape(prefix[end : escape.start()]))
        end = escape.end()
        letter = escape[2]
        if letter == "q":
            # What follows stands only in lines of sessions.
            parts.append("(?:")
            depth += 1
        elif letter == "%":
            parts.append("%")
        else:
            group = _GROUPS.get(letter, ".*?")
            name = group[4 : group.index(">")] if group.startswith("(?P<") else ""
            if name in used:
                group = ".*?"
            used.add(name)
            parts.append(rf"\s*{group}\s*" if escape[1] else group)
    parts.append(re.escape(prefix[end:]))
    if not used & {"time", "epoch"}:
        raise UsageError(
            f"--log-line-prefix {prefix!r} has no time stamp: log with one, e.g. log_line_prefix = '%m [%p] %a '."
        )
    return re.compile("".join(parts) + ")?" * depth + _MESSAGE, re.DOTALL)


def _guess(line: str) -> Line | None:
    match = _ANYWHERE.match(line)
    if match is None:
        return None
    before = match["before"]
    time = _SOME_TIME.search(before) or _SOME_EPOCH.search(before)
    if time is None:
        return None if before.strip() else Line("", "", "", "", match["severity"], "", match["message"])
    rest = before[: time.start()] + before[time.end() :]
    pid, database = _SOME_PID.search(rest), _SOME_DATABASE.search(rest)
    application = _SOME_APPLICATION.search(rest)
    return Line(
        time=time[0].strip(),
        session=pid[1] if pid is not None else "",
        database=(database[1] or database[2] or "") if database is not None else "",
        application=application[1].strip() if application is not None else "",
        severity=match["severity"],
        sqlstate="",
        message=match["message"],
    )
