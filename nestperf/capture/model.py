"""The rows of a capture, one type a table, field by field in column order.

Rows are named tuples rather than dataclasses: one is built for every exchange, frame and packet, and SQLite takes
them as they are. All stamps are integer nanoseconds since the run began (`nestperf.capture.clock`), suffix `_ns`;
durations in nanoseconds carry the suffix too and say so. What did not happen is None, never 0 or -1.
"""

from __future__ import annotations

import enum
from typing import Any, NamedTuple


class Kind(enum.StrEnum):
    """What an exchange was for: promises about API time judge calls; pages and assets have their own."""

    CALL = "call"
    PAGE = "page"
    ASSET = "asset"
    PREFLIGHT = "preflight"
    POLL = "poll"
    """A Socket.IO long-polling request; never replayed as a plain request, has no service time."""
    STREAM = "stream"
    """Server-sent events and their like; judged by first byte."""
    UPGRADE = "upgrade"


class Outcome(enum.StrEnum):
    """How an exchange or a socket ended."""

    OK = "ok"
    REFUSED = "refused"
    """A 4xx in a recording: its own column, not a failure. On replay the recorded class is `ok`."""
    LIMITED = "limited"
    """429: neither failure nor latency."""
    HTTP_ERROR = "http_error"
    """A 5xx."""
    MISMATCH = "mismatch"
    """Replay: another status class than recorded."""
    TIMEOUT = "timeout"
    CONNECT_ERROR = "connect_error"
    RESET = "reset"
    """The connection ended before the answer did."""
    ABORTED = "aborted"
    """The browser gave up before the answer was complete."""
    UNFINISHED = "unfinished"
    """Still open when the run ended."""
    DROPPED = "dropped"
    """Planned, never sent."""


FAILED = frozenset({Outcome.HTTP_ERROR, Outcome.MISMATCH, Outcome.TIMEOUT, Outcome.CONNECT_ERROR, Outcome.RESET})
"""The outcomes that count as *failed*."""

Pairs = tuple[tuple[str, str], ...]
"""Header fields as sent: names in their own letter case, in order, repeats kept. Decoded as latin-1."""


class Upstream(NamedTuple):
    """One application address that was recorded or replayed against."""

    url: str
    """`scheme://host:port`, no path."""
    listen: str | None = None
    """`host:port` the recorder listened on; None where nothing listened (a replay)."""

    @property
    def is_database(self) -> bool:
        """Speaks PostgreSQL, not HTTP."""
        return self.url.startswith("postgres://")


NESTPERF = "nestperf"
"""Who closed a socket that the recorder cut on purpose: nobody else's doing."""
RUNNING = "running"
"""The state of a run that goes on or was killed: secrets recognised late may still stand in its rows."""
ONLY_QUERIES = "queries"
"""Setting `model` of a run that asked a database and nothing else."""


class Run(NamedTuple):
    """The one row of `run`: what this capture is, and how far its numbers can be trusted."""

    uid: str
    purpose: str
    """`record`, `replay`, `check`, `import`, `browse`, `measure` (a program measured itself)."""
    vantage: str
    """Where the stamps were taken: `proxy`, `client` (a replay, a browser's HAR), `server` (a database's log)."""
    state: str
    """`running`, `finished`, `interrupted`; a file that still says `running` belongs to a live or killed run."""
    version: str
    """The nestperf that wrote it."""
    started_unix_ns: int
    ended_ns: int | None = None
    upstreams: tuple[Upstream, ...] = ()
    settings: dict[str, Any] = {}  # noqa: RUF012 - never mutated, copied by `_replace`
    """What was asked for (users, duration, think, seed, ...); JSON values only, no secrets."""
    losses: dict[str, int] = {}  # noqa: RUF012
    """What was not recorded, by kind; empty where nothing was lost."""
    relay: dict[str, Any] = {}  # noqa: RUF012
    """Recorder: what it added. `added_p50_ns`, `added_p99_ns`, `loop_lag_p99_ns`, `samples`; `notices`: sentence
    to how often it happened."""
    certificate: dict[str, Any] = {}  # noqa: RUF012
    """Replay: was it the load it promised? `planned`, `sent`, `dropped`, `send_lag_p50_ns`, ..."""
    invalid: tuple[str, ...] = ()
    """Sentences; a run with any of them says so before every verdict."""
    source_uid: str | None = None
    """The run that was replayed."""
    source_path: str | None = None
    """File name (no folder) of the capture that was replayed."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """What it was about: a replay keeps the places of recorded databases, and sends them nothing."""
        played = tuple(upstream.url for upstream in self.upstreams if not upstream.is_database)
        return played if played and self.purpose == "replay" else tuple(upstream.url for upstream in self.upstreams)


class Client(NamedTuple):
    """Who sent something, as far as the wire shows it; `sessions` are derived from it."""

    id: int
    address: str
    """IP address without port; of an imported file that tells none, the file's name."""
    user_agent: str
    identity: str = ""
    """What tells two people behind one address and browser apart; empty where nothing does."""


