"""One PostgreSQL connection of a recording: its queries become rows.

Pure, like the recorder that owns it. Of a statement its shape is stored, once; values only where they were asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from nestperf.capture.model import Exchange, Literals, Row, Statement, Wording
from nestperf.capture.queries import build_query, told_query
from nestperf.capture.redaction import Redactor
from nestperf.capture.server_timing import DatabaseTime
from nestperf.capture.statements import statement_of
from nestperf.capture.wordings import parameter_names, unquoted, wording_of
from nestperf.wire.observations import DatabaseOpened, Opaque, QuerySeen, Sender
from nestperf.wire.postgres import PostgresDecoder, PostgresObservation
from proxy_addon.sink import Sink
from proxy_addon.tally import Tally

TOLD = "Server-Timing: "
"""How the name of a statement begins that nobody saw."""
_MOST_LABELS = 2_000
_LABEL = 80
_BINARY = 1


class Statements:
    """The shapes of SQL of one recording, each stored once."""

    def __init__(self, add: Callable[[Row], None], redactor: Redactor, tally: Tally) -> None:
        self._add = add
        self._redactor = redactor
        self._tally = tally
        self._known: dict[str, int] = {}
        """By fingerprint."""
        self._wordings: dict[tuple[str, str], int] = {}

    def find(self, text: str, part: int) -> tuple[int, str | None]:
        """The row of a statement, and the trace that its comment names."""
        shape = statement_of(text, part)
        known = self._known.get(shape.fingerprint)
        if known is None:
            known = self._known[shape.fingerprint] = self._tally.next_id("statements")
            self._add(Statement(known, self._redactor.text(shape.text), shape.fingerprint))
        return known, shape.trace

    def keep_wording(self, query_id: int, query: QuerySeen) -> None:
        """Store how a query was asked, its literals redacted, so that it can be asked again."""
        if query.text is None or query.cut:
            return
        wording = wording_of(query.text, query.part)
        if wording is None:
            return
        stored = (json.dumps([self._redactor.text(piece) for piece in wording.pieces]), json.dumps(query.types))
        known = self._wordings.get(stored)
        if known is None:
            known = self._wordings[stored] = self._tally.next_id("wordings")
            self._add(Wording(known, *stored))
        literals = []
        for name, literal in zip(wording.names(), wording.literals, strict=True):
            before, value, after = unquoted(literal)
            literals.append(before + redacted(self._redactor, name, value) + after)
        self._add(Literals(query_id, known, json.dumps(literals)))

    def told(self, exchange: Exchange, times: Iterable[DatabaseTime]) -> None:
        """What an answer's `Server-Timing` tells of the database: how long, not when. They end with its first byte."""
        for time in times:
            label = f"{time.name} {time.description}" if len(self._known) < _MOST_LABELS else time.name
            statement, _ = self.find(f"{TOLD}{label[:_LABEL].strip()}", 0)
            done_ns = exchange.first_byte_ns
            assert done_ns is not None, "there was an answer"
            span = done_ns - time.duration_ns, done_ns
            row_id = self._tally.next_id("queries")
            self._add(told_query(row_id, "server-timing", span, exchange_id=exchange.id, statement_id=statement))


def redacted(redactor: Redactor, name: str, value: str) -> str:
    """A value of a query for the capture; `name`: what it may be called."""
    shown = json.loads(redactor.payload(None, json.dumps({name: value})))[name]
    assert isinstance(shown, str)
    return shown


class DatabaseTrack:
    """The state of one connection to a database."""

    def __init__(
        self,
        connection: int,
        upstream: int,
        sink: Sink,
        *,
        statements: Statements,
        parameters: bool,
    ) -> None:
        """`parameters`: store the values of queries, redacted."""
        self._connection = connection
        self._upstream = upstream
        self._decoder = PostgresDecoder(parameters=parameters)
        self._statements = statements
        contents, self._add, self._stamp, self._tally = sink
        self._redactor = contents.redactor
        self._keeps_values = parameters
        self._opened = DatabaseOpened(0, "", "", "")
        self._open: dict[tuple[int, int], int] = {}
        """Rows of queries that were stored while they waited for their answer, by number and part."""

    def receive(self, sender: Sender, data: bytes, stamp_ns: int) -> None:
        """The next chunk of either side."""
        self._see(self._decoder.receive(sender, data, stamp_ns))

    def closed(self, stamp_ns: int) -> None:
        """Both sides are done with the connection."""
        self._see(self._decoder.end(stamp_ns))

    def snapshot(self) -> None:
        """Rows of the queries that wait for their answers."""
        if not self._decoder.waiting:
            return
        for query in self._decoder.unfinished():
            if isinstance(query, QuerySeen) and (query.number, query.part) not in self._open:
                self._open[query.number, query.part] = self._store(query)

    def _see(self, seen: list[PostgresObservation]) -> None:
        for one in seen:
            if isinstance(one, QuerySeen):
                self._store(one)
                self._tally.queries[one.outcome] += 1
            elif isinstance(one, DatabaseOpened):
                text = self._redactor.text
                self._opened = one._replace(database=text(one.database), application=text(one.application))
            elif isinstance(one, Opaque):
                self._tally.opaque_databases[one.reason] += 1

    def _store(self, query: QuerySeen) -> int:
        row_id = self._open.pop((query.number, query.part), None) or self._tally.next_id("queries")
        statement, trace = (None, None) if query.text is None else self._statements.find(query.text, query.part)
        row = build_query(
            row_id,
            query,
            connection=self._connection,
            upstream=self._upstream,
            database=self._opened.database,
            application=self._opened.application,
            statement_id=statement,
            trace=trace,
            parameters=self._values(query),
            stamp=self._stamp,
        )
        self._add(row)
        if self._keeps_values and query.protocol != "prepare":
            self._statements.keep_wording(row_id, query)
        return row_id

    def _values(self, query: QuerySeen) -> str | None:
        if query.parameters is None:
            return None
        names = parameter_names(query.text or "")
        values = [
            self._value(names.get(number, ""), form, value)
            for number, (form, value) in enumerate(query.parameters, start=1)
        ]
        return json.dumps(values)

    def _value(self, name: str, form: int, value: bytes | None) -> Any:
        """A parameter for the capture: text as a string; binary as `{"binary": text}` or `{"hex": digits}`."""
        if value is None:
            return None
        text = value.decode(errors="replace")
        if form == _BINARY and ("\ufffd" in text or "\0" in text):
            return {"hex": redacted(self._redactor, name, value.hex())}
        shown = redacted(self._redactor, name, text)
        return {"binary": shown} if form == _BINARY else shown
