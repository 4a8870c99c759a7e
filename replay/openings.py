"""How recorded connections came about: the requests that opened, polled and upgraded each, and what is repeated.

Pure. A replay renews keys and session ids, and offers no extension.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from nestperf.capture.kinds import field
from nestperf.capture.model import Exchange, Kind, Outcome, Pairs, Socket
from replay.steps import Polls

_NOT_OFFERED = frozenset({"sec-websocket-extensions", "content-length", "transfer-encoding"})
"""Fields of a recorded handshake that a new one must not claim: frames go out uncompressed."""
_SID = re.compile(r"[?&]sid=([^&]*)")
_TEXT = ("Content-Type", "text/plain;charset=UTF-8")
"""What Engine.IO's client says a payload is."""


class Opening(NamedTuple):
    """The exchanges of one connection."""

    first: Exchange
    """A WebSocket's handshake, or the first poll."""
    get: Exchange | None = None
    """A poll after the first one."""
    post: Exchange | None = None
    upgrade: Exchange | None = None
    """The handshake that was to take over from polling."""


def openings_of(exchanges: Iterable[Exchange], sockets: Iterable[Socket]) -> dict[int, Opening]:
    """By socket; connections whose first request was not recorded are left out."""
    by_id: dict[int, Exchange] = {}
    by_sid: dict[tuple[str, str], Exchange] = {}
    for exchange in exchanges:
        if exchange.kind in (Kind.UPGRADE, Kind.POLL):
            by_id[exchange.id] = exchange
            sid = _SID.search(exchange.target)
            if sid is not None:
                by_sid.setdefault((sid[1], _part(exchange)), exchange)
    found = {}
    for socket in sockets:
        first = by_id.get(socket.exchange_id or 0)
        sid_of = socket.sid or ""
        upgrade = by_sid.get((sid_of, "upgrade"))
        if first is None:
            first, upgrade = upgrade, None
        if first is not None:
            get, post = by_sid.get((sid_of, "get")), by_sid.get((sid_of, "post"))
            found[socket.id] = Opening(first, get, post, None if first is upgrade else upgrade)
    return found


def _part(exchange: Exchange) -> str:
    if exchange.kind is Kind.UPGRADE:
        return "upgrade"
    return "post" if exchange.method == "POST" else "get"


def polls_of(opening: Opening, head: Callable[[int | None], Pairs]) -> Polls | None:
    """How the connection polled; None where it began with a WebSocket. `head` gives the fields of a header set."""
    first, get, post, upgrade = opening
    if first.kind is not Kind.POLL:
        return None
    later = head(get.request_headers) if get is not None else head(first.request_headers)
    return Polls(
        get=later,
        post=head(post.request_headers) if post is not None else _as_post(later),
        upgrade=None if upgrade is None else handshake_fields(head(upgrade.request_headers)),
        upgrade_source=None if upgrade is None else upgrade.id,
        upgrade_status=None if upgrade is None else upgrade.status,
        stamped="&t=" in first.target or "?t=" in first.target,
    )


def _as_post(get: Pairs) -> Pairs:
    kept = tuple(pair for pair in get if pair[0].lower() not in ("content-type", "content-length"))
    return (*kept, _TEXT, ("Content-Length", "0"))


def opening_target(target: str) -> str:
    """The first request's target without what is new every time: session id and, of a poll, the time stamp."""
    path, _, query = target.partition("?")
    renewed = ("sid=", "t=") if "transport=polling" in query else ("sid=",)
    parts = [part for part in query.split("&") if part and not part.startswith(renewed)]
    return f"{path}?{'&'.join(parts)}" if parts else path


def upgrade_target(target: str) -> str:
    """Of the handshake that takes over from a poll of that target."""
    return target.replace("transport=polling", "transport=websocket")


def handshake_fields(recorded: Pairs) -> Pairs:
    """The recorded fields (the player renews the key); a poll's become those of an upgrade."""
    pairs = tuple(pair for pair in recorded if pair[0].lower() not in _NOT_OFFERED)
    if field(pairs, "upgrade"):
        return pairs
    kept = tuple(pair for pair in pairs if pair[0].lower() not in ("connection", "content-type"))
    return (*kept, ("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"))


def closed_by_server(socket: Socket) -> bool:
    """Whether the recorded server ended it, with or without a word."""
    return socket.closed_by == "server" or (socket.closed_by == "cut" and socket.outcome is Outcome.RESET)