class Session(NamedTuple):
    """One user's visit. Stored by replays; derived from clients in recordings."""

    id: int
    client_id: int | None
    label: str
    vu: int | None = None
    """Replay: the virtual user, counted from 0."""
    iteration: int | None = None
    """Replay: how many times this user had begun before, counted from 0."""
    source_session: int | None = None
    identity: str | None = None
    intended_ns: int | None = None
    """When the arrival was due."""
    started_ns: int | None = None
    ended_ns: int | None = None
    state: str = "finished"
    """`finished`, `cut` (the run's time was over), `failed` (could not go on)."""


class Exchange(NamedTuple):
    """One HTTP request with its answer, or with the lack of one."""

    id: int
    session_id: int | None
    client_id: int | None
    connection: int | None
    """The TCP connection it used, counted from 1 in this run."""
    upstream: int
    """Index into `Run.upstreams`."""
    kind: Kind
    server_call: bool
    """A recorded application sent it, not a browser."""
    method: str
    authority: str
    """The Host header, as sent."""
    target: str
    """Path and query as sent."""
    route: str
    """The path with ids folded; `nestperf.capture.routes`."""
    http_version: str
    request_headers: int | None
    """A row of `header_sets`."""
    request_trailers: int | None
    request_body: int | None
    """A row of `bodies`."""
    request_bytes: int
    """On the wire, head and framing included."""
    status: int | None
    reason: str | None
    response_headers: int | None
    response_trailers: int | None
    response_body: int | None
    response_bytes: int
    interim: str | None
    """JSON list of `[status, header_set id, stamp_ns]` for 1xx answers; None where there were none."""
    intended_ns: int | None
    """When it was due; None in recordings."""
    sent_ns: int
    """First byte of the request."""
    request_done_ns: int | None
    """Last byte of the request."""
    first_byte_ns: int | None
    """First byte of the final answer."""
    done_ns: int | None
    """Last byte of the answer."""
    connect_ns: int | None
    """Duration of the TCP (and TLS) connect that this exchange had to wait for; None on a reused connection."""
    relay_ns: int | None
    """Duration that the recorder itself held request and answer; None on replay."""
    outcome: Outcome
    detail: str | None
    """One sentence where the outcome needs one."""
    source_exchange: int | None
    """Replay: the exchange of the source capture that this one repeats."""


class HeaderSet(NamedTuple):
    """A head's fields, stored once. `pairs` is a JSON list of `[name, value]`."""

    id: int
    pairs: str


class Body(NamedTuple):
    """A body, content coding removed and secrets replaced."""

    id: int
    content_id: str
    """Keyed hash of the decoded body before redaction: equal bodies are equal, nobody can guess them."""
    media_type: str
    coding: str
    """`gzip`, `br`, ...; empty where there was none."""
    chunked: bool
    size: int
    """Decoded size in bytes, before redaction."""
    wire_size: int
    """Size in bytes as transferred, without chunk framing."""
    state: str
    """`whole`, `cut` (only the beginning is stored), `omitted` (not stored), `undecodable` (stored as it came)."""
    content: bytes | None


class BodyPart(NamedTuple):
    """What came of a body after its row was stored, while it goes on: a killed run holds it. The whole body, once it
    is stored, takes the place of its parts."""

    id: int
    body_id: int
    content: bytes


class Socket(NamedTuple):
    """One WebSocket or Socket.IO connection, whatever transports it used."""

    id: int
    session_id: int | None
    client_id: int | None
    exchange_id: int | None
    """The exchange that opened it."""
    connection: int | None
    upstream: int
    protocol: str
    """`socket.io`, `websocket`."""
    version: int | None
    """Engine.IO protocol version (4), None for plain WebSockets."""
    authority: str
    target: str
    sid: str | None
    """Engine.IO session id."""
    transports: str
    """In the order used, comma separated: `websocket`, `polling,websocket`."""
    intended_ns: int | None
    opened_ns: int
    """First byte of the request that opened it."""
    connected_ns: int | None
    """The handshake was complete: Engine.IO `open`, else the 101."""
    closed_ns: int | None
    closed_by: str | None
    """`client`, `server`, `cut` (no close handshake), `nestperf` (which cut it, as asked)."""
    close_code: int | None
    close_reason: str | None
    outcome: Outcome
    detail: str | None
    source_socket: int | None


