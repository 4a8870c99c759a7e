"""Decodes both directions of a PostgreSQL connection (protocol 3) into queries with their stamps.

Answers come in the order of what was asked, so every message of the server belongs to the oldest unanswered one of the
client. Nothing is ever answered, no credentials are kept, and no bytes raise: what cannot be followed becomes one
`Opaque`, and the rest of the connection is swallowed. (https://www.postgresql.org/docs/current/protocol-flow.html)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from nestperf.wire.observations import DatabaseOpened, Opaque, QuerySeen, Sender, ServerSaid
from nestperf.wire.postgres_asked import Asked, OpenQuery, Step
from nestperf.wire.postgres_fields import (
    read_affected,
    read_error,
    read_parameters,
    read_string,
    read_types,
)
from nestperf.wire.postgres_messages import Message, MessageStream
from nestperf.wire.postgres_opening import Opening

PostgresObservation: TypeAlias = DatabaseOpened | QuerySeen | ServerSaid | Opaque

_CLIENT = {"known": "BCDEFHPQSXcdfp", "kept": "BCDEPQ", "counted": "d"}
_SERVER = {"known": "123ACDEGHIKNRSTVWZcdnstv", "kept": "ACENZ", "counted": "Dd"}


class PostgresDecoder:
    """One connection, from its first byte."""

    def __init__(self, *, parameters: bool = False, max_statement: int = 1 << 20) -> None:
        """`parameters`: keep the values of Bind; `max_statement`: bytes kept of a statement or of a Bind."""
        self.opaque = False
        """Something could not be followed: nothing more comes from this connection."""
        self._parameters = parameters
        self._client = MessageStream(**_CLIENT, limit=max_statement)
        self._server = MessageStream(**_SERVER, limit=max_statement)
        self._max = max_statement
        self._opening = Opening()
        self._asked: deque[Asked] = deque()
        self._begun = 0
        self._building: OpenQuery | None = None
        """The query whose messages are coming in."""
        self._answered: OpenQuery | None = None
        """A query that is complete but for the ReadyForQuery, or the next statement of its text, that follows."""
        self._answered_ns = 0
        self._statements: dict[str, str] = {}
        self._types: dict[str, tuple[int, ...]] = {}
        """Statement name to the types of its parameters, where parameters are kept."""
        self._portals: dict[str, tuple[str, str | None]] = {}
        """Portal to statement name and text."""
        self._copying_in = False
        self._last_done_ns = 0

    def receive(self, sender: Sender, data: bytes, stamp_ns: int) -> list[PostgresObservation]:
        """Take bytes as they arrived; what they completed."""
        out: list[PostgresObservation] = []
        if self.opaque:
            return out
        if sender == "client":
            self._from_client(data, stamp_ns, out)
            fault = self._client.fault
        else:
            self._from_server(data, stamp_ns, out)
            fault = self._server.fault
        if fault and not self.opaque:
            self._give_up(sender, fault, stamp_ns, data, out)
        return out

    def end(self, stamp_ns: int) -> list[PostgresObservation]:
        """The connection is over: what waited for an answer is `unfinished`."""
        out: list[PostgresObservation] = []
        if not self.opaque:
            if self._answered is not None:
                self._finish(self._answered, self._answered_ns, None, out)
            out += self.unfinished()
            self._asked.clear()
            self.opaque = True
        return out

    @property
    def waiting(self) -> bool:
        """Some query is not answered."""
        return bool(self._asked)

    def unfinished(self) -> list[PostgresObservation]:
        """The queries that are waiting for their answers, as they would be if it ended now."""
        statements, portals = dict(self._statements), dict(self._portals)
        seen: list[PostgresObservation] = []
        for asked in self._asked:
            query = asked.query
            if asked.step is Step.PARSE:
                statements[asked.name] = asked.text
            elif asked.step is Step.BIND:
                portals[asked.portal] = (asked.name, statements.get(asked.name))
            elif query is not None and asked.step in _RUNS:
                name, text = portals.get(asked.portal, ("", None)) if asked.step is Step.EXECUTE else ("", query.text)
                seen.append(self._seen(query, name, text, outcome="unfinished", done_ns=None))
        return seen

    def _give_up(self, sender: Sender, reason: str, stamp_ns: int, data: bytes, out: list[PostgresObservation]) -> None:
        out += self.end(stamp_ns)
        self.opaque = True
        out.append(Opaque(sender, stamp_ns, reason, data))

    def _give_up_unopened(self, sender: Sender, stamp_ns: int, out: list[PostgresObservation]) -> None:
        fault = self._opening.fault
        if fault is not None:
            self._give_up(sender, fault.reason, stamp_ns, fault.data, out)

    # The client's side ------------------------------------------------------------------------------------------

    def _from_client(self, data: bytes, stamp_ns: int, out: list[PostgresObservation]) -> None:
        if not self._opening.is_over:
            data = self._opening.from_client(data, stamp_ns, out.append)
            self._give_up_unopened("client", stamp_ns, out)
        if not data or self.opaque:
            return
        for message in self._client.receive(data, stamp_ns):
            taken = _ASKS.get(message.kind)
            if taken is not None:
                taken(self, message)

    def _begin(self, message: Message, protocol: str) -> OpenQuery:
        self._begun += 1
        return OpenQuery(self._begun, message.stamp_ns, protocol)

    def _unit(self, message: Message) -> OpenQuery:
        """The query that this message of the extended protocol belongs to."""
        if self._building is None:
            self._building = self._begin(message, "prepared")
        self._building.request_bytes += message.size
        return self._building

    def _ask_query(self, message: Message) -> None:
        query = self._begin(message, "simple")
        query.text, _ = read_string(message.payload, 0)
        query.cut = message.size - 5 > self._max
        query.request_bytes = message.size
        self._asked.append(Asked(Step.QUERY, query))
        self._building = None

    def _ask_parse(self, message: Message) -> None:
        name, after = read_string(message.payload, 0)
        text, after = read_string(message.payload, after)
        query = self._unit(message)
        query.protocol = "extended"
        query.text, query.statement = text, name
        query.cut = message.size - 5 > self._max
        asked = Asked(Step.PARSE, query, name=name, text=text)
        if self._parameters:
            asked.types = read_types(message.payload, after)
        self._asked.append(asked)

    def _ask_bind(self, message: Message) -> None:
        portal, after = read_string(message.payload, 0)
        name, after = read_string(message.payload, after)
        query = self._unit(message)
        if self._parameters:
            query.parameters = read_parameters(message.payload, after)
        self._asked.append(Asked(Step.BIND, query, name=name, portal=portal))

    def _ask_describe(self, message: Message) -> None:
        query = self._unit(message)
        if message.payload[:1] == b"S" and query.text is None:
            query.statement, _ = read_string(message.payload, 1)
        self._asked.append(Asked(Step.DESCRIBE, query))

    def _ask_execute(self, message: Message) -> None:
        portal, _ = read_string(message.payload, 0)
        query = self._unit(message)
        query.executed = True
        self._asked.append(Asked(Step.EXECUTE, query, portal=portal))
        self._building = None

    def _ask_close(self, message: Message) -> None:
        name, _ = read_string(message.payload, 1)
        self._asked.append(Asked(Step.CLOSE, None, **{"name" if message.payload[:1] == b"S" else "portal": name}))

    def _ask_function(self, message: Message) -> None:
        query = self._begin(message, "function")
        query.request_bytes = message.size
        self._asked.append(Asked(Step.FUNCTION, query))
        self._building = None

    def _ask_flush(self, message: Message) -> None:
        """What was parsed or described so far is awaited by itself: a preparation."""
        self._building = None

    def _ask_sync(self, message: Message) -> None:
        self._building = None
        if not self._copying_in:  # the server ignores a Sync while it takes COPY data
            self._asked.append(Asked(Step.SYNC, None))

    def _ask_copy(self, message: Message) -> None:
        query = self._asked[0].query if self._asked else None
        if query is not None:
            query.request_bytes += message.size
        if message.kind in "cf":
            self._copying_in = False

    # The server's side ------------------------------------------------------------------------------------------

    def _from_server(self, data: bytes, stamp_ns: int, out: list[PostgresObservation]) -> None:
        if self._opening.awaits:
            data = self._opening.from_server(data)
            self._give_up_unopened("server", stamp_ns, out)
        if not data or self.opaque:
            return
        for message in self._server.receive(data, stamp_ns):
            tells = _TELLS.get(message.kind)
            if tells is not None:
                tells(self, message, stamp_ns, out)

    def _next(self, *steps: Step) -> Asked | None:
        """The oldest unanswered message if it is one of `steps`, forgetting those before it that got no answer."""
        while self._asked:
            first = self._asked[0]
            if first.step in steps:
                return first
            if first.step in _BARRIERS:
                return None
            self._asked.popleft()
        return None

    def _tell_prepared(self, message: Message, stamp_ns: int, out: list[PostgresObservation]) -> None:
        """ParseComplete, BindComplete, CloseComplete, NoData, RowDescription."""
        self._let_go(out)
        asked = self._next(*_PREPARED_BY[message.kind])
        if asked is None:
            return
        self._asked.popleft()
        if asked.query is not None:
            asked.query.response_bytes += message.size
        if asked.step is Step.PARSE:
            self._statements[asked.name] = asked.text
            if self._parameters:
                self._types[asked.name] = asked.types
        elif asked.step is Step.BIND:
            self._portals[asked.portal] = (asked.name, self._statements.get(asked.name))
        elif asked.step is Step.CLOSE:
            self._statements.pop(asked.name, None)  # a portal's name is elsewhere: portals end with their transaction
        self._preparation_may_be_over(asked, stamp_ns, out)

    def _tell_row_description(self, message: Message, stamp_ns: int, out: list[PostgresObservation]) -> None:
        if self._asked and self._asked[0].step in _RUNS:
            self._let_go(out)
            self._counted(message)
        else:
            self._tell_prepared(message, stamp_ns, out)

    def _preparation_may_be_over(self, asked: Asked, stamp_ns: int, out: list[PostgresObservation]) -> None:
        """A preparation without an Execute is over with the answer to its last message."""
        query = asked.query
        if query is None or query.executed or query is self._building:
            return
        if self._asked and self._asked[0].query is query:
            return
        query.protocol = "prepare"
        text = self._statements.get(query.statement) if query.text is None else query.text
        self._done(query, query.statement, text, stamp_ns, out)

    def _tell_rows(self, message: Message, stamp_ns: int, out: list[PostgresObservation]) -> None:
        self._let_go(out)
        query = self._counted(message)
        if query is not None:
            query.rows += message.messages
            if query.first_row_ns is None:
                query.first_row_ns = message.stamp_ns

    def _counted(self, message: Message) -> OpenQuery | None:
        asked = self._next(*_RUNS)
        query = asked.query if asked is not None else None
        if query is not None:
            query.response_bytes += message.size
        return query

    def _tell_complete(self, message: Message, stamp_ns: int, out: list[PostgresObservation]) -> None:
        """CommandComplete, EmptyQueryResponse, PortalSuspended: one statement is over."""
        self._let_go(out)
        asked = self._next(*_RUNS)
        if asked is None or asked.query is None:
            return
        query = asked.query
        query.response_bytes += message.size
        if message.kind == "C" and not query.rows:
            query.rows = read_affected(message.payload)
        self._copying_in = False
        if asked.step is Step.QUERY:
            self._answered, self._answered_ns = query, stamp_ns
            return
        self._asked.popleft()
        query.statement, query.text = self._bound(asked.portal, query)
        if self._asked and self._asked[0].step is Step.SYNC:
            self._answered, self._answered_ns = query, stamp_ns
        else:
            self._finish(query, stamp_ns, None, out)

    def _bound(self, portal: str, query: OpenQuery) -> tuple[str, str | None]:
        return self._portals.get(portal, (query.statement, query.text))

    def _let_go(self, out: list[PostgresObservation]) -> None:
        """Something other than ReadyForQuery follows a complete statement: it was complete then."""
        query = self._answered
        if query is not None:
            self._answered = None
            self._finish(query, self._answered_ns, None, out)
            if query.protocol == "simple":
                query.next_part()

    def _tell_error(self, message: Message, stamp_ns: int, out: list[PostgresObservation]) -> None:
        severity, sqlstate = read_error(message.payload)
        if not self._asked:
            out.append(ServerSaid(message.stamp_ns, "error", severity, sqlstate, None))
            return
        if self._answered is not None and self._answered.protocol != "simple":
            # A deferred constraint: the statement was complete, and its commit at the Sync failed.
            late, self._answered = self._answered, None
            self._done(late, late.statement, late.text, stamp_ns, out, outcome="error", sqlstate=sqlstate)
            return
        self._let_go(out)
        self._copying_in = False
        first = self._asked[0]
        if first.step in (Step.QUERY, Step.FUNCTION):
            query = first.query
            assert query is not None
            query.response_bytes += message.size
            self._done(query, "", query.text, stamp_ns, out, outcome="error", sqlstate=sqlstate)
            return
        self._fail(sqlstate, message.size, stamp_ns, out)

    def _fail(self, sqlstate: str | None, size: int, stamp_ns: int, out: list[PostgresObservation]) -> None:
        """An error in the extended protocol: the server skips everything up to the next Sync."""
        blamed: OpenQuery | None = None
        while self._asked and self._asked[0].step not in _BARRIERS:
            asked = self._asked.popleft()
            query = asked.query
            if asked.step is Step.PARSE and query is not None:
                query.text = asked.text
            elif asked.step is Step.BIND and query is not None and query.text is None:
                query.statement, query.text = asked.name, self._statements.get(asked.name)
            if query is None or (self._asked and self._asked[0].query is query):
                continue  # its last message decides
            if asked.step is Step.EXECUTE and query.text is None:
                query.statement, query.text = self._bound(asked.portal, query)
            if not query.executed:
                query.protocol = "prepare"
            if blamed is None:
                blamed = query
                query.response_bytes += size
                self._done(query, query.statement, query.text, stamp_ns, out, outcome="error", sqlstate=sqlstate)
            elif query.executed:
                self._done(query, query.statement, query.text, stamp_ns, out, outcome="skipped")

    def _tell_copy(self, message: Message, stamp_ns: int, out: list[PostgresObservation]) -> None:
        """CopyInResponse, CopyOutResponse, CopyBothResponse."""
        self._let_go(out)
        asked = self._next(*_RUNS)
        if asked is None or message.kind == "H":
            return
        self._copying_in = True
        # A Sync that was sent right behind the Execute is ignored by a server that takes COPY data.
        while len(self._asked) > 1 and self._asked[1].step is Step.SYNC:
            del self._asked[1]

    def _tell_ready(self, message: Message, stamp_ns: int, out: list[PostgresObservation]) -> None:
        state = _STATES.get(message.payload[:1])
        self._copying_in = False
        asked = self._next(Step.SYNC, Step.QUERY, Step.FUNCTION)
        if asked is not None:
            self._asked.popleft()
        if self._answered is not None:
            query, self._answered = self._answered, None
            self._finish(query, stamp_ns, state, out)
        elif asked is not None and asked.step is Step.FUNCTION and asked.query is not None:
            self._done(asked.query, "", None, stamp_ns, out, transaction=state)

    def _tell_notice(self, message: Message, stamp_ns: int, out: list[PostgresObservation]) -> None:
        severity, sqlstate = read_error(message.payload)
        out.append(ServerSaid(message.stamp_ns, "notice", severity, sqlstate, None))

    def _tell_notification(self, message: Message, stamp_ns: int, out: list[PostgresObservation]) -> None:
        channel, _ = read_string(message.payload, 4)
        out.append(ServerSaid(message.stamp_ns, "notification", None, None, channel))

    # Queries that are over --------------------------------------------------------------------------------------

    def _finish(self, query: OpenQuery, done_ns: int, state: str | None, out: list[PostgresObservation]) -> None:
        self._done(query, query.statement, query.text, done_ns, out, transaction=state)

    def _done(
        self,
        query: OpenQuery,
        statement: str,
        text: str | None,
        done_ns: int,
        out: list[PostgresObservation],
        *,
        outcome: str = "ok",
        sqlstate: str | None = None,
        transaction: str | None = None,
    ) -> None:
        out.append(
            self._seen(
                query, statement, text, outcome=outcome, done_ns=done_ns, sqlstate=sqlstate, transaction=transaction
            )
        )
        self._last_done_ns = max(self._last_done_ns, done_ns)

    def _seen(
        self,
        query: OpenQuery,
        statement: str,
        text: str | None,
        *,
        outcome: str,
        done_ns: int | None,
        sqlstate: str | None = None,
        transaction: str | None = None,
    ) -> QuerySeen:
        return QuerySeen(
            number=query.number,
            sent_ns=query.sent_ns,
            started_ns=max(query.sent_ns, self._last_done_ns),
            first_row_ns=query.first_row_ns,
            done_ns=done_ns,
            protocol=query.protocol,
            statement=statement,
            text=text,
            part=query.part,
            cut=query.cut,
            parameters=query.parameters,
            types=() if query.protocol == "simple" else self._types.get(statement, ()),
            rows=query.rows,
            request_bytes=query.request_bytes,
            response_bytes=query.response_bytes,
            outcome=outcome,
            sqlstate=sqlstate,
            transaction=transaction,
        )


_RUNS = (Step.EXECUTE, Step.QUERY, Step.FUNCTION)
_BARRIERS = (Step.SYNC, Step.QUERY, Step.FUNCTION)
_STATES = {b"I": "idle", b"T": "open", b"E": "failed"}
_PREPARED_BY = {
    "1": (Step.PARSE,),
    "2": (Step.BIND,),
    "3": (Step.CLOSE,),
    "n": (Step.DESCRIBE,),
    "T": (Step.DESCRIBE,),
}
_ASKS: dict[str, Callable[[PostgresDecoder, Message], None]] = {
    "Q": PostgresDecoder._ask_query,
    "P": PostgresDecoder._ask_parse,
    "B": PostgresDecoder._ask_bind,
    "D": PostgresDecoder._ask_describe,
    "E": PostgresDecoder._ask_execute,
    "C": PostgresDecoder._ask_close,
    "F": PostgresDecoder._ask_function,
    "H": PostgresDecoder._ask_flush,
    "S": PostgresDecoder._ask_sync,
    "d": PostgresDecoder._ask_copy,
    "c": PostgresDecoder._ask_copy,
    "f": PostgresDecoder._ask_copy,
}
_Tell = Callable[[PostgresDecoder, Message, int, list[PostgresObservation]], None]
_TELLS: dict[str, _Tell] = {
    "1": PostgresDecoder._tell_prepared,
    "2": PostgresDecoder._tell_prepared,
    "3": PostgresDecoder._tell_prepared,
    "n": PostgresDecoder._tell_prepared,
    "T": PostgresDecoder._tell_row_description,
    "D": PostgresDecoder._tell_rows,
    "d": PostgresDecoder._tell_rows,
    "C": PostgresDecoder._tell_complete,
    "I": PostgresDecoder._tell_complete,
    "s": PostgresDecoder._tell_complete,
    "E": PostgresDecoder._tell_error,
    "G": PostgresDecoder._tell_copy,
    "H": PostgresDecoder._tell_copy,
    "W": PostgresDecoder._tell_copy,
    "Z": PostgresDecoder._tell_ready,
    "N": PostgresDecoder._tell_notice,
    "A": PostgresDecoder._tell_notification,
}
