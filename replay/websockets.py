"""One live WebSocket of a virtual user that speaks no Socket.IO: messages out as recorded, frames in and out noted.

A message that the server caused waits for its cause, all others for their time. Refusals, another subprotocol, and a
close or a code unlike the recorded ones become the socket's outcome.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from nestperf.capture.kinds import field
from nestperf.capture.model import FAILED, Kind, Outcome, Socket
from nestperf.wire.observations import FrameSeen, MessageSeen, Sender
from replay.frames import MESSAGE, kind_of_message
from replay.live_connection import LiveConnection, Visitor, shown_code
from replay.records import FrameRecord
from replay.request import uses_at
from replay.steps import Cue, Say, Step
from replay.transport.answer import Answer
from replay.transport.websocket import WebSocket

_DATA = frozenset({"text", "binary", "continuation"})


class LiveWebSocket(LiveConnection):
    """A plain WebSocket during one visit."""

    wire: WebSocket | None

    def __init__(self, visitor: Visitor, caused: Callable[[int], None]) -> None:
        """`caused`: told, with the socket of the source capture, when a message came that a step may wait for."""
        super().__init__(visitor)
        self._caused = caused
        self._connected_ns: int | None = None
        self._last: FrameSeen | None = None
        """The frame that ended the message that is told next."""
        self._since: Counter[str] = Counter()
        """Messages of the server since the last one of the client, by kind."""
        self._came: dict[tuple[str, int], int] = {}
        """When the n-th of a kind since then came."""

    def open(self, step: Step, intended_ns: int) -> None:
        """Connect; the step is over with the 101, or when there will be none."""
        action = self._begin(step, intended_ns, whole=True)
        stage, begun = self._stage, self._handshakes
        self.wire = WebSocket(self, number=stage.connection_number(), upstream=action.upstream, clock=stage.clock)
        target = stage.targets[action.upstream]
        fields = begun.first_fields()
        self.wire.open(target, self._user.source, begun.target, fields, stage.timeout_s, self._answered)

    def cause_ns(self, cue: Cue) -> int | None:
        """When the message that a step waits for came; None where it has not."""
        return self._came.get((cue.kind, cue.nth))

    def say(self, step: Step, intended_ns: int) -> None:
        """Send a message."""
        action = step.action
        assert isinstance(action, Say)
        assert self.wire is not None
        content = action.content
        if action.opcode == "text":
            text = self._live.text(action.payload, uses_at(step, "payload"))
            content = text.encode("utf-8", "surrogateescape")
        self._since.clear()
        self._came.clear()
        sent_ns = self.wire.send([(action.opcode, content)])
        self._stage.tally.packets_sent += 1
        self._stage.tally.lags_ns.append(sent_ns - intended_ns)
        self._ended(step, sent_ns)

    def _awaited_in_vain(self, patience_s: float) -> None:
        if self._action.close_code is not None:
            self._note_trouble(Outcome.MISMATCH, f"not closed by the server within {patience_s:g} s, unlike recorded")
        super()._awaited_in_vain(patience_s)

    def abort(self) -> None:
        """The run is over: close at once."""
        self._leaving = True
        if self.wire is not None:
            self.wire.cut()

    # what the connection tells

    def _answered(self, answer: Answer) -> None:
        action = self._action
        exchange = self._stage.journal.exchange_id()
        judged = self._handshakes.note(answer, exchange, Kind.UPGRADE, self._handshakes.target)
        if judged.outcome in FAILED:
            self._note_trouble(judged.outcome, judged.detail or "the handshake was refused")
            return
        chosen = field(answer.headers, "sec-websocket-protocol")
        if answer.status == 101 and chosen != action.subprotocol:
            told = f"the subprotocol {chosen!r}" if chosen else "no subprotocol"
            recorded = f"{action.subprotocol!r}" if action.subprotocol else "none"
            self._note_trouble(Outcome.MISMATCH, f"the server chose {told}; in the recording it chose {recorded}")

    def switched(self, stamp_ns: int) -> None:
        self._connected_ns = stamp_ns
        self._stands(stamp_ns)

    def frame(self, sender: Sender, seen: FrameSeen) -> None:
        if sender == "server" and seen.opcode in _DATA and seen.fin:
            self._last = seen  # its content is the message's, which follows
            return
        content = None if sender == "server" and seen.opcode in _DATA else seen.payload
        self._note(sender, seen, content)

    def message(self, seen: MessageSeen) -> None:
        assert self._last is not None
        self._note("server", self._last, seen.payload)
        self._stage.tally.packets_received += 1
        kind = kind_of_message(seen.opcode, seen.payload)
        self._since[kind] += 1
        self._came[kind, self._since[kind]] = seen.done_ns
        if self._listens and seen.opcode == "text":
            text = seen.payload.decode("utf-8", "replace")
            if self._live.hear(self._listens, MESSAGE, "", kind, text):
                self._heard()
        self._caused(self._action.socket)

    def over(self) -> None:
        assert self.wire is not None
        self._compare_end()
        self._conclude(self.wire.closed_ns or 0, stood=self._connected_ns is not None)
        self._caused(self._action.socket)
        self._closed()

    def _compare_end(self) -> None:
        assert self.wire is not None
        action, wire = self._action, self.wire
        if self._leaving:
            return
        if wire.closed_by == "cut":
            if not (action.closed_by_server and action.close_code is None):
                why = wire.close_reason or "the connection ended without a close frame"
                self._note_trouble(Outcome.RESET, why)
        elif not action.closed_by_server:
            self._note_trouble(Outcome.MISMATCH, f"closed by the server{shown_code(wire.close_code)}, unlike recorded")
        elif wire.close_code != action.close_code:
            recorded = f"in the recording{shown_code(action.close_code) or ' without a code'}"
            told = shown_code(wire.close_code) or " without a code"
            self._note_trouble(Outcome.MISMATCH, f"closed by the server{told}, {recorded}")

    def _note(self, sender: Sender, seen: FrameSeen, content: bytes | None) -> None:
        number = self._stage.journal.frame_id()
        self._stage.journal.note(FrameRecord(number, self._session_id, self._id, sender, seen, content))

    def _row(self, outcome: Outcome, detail: str | None) -> Socket:
        assert self.wire is not None
        row = super()._row(outcome, detail)
        return row._replace(connection=self.wire.number, connected_ns=self._connected_ns)