class Frame(NamedTuple):
    """One WebSocket frame."""

    id: int
    socket_id: int
    sender: str
    """`client` or `server`."""
    stamp_ns: int
    """First byte."""
    done_ns: int
    """Last byte."""
    opcode: str
    """`text`, `binary`, `continuation`, `close`, `ping`, `pong`."""
    fin: bool
    compressed: bool
    wire_size: int
    """Head and payload, bytes."""
    size: int
    """Payload in bytes, unmasked and inflated."""
    content: bytes | None
    """Redacted; None or cut where it was larger than what is kept."""


class Packet(NamedTuple):
    """One Engine.IO or Socket.IO packet."""

    id: int
    socket_id: int
    frame_id: int | None
    """The (first) frame that carried it; None for long-polling."""
    exchange_id: int | None
    """The poll that carried it; None for WebSocket."""
    sender: str
    stamp_ns: int
    done_ns: int
    """Last byte, attachments included."""
    engine_type: str
    """`open`, `close`, `ping`, `pong`, `message`, `upgrade`, `noop`."""
    type: str | None
    """`connect`, `disconnect`, `event`, `ack`, `connect_error`; None where the engine packet is no message."""
    namespace: str | None
    event: str | None
    ack_id: int | None
    payload: str | None
    """JSON: an event's arguments (a list), an ack's arguments (a list), connect's auth, connect_error's reason."""
    attachments: str | None
    """JSON list of `bodies` ids, in placeholder order; None where there are none."""
    size: int
    """Bytes of the packet's own text, attachments apart."""
    answers: int | None
    """An ack: the packet it answers."""
    intended_ns: int | None
    source_packet: int | None


class Statement(NamedTuple):
    """A shape of SQL, stored once: what is left of a text without its values."""

    id: int
    text: str
    """Literals and parameters as `?`."""
    fingerprint: str
    """16 hexadecimal digits; the same in every capture."""


class Query(NamedTuple):
    """One SQL statement's round trip."""

    id: int
    source: str
    """`wire` (its bytes passed by), `server-timing` (a response header told of it), `log` (the server's log did)."""
    connection: int | None
    upstream: int | None
    """Index into `Run.upstreams`."""
    database: str
    application: str
    """The `application_name` of its connection."""
    exchange_id: int | None
    """Only where the source names it; else who owns a query is derived: `nestperf.capture.owners`."""
    statement_id: int | None
    protocol: str
    """`simple`, `extended`, `prepared`, `prepare` (no Execute), `function`; empty where the source does not tell."""
    sent_ns: int
    """First byte of its first message."""
    started_ns: int
    """Not before the query ahead of it on its connection was answered. Query time = done − started."""
    first_row_ns: int | None
    done_ns: int | None
    rows: int
    """Returned, copied or affected."""
    request_bytes: int
    response_bytes: int
    outcome: str
    """`ok`, `error`, `skipped` (an earlier one of its pipeline failed), `unfinished`."""
    sqlstate: str | None
    transaction_state: str | None
    """After it: `idle`, `open`, `failed`; None inside a pipeline."""
    trace: str | None
    """Trace and parent id of the `traceparent` in its comment."""
    parameters: str | None
    """JSON list of the values, redacted; None unless they were asked for."""


class Wording(NamedTuple):
    """A statement as it was asked, so that it can be asked again, stored once; only where parameters were asked for."""

    id: int
    pieces: str
    """JSON list of texts; between two of them stood a literal (`nestperf.capture.wordings`). Parameters as `$1`."""
    types: str
    """JSON list: OIDs of the parameters' types as the client declared them, 0 leaves one to the server."""


class Literals(NamedTuple):
    """How one query filled its wording."""

    id: int
    """The query's."""
    wording_id: int
    content: str
    """JSON list of its literals as written, redacted."""


class Relation(NamedTuple):
    """What a secret is made of, where it contains others; `nestperf.capture.relations` builds and takes apart."""

    id: int
    """The number in the secret's placeholders."""
    coding: str
    """How the template's text is written in the secret: empty (as it is), `url`, `base64`, `base64url`."""
    template: str
    """Text with placeholders for the secrets inside."""


