"""What the recorder holds of connections and exchanges that go on, and the row that an exchange becomes.

Pure. Stamps are raw clock readings until they become a row's.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from nestperf.capture.bodies import BodyCollector
from nestperf.capture.contents import Contents
from nestperf.capture.kinds import Fields, is_poll, kind_of
from nestperf.capture.model import Exchange, Kind, Outcome
from nestperf.capture.routes import route_of
from nestperf.wire import http1
from nestperf.wire.observations import RequestEnd, RequestHead, ResponseEnd, ResponseHead
from proxy_addon.databases import DatabaseTrack
from proxy_addon.opaque import OpaqueTrack
from proxy_addon.sink import Sink
from proxy_addon.sockets import SocketTrack

_JSONP = re.compile(r"[?&]j=")
"""A polling answer that is a script: left as it is."""


@dataclass(slots=True)
class OpenExchange:
    """An exchange while it goes on; stamps are raw readings."""

    id: int
    connection: OpenConnection
    request: RequestHead
    sent: Fields
    """The request's fields."""
    client_id: int
    answered: Fields = field(default_factory=dict)
    """The answer's fields."""
    request_body: BodyCollector | None = None
    request_end: RequestEnd | None = None
    response: ResponseHead | None = None
    response_body: BodyCollector | None = None
    response_end: ResponseEnd | None = None
    interim: list[tuple[int, int, int]] = field(default_factory=list)
    header_sets: tuple[int, int | None] | None = None
    body_ids: list[int | None] = field(default_factory=lambda: [None, None])
    bodies_done: list[bool] = field(default_factory=lambda: [False, False])
    """Whether they are stored as they will stay."""
    connect_ns: int | None = None
    request_cost_ns: int = 0
    response_cost_ns: int = 0
    cause: int | None = None
    """The browser's exchange at another upstream during which this one began."""
    changed: bool = True
    undecodable: bool = False
    """A poll whose packets cannot be told apart: its bodies are stored as they came."""


@dataclass(slots=True)
class OpenConnection:
    """One client connection and its upstream connection."""

    number: int
    upstream: int
    address: str
    user_agent: str = ""
    """Of whoever uses it, where a request does not say."""
    http: http1.Http1Connection = field(default_factory=http1.Http1Connection)
    exchanges: dict[int, OpenExchange] = field(default_factory=dict)
    """Open exchanges by their number within the connection."""
    connect_ns: int | None = None
    """Until the first exchange has taken it over."""
    opened_ns: int = 0
    connected_ns: int = 0
    error: str | None = None
    ended_first: str | None = None
    asked: bool = False
    """A request began."""
    foreign: bool = False
    """Another protocol is spoken than the one that was recorded here; the tester knows."""
    socket: SocketTrack | None = None
    opaque: OpaqueTrack | None = None
    """What cannot be followed."""
    database: DatabaseTrack | None = None
    """It leads to a database."""


def exchange_row(
    exchange: OpenExchange,
    outcome: Outcome,
    detail: str | None,
    sink: Sink,
    *,
    whole: bool,
    growing: bool,
) -> Exchange:
    """The row of an exchange as it is now; its heads and bodies are stored on the way. `whole` False: it was cut off,
    or (`growing`) goes on."""
    contents, stamp = sink.contents, sink.stamp
    request, response, connection = exchange.request, exchange.response, exchange.connection
    request_end, response_end = exchange.request_end, exchange.response_end
    if exchange.header_sets is None:
        exchange.header_sets = (
            contents.headers(request.headers),
            contents.headers(response.headers) if response is not None else None,
        )
    status = response.status if response is not None else None
    kind = kind_of(request.method, request.target, exchange.sent, status, exchange.answered)
    done = response_end if response_end is not None and response_end.complete else None
    if kind is Kind.UPGRADE and response is not None:
        done_ns: int | None = stamp(response.stamp_ns)
    else:
        done_ns = stamp(done.stamp_ns) if done is not None else None
    target = contents.redactor.target(request.target)
    return Exchange._make(  # a third of the time that keywords take; in the order of the fields
        (
            exchange.id,
            None,  # session_id
            exchange.client_id,
            connection.number,
            connection.upstream,
            kind,
            exchange.cause is not None,  # server_call
            request.method,
            exchange.sent.get("host", ""),
            target,
            route_of(target),
            request.version,
            exchange.header_sets[0],
            _trailers(contents, request_end),
            _body(contents, exchange, 0, exchange.sent, whole=request_end is not None, growing=growing),
            request_end.wire_size if request_end else request.size + _size(exchange.request_body),
            response.status if response is not None else None,
            contents.redactor.text(response.reason) if response is not None else None,
            exchange.header_sets[1],
            _trailers(contents, response_end),
            _body(contents, exchange, 1, exchange.answered, whole=whole and done is not None, growing=growing),
            _response_bytes(response, response_end, exchange.response_body),
            json.dumps(exchange.interim) if exchange.interim else None,
            None,  # intended_ns
            stamp(request.stamp_ns),
            stamp(request_end.stamp_ns) if request_end is not None and request_end.complete else None,
            stamp(response.stamp_ns) if response is not None else None,
            done_ns,
            exchange.connect_ns,
            exchange.request_cost_ns + exchange.response_cost_ns if response is not None else None,
            outcome,
            detail,
            None,  # source_exchange
        )
    )


def _trailers(contents: Contents, end: RequestEnd | ResponseEnd | None) -> int | None:
    return contents.headers(end.trailers) if end is not None and end.trailers else None


def _body(
    contents: Contents, exchange: OpenExchange, which: int, fields: Fields, *, whole: bool, growing: bool
) -> int | None:
    body = exchange.request_body if which == 0 else exchange.response_body
    if body is None:
        return None
    if exchange.bodies_done[which]:
        return exchange.body_ids[which]
    end = exchange.request_end if which == 0 else exchange.response_end
    chunked = end.chunked if end is not None else "chunked" in fields.get("transfer-encoding", "").lower()
    stored = contents.store(
        body,
        media_type=fields.get("content-type", ""),
        chunked=chunked,
        whole=whole,
        growing=growing and not whole,
        body_id=exchange.body_ids[which],
        omit=is_decoded_poll(exchange.request.target) and not exchange.undecodable,
    )
    exchange.body_ids[which] = stored
    exchange.bodies_done[which] = whole
    return stored


def is_decoded_poll(target: str) -> bool:
    """Whether what an exchange carries is stored as packets, and so not once more as a body."""
    return is_poll(target) and not _JSONP.search(target)


def _size(body: BodyCollector | None) -> int:
    return body.wire_size if body is not None else 0


def _response_bytes(head: ResponseHead | None, end: ResponseEnd | None, body: BodyCollector | None) -> int:
    if end is not None:
        return end.wire_size
    return head.size + _size(body) if head is not None else 0
