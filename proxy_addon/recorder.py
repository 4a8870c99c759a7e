"""Turns the relay's copy into rows: every record to its connection, every connection through its decoders.

Pure: records in, rows out through `add`; time is in the records. It never raises for what crossed the wire: what
cannot be understood is counted, marked and kept as it came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nestperf.capture.clock import Clock
from nestperf.capture.contents import Contents
from nestperf.capture.model import Outcome, Row, Upstream
from nestperf.pages.tracks import PageTracks
from nestperf.wire.observations import HttpObservation, Sender
from proxy_addon.conversations import Conversations
from proxy_addon.databases import DatabaseTrack, Statements
from proxy_addon.exchanges import OpenConnection, OpenExchange
from proxy_addon.handshakes import client_sentence, is_tls_failure, upstream_reason
from proxy_addon.mentions import Mentions
from proxy_addon.sink import Sink
from proxy_addon.tally import Tally
from proxy_addon.tap import Record, What
from proxy_addon.watched import WatchedPages


class Recorder:
    """The state of one recording. Feed records; rows come out through `add`."""

    def __init__(
        self,
        contents: Contents,
        add: Callable[[Row], None],
        clock: Clock,
        upstreams: Sequence[Upstream] = (),
        *,
        parameters: bool = False,
        ways: Sequence[str] = (),
        watched: bool = False,
    ) -> None:
        """
        Args:
            contents: what bodies and heads become.
            add: takes the rows.
            clock: makes stamps of readings.
            upstreams: what is recorded.
            parameters: store the values of databases' queries.
            ways: for each upstream what to do where browsers go past the recorder; none: say nothing of it.
            watched: pages of a browser tell what they see.
        """
        self.tally = Tally()
        self._mentions = Mentions(upstreams, ways)
        self._databases = frozenset(index for index, upstream in enumerate(upstreams) if upstream.is_database)
        self._parameters = parameters
        self._statements = Statements(add, contents.redactor, self.tally)
        self.vault = contents.redactor.vault
        self._stamp = clock.stamp_ns
        self._sink = Sink(contents, add, clock.stamp_ns, self.tally)
        self._connections: dict[int, OpenConnection] = {}
        self._pages = _watched_pages(contents, add, clock, self.tally, upstreams) if watched else None
        self._conversations = Conversations(
            self._sink,
            upstreams,
            mentions=self._mentions,
            statements=self._statements,
            pages=self._pages,
        )

    def feed(self, record: Record) -> None:
        """One record of the tap, in order."""
        connection = self._connections.get(record.connection)
        what = record.what
        if what is What.CLIENT_BYTES or what is What.SERVER_BYTES:
            if connection is not None:
                self._bytes(connection, "client" if what is What.CLIENT_BYTES else "server", record)
        elif what is What.OPENED:
            self._opened(record)
        elif what is What.PAGE:
            if self._pages is not None:
                self._pages.told(record.json(), self._stamp(record.stamp_ns))
        elif what is What.LAG:
            self.tally.lag(record.cost_ns)
            if record.payload:
                self.tally.lose("bytes", int(record.json()["dropped_bytes"]))
        elif connection is not None:
            self._connection_event(connection, record)

    def _opened(self, record: Record) -> None:
        who = record.json()
        connection = OpenConnection(
            record.connection, int(who["upstream"]), str(who["client"]), opened_ns=record.stamp_ns
        )
        if connection.upstream in self._databases:
            connection.database = DatabaseTrack(
                connection.number,
                connection.upstream,
                self._sink,
                statements=self._statements,
                parameters=self._parameters,
            )
        self._connections[connection.number] = connection

    def see(self, number: int, observation: HttpObservation) -> OpenConnection | None:
        """What another program decoded of an open connection (an import); the connection, None where there is none."""
        connection = self._connections.get(number)
        if connection is not None:
            self._conversations.see(connection, (observation,), 0)
        return connection

    def connection(self, number: int) -> OpenConnection | None:
        """An open connection."""
        return self._connections.get(number)

    def give_up(self, exchange: OpenExchange, outcome: Outcome, detail: str) -> None:
        """An open exchange has no whole answer, and another program knows why."""
        self._conversations.close(exchange, outcome, detail)

    def drop(self, connection: int) -> None:
        """Give up a connection on which the recorder itself failed."""
        known = self._connections.get(connection)
        if known is not None:
            self._abandon(known, "the recorder failed on this connection and dropped the rest of it")

    def snapshot(self) -> None:
        """Rows of what is still open and has changed: a killed recording holds them as `unfinished`."""
        if self._databases:
            for connection in self._connections.values():
                if connection.database is not None:
                    connection.database.snapshot()
        self._conversations.snapshot()

    def look(self, now_ns: int) -> None:
        """It is `now_ns` since the run began: notice what should have happened by now."""
        for sentence in self._mentions.overdue(now_ns):
            self.tally.notice(sentence)
        if self._pages is not None:
            self._pages.settle(now_ns)

    def finish(self) -> None:
        """The recording is over: what is still open stays `unfinished`."""
        self._conversations.finish()
        for connection in self._connections.values():
            if connection.socket is not None:
                connection.socket.finish()
            if connection.database is not None:
                connection.database.closed(connection.opened_ns)
        self._conversations.finish_polled()
        self._connections.clear()
        if self._pages is not None:
            self._pages.settle(0)

    def _connection_event(self, connection: OpenConnection, record: Record) -> None:
        what = record.what
        if what is What.CONNECTED:
            connection.connected_ns = record.stamp_ns
            if record.payload:
                connection.error = record.payload.decode(errors="replace")
                if is_tls_failure(connection.error):
                    url = self._conversations.upstream_of(connection).url
                    self.tally.notice(f"No connection to {url}: {upstream_reason(connection.error)}.")
            else:
                connection.connect_ns = record.cost_ns
        elif what is What.CLIENT_END or what is What.SERVER_END:
            self._end(connection, "client" if what is What.CLIENT_END else "server", record.stamp_ns)
        elif what is What.HANDSHAKE_FAILED:
            reason = record.payload.decode(errors="replace")
            sentence = client_sentence(reason, self._conversations.upstream_of(connection).listen or "")
            if sentence is not None:
                self.tally.notice(sentence)
        elif what is What.CUT:
            if connection.socket is not None:
                connection.socket.cut_by_us(record.stamp_ns)
        elif what is What.CLOSED:
            self._closed(connection, record.stamp_ns)
        elif what is What.GAP:
            self.tally.lose("connections")
            self._abandon(connection, "the recorder was too slow for this connection and dropped the rest of it")

    def _bytes(self, connection: OpenConnection, sender: Sender, record: Record) -> None:
        if connection.socket is not None:
            connection.socket.receive(sender, record.payload, record.stamp_ns)
            return
        if connection.database is not None:
            connection.database.receive(sender, record.payload, record.stamp_ns)
            return
        if connection.opaque is not None and sender in connection.opaque.senders:
            connection.opaque.receive(sender, record.payload, record.stamp_ns)
            return
        observations = connection.http.receive(sender, record.payload, record.stamp_ns)
        if observations:
            self._conversations.see(connection, observations, record.cost_ns)

    def _end(self, connection: OpenConnection, sender: Sender, stamp_ns: int) -> None:
        if connection.ended_first is None:
            connection.ended_first = sender
        if connection.database is not None:
            return
        if connection.socket is not None:
            connection.socket.end(sender, stamp_ns)
            return
        self._conversations.see(connection, connection.http.end(sender, stamp_ns), 0)

    def _closed(self, connection: OpenConnection, stamp_ns: int) -> None:
        self._connections.pop(connection.number, None)
        for track in (connection.socket, connection.opaque):
            if track is not None:
                track.closed(stamp_ns)
        if connection.database is not None:
            connection.database.closed(stamp_ns)
        for exchange in list(connection.exchanges.values()):
            self._conversations.cut_off(exchange)
        if connection.error is not None and not connection.asked:
            self.tally.unreachable += 1

    def _abandon(self, connection: OpenConnection, reason: str) -> None:
        for exchange in list(connection.exchanges.values()):
            self._conversations.close(exchange, Outcome.UNFINISHED, reason)
        if connection.socket is not None:
            connection.socket.finish()
        if connection.database is not None:
            connection.database.closed(connection.opened_ns)
        self._connections.pop(connection.number, None)


def _watched_pages(
    contents: Contents, add: Callable[[Row], None], clock: Clock, tally: Tally, upstreams: Sequence[Upstream]
) -> WatchedPages:
    return WatchedPages(PageTracks(contents, add, clock.unix_ns, tally.next_id, upstreams), tally)