class Mark(NamedTuple):
    """A moment that somebody gave a name: what happens from then on, until the next one, goes by it."""

    id: int | None
    """None: the next free one. Another process may have added a mark since the last."""
    stamp_ns: int | None
    """None in replays, where every user comes by it at a moment of their own."""
    end_ns: int | None
    """Where it ends by itself; None: at the next mark."""
    text: str
    """Secrets replaced."""
    source: str
    """`key` (typed while recording), `command` (`nestperf mark`), `measure` (a program's own span); in a replay that
    of the recording, or `test` (its requests named the test; `nestperf.capture.marks`)."""
    source_exchanges: str | None = None
    """Replay: JSON list of `[first, last]`, the exchanges of the source capture that it was about."""


class Page(NamedTuple):
    """One page load, or one single-page navigation, as the browser itself saw it. Its stamps are the browser's, moved
    to the run's clock."""

    id: int
    session_id: int | None
    client_id: int | None
    upstream: int | None
    """Index into `Run.upstreams`; None for a page of somebody else."""
    exchange_id: int | None
    """The document; None for a navigation within it, and where no recorder saw it."""
    kind: str
    """`load` (a document), `navigation` (within one, by the history API)."""
    url: str
    """Whole, secrets replaced."""
    route: str
    profile: str
    """The network it was loaded over, such as `wpt-3g-fast`; empty for the one that was there."""
    cpu_factor: float | None
    """How many times slower the processor was made; None where it was left alone."""
    round: int | None
    """Of pages that are opened again and again: the how manieth time, counted from 1."""
    cache: str | None
    """`cold`, `warm`; None where nobody arranged it."""
    hidden: bool
    """It was in the background for a while before it was loaded, so its times say nothing."""
    started_ns: int
    """The navigation began: address entered, link or button pressed."""
    first_byte_ns: int | None
    dom_loaded_ns: int | None
    """DOMContentLoaded."""
    load_ns: int | None
    """The load event; of a navigation within the page: the first frame after which nothing changed for a while."""
    fcp_ns: int | None
    """First contentful paint."""
    lcp_ns: int | None
    """Largest contentful paint."""
    lcp_element: str | None
    """What was painted then: a short selector, and its address or the beginning of its text, secrets replaced."""
    cls: float | None
    """Cumulative layout shift."""
    inp_ns: int | None
    """Interaction to next paint, a duration; None where nobody interacted."""
    inp_element: str | None
    interactions: int
    long_tasks: int
    """Tasks of 50 ms and more."""
    long_tasks_ns: int
    """What they took together, a duration."""
    errors: int
    """Errors of its scripts that nobody caught."""
    ended_ns: int | None
    """It was left or closed; without `load_ns`: before it was loaded."""
    clock_error_ns: int | None
    """How far off its stamps may be on the run's clock; None where no exchange tied them to it."""
    screenshot: int | None
    """A row of `bodies`."""


class Resource(NamedTuple):
    """One thing that a page asked for, as the browser saw it."""

    id: int
    page_id: int
    exchange_id: int | None
    """None where no recorder saw it: from the browser's cache, from somebody else."""
    url: str
    """Whole, secrets replaced."""
    initiator: str
    """Who asked: `navigation`, `script`, `link`, `img`, `css`, `fetch`, `xmlhttprequest`, ..."""
    started_ns: int
    """It was wanted; until it was sent it waited for a free connection."""
    first_byte_ns: int | None
    """None where the browser does not tell (another origin)."""
    done_ns: int
    bytes: int | None
    """On the wire; 0 from the cache, None where the browser does not tell."""
    blocking: bool
    """Nothing was painted before it was there."""


class Timing(NamedTuple):
    """One moment or stretch of a page that has a name."""

    id: int
    page_id: int
    kind: str
    """`mark`, `measure` (user timing), `render` (data to picture), `long_task`, `error`."""
    name: str
    """A render's: of its rule. An error's: the message."""
    started_ns: int
    """A render's: the end of the response whose data it shows."""
    duration_ns: int | None
    """None where it has none: a mark, an error, a render whose element never came to rest."""
    exchange_id: int | None
    """A render's: the call whose data it shows."""
    items: int | None
    """A render's: how many things the element showed."""
    detail: str | None
    """An error's: where. A render's: why it has no duration. Secrets replaced."""


Row = (
    Client
    | Session
    | Exchange
    | HeaderSet
    | Body
    | BodyPart
    | Socket
    | Frame
    | Packet
    | Statement
    | Query
    | Wording
    | Literals
    | Relation
    | Mark
    | Page
    | Resource
    | Timing
)
