"""What the loop tells the journal: an exchange, a packet, a visit, as they were when they were over. Plain facts."""

from __future__ import annotations

from typing import NamedTuple

from nestperf.capture.model import Client, Exchange, Kind, Outcome, Pairs, Session, Socket
from nestperf.wire.observations import FrameSeen, PacketSeen, Sender
from replay.transport.answer import Answer


class ExchangeRecord(NamedTuple):
    """An exchange that is over, as the loop knows it."""

    id: int
    session_id: int
    client_id: int
    kind: Kind
    authority: str
    target: str
    trailers: Pairs
    answer: Answer
    intended_ns: int
    unsent: bool
    """It was due and never went out."""
    outcome: Outcome
    detail: str | None
    source: int | None
    kept: bool
    """With heads and bodies; else its numbers only."""
    secrets: tuple[str, ...] = ()
    """Live values that went out in the place of recorded secrets."""


class PacketRecord(NamedTuple):
    """A packet, sent or received."""

    id: int
    session_id: int
    socket_id: int
    seen: PacketSeen
    answers: int | None
    intended_ns: int | None
    source: int | None
    exchange_id: int | None = None
    """The poll that carried it."""


class FrameRecord(NamedTuple):
    """A frame of a plain WebSocket, sent or received."""

    id: int
    session_id: int
    socket_id: int
    sender: Sender
    seen: FrameSeen
    content: bytes | None
    """Of a message its last frame has all of it, as in a recording."""


class SessionRecord(NamedTuple):
    """A visit that begins or is over."""

    row: Session
    secrets: tuple[str, ...]
    """Originals out of the recording's vault that the visit may send."""
    over: bool


Record = ExchangeRecord | PacketRecord | FrameRecord | SessionRecord | Exchange | Session | Socket | Client
