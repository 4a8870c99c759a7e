"""What the stand-in received, so that a test can hold a replay against it. It only counts; lists are bounded."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import asdict, dataclass, field, fields

from nestperf.capture.routes import route_of

MOST_ROWS = 20_000
"""Requests, and events, kept in order; more are only counted."""


@dataclass(slots=True, kw_only=True)
class ReceivedRequest:
    """One request in the order of arrival."""

    peer: str
    """The address the connection came from."""
    port: int
    method: str
    target: str
    user_id: str = ""
    body_bytes: int = 0
    body_sha256: str = ""
    """Empty for no body."""
    status: int = 0
    """0 until it is answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedEvent:
    """One Socket.IO event in the order of arrival."""

    socket: str
    """The Socket.IO id at its namespace."""
    namespace: str
    event: str


@dataclass(slots=True, kw_only=True)
class Counts:
    """Everything since the start, or since the last `clear`."""

    requests: Counter[str] = field(default_factory=Counter)
    """By `METHOD route`, ids folded as nestperf folds them."""
    statuses: Counter[int] = field(default_factory=Counter)
    peers: set[str] = field(default_factory=set)
    connections: set[tuple[str, int]] = field(default_factory=set)
    users: set[str] = field(default_factory=set)
    user_agents: set[str] = field(default_factory=set)
    sockets: int = 0
    """Engine.IO sessions opened."""
    socket_peers: set[str] = field(default_factory=set)
    namespaces: Counter[str] = field(default_factory=Counter)
    """Namespaces joined."""
    refused_namespaces: Counter[str] = field(default_factory=Counter)
    socket_users: set[str] = field(default_factory=set)
    events: Counter[str] = field(default_factory=Counter)
    """Events received, by name."""
    kicked: int = 0
    """Connections closed because a fault was asked for."""
    silenced: int = 0
    """Events that were not acknowledged because a fault was asked for."""
    forgotten: int = 0
    """Subscriptions that were answered and not made because a fault was asked for."""
    broadcasts: int = 0
    """Status broadcasts sent, by the clock or on request."""
    request_order: list[ReceivedRequest] = field(default_factory=list)
    event_order: list[ReceivedEvent] = field(default_factory=list)
    rows_dropped: int = 0
    """Rows that the two lists above had no room for."""

    def request_arrived(self, row: ReceivedRequest, user_agent: str) -> None:
        """Count a request; the row may be completed later, it is kept as it is."""
        self.requests[f"{row.method} {route_of(row.target)}"] += 1
        self.peers.add(row.peer)
        self.connections.add((row.peer, row.port))
        self.user_agents.add(user_agent)
        if row.target.startswith("/socket.io/") and "sid=" not in row.target:
            self.sockets += 1
            self.socket_peers.add(row.peer)
        if len(self.request_order) < MOST_ROWS:
            self.request_order.append(row)
        else:
            self.rows_dropped += 1

    def event_arrived(self, row: ReceivedEvent) -> None:
        """Count an event."""
        self.events[row.event] += 1
        if len(self.event_order) < MOST_ROWS:
            self.event_order.append(row)
        else:
            self.rows_dropped += 1

    def clear(self) -> None:
        """Begin again."""
        fresh = Counts()
        for each in fields(self):
            setattr(self, each.name, getattr(fresh, each.name))

    def as_json(self) -> dict[str, object]:
        """Everything, as `/_demo/counts` answers it."""
        return {
            "requests": dict(self.requests),
            "statuses": {str(status): n for status, n in sorted(self.statuses.items())},
            "peers": sorted(self.peers),
            "connections": len(self.connections),
            "users": sorted(self.users),
            "userAgents": sorted(self.user_agents),
            "sockets": self.sockets,
            "socketPeers": sorted(self.socket_peers),
            "socketUsers": sorted(self.socket_users),
            "namespaces": dict(self.namespaces),
            "refusedNamespaces": dict(self.refused_namespaces),
            "events": dict(self.events),
            "broadcasts": self.broadcasts,
            "kicked": self.kicked,
            "silenced": self.silenced,
            "forgotten": self.forgotten,
            "requestOrder": [asdict(row) for row in self.request_order],
            "eventOrder": [asdict(row) for row in self.event_order],
            "rowsDropped": self.rows_dropped,
        }


def body_digest(body: bytes) -> str:
    """How a row names a body: SHA-256 in hex, empty for none."""
    return hashlib.sha256(body).hexdigest() if body else ""
