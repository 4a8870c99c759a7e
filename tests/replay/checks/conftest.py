"""Rows and planned sessions for contracts, written field by field where a test cares and empty where it does not."""

from __future__ import annotations

from typing import Any

from nestperf.capture.model import Exchange, Kind, Outcome, Packet, Socket
from replay.steps import Http, Linkage, SessionPlan, Step

MS = 1_000_000
SECOND = 1_000_000_000


def exchange(
    sent_ms: float = 0, done_ms: float | None = None, outcome: Outcome = Outcome.OK, **fields: Any
) -> Exchange:
    """An exchange that was due when it was sent, answered a millisecond later where nothing is said."""
    done_ms = sent_ms + 1 if done_ms is None else done_ms
    known: dict[str, Any] = {
        "intended_ns": round(sent_ms * MS),
        "sent_ns": round(sent_ms * MS),
        "done_ns": round(done_ms * MS),
    }
    return Exchange._make([None] * len(Exchange._fields))._replace(
        **(known | {"outcome": outcome, "source_exchange": 1} | fields)
    )


def socket(socket_id: int, *, connected_ms: float | None = 5, closed_ms: float = 1000, **fields: Any) -> Socket:
    """A connection due at 0, open after 5 ms and closed by its client after a second."""
    known: dict[str, Any] = {
        "id": socket_id,
        "intended_ns": 0,
        "opened_ns": 0,
        "connected_ns": None if connected_ms is None else round(connected_ms * MS),
        "closed_ns": round(closed_ms * MS),
        "closed_by": "client",
        "outcome": Outcome.OK,
        "source_socket": 1,
    }
    return Socket._make([None] * len(Socket._fields))._replace(**(known | fields))


def packet(socket_id: int, sender: str, at_ms: float, **fields: Any) -> Packet:
    """A packet."""
    known: dict[str, Any] = {
        "socket_id": socket_id,
        "sender": sender,
        "stamp_ns": round(at_ms * MS),
        "done_ns": round(at_ms * MS),
    }
    return Packet._make([None] * len(Packet._fields))._replace(**(known | {"engine_type": "message"} | fields))


def call(
    source: int, name: str, *, status: int = 200, headers: tuple[tuple[str, str], ...] = (), **fields: Any
) -> Http:
    """A recorded request such as `GET /health`."""
    method, _, route = name.partition(" ")
    known: dict[str, Any] = {
        "source": source, "upstream": 0, "kind": Kind.CALL, "method": method, "authority": "localhost",
        "target": route, "route": route, "version": "HTTP/1.1", "headers": headers, "trailers": (), "body": b"",
        "coding": "", "media_type": "", "chunked": False, "connection": None, "status": status, "hold_ns": None,
    }  # fmt: skip
    return Http(**(known | fields))


def session(*actions: Any, links: tuple[tuple[int, int], ...] = ()) -> SessionPlan:
    """A session whose steps wait for each other in order; `links`: (step, the step that handed out what it sends)."""
    before: dict[int, int] = {}
    steps = []
    for index, action in enumerate(actions):
        on = getattr(action, "socket", None)
        after = (index - 1,) if index else ()
        behind = None if on is None else before.get(on)
        steps.append(
            Step(index=index, action=action, sent_ns=index, waited=True, after=after, think_ns=7, behind=behind)
        )
        if on is not None:
            before[on] = index
    return SessionPlan(
        source=1,
        label="recorded",
        user_agent="Tester/1",
        steps=tuple(steps),
        length_ns=len(steps),
        links=tuple(
            Linkage(step, "header authorization", source, "json token", "certain", "", f"value {source}")
            for step, source in links
        ),
    )
