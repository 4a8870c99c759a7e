"""Who is one user: derives a recording's sessions from the clients that its exchanges and sockets name.

A session is everything one client (address, browser, identity) did; calls that a recorded application made itself
belong to nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from nestperf.capture.model import Client, Exchange, Session, Socket


def derive_sessions(
    clients: Iterable[Client], exchanges: Iterable[Exchange], sockets: Iterable[Socket]
) -> tuple[Session, ...]:
    """One session a client that did something, in order of first appearance; a session's id is its client's id."""
    spans: dict[int, tuple[int, int]] = {}
    moments = chain(
        ((e.client_id, e.sent_ns, e.done_ns or e.sent_ns) for e in exchanges if not e.server_call),
        ((s.client_id, s.opened_ns, s.closed_ns or s.opened_ns) for s in sockets),
    )
    for client_id, begin_ns, end_ns in moments:
        if client_id is None:
            continue
        first_ns, last_ns = spans.get(client_id, (begin_ns, end_ns))
        spans[client_id] = (min(first_ns, begin_ns), max(last_ns, end_ns))
    known = {client.id: client for client in clients}
    ordered = sorted(spans.items(), key=lambda item: (item[1][0], item[0]))
    return tuple(
        Session(
            id=client_id,
            client_id=client_id,
            label=_label(known.get(client_id)),
            started_ns=first_ns,
            ended_ns=last_ns,
        )
        for client_id, (first_ns, last_ns) in ordered
    )


def _label(client: Client | None) -> str:
    if client is None:
        return "unknown"
    return " ".join(filter(None, (client.address, browser_name(client.user_agent), client.identity)))


def browser_name(user_agent: str) -> str:
    """A short name for a User-Agent: what people call the browser, else its first product."""
    for token, name in (("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari")):
        if token in user_agent:
            return name
    return user_agent.partition("/")[0].partition(" ")[0][:24]
