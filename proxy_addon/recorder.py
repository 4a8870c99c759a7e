"""Turns the relay's copy into rows: every connection through the decoders, every observation into the capture.

Pure: records in, rows out through `add`; time is in the records. It never raises for what crossed the wire: what
cannot be understood is counted, marked and kept as it came.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from nestperf.capture.clock import Clock
from nestperf.capture.contents import Contents
from nestperf.capture.kinds import Fields, fields_of, is_poll
from nestperf.capture.model import Client, Exchange, Outcome, Row, Upstream
from nestperf.capture.server_timing import database_times
from nestperf.pages.tracks import PageTracks
from nestperf.wire import http1
from proxy_addon.databases import DatabaseTrack, Statements
from proxy_addon.exchanges import OpenConnection, OpenExchange, exchange_row, is_decoded_poll
from proxy_addon.handshakes import client_sentence, is_tls_failure, upstream_reason, wrong_protocol
from proxy_addon.mentions import Mentions
from proxy_addon.opaque import OpaqueTrack, opaque_socket
from proxy_addon.sockets import SocketTrack, new_socket, unusual
from proxy_addon.tally import Tally
from proxy_addon.tap import Record, What
from proxy_addon.watched import WatchedPages

_SID = re.compile(r"[?&]sid=([^&]*)")


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
        self._upstreams = upstreams
        self._databases = frozenset(index for index, upstream in enumerate(upstreams) if upstream.is_database)
        self._parameters = parameters
        self._statements = Statements(add, contents.redactor, self.tally)
        self.vault = contents.redactor.vault
        self._contents = contents
        self._add = add
        self._stamp = clock.stamp_ns
        self._connections: dict[int, OpenConnection] = {}
        self._open: dict[int, OpenExchange] = {}
        self._clients: dict[tuple[str, str], int] = {}
        self._polled: dict[tuple[int, str], SocketTrack] = {}
        """Socket.IO connections that began with long-polling, by upstream and Engine.IO session id."""
        self._last_exchange = 0
        self._pages = _watched_pages(contents, add, clock, self.tally, upstreams) if watched else None

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
                statements=self._statements,
                add=self._add,
                stamp=self._stamp,
                tally=self.tally,
                redactor=self._contents.redactor,
                parameters=self._parameters,
            )
        self._connections[connection.number] = connection

    def see(self, number: int, observation: http1.HttpObservation) -> OpenConnection | None:
        """What another program decoded of an open connection (an import); the connection, None where there is none."""
        connection = self._connections.get(number)
        if connection is not None:
            _SEE[type(observation)](self, connection, observation, 0)
        return connection

    def connection(self, number: int) -> OpenConnection | None:
        """An open connection."""
        return self._connections.get(number)

    def give_up(self, exchange: OpenExchange, outcome: Outcome, detail: str) -> None:
        """An open exchange has no whole answer, and another program knows why."""
        self._close(exchange, outcome, detail)

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
        for exchange in self._open.values():
            if exchange.changed:
                exchange.changed = False
                self._store(exchange, Outcome.UNFINISHED, None, whole=False, growing=True)

    def look(self, now_ns: int) -> None:
        """It is `now_ns` since the run began: notice what should have happened by now."""
        for sentence in self._mentions.overdue(now_ns):
            self.tally.notice(sentence)
        if self._pages is not None:
            self._pages.settle(now_ns)

    def finish(self) -> None:
        """The recording is over: what is still open stays `unfinished`."""
        for exchange in list(self._open.values()):
            self._close(exchange, Outcome.UNFINISHED, "still open when the recording ended")
        for connection in self._connections.values():
            if connection.socket is not None:
                connection.socket.finish()
            if connection.database is not None:
                connection.database.closed(connection.opened_ns)
        for track in self._polled.values():
            track.finish()
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
                    url = self._upstream(connection).url
                    self.tally.notice(f"No connection to {url}: {upstream_reason(connection.error)}.")
            else:
                connection.connect_ns = record.cost_ns
        elif what is What.CLIENT_END or what is What.SERVER_END:
            self._end(connection, "client" if what is What.CLIENT_END else "server", record.stamp_ns)
        elif what is What.HANDSHAKE_FAILED:
            reason = record.payload.decode(errors="replace")
            sentence = client_sentence(reason, self._upstream(connection).listen or "")
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

    def _upstream(self, connection: OpenConnection) -> Upstream:
        known = connection.upstream < len(self._upstreams)
        return self._upstreams[connection.upstream] if known else Upstream("the application")

    def _bytes(self, connection: OpenConnection, sender: http1.Sender, record: Record) -> None:
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
        for observation in observations:
            _SEE[type(observation)](self, connection, observation, record.cost_ns)

    def _end(self, connection: OpenConnection, sender: http1.Sender, stamp_ns: int) -> None:
        if connection.ended_first is None:
            connection.ended_first = sender
        if connection.database is not None:
            return
        if connection.socket is not None:
            connection.socket.end(sender, stamp_ns)
            return
        for observation in connection.http.end(sender, stamp_ns):
            _SEE[type(observation)](self, connection, observation, 0)

    def _closed(self, connection: OpenConnection, stamp_ns: int) -> None:
        self._connections.pop(connection.number, None)
        for track in (connection.socket, connection.opaque):
            if track is not None:
                track.closed(stamp_ns)
        if connection.database is not None:
            connection.database.closed(stamp_ns)
        for exchange in list(connection.exchanges.values()):
            self._cut_off(exchange)
        if connection.error is not None and not connection.asked:
            self.tally.unreachable += 1

    def _abandon(self, connection: OpenConnection, reason: str) -> None:
        for exchange in list(connection.exchanges.values()):
            self._close(exchange, Outcome.UNFINISHED, reason)
        if connection.socket is not None:
            connection.socket.finish()
        if connection.database is not None:
            connection.database.closed(connection.opened_ns)
        self._connections.pop(connection.number, None)

    def _request_head(self, connection: OpenConnection, head: http1.RequestHead, cost_ns: int) -> None:
        self._last_exchange += 1
        sent = fields_of(head.headers)
        client_id = self._client(connection.address, sent.get("user-agent", connection.user_agent))
        exchange = OpenExchange(self._last_exchange, connection, head, sent, client_id)
        exchange.request_cost_ns = cost_ns
        exchange.connect_ns, connection.connect_ns = self._waited_connect(connection, head.stamp_ns), None
        if is_browser(sent):
            self._mentions.reached(connection.upstream)
        else:
            exchange.cause = self._cause(connection.upstream)
        connection.asked = True
        connection.exchanges[head.exchange] = exchange
        self._open[exchange.id] = exchange

    def _waited_connect(self, connection: OpenConnection, sent_ns: int) -> int | None:
        """How long a request had to wait for the upstream connection; None where it was there already."""
        if connection.connect_ns is None:
            return None
        return max(0, connection.connected_ns - max(sent_ns, connection.opened_ns))

    def _cause(self, upstream: int) -> int | None:
        """The exchange of another upstream in which a call to this one is contained, as far as that is known now. What
        waits for news (a poll, a stream) contains everything that happens, and causes nothing."""
        for exchange in self._open.values():
            if exchange.connection.upstream != upstream and exchange.cause is None and not _waits(exchange):
                return exchange.id
        return None

    def _request_body(self, connection: OpenConnection, piece: http1.RequestBody, cost_ns: int) -> None:
        exchange = connection.exchanges.get(piece.exchange)
        if exchange is None:
            return
        if exchange.request_body is None:
            exchange.request_body = self._contents.collect(exchange.sent.get("content-encoding", ""), request=True)
        exchange.request_body.add(piece.data)
        exchange.request_cost_ns = cost_ns
        exchange.changed = True

    def _request_end(self, connection: OpenConnection, end: http1.RequestEnd, cost_ns: int) -> None:
        exchange = connection.exchanges.get(end.exchange)
        if exchange is None:
            return
        exchange.request_end = end
        exchange.request_cost_ns = cost_ns
        if exchange.response_end is not None:
            self._answered(exchange)

    def _interim(self, connection: OpenConnection, interim: http1.Interim, cost_ns: int) -> None:
        exchange = connection.exchanges.get(interim.exchange)
        if exchange is not None:
            headers = self._contents.headers(interim.headers)
            exchange.interim.append((interim.status, headers, self._stamp(interim.stamp_ns)))
            exchange.changed = True

    def _response_head(self, connection: OpenConnection, head: http1.ResponseHead, cost_ns: int) -> None:
        exchange = connection.exchanges.get(head.exchange)
        if exchange is not None:
            exchange.response = head
            exchange.answered = fields_of(head.headers)
            exchange.response_cost_ns = cost_ns
            exchange.header_sets = None
            exchange.changed = True

    def _response_body(self, connection: OpenConnection, piece: http1.ResponseBody, cost_ns: int) -> None:
        exchange = connection.exchanges.get(piece.exchange)
        if exchange is None or exchange.response is None:
            return
        if exchange.response_body is None:
            exchange.response_body = self._contents.collect(
                exchange.answered.get("content-encoding", ""), request=False
            )
        exchange.response_body.add(piece.data)
        exchange.response_cost_ns = cost_ns
        exchange.changed = True

    def _response_end(self, connection: OpenConnection, end: http1.ResponseEnd, cost_ns: int) -> None:
        exchange = connection.exchanges.get(end.exchange)
        if exchange is None:
            return
        exchange.response_end = end
        exchange.response_cost_ns = cost_ns
        if exchange.response is not None and exchange.response.status == 101:
            return  # `Switched` follows
        if not end.complete:
            self._cut_off(exchange)
        elif exchange.request_end is not None:
            self._answered(exchange)

    def _switched(self, connection: OpenConnection, switched: http1.Switched, cost_ns: int) -> None:
        exchange = connection.exchanges.get(switched.exchange)
        if exchange is None or exchange.response is None:
            return
        if switched.protocol == "websocket":
            sid = _sid(exchange.request.target)
            known = self._polled.get((connection.upstream, sid)) if sid else None
            connection.socket = known or self._new_socket(exchange, exchange.response)
            connection.socket.upgrade(exchange.response)
        self._close(exchange, Outcome.OK, None)
        track: SocketTrack | OpaqueTrack | None = connection.socket
        if track is None:
            reason = f"the protocol {switched.protocol[:40]}"
            track = self._opaque_track(connection, reason, exchange, switched.stamp_ns)
            track.senders |= {"client", "server"}
        for sender, data, stamp_ns in switched.leftover:
            track.receive(sender, data, stamp_ns)

    def _new_socket(self, exchange: OpenExchange, response: http1.ResponseHead) -> SocketTrack:
        row = new_socket(
            exchange.request,
            response,
            contents=self._contents,
            stamp=self._stamp,
            tally=self.tally,
            client_id=exchange.client_id,
            exchange_id=exchange.id,
            connection=exchange.connection.number,
            upstream=exchange.connection.upstream,
        )
        sentence = unusual(row.version, self._upstream(exchange.connection).url)
        if sentence is not None:
            self.tally.notice(sentence)
        return SocketTrack(row, contents=self._contents, add=self._add, stamp=self._stamp, tally=self.tally)

    def _poll(self, exchange: OpenExchange) -> None:
        """A long-polling exchange is complete: its packets belong to a Socket.IO connection."""
        request_end, response, response_end = exchange.request_end, exchange.response, exchange.response_end
        if response is None or response_end is None or response.status != 200:
            return
        sid = _sid(exchange.request.target)
        track = self._polled.get((exchange.connection.upstream, sid))
        if track is None:
            track = self._new_socket(exchange, response)
        if exchange.request_body is not None and request_end is not None:
            asked = exchange.request_body.content()
            stamps = exchange.request.stamp_ns, request_end.stamp_ns
            exchange.undecodable |= not track.receive_poll("client", asked, exchange.id, *stamps)
        if exchange.response_body is not None and exchange.request.method != "POST":  # which is answered by `ok`
            told = exchange.response_body.content()
            stamps = response.stamp_ns, response_end.stamp_ns
            exchange.undecodable |= not track.receive_poll("server", told, exchange.id, *stamps)
        self._polled[exchange.connection.upstream, sid or track.row.sid or ""] = track

    def _opaque(self, connection: OpenConnection, opaque: http1.Opaque, cost_ns: int) -> None:
        upstream = self._upstream(connection)
        sentence = wrong_protocol(opaque.sender, opaque.data, upstream.url, upstream.listen or "")
        if sentence is not None:
            connection.foreign = True
            self.tally.notice(sentence)
        under_way = list(connection.exchanges.values())
        track = self._opaque_track(connection, opaque.reason, under_way[0] if under_way else None, opaque.stamp_ns)
        track.senders.add(opaque.sender)
        track.receive(opaque.sender, opaque.data, opaque.stamp_ns)
        for exchange in under_way:
            self._close(exchange, Outcome.UNFINISHED, f"not understood: {opaque.reason}")

    def _opaque_track(
        self, connection: OpenConnection, reason: str, exchange: OpenExchange | None, stamp_ns: int
    ) -> OpaqueTrack:
        if not connection.foreign:
            self.tally.lose("undecodable")
        if connection.opaque is None:
            row = opaque_socket(
                reason,
                connection=connection.number,
                upstream=connection.upstream,
                exchange_id=exchange.id if exchange is not None else None,
                target=self._contents.redactor.target(exchange.request.target) if exchange is not None else "",
                stamp_ns=self._stamp(stamp_ns),
                tally=self.tally,
            )
            connection.opaque = OpaqueTrack(
                row, contents=self._contents, add=self._add, stamp=self._stamp, tally=self.tally
            )
        return connection.opaque

    def _answered(self, exchange: OpenExchange) -> None:
        assert exchange.response is not None
        if is_decoded_poll(exchange.request.target):
            self._poll(exchange)
        elif is_browser(exchange.sent):
            self._read_mentions(exchange)
        status = exchange.response.status
        if status == 429:
            outcome = Outcome.LIMITED
        elif status >= 500:
            outcome = Outcome.HTTP_ERROR
        elif status >= 400:
            outcome = Outcome.REFUSED
        else:
            outcome = Outcome.OK
        self._close(exchange, outcome, None)

    def _read_mentions(self, exchange: OpenExchange) -> None:
        upstream, answered = exchange.connection.upstream, exchange.answered
        if self._mentions.seeks(upstream, answered) and exchange.response_end is not None:
            body = exchange.response_body.content() if exchange.response_body is not None else b""
            self._mentions.read(upstream, answered, body, self._stamp(exchange.response_end.stamp_ns))

    def _cut_off(self, exchange: OpenExchange) -> None:
        connection = exchange.connection
        if connection.error is not None:
            self._close(exchange, Outcome.CONNECT_ERROR, _refusal(connection.error))
        elif exchange.response_end is not None and exchange.response_end.complete:
            self._answered(exchange)
        elif connection.ended_first == "client":
            self._close(exchange, Outcome.ABORTED, "the browser closed the connection before the answer was complete")
        else:
            self._close(exchange, Outcome.RESET, "the application closed the connection before the answer was complete")

    def _close(self, exchange: OpenExchange, outcome: Outcome, detail: str | None) -> None:
        self._open.pop(exchange.id, None)
        if exchange.cause not in self._open:
            exchange.cause = None  # not contained in time
        exchange.connection.exchanges.pop(exchange.request.exchange, None)
        row = self._store(exchange, outcome, detail, whole=outcome is not Outcome.UNFINISHED)
        self.tally.exchange(row)
        if self._pages is not None and is_browser(exchange.sent):
            self._pages.saw(exchange, row)
        if exchange.response is not None and "server-timing" in exchange.answered:
            self._statements.told(row, database_times(exchange.response.headers))

    def _store(
        self, exchange: OpenExchange, outcome: Outcome, detail: str | None, *, whole: bool, growing: bool = False
    ) -> Exchange:
        row = exchange_row(
            exchange, outcome, detail, whole=whole, growing=growing, contents=self._contents, stamp=self._stamp
        )
        self._add(row)
        return row

    def _client(self, address: str, user_agent: str) -> int:
        known = self._clients.get((address, user_agent))
        if known is None:
            known = self._clients[address, user_agent] = len(self._clients) + 1
            self._add(Client(known, address, self._contents.redactor.text(user_agent)))
        return known


def _watched_pages(
    contents: Contents, add: Callable[[Row], None], clock: Clock, tally: Tally, upstreams: Sequence[Upstream]
) -> WatchedPages:
    return WatchedPages(PageTracks(contents, add, clock.unix_ns, tally.next_id, upstreams), tally)


def is_browser(sent: Fields) -> bool:
    """Whether a browser sent this: fetch metadata (https://www.w3.org/TR/fetch-metadata/), or its User-Agent.

    Node's fetch sends Sec-Fetch-Mode, and nothing else of it.
    """
    return sent.get("user-agent", "").startswith("Mozilla/") or "sec-fetch-site" in sent or "sec-fetch-dest" in sent


def _waits(exchange: OpenExchange) -> bool:
    request = exchange.request
    if request.method == "GET" and is_poll(request.target):
        return True
    return exchange.answered.get("content-type", "").startswith("text/event-stream")


def _refusal(error: str) -> str:
    if is_tls_failure(error):
        return f"no connection to the application: {upstream_reason(error)}"
    return f"the application refused the connection: {error}"


def _sid(target: str) -> str:
    match = _SID.search(target)
    return match[1] if match else ""


_SEE: dict[type[Any], Callable[[Recorder, OpenConnection, Any, int], None]] = {
    http1.RequestHead: Recorder._request_head,
    http1.RequestBody: Recorder._request_body,
    http1.RequestEnd: Recorder._request_end,
    http1.Interim: Recorder._interim,
    http1.ResponseHead: Recorder._response_head,
    http1.ResponseBody: Recorder._response_body,
    http1.ResponseEnd: Recorder._response_end,
    http1.Switched: Recorder._switched,
    http1.Opaque: Recorder._opaque,
}
