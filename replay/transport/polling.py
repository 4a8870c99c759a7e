"""Engine.IO over HTTP long-polling as a virtual user speaks it: one GET that hangs, one POST at a time, payloads of
several packets (https://socket.io/docs/v4/engine-io-protocol/#http-long-polling).

Knows payloads, not packets, and decides nothing: who owns it says when to poll, what to post, and when it is over.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from nestperf.capture.clock import Clock
from nestperf.capture.model import Outcome
from replay.transport.answer import Answer, Request, decoded

SEPARATOR = b"\x1e"
MOST = 64 * 2**20
"""Bytes of a payload that are read."""


class Line(Protocol):
    """The HTTP connections of a virtual user."""

    def exchange(self, answer: Answer) -> None:
        """Send its request now, or as soon as a connection is free."""

    def cancel(self, answer: Answer, outcome: Outcome, detail: str | None = None) -> None:
        """End an exchange from this side."""


class Asked(NamedTuple):
    """A request, and the target it names."""

    request: Request
    target: str


class Owner(Protocol):
    """Whoever polls."""

    def ask(self, sid: str | None, body: bytes | None) -> Asked:
        """The next request: a GET without a body, else a POST."""

    def polled(self, answer: Answer, exchange: int, content: bytes) -> None:
        """A GET was answered with a payload."""

    def posted(self, answer: Answer, exchange: int) -> None:
        """A POST was accepted."""

    def broke(self, reason: str) -> None:
        """A request failed, or was refused: the session is lost, as it is for clients."""

    def exchanged(self, answer: Answer, exchange: int, target: str) -> None:
        """An exchange is over, well or badly; before what it brought is told."""


class Polling:
    """The requests of one Engine.IO session."""

    def __init__(self, owner: Owner, line: Line, *, upstream: int, clock: Clock, ids: Callable[[], int]) -> None:
        """`ids` gives each exchange its number."""
        self.sid: str | None = None
        self._owner = owner
        self._line = line
        self._upstream = upstream
        self._clock = clock
        self._ids = ids
        self._get: Answer | None = None
        self._post: Answer | None = None
        self._paused = False
        self._when_quiet: Callable[[], None] | None = None

    @property
    def is_posting(self) -> bool:
        """Whether a POST is under way: the next one has to wait."""
        return self._post is not None

    @property
    def is_polling(self) -> bool:
        """Whether a GET is under way."""
        return self._get is not None

    def poll(self) -> None:
        """Send a GET; the server answers when it has something to say."""
        if self._get is not None or self._paused:
            return
        self._get = self._exchange(None)

    def post(self, packets: Sequence[Sequence[bytes]]) -> None:
        """Send packets, each with its encoded pieces, in one payload."""
        assert self._post is None
        self._post = self._exchange(SEPARATOR.join(piece for packet in packets for piece in packet))

    def pause(self, when_quiet: Callable[[], None]) -> None:
        """Send nothing more; say when what is under way is over."""
        self._paused = True
        self._when_quiet = when_quiet
        self._check_quiet()

    def resume(self) -> None:
        """Go on after a pause that led nowhere."""
        self._paused = False
        self._when_quiet = None
        self.poll()

    def stop(self, outcome: Outcome, detail: str) -> None:
        """Let go of what is under way."""
        self._paused = True
        self._when_quiet = None
        for answer in (self._get, self._post):
            if answer is not None:
                self._line.cancel(answer, outcome, detail)

    def _exchange(self, body: bytes | None) -> Answer:
        asked = self._owner.ask(self.sid, body)
        answer = Answer(asked.request, self._upstream, None, self._over, (self._ids(), asked.target, body is None))
        answer.keep = MOST
        answer.hangs = body is None and self.sid is not None
        self._line.exchange(answer)
        return answer

    def _over(self, answer: Answer) -> None:
        exchange, target, is_get = answer.tag
        if is_get:
            self._get = None
        else:
            self._post = None
        self._owner.exchanged(answer, exchange, target)
        if answer.failure is not None:
            if answer.failure not in (Outcome.ABORTED, Outcome.UNFINISHED):
                self._owner.broke(answer.detail or "a poll failed")
        elif answer.status != 200:
            self._owner.broke(f"a poll was answered {answer.status}")
        elif is_get:
            self._owner.polled(answer, exchange, decoded(answer, MOST))
        else:
            self._owner.posted(answer, exchange)
        self._check_quiet()

    def _check_quiet(self) -> None:
        if self._when_quiet is not None and self._get is None and self._post is None:
            when_quiet, self._when_quiet = self._when_quiet, None
            when_quiet()


def encode_binary(content: bytes) -> bytes:
    """An attachment as a packet of a payload."""
    return b"b" + base64.b64encode(content)
