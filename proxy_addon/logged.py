"""Queries of PostgreSQL's own log as rows. Pure."""

from __future__ import annotations

from collections.abc import Callable

from nestperf.capture.model import Row
from nestperf.capture.postgres_log.durations import LoggedQuery
from nestperf.capture.queries import told_query
from nestperf.capture.redaction import Redactor
from proxy_addon.databases import Statements
from proxy_addon.tally import Tally


class LoggedQueries:
    """The log names sessions: each counts as a connection."""

    def __init__(
        self,
        *,
        add: Callable[[Row], None],
        tally: Tally,
        redactor: Redactor,
        began_unix_ns: int,
        last_connection: int = 0,
    ) -> None:
        """`last_connection`: the greatest number that is taken."""
        self._statements = Statements(add, redactor, tally)
        self._add = add
        self._tally = tally
        self._redactor = redactor
        self._began_unix_ns = began_unix_ns
        self._connections: dict[str, int] = {}
        self._last_connection = last_connection

    def add(self, logged: LoggedQuery) -> None:
        """Add the row of one of them."""
        statement, trace = (None, None) if logged.text is None else self._statements.find(logged.text, 0)
        connection = self._connections.get(logged.session)
        if connection is None:
            self._last_connection += 1
            connection = self._connections[logged.session] = self._last_connection
        done_ns = logged.done_unix_ns - self._began_unix_ns
        self._add(
            told_query(
                self._tally.next_id("queries"),
                "log",
                (done_ns - logged.duration_ns, done_ns),
                statement_id=statement,
                connection=connection,
                database=self._redactor.text(logged.database),
                application=self._redactor.text(logged.application),
                protocol=logged.protocol,
                trace=trace,
            )
        )
        self._tally.queries["ok"] += 1
