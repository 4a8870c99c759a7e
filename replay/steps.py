"""What a planned session is made of: steps, what each waits for, what it sends, and which live values pass through it.

Plain immutable facts, built by `plan` and `correlate` and read by `player`. They hold secrets in clear (originals from
the vault), so nothing here is ever printed or stored as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

from nestperf.capture.model import Kind, Pairs
from replay.provenance.codings import Coding
from replay.provenance.parts import Part
from replay.shape import Shape

Place: TypeAlias = Literal["target", "header", "body", "payload"]
"""Where in what is sent a live value stands."""


Source: TypeAlias = Literal["json", "header", "cookie", "html", "packet"]
"""Where in what a server sent a value is found."""


class Wrap(NamedTuple):
    """What a coded value stands in, which is coded once more: `user:…` in base64, JSON in a query."""

    before: str
    after: str
    coding: Coding


class Use(NamedTuple):
    """A span of a sent text that is replaced by a live value."""

    place: Place
    field: int
    """Index of the header field; -1 at other places."""
    start: int
    end: int
    """Characters of that text, end exclusive."""
    coding: Coding
    value: int
    """Which of the session's values."""
    wrap: tuple[Wrap, ...] = ()
    """Innermost first."""


class Take(NamedTuple):
    """A place of an answer where a live value is found."""

    source: Source
    path: tuple[str | int, ...]
    """Keys and indexes into the JSON body; a place in the page (`provenance.html`); a packet's type, namespace, event,
    then keys and indexes; else the one name (a header's in lower case)."""
    value: int
    parts: tuple[Part, ...] = ()
    """From what stands there to the value."""

    @property
    def reads_body(self) -> bool:
        """Whether it needs the answer's body."""
        return self.source in ("json", "html")


class Linkage(NamedTuple):
    """A link as people read it."""

    step: int
    place: str
    """Where the value goes out: `header x-csrf-token`."""
    source: int | None
    """The step whose answer had handed it out; None for what the server pushed."""
    origin: str
    """Where it stood there: `json data.token`."""
    confidence: str
    """`certain`, `likely`, `possible`."""
    reason: str
    value: str
    """The recorded value: never printed."""
    event: int | None = None
    """The packet that pushed it."""
    by_jar: bool = False
    """A cookie that goes back to the server as cookies do."""


class Listen(NamedTuple):
    """A place of a pushed packet where a live value is found."""

    socket: int
    """Of the source capture."""
    take: Take
    nth: int | None = None
    """Which packet of that name, where several handed out different values; None: the latest."""


class Supplied(NamedTuple):
    """What a column of the identities replaces."""

    column: str
    value: int
    """Which of the session's values."""
    cookies: tuple[tuple[str, str], ...]
    """(host, name) of the cookies that are there from the start."""


class Await(NamedTuple):
    """A value that a step cannot do without and that only a pushed packet brings."""

    value: int
    think_ns: int
    """From the packet to the step's sending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """One exchange to repeat."""

    source: int | None
    """The exchange of the source capture; None: nobody recorded it."""
    upstream: int
    kind: Kind
    method: str
    authority: str
    target: str
    route: str
    version: str
    """`HTTP/1.1`."""
    headers: Pairs
    trailers: Pairs
    body: bytes
    """Content coding removed."""
    coding: str
    """The Content-Encoding to apply again; empty where there is none, or where `body` is still coded."""
    media_type: str
    chunked: bool
    connection: int | None
    """The recorded connection: steps that shared one share one."""
    status: int | None
    """What the recording was answered; None where it was not."""
    hold_ns: int | None
    """How long after its sending the recorded client let go of an answer that had not ended; None: it did end."""


class Reply(NamedTuple):
    """How the recorded client acknowledged an event of the server."""

    namespace: str
    event: str
    payload: str
    attachments: tuple[bytes, ...]


class Polls(NamedTuple):
    """How the recorded client polled before, or instead of, a WebSocket."""

    get: Pairs
    """Fields of the polls after the first."""
    post: Pairs
    upgrade: Pairs | None
    """Fields of the handshake that was to take over; None where none was tried."""
    upgrade_source: int | None
    """The exchange of that handshake."""
    upgrade_status: int | None
    """What it was answered: 101 where it took over."""
    stamped: bool
    """Every poll had a `t` of its own in its query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Open a Socket.IO connection, or a WebSocket without it."""

    socket: int
    """The socket of the source capture; names it within the session."""
    source: int | None
    """The exchange that opened it."""
    upstream: int
    authority: str
    target: str
    """Of the first request, without a session id: the handshake of a WebSocket, or the first poll."""
    route: str
    headers: Pairs
    polls: Polls | None
    """None where the recording began with a WebSocket."""
    replies: tuple[Reply, ...]
    closed_by_server: bool
    """The recorded server ended it."""
    protocol: Literal["socket.io", "websocket"] = "socket.io"
    subprotocol: str = ""
    """Of a plain WebSocket: the one that the recorded server chose; empty where it chose none."""
    close_code: int | None = None
    """Of a plain WebSocket that the recorded server closed: the code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Connect to a namespace."""

    socket: int
    source: int
    """The packet of the source capture."""
    namespace: str
    payload: str | None
    """The auth, JSON."""
    accepted: bool | None
    """Whether the recorded server let it in; None where it never said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emit:
    """Send an event."""

    socket: int
    source: int
    namespace: str
    event: str
    payload: str
    """JSON list of the arguments."""
    ack_id: int | None
    acknowledged: bool
    """Whether the recording has the ack."""
    attachments: tuple[bytes, ...]


