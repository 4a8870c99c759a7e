"""What the decoders saw: immutable facts with stamps and, for HTTP, the number of the exchange they belong to.

Stamps are whatever integer nanoseconds the caller gave with the bytes; nothing here reads a clock or changes a byte.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from nestperf.capture.model import Pairs

Sender: TypeAlias = Literal["client", "server"]
"""Which side of the connection wrote the bytes."""


class RequestHead(NamedTuple):
    """A request's first line and fields are complete."""

    exchange: int
    """Counted from 1 within the connection."""
    stamp_ns: int
    """Arrival of the request's first byte; the head may have taken several chunks."""
    method: str
    target: str
    """As sent: origin, absolute, authority or asterisk form."""
    version: str
    """`HTTP/1.1`, as sent."""
    headers: Pairs
    size: int
    """Bytes of the head on the wire, its blank line included; blank lines before it are not counted."""


class RequestBody(NamedTuple):
    """A piece of a request's body, chunk framing removed, content coding kept."""

    exchange: int
    stamp_ns: int
    data: bytes


class RequestEnd(NamedTuple):
    """A request is over."""

    exchange: int
    stamp_ns: int
    """Arrival of its last byte; where it was cut off, of the end."""
    trailers: Pairs
    wire_size: int
    """All its bytes: head, framing, body, trailers."""
    chunked: bool
    complete: bool
    """False: the client ended, or the protocol was switched, before the body did."""


class Interim(NamedTuple):
    """A 1xx answer other than 101: the final one is still to come. Its bytes are not counted in the final one's."""

    exchange: int
    stamp_ns: int
    """Arrival of its first byte."""
    status: int
    reason: str
    headers: Pairs


class ResponseHead(NamedTuple):
    """A final answer's (or a 101's) status line and fields are complete."""

    exchange: int
    stamp_ns: int
    """Arrival of the answer's first byte."""
    status: int
    reason: str
    """Empty where none was sent."""
    version: str
    headers: Pairs
    size: int
    """Bytes of the head on the wire."""


class ResponseBody(NamedTuple):
    """A piece of an answer's body, chunk framing removed, content coding kept."""

    exchange: int
    stamp_ns: int
    data: bytes


class ResponseEnd(NamedTuple):
    """An answer is over."""

    exchange: int
    stamp_ns: int
    """Arrival of its last byte. Where the body ends with the connection, or was cut off, the stamp of that end: only
    then does the receiver know."""
    trailers: Pairs
    wire_size: int
    chunked: bool
    complete: bool
    """False: the connection ended before the body did."""


class Switched(NamedTuple):
    """A 101 was answered (its `ResponseHead` and `ResponseEnd` came before this): what follows is no HTTP."""

    exchange: int
    stamp_ns: int
    """Arrival of the 101's last byte."""
    protocol: str
    """The Upgrade field in lower case."""
    leftover: tuple[tuple[Sender, bytes, int], ...]
    """Bytes of the new protocol that were already here, with sender and stamp: input for its decoder."""


class Opaque(NamedTuple):
    """Bytes that could not be understood; where the stream has no later point to begin again, the rest is swallowed."""

    sender: Sender
    stamp_ns: int
    reason: str
    """A few words, without any of the bytes."""
    data: bytes
    """What was at hand when it was noticed."""


class FrameSeen(NamedTuple):
    """One WebSocket frame is complete."""

    stamp_ns: int
    """Arrival of its first byte."""
    done_ns: int
    """Arrival of its last byte."""
    opcode: str
    """`text`, `binary`, `continuation`, `close`, `ping`, `pong`."""
    fin: bool
    compressed: bool
    """Belongs to a permessage-deflate message (continuations too, though only the first frame is marked so)."""
    wire_size: int
    """Head and payload, bytes."""
    size: int
    """Payload in bytes, unmasked and inflated."""
    payload: bytes
    """Unmasked and inflated, the beginning only where `cut`."""
    cut: bool


