"""What a live Socket.IO connection and a live plain WebSocket of a virtual user have in common: who it belongs to, the
steps that open and end it, and its row.

Every difference to the recording becomes the connection's outcome; the first one counts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from nestperf.capture.model import Outcome, Socket
from replay.handshakes import Handshakes
from replay.live import LiveState
from replay.stage import Stage, User
from replay.steps import Listen, Open, Step

AWAIT_CLOSE_S = 5.0
"""How long a close is waited for where the recorded server closed."""
Ended = Callable[[Step, int], None]
"""Told when a step is over: (step, moment)."""


class Visitor(NamedTuple):
    """Whose connection it is, and whom it tells."""

    stage: Stage
    user: User
    session_id: int
    live: LiveState
    listens: Sequence[Listen]
    ended: Ended
    closed: Callable[[], None]
    heard: Callable[[], None]
    """A value came that steps may wait for."""


class Wire(Protocol):
    """What carries the connection, as far as both kinds know it."""

    closed_ns: int | None
    closed_by: str | None
    """`client`, `server`, `cut`."""
    close_code: int | None
    close_reason: str | None

    @property
    def is_open(self) -> bool:
        """Whether something can be sent."""

    def close(self, code: int | None = 1000, reason: str = "") -> None:
        """Close as clients do."""

    def cut(self) -> None:
        """Close without a word."""


class LiveConnection:
    """A connection during one visit."""

    wire: Wire | None
    """None until it is opened."""

    def __init__(self, visitor: Visitor) -> None:
        self.wire = None
        self._stage = visitor.stage
        self._user = visitor.user
        self._session_id = visitor.session_id
        self._live = visitor.live
        self._listens = visitor.listens
        self._ended = visitor.ended
        self._closed = visitor.closed
        self._heard = visitor.heard
        self._id = 0
        self._opening: Step | None = None
        self._begun: Handshakes | None = None
        self._trouble: tuple[Outcome, str] | None = None
        self._leaving = False
        self._ending: Step | None = None
        """The step that waits for the server to close."""
        self._patience: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether something can be sent."""
        return self.wire is not None and self.wire.is_open

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self.wire is None or self.wire.closed_ns is not None

    def close(self, code: int | None, reason: str, *, cut: bool) -> None:
        """Close from this side."""
        self._leaving = True
        if self.wire is None:
            return
        if cut:
            self.wire.cut()
        else:
            self.wire.close(code, reason)

    def await_end(self, step: Step) -> None:
        """The recorded server closed it about now: the step is over when this one has, or has not in good time."""
        self._ending = step
        patience_s = min(AWAIT_CLOSE_S, self._stage.timeout_s)
        self._patience = asyncio.get_running_loop().call_later(patience_s, self._awaited_in_vain, patience_s)

    def _awaited_in_vain(self, patience_s: float) -> None:
        self._end_awaited(self._stage.clock.now_ns())

    def _end_awaited(self, stamp_ns: int) -> None:
        if self._patience is not None:
            self._patience.cancel()
        step, self._ending = self._ending, None
        if step is not None:
            self._ended(step, stamp_ns)

    def _begin(self, step: Step, intended_ns: int, *, whole: bool) -> Open:
        """It is to be opened; `whole`: heads and bodies of polls are kept."""
        action = step.action
        assert isinstance(action, Open)
        self._id = self._stage.journal.socket_id()
        self._opening = step
        self._begun = Handshakes(
            self._stage, self._user, self._session_id, self._live, step, intended_ns, whole=whole
        )  # fmt: skip
        return action

    @property
    def _handshakes(self) -> Handshakes:
        assert self._begun is not None
        return self._begun

    @property
    def _action(self) -> Open:
        return self._handshakes.action

    def _stands(self, stamp_ns: int) -> None:
        """It is open: the step is over."""
        assert self._opening is not None
        self._stage.tally.sockets += 1
        self._stage.journal.note(self._row(Outcome.UNFINISHED, None))
        self._ended(self._opening, stamp_ns)

    def _conclude(self, stamp_ns: int, *, stood: bool) -> None:
        """It is over: count and store what became of it, and end the step that opened it if it never `stood`."""
        assert self._opening is not None
        outcome, detail = self._trouble or (Outcome.OK, None)
        if outcome is not Outcome.OK:
            self._stage.tally.sockets_failed += 1
            self._stage.tally.trouble(f"socket {self._action.route}: {detail}")
        self._stage.journal.note(self._row(outcome, detail))
        if not stood:
            self._ended(self._opening, stamp_ns)
        self._end_awaited(stamp_ns)

    def _note_trouble(self, outcome: Outcome, sentence: str) -> None:
        """The first difference to the recording is the socket's outcome."""
        if self._trouble is None:
            self._trouble = (outcome, sentence)

    def _row(self, outcome: Outcome, detail: str | None) -> Socket:
        """The connection's row, as far as both kinds know it."""
        begun, action, wire = self._handshakes, self._action, self.wire
        assert wire is not None
        return Socket(
            id=self._id,
            session_id=self._session_id,
            client_id=self._user.client_id,
            exchange_id=begun.first_id,
            connection=None,
            upstream=action.upstream,
            protocol=action.protocol,
            version=None,
            authority=action.authority,
            target=begun.target,
            sid=None,
            transports="websocket",
            intended_ns=begun.intended_ns,
            opened_ns=begun.intended_ns if begun.first_sent_ns is None else begun.first_sent_ns,
            connected_ns=None,
            closed_ns=wire.closed_ns,
            closed_by=wire.closed_by if wire.closed_ns is not None else None,
            close_code=wire.close_code,
            close_reason=wire.close_reason,
            outcome=outcome,
            detail=detail,
            source_socket=abs(action.socket),  # a contract's second connection of the same has the negated number
        )


def shown_code(code: int | None) -> str:
    """A close code as sentences have it; empty where there is none."""
    return "" if code is None else f" with code {code}"