class Cue(NamedTuple):
    """A message of the server that caused one of the client's: the recorded client sent it at once."""

    kind: str
    """What sort of message it is; `replay.frames.kind_of_message`."""
    nth: int
    """Which of that kind, counted from 1, since the client's message before."""
    think_ns: int
    """From its last byte to the sending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """Send a message over a plain WebSocket."""

    socket: int
    source: int
    """The (last) frame of the source capture."""
    opcode: str
    """`text`, `binary`, `ping`."""
    kind: str
    """As of a cue."""
    payload: str
    """Of a text message."""
    content: bytes
    """Of any other."""
    cue: Cue | None
    """None: it is sent as long after the steps before it as in the recording."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """Disconnect from a namespace."""

    socket: int
    source: int
    namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """Close a socket as the recorded client did, or wait until the server does."""

    socket: int
    code: int | None
    reason: str
    cut: bool
    """Without a close handshake."""
    by_server: bool = False
    """The recorded server closed it: nothing is sent."""
    cue: Cue | None = None
    """Of a plain WebSocket: as of what is said."""


Action: TypeAlias = Http | Open | Join | Emit | Say | Leave | Close


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing a virtual user does."""

    index: int
    """Its place in `SessionPlan.steps`, which are in recorded order."""
    action: Action
    sent_ns: int
    """When it was sent in the recording, or ready where a browser held it back; since the session's first step."""
    waited: bool
    """Whether others may wait for its end."""
    after: tuple[int, ...]
    """The steps whose end releases it; transitively reduced."""
    think_ns: int
    """From the latest of those ends to its sending; without any, from the session's start."""
    behind: int | None
    """The step before it on the same socket, which must have been sent before it: packets keep their order."""
    uses: tuple[Use, ...] = ()
    takes: tuple[Take, ...] = ()
    awaits: tuple[Await, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPlan:
    """One recorded user's visit, ready to be repeated."""

    source: int
    """The session of the source capture."""
    label: str
    user_agent: str
    steps: tuple[Step, ...]
    length_ns: int
    values: tuple[str, ...] = field(repr=False, default=())
    """The recorded originals of the live values, by the number that uses and takes name."""
    listens: tuple[Listen, ...] = ()
    supplied: tuple[Supplied, ...] = ()
    fresh: tuple[int, ...] = ()
    """The values that every visit makes up anew."""
    links: tuple[Linkage, ...] = field(repr=False, default=())
    """Every value that came from somewhere, those that the cookie jar carries included."""
    unexplained: tuple[tuple[int, str], ...] = ()
    """(step, place) of what looks dynamic and came from nowhere."""
    secrets: tuple[str, ...] = field(repr=False, default=())
    """Originals out of the vault that stand in these steps."""
    shapes: dict[int, Shape] = field(repr=False, default_factory=dict)
    """By step: what its JSON answer is held against; empty where bodies are not checked."""
    connections: dict[int, int] = field(default_factory=dict)
    """Upstream: how many HTTP connections may be open at once."""


class Skipped(NamedTuple):
    """Something of the recording that is not sent, and why."""

    table: Literal["exchanges", "sockets", "packets", "frames"]
    id: int
    name: str
    reason: str


class Permission(NamedTuple):
    """What may be sent to one upstream."""

    host: str
    reads: bool
    writes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that a replay repeats."""

    sessions: tuple[SessionPlan, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...] = ()
    """Sentences about what is repeated in another way than recorded."""
