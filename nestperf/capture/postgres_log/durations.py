"""Puts queries together out of a log's messages: parse, bind and execute are one query, as on the wire.

Pure. `log_min_duration_statement` names the statement beside its duration; with `log_duration` and `log_statement` the
statement comes first and its duration in a message of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_DURATION = re.compile(
    r"duration: (\d{1,12})\.(\d{3}) ms(?:  (?:(statement|fastpath function call)|(parse|bind|execute(?: fetch from)?) "
    r"([^:]{0,200}?)): (.*))?\Z",
    re.DOTALL,
)
_ANNOUNCED = re.compile(r"(?:(statement)|(execute(?: fetch from)?) ([^:]{0,200}?)): (.*)\Z", re.DOTALL)
_SIMPLE, _EXTENDED, _PREPARED, _PREPARE, _FUNCTION = "simple", "extended", "prepared", "prepare", "function"


class LoggedMessage(NamedTuple):
    """One message of the log."""

    unix_ns: int
    session: str
    database: str
    application: str
    severity: str
    message: str


class LoggedQuery(NamedTuple):
    """One query with its duration."""

    done_unix_ns: int
    duration_ns: int
    session: str
    database: str
    application: str
    protocol: str
    """As of `nestperf.capture.model.Query`; empty where the log does not tell."""
    text: str | None
    """SQL as logged; None where only a duration was."""


@dataclass(slots=True)
class _Session:
    """What one session's messages have told and no query has taken yet."""

    parsed: tuple[int, str, LoggedMessage] | None = None
    """Duration and text of a parse."""
    bound: tuple[int, str] | None = None
    announced: tuple[str, str] | None = None
    """Protocol and text of a statement whose duration follows."""
    bare: list[tuple[int, LoggedMessage]] = field(default_factory=list)
    """Durations without a statement."""


class Durations:
    """Takes messages in order; gives queries."""

    def __init__(self) -> None:
        self.failed = 0
        """Statements that failed: the log has no duration of them."""
        self._sessions: dict[str, _Session] = {}

    def take(self, message: LoggedMessage) -> Iterator[LoggedQuery]:
        """The queries that this message completes."""
        if message.severity == "ERROR":
            self.failed += 1
            yield from self._forget(message.session)
            return
        if message.severity != "LOG":
            return
        timed = _DURATION.match(message.message)
        if timed is not None:
            yield from self._timed(message, timed)
            return
        announced = _ANNOUNCED.match(message.message)
        if announced is not None:
            yield from self._announced(message, announced)

    def finish(self) -> Iterator[LoggedQuery]:
        """What is left when the log ends."""
        for name in list(self._sessions):
            yield from self._forget(name)

    def _session(self, name: str) -> _Session:
        session = self._sessions.get(name)
        if session is None:
            session = self._sessions[name] = _Session()
        return session

    def _timed(self, message: LoggedMessage, timed: re.Match[str]) -> Iterator[LoggedQuery]:
        duration = int(timed[1]) * 1_000_000 + int(timed[2]) * 1_000
        session = self._session(message.session)
        simple, phase, text = timed[3], timed[4], timed[6]
        if simple is not None:
            yield from self._forget(message.session)
            yield _query(message, duration, _SIMPLE if simple == "statement" else _FUNCTION, text)
        elif phase == "parse":
            yield from self._unused_parse(session)
            session.parsed = duration, text, message
        elif phase == "bind":
            session.bound = duration, text
        elif phase is not None:
            yield from self._executed(session, message, duration, text)
        elif session.announced is not None:
            protocol, text = session.announced
            session.announced = None
            parts = sum(bare for bare, _ in session.bare[-2:]) if protocol != _SIMPLE else 0
            session.bare.clear()
            yield _query(message, duration + parts, protocol, text)
        else:
            session.bare.append((duration, message))
            if len(session.bare) > 2:
                early, its = session.bare.pop(0)
                yield _query(its, early, "", None)

    def _executed(self, session: _Session, message: LoggedMessage, duration: int, text: str) -> Iterator[LoggedQuery]:
        protocol = _PREPARED
        if session.parsed is not None:
            if session.parsed[1] == text:
                duration += session.parsed[0]
                protocol = _EXTENDED
                session.parsed = None
            else:
                yield from self._unused_parse(session)
        if session.bound is not None and session.bound[1] == text:
            duration += session.bound[0]
        session.bound = None
        yield _query(message, duration, protocol, text)

    def _announced(self, message: LoggedMessage, announced: re.Match[str]) -> Iterator[LoggedQuery]:
        session = self._session(message.session)
        simple, _, _, text = announced.groups()
        keep = 0 if simple else 2
        bare, session.bare = session.bare[: len(session.bare) - keep], session.bare[-keep:] if keep else []
        for duration, its in bare:
            yield _query(its, duration, "", None)
        protocol = _SIMPLE if simple else _EXTENDED if len(session.bare) == 2 else _PREPARED
        session.announced = protocol, text

    def _unused_parse(self, session: _Session) -> Iterator[LoggedQuery]:
        if session.parsed is not None:
            duration, text, message = session.parsed
            session.parsed = None
            yield _query(message, duration, _PREPARE, text)

    def _forget(self, name: str) -> Iterator[LoggedQuery]:
        session = self._sessions.pop(name, None)
        if session is None:
            return
        yield from self._unused_parse(session)
        for duration, message in session.bare:
            yield _query(message, duration, "", None)


def _query(message: LoggedMessage, duration_ns: int, protocol: str, text: str | None) -> LoggedQuery:
    return LoggedQuery(
        message.unix_ns, duration_ns, message.session, message.database, message.application, protocol, text
    )
