"""Where the time of one exchange went: connect, wait, transfer and what nestperf itself took. Pure."""

from __future__ import annotations

import enum
from typing import NamedTuple

from nestperf.capture.model import Exchange, Outcome


class Part(enum.StrEnum):
    """One stretch of an exchange."""

    BEFORE = "before sending"
    """Due and not sent: no free connection, or a late generator."""
    CONNECT = "connect"
    SEND = "send"
    """First to last byte of the request."""
    WAIT = "wait"
    """Last byte of the request to first byte of the answer: mostly the application."""
    TRANSFER = "transfer"
    """First to last byte of the answer."""


class Stretch(NamedTuple):
    """A part with its place in time."""

    part: Part
    begin_ns: int
    length_ns: int


def break_down(exchange: Exchange, *, at_client: bool) -> tuple[Stretch, ...]:
    """The stretches of an exchange in order, empty ones left out; they touch, from when it was due to its last byte.

    A client (`at_client`: a replay) connects before it sends; a recorder connects when it has a request to pass on,
    so that the connect is part of the wait. What never came has no stretch.
    """
    e = exchange
    connect_ns = e.connect_ns or 0
    begin_ns = e.sent_ns if e.intended_ns is None else min(e.intended_ns, e.sent_ns)
    marks: list[tuple[Part, int]] = []
    if at_client:
        connect_ns = min(connect_ns, e.sent_ns - begin_ns)
        marks += [(Part.BEFORE, e.sent_ns - connect_ns), (Part.CONNECT, e.sent_ns)]
    else:
        marks += [(Part.BEFORE, e.sent_ns)]
    asked_ns = e.sent_ns if e.request_done_ns is None else e.request_done_ns
    marks.append((Part.SEND, asked_ns))
    if not at_client and e.first_byte_ns is not None:
        marks.append((Part.CONNECT, min(asked_ns + connect_ns, e.first_byte_ns)))
    if e.first_byte_ns is not None:
        marks.append((Part.WAIT, e.first_byte_ns))
    if e.done_ns is not None:
        unanswered = Part.CONNECT if e.outcome is Outcome.CONNECT_ERROR else Part.WAIT
        marks.append((unanswered if e.first_byte_ns is None else Part.TRANSFER, e.done_ns))
    stretches = []
    for part, end_ns in marks:
        if end_ns > begin_ns:
            stretches.append(Stretch(part, begin_ns, end_ns - begin_ns))
            begin_ns = end_ns
    return tuple(stretches)