class MessageSeen(NamedTuple):
    """A text or binary message is complete; follows its last `FrameSeen`."""

    stamp_ns: int
    """Arrival of its first frame's first byte."""
    done_ns: int
    """Arrival of its last frame's last byte."""
    opcode: str
    """`text` or `binary`."""
    payload: bytes
    frames: int
    """How many frames it came in."""
    cut: bool
    """Only the beginning of the payload was kept."""


class PacketSeen(NamedTuple):
    """One Engine.IO packet with the Socket.IO packet it carries, attachments included."""

    sender: Sender
    stamp_ns: int
    done_ns: int
    """Last byte; of the last attachment where there are any."""
    engine_type: str
    """`open`, `close`, `ping`, `pong`, `message`, `upgrade`, `noop`."""
    type: str | None
    """`connect`, `disconnect`, `event`, `ack`, `connect_error`; None where the engine packet is no message."""
    namespace: str | None
    """`/` for the main one; None where the engine packet is no message."""
    event: str | None
    ack_id: int | None
    payload: str | None
    """JSON text as it was sent. Event: list of the arguments without the name. Ack: list. Connect: auth. Connect
    error: the reason. Engine packets: `open`'s object, else their text as a JSON string. None where there was none."""
    attachments: tuple[bytes, ...]
    """In the order sent, which is the order of the `num` in the placeholders."""
    size: int
    """Bytes of the packet's own text, attachments apart."""


class DatabaseOpened(NamedTuple):
    """A PostgreSQL client introduced itself."""

    stamp_ns: int
    database: str
    user: str
    application: str
    """Its `application_name`; empty where it gave none."""


class QuerySeen(NamedTuple):
    """One SQL statement's round trip: a simple query's statement, an Execute with its Parse and Bind, a preparation."""

    number: int
    """Counted from 1 within the connection; statements of one simple query share it and differ in `part`."""
    sent_ns: int
    """First byte of the first message that belongs to it."""
    started_ns: int
    """Not before the answer to the query ahead of it was complete: a pipelined query waits, the server is not slow."""
    first_row_ns: int | None
    """First byte of the first row or of the first COPY data; None where there was none."""
    done_ns: int | None
    """The bytes that completed its answer: ReadyForQuery where that follows (the commit is in it), else
    CommandComplete. None where it never came."""
    protocol: str
    """`simple`, `extended` (parsed with it), `prepared` (parsed before), `prepare` (no Execute), `function`."""
    statement: str
    """Name of the prepared statement; empty for the unnamed one."""
    text: str | None
    """SQL as sent; a simple query's whole text. None where the statement was not parsed on this connection."""
    part: int
    """Which statement of a simple query's text, counted from 0."""
    cut: bool
    """Only the beginning of the text was kept."""
    parameters: tuple[tuple[int, bytes | None], ...] | None
    """Format (0 text, 1 binary) and value, where they were asked for; value None is NULL."""
    types: tuple[int, ...]
    """OIDs of the parameters' types as the client declared them, where parameters were asked for; 0 leaves one to the
    server."""
    rows: int
    """Rows returned, COPY lines sent, else the number in the command tag."""
    request_bytes: int
    response_bytes: int
    outcome: str
    """`ok`, `error`, `skipped` (an earlier one of its pipeline failed), `unfinished`."""
    sqlstate: str | None
    transaction: str | None
    """After it: `idle`, `open`, `failed`; None inside a pipeline."""


class ServerSaid(NamedTuple):
    """Something from PostgreSQL that answers no query."""

    stamp_ns: int
    kind: str
    """`notice`, `notification`, `error` (the connection ends), `cancel` (asked by the client)."""
    severity: str | None
    sqlstate: str | None
    channel: str | None


HttpObservation: TypeAlias = (
    RequestHead | RequestBody | RequestEnd | Interim | ResponseHead | ResponseBody | ResponseEnd | Switched | Opaque
)
WebSocketObservation: TypeAlias = FrameSeen | MessageSeen | Opaque
SocketIoObservation: TypeAlias = PacketSeen | Opaque
