"""What `nestperf show` shows: a reference as it is typed, and everything around the row that it names, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from nestperf.capture import model
from nestperf.capture.owners import How
from nestperf.errors import UsageError

KINDS = ("exchange", "socket", "packet", "query", "session")
_REF = re.compile(r"(?:(?P<kind>[a-z]+):)?(?P<id>[0-9]{1,18})")


class Ref(NamedTuple):
    """What `nestperf show` is asked for: `17`, `exchange:17`, `socket:3`."""

    kind: str
    id: int

    def __str__(self) -> str:
        return str(self.id) if self.kind == "exchange" else f"{self.kind}:{self.id}"


def parse_ref(text: str) -> Ref:
    """Read what somebody typed.

    Raises:
        UsageError: it is none.
    """
    match = _REF.fullmatch(text.strip())
    kind = (match["kind"] or "exchange") if match else ""
    if match is None or kind not in KINDS:
        known = ", ".join(f"{kind}:N" for kind in KINDS[1:])
        raise UsageError(f"{text[:60]!r} names nothing: give an exchange's number, or {known}.")
    return Ref(kind, int(match["id"]))


class Counterpart(NamedTuple):
    """The recorded exchange that a replayed one repeats."""

    ref: str
    file: str
    """Where it is; the name that the replay remembers where it was not found."""
    exchange: model.Exchange | None
    """None where its capture was not found."""


class InsideQuery(NamedTuple):
    """A query that an exchange asked, for sure or perhaps."""

    query: model.Query
    statement: str
    how: How


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeView:
    """One exchange with everything around it."""

    exchange: model.Exchange
    session: model.Session | None
    client: model.Client | None
    request_headers: model.Pairs
    response_headers: model.Pairs
    request_body: model.Body | None
    response_body: model.Body | None
    before: tuple[model.Exchange, ...]
    """What the same user sent before it."""
    after: tuple[model.Exchange, ...]
    inside: tuple[model.Exchange, ...]
    """Server-side calls while it was under way."""
    cause: model.Exchange | None
    """Of a server-side call: the exchange it was most likely made for."""
    queries: tuple[InsideQuery, ...]
    packets: tuple[model.Packet, ...]
    """What the same user's sockets carried meanwhile."""
    opened: model.Socket | None
    """The socket that it opened."""
    counterpart: Counterpart | None
    names: tuple[str, ...] = ()
    """The marks and tests it goes by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketView:
    """One connection with its packets, or those around one of them."""

    socket: model.Socket
    session: model.Session | None
    packets: tuple[model.Packet, ...]
    skipped: int
    """Packets between the first and the last of `packets` that were left out."""
    skipped_at: int
    """Place in `packets` where they were left out."""
    total: int
    frames: int
    chosen: model.Packet | None = None
    answer: model.Packet | None = None
    """The ack of the chosen packet, or the packet it answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionView:
    """One user's visit."""

    session: model.Session
    exchanges: tuple[model.Exchange, ...]
    sockets: tuple[model.Socket, ...]
    queries: Mapping[int, tuple[model.Query, ...]]
    """Those that each exchange asked for sure, by its id."""
    ambiguous: int
    """Queries meanwhile that may be this visit's or another's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryView:
    """One query and the exchange it was asked by."""

    query: model.Query
    statement: str
    owner: model.Exchange | None
    how: How


View = ExchangeView | SocketView | SessionView | QueryView
