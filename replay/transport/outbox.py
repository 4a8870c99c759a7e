"""Requests that wait for the answers beside them to be read, so that they go out together."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replay.transport.connection import Connection


class Outbox:
    """Requests that go out together, when all that has come in is read.

    Every request that wakes a sleeping server costs its sender a third of what the whole exchange costs; the second
    one finds it awake. Only requests that an answer has just released wait here, and only for the answers beside it;
    what is due at a moment of its own goes out at that moment. Either way `sent_ns` is when it went out.
    """

    __slots__ = ("begun", "reading_ns")

    def __init__(self) -> None:
        self.reading_ns: int | None = None
        """When the answer that is being read came in; None while none is."""
        self.begun: list[Connection] = []

    def send(self) -> None:
        """Send all of it."""
        begun, self.begun = self.begun, []
        for connection in begun:
            answer = connection.answer
            # It may have been cancelled since.
            if answer is not None and not connection.closed:
                connection.send(answer)
