"""What the HTTP of connections comes to: each observation of a decoder changes an open exchange, which becomes rows.

Pure: time is in the observations. An upgrade makes a socket of its connection, a poll belongs to one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from nestperf.capture.kinds import Fields, fields_of, is_poll
from nestperf.capture.model import Client, Exchange, Outcome, Upstream
from nestperf.capture.server_timing import database_times
from nestperf.wire.observations import (
    HttpObservation,
    Interim,
    Opaque,
    RequestBody,
    RequestEnd,
    RequestHead,
    ResponseBody,
    ResponseEnd,
    ResponseHead,
    Switched,
)
from proxy_addon.databases import Statements
from proxy_addon.exchanges import OpenConnection, OpenExchange, exchange_row, is_decoded_poll
from proxy_addon.handshakes import is_tls_failure, upstream_reason, wrong_protocol
from proxy_addon.mentions import Mentions
from proxy_addon.opaque import OpaqueTrack, opaque_socket
from proxy_addon.sink import Sink
from proxy_addon.sockets import SocketTrack, new_socket, unusual
from proxy_addon.watched import WatchedPages

_SID = re.compile(r"[?&]sid=([^&]*)")


class Conversations:
    """All exchanges of a recording, and the sockets that some of them open."""

    def __init__(
        self,
        sink: Sink,
        upstreams: Sequence[Upstream],
        *,
        mentions: Mentions,
        statements: Statements,
        pages: WatchedPages | None,
    ) -> None:
        """`pages`: told of what browsers sent, where they are watched."""
        self._sink = sink
        self._contents, self._add, self._stamp, self._tally = sink
        self._upstreams = upstreams
        self._mentions = mentions
        self._statements = statements
        self._pages = pages
        self._open: dict[int, OpenExchange] = {}
        self._clients: dict[tuple[str, str], int] = {}
        self._polled: dict[tuple[int, str], SocketTrack] = {}
        """Socket.IO connections that began with long-polling, by upstream and Engine.IO session id."""
        self._last_exchange = 0

    def see(self, connection: OpenConnection, observations: Iterable[HttpObservation], cost_ns: int) -> None:
        """What was decoded of a connection; `cost_ns`: how long the relay held it."""
        for observation in observations:
            _SEE[type(observation)](self, connection, observation, cost_ns)

    def upstream_of(self, connection: OpenConnection) -> Upstream:
        """Where a connection leads."""
        known = connection.upstream < len(self._upstreams)
        return self._upstreams[connection.upstream] if known else Upstream("the application")

    def snapshot(self) -> None:
        """Rows of what is still open and has changed: a killed recording holds them as `unfinished`."""
        for exchange in self._open.values():
            if exchange.changed:
                exchange.changed = False
                self._store(exchange, Outcome.UNFINISHED, None, whole=False, growing=True)

    def finish(self) -> None:
        """The recording is over: what is still open stays `unfinished`."""
        for exchange in list(self._open.values()):
            self.close(exchange, Outcome.UNFINISHED, "still open when the recording ended")

    def finish_polled(self) -> None:
        """The same of sockets that began with long-polling, once exchanges are finished."""
        for track in self._polled.values():
            track.finish()

    def _request_head(self, connection: OpenConnection, head: RequestHead, cost_ns: int) -> None:
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

    def _request_body(self, connection: OpenConnection, piece: RequestBody, cost_ns: int) -> None:
        exchange = connection.exchanges.get(piece.exchange)
        if exchange is None:
            return
        if exchange.request_body is None:
            exchange.request_body = self._contents.collect(exchange.sent.get("content-encoding", ""), request=True)
        exchange.request_body.add(piece.data)
        exchange.request_cost_ns = cost_ns
        exchange.changed = True

    def _request_end(self, connection: OpenConnection, end: RequestEnd, cost_ns: int) -> None:
        exchange = connection.exchanges.get(end.exchange)
        if exchange is None:
            return
        exchange.request_end = end
        exchange.request_cost_ns = cost_ns
        if exchange.response_end is not None:
            self._answered(exchange)

    def _interim(self, connection: OpenConnection, interim: Interim, cost_ns: int) -> None:
        exchange = connection.exchanges.get(interim.exchange)
        if exchange is not None:
            headers = self._contents.headers(interim.headers)
            exchange.interim.append((interim.status, headers, self._stamp(interim.stamp_ns)))
            exchange.changed = True

    def _response_head(self, connection: OpenConnection, head: ResponseHead, cost_ns: int) -> None:
        exchange = connection.exchanges.get(head.exchange)
        if exchange is not None:
            exchange.response = head
            exchange.answered = fields_of(head.headers)
            exchange.response_cost_ns = cost_ns
            exchange.header_sets = None
            exchange.changed = True

    def _response_body(self, connection: OpenConnection, piece: ResponseBody, cost_ns: int) -> None:
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

    def _response_end(self, connection: OpenConnection, end: ResponseEnd, cost_ns: int) -> None:
        exchange = connection.exchanges.get(end.exchange)
        if exchange is None:
            return
        exchange.response_end = end
        exchange.response_cost_ns = cost_ns
        if exchange.response is not None and exchange.response.status == 101:
            return  # `Switched` follows
        if not end.complete:
            self.cut_off(exchange)
        elif exchange.request_end is not None:
            self._answered(exchange)

    def _switched(self, connection: OpenConnection, switched: Switched, cost_ns: int) -> None:
        exchange = connection.exchanges.get(switched.exchange)
        if exchange is None or exchange.response is None:
            return
        if switched.protocol == "websocket":
            sid = _sid(exchange.request.target)
            known = self._polled.get((connection.upstream, sid)) if sid else None
            connection.socket = known or self._new_socket(exchange, exchange.response)
            connection.socket.upgrade(exchange.response)
        self.close(exchange, Outcome.OK, None)
        track: SocketTrack | OpaqueTrack | None = connection.socket
        if track is None:
            reason = f"the protocol {switched.protocol[:40]}"
            track = self._opaque_track(connection, reason, exchange, switched.stamp_ns)
            track.senders |= {"client", "server"}
        for sender, data, stamp_ns in switched.leftover:
            track.receive(sender, data, stamp_ns)

    def _new_socket(self, exchange: OpenExchange, response: ResponseHead) -> SocketTrack:
        row = new_socket(
            exchange.request,
            response,
            self._sink,
            client_id=exchange.client_id,
            exchange_id=exchange.id,
            connection=exchange.connection.number,
            upstream=exchange.connection.upstream,
        )
        sentence = unusual(row.version, self.upstream_of(exchange.connection).url)
        if sentence is not None:
            self._tally.notice(sentence)
        return SocketTrack(row, self._sink)

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

    def _opaque(self, connection: OpenConnection, opaque: Opaque, cost_ns: int) -> None:
        upstream = self.upstream_of(connection)
        sentence = wrong_protocol(opaque.sender, opaque.data, upstream.url, upstream.listen or "")
        if sentence is not None:
            connection.foreign = True
            self._tally.notice(sentence)
        under_way = list(connection.exchanges.values())
        track = self._opaque_track(connection, opaque.reason, under_way[0] if under_way else None, opaque.stamp_ns)
        track.senders.add(opaque.sender)
        track.receive(opaque.sender, opaque.data, opaque.stamp_ns)
        for exchange in under_way:
            self.close(exchange, Outcome.UNFINISHED, f"not understood: {opaque.reason}")

    def _opaque_track(
        self, connection: OpenConnection, reason: str, exchange: OpenExchange | None, stamp_ns: int
    ) -> OpaqueTrack:
        if not connection.foreign:
            self._tally.lose("undecodable")
        if connection.opaque is None:
            row = opaque_socket(
                reason,
                stamp_ns,
                self._sink,
                connection=connection.number,
                upstream=connection.upstream,
                exchange_id=exchange.id if exchange is not None else None,
                target=exchange.request.target if exchange is not None else "",
            )
            connection.opaque = OpaqueTrack(row, self._sink)
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
        self.close(exchange, outcome, None)

    def _read_mentions(self, exchange: OpenExchange) -> None:
        upstream, answered = exchange.connection.upstream, exchange.answered
        if self._mentions.seeks(upstream, answered) and exchange.response_end is not None:
            body = exchange.response_body.content() if exchange.response_body is not None else b""
            self._mentions.read(upstream, answered, body, self._stamp(exchange.response_end.stamp_ns))

    def cut_off(self, exchange: OpenExchange) -> None:
        """Its connection is over before its answer is."""
        connection = exchange.connection
        if connection.error is not None:
            self.close(exchange, Outcome.CONNECT_ERROR, _refusal(connection.error))
        elif exchange.response_end is not None and exchange.response_end.complete:
            self._answered(exchange)
        elif connection.ended_first == "client":
            self.close(exchange, Outcome.ABORTED, "the browser closed the connection before the answer was complete")
        else:
            self.close(exchange, Outcome.RESET, "the application closed the connection before the answer was complete")

    def close(self, exchange: OpenExchange, outcome: Outcome, detail: str | None) -> None:
        """It is over, in this way."""
        self._open.pop(exchange.id, None)
        if exchange.cause not in self._open:
            exchange.cause = None  # not contained in time
        exchange.connection.exchanges.pop(exchange.request.exchange, None)
        row = self._store(exchange, outcome, detail, whole=outcome is not Outcome.UNFINISHED)
        self._tally.exchange(row)
        if self._pages is not None and is_browser(exchange.sent):
            self._pages.saw(exchange, row)
        if exchange.response is not None and "server-timing" in exchange.answered:
            self._statements.told(row, database_times(exchange.response.headers))

    def _store(
        self, exchange: OpenExchange, outcome: Outcome, detail: str | None, *, whole: bool, growing: bool = False
    ) -> Exchange:
        row = exchange_row(exchange, outcome, detail, self._sink, whole=whole, growing=growing)
        self._add(row)
        return row

    def _client(self, address: str, user_agent: str) -> int:
        known = self._clients.get((address, user_agent))
        if known is None:
            known = self._clients[address, user_agent] = len(self._clients) + 1
            self._add(Client(known, address, self._contents.redactor.text(user_agent)))
        return known


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


_SEE: dict[type[Any], Callable[[Conversations, OpenConnection, Any, int], None]] = {
    RequestHead: Conversations._request_head,
    RequestBody: Conversations._request_body,
    RequestEnd: Conversations._request_end,
    Interim: Conversations._interim,
    ResponseHead: Conversations._response_head,
    ResponseBody: Conversations._response_body,
    ResponseEnd: Conversations._response_end,
    Switched: Conversations._switched,
    Opaque: Conversations._opaque,
}
