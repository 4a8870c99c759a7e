"""One live Socket.IO connection of a virtual user: turns steps into packets and says when each has had its answer.

A join is over with its connect or connect_error, an emit with its ack, or once it is sent where the recording has none.
What cannot be sent is counted as dropped, and every difference to the recording becomes the socket's outcome.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, NamedTuple

from nestperf.capture.model import FAILED, Kind, Outcome, Pairs, Socket
from nestperf.wire.observations import PacketSeen
from replay.live_connection import LiveConnection, Visitor, shown_code
from replay.records import PacketRecord
from replay.request import uses_at
from replay.steps import Emit, Join, Leave, Reply, Step
from replay.transport.answer import Answer
from replay.transport.polling import Asked, Line
from replay.transport.socketio import SocketIo, Way


class _Tag(NamedTuple):
    """What is to be noted of a packet once it is sent."""

    id: int
    intended_ns: int | None
    asked_ns: int
    """When it was handed over: a poll under way may hold it back, which is not the generator's doing."""
    source: int | None
    answers: int | None = None
    ends: Step | None = None
    """The step that is over with its sending."""


class LiveSocket(LiveConnection):
    """A Socket.IO connection during one visit."""

    wire: SocketIo | None

    def __init__(
        self,
        visitor: Visitor,
        line: Line,
        told: Callable[[PacketSeen], None] | None,
        *,
        whole: bool,
    ) -> None:
        """`line`: the user's HTTP connections, for polls; `told`: of every packet of the server; `whole`: heads and
        bodies of polls are kept."""
        super().__init__(visitor)
        self._line = line
        self._told = told
        self._whole = whole
        self._joining: dict[str, Step] = {}
        self._refused: set[str] = set()
        """Namespaces that let in in the recording, and not now."""
        self._waiting: dict[tuple[str, int], tuple[Step, int]] = {}
        """Emits without their ack: (namespace, ack id) to step and packet id."""
        self._unsent: dict[int, Step] = {}
        """Steps that are over once they are sent, and are not: by index."""
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._replies: dict[tuple[str, str], deque[Reply]] = defaultdict(deque)

    def open(self, step: Step, intended_ns: int) -> None:
        """Connect; the step is over when Engine.IO is open, or when it cannot be."""
        action = self._begin(step, intended_ns, whole=self._whole)
        stage = self._stage
        for reply in action.replies:
            self._replies[reply.namespace, reply.event].append(reply)
        way = Way(
            target=stage.targets[action.upstream],
            source=self._user.source,
            timeout_s=stage.timeout_s,
            numbers=stage.connection_number,
            line=self._line,
        )
        self.wire = SocketIo(self, way, upstream=action.upstream, clock=stage.clock, ids=stage.journal.exchange_id)
        if action.polls is None:
            self.wire.open()
        else:
            self.wire.open_polling(upgrade=action.polls.upgrade is not None)

    def join(self, step: Step, intended_ns: int) -> None:
        """Connect to a namespace."""
        action = step.action
        assert isinstance(action, Join)
        payload = None if action.payload is None else self._live.text(action.payload, uses_at(step, "payload"))
        self._joining[action.namespace] = step
        self._send(_packet("connect", action.namespace, payload), intended_ns, action.source)
        if action.accepted is None:
            self._joining.pop(action.namespace, None)
            self._ended(step, self._stage.clock.now_ns())
        else:
            self._arm(step)

    def emit(self, step: Step, intended_ns: int) -> None:
        """Send an event."""
        action = step.action
        assert isinstance(action, Emit)
        payload = self._live.text(action.payload, uses_at(step, "payload"))
        packet = _packet("event", action.namespace, payload)._replace(
            event=action.event, ack_id=action.ack_id, attachments=action.attachments
        )
        packet_id = self._stage.journal.packet_id()
        waits = action.ack_id is not None and action.acknowledged
        if action.ack_id is not None:
            self._waiting[action.namespace, action.ack_id] = (step, packet_id)
        if waits:
            self._arm(step)
        self._send(packet, intended_ns, action.source, packet_id, ends=None if waits else step)

    def was_refused(self, namespace: str) -> bool:
        """Whether that namespace did not let this client in, unlike recorded."""
        return namespace in self._refused

    def leave(self, step: Step, intended_ns: int) -> None:
        """Disconnect from a namespace."""
        action = step.action
        assert isinstance(action, Leave)
        self._send(_packet("disconnect", action.namespace, None), intended_ns, action.source, ends=step)

    def abort(self) -> None:
        """The run is over: close at once."""
        self._leaving = True
        if self.wire is not None:
            self.wire.cut(Outcome.UNFINISHED)

    # sending

    def _send(
        self,
        packet: PacketSeen,
        intended_ns: int,
        source: int | None,
        packet_id: int | None = None,
        ends: Step | None = None,
    ) -> None:
        assert self.wire is not None
        if ends is not None:
            self._unsent[ends.index] = ends
        number = packet_id or self._stage.journal.packet_id()
        self.wire.send(packet, _Tag(number, intended_ns, self._stage.clock.now_ns(), source, ends=ends))

    def _arm(self, step: Step) -> None:
        loop = asyncio.get_running_loop()
        self._timers[step.index] = loop.call_later(self._stage.timeout_s, self._timed_out, step)

    def _timed_out(self, step: Step) -> None:
        action = step.action
        what = f"ack of {action.event!r}" if isinstance(action, Emit) else f"answer to joining {_namespace(step)}"
        self._note_trouble(Outcome.TIMEOUT, f"no {what} within {self._stage.timeout_s:g} s")
        self._end(step, self._stage.clock.now_ns())

    def _end(self, step: Step, stamp_ns: int) -> None:
        timer = self._timers.pop(step.index, None)
        if timer is not None:
            timer.cancel()
        self._joining = {name: other for name, other in self._joining.items() if other is not step}
        self._ended(step, stamp_ns)

    # what the connection tells

    def ask(self, sid: str | None, body: bytes | None) -> Asked:
        return self._handshakes.ask(sid, body)

    def handshake(self, sid: str | None) -> tuple[str, Pairs]:
        return self._handshakes.upgrade(sid)

    def exchanged(self, answer: Answer, exchange: int, kind: Kind, target: str) -> None:
        judged = self._handshakes.note(answer, exchange, kind, target)
        if judged.outcome in FAILED:
            self._note_trouble(judged.outcome, judged.detail or "the handshake was refused")

    def opened(self) -> None:
        assert self.wire is not None
        polls = self._action.polls
        if polls is not None and polls.upgrade_status == 101 and not self.wire.upgrades:
            self._note_trouble(Outcome.MISMATCH, "the server offers no upgrade to WebSocket; in the recording it did")
        self._stands(self.wire.connected_ns or 0)

    def received(self, seen: PacketSeen, exchange: int | None) -> None:
        self._stage.tally.packets_received += 1
        packet_id = self._stage.journal.packet_id()
        answers = None
        ended: Step | None = None
        namespace = seen.namespace or "/"
        if seen.type == "ack" and seen.ack_id is not None:
            waiting = self._waiting.pop((namespace, seen.ack_id), None)
            if waiting is not None:
                ended, answers = waiting
                if ended.takes:
                    self._live.hear_ack(ended.takes, seen.payload)
                ended = ended if ended.index in self._timers else None
        self._note(packet_id, seen, exchange, answers)
        if seen.type in ("connect", "connect_error"):
            ended = self._joining.pop(namespace, None)
            self._compare_join(ended, seen)
        elif seen.type == "event" and seen.ack_id is not None:
            self._reply(seen, packet_id)
        if self._listens and self._live.hear(self._listens, seen.type or "", namespace, seen.event or "", seen.payload):
            self._heard()
        if self._told is not None:
            self._told(seen)
        if ended is not None:
            self._end(ended, seen.done_ns)

    def sent(self, seen: PacketSeen, exchange: int | None, tag: Any) -> None:
        if tag is None:
            self._note(self._stage.journal.packet_id(), seen, exchange)
            return
        tally = self._stage.tally
        tally.packets_sent += 1
        if tag.intended_ns is not None:
            went_ns = seen.stamp_ns if exchange is None else tag.asked_ns
            tally.lags_ns.append(went_ns - tag.intended_ns)
        self._note(tag.id, seen, exchange, tag.answers, tag.intended_ns, tag.source)
        if tag.ends is not None and self._unsent.pop(tag.ends.index, None) is not None:
            self._ended(tag.ends, seen.stamp_ns)

    def _note(
        self,
        packet_id: int,
        seen: PacketSeen,
        exchange: int | None,
        answers: int | None = None,
        intended_ns: int | None = None,
        source: int | None = None,
    ) -> None:
        record = PacketRecord(packet_id, self._session_id, self._id, seen, answers, intended_ns, source, exchange)
        self._stage.journal.note(record)

    def _compare_join(self, step: Step | None, seen: PacketSeen) -> None:
        if step is None or not isinstance(step.action, Join):
            return
        accepted = seen.type == "connect"
        self._refused.discard(step.action.namespace)
        if step.action.accepted is True and not accepted:
            self._refused.add(step.action.namespace)
            self._note_trouble(Outcome.MISMATCH, f"{_namespace(step)} refused to be joined; in the recording it let in")
        elif step.action.accepted is False and accepted:
            self._note_trouble(Outcome.MISMATCH, f"{_namespace(step)} let in; in the recording it refused")

    def _reply(self, seen: PacketSeen, packet_id: int) -> None:
        """Acknowledge an event of the server as the recorded client did; it asked, and waits."""
        replies = self._replies.get((seen.namespace or "/", seen.event or ""))
        if not replies or not self.is_open:
            return
        reply = replies.popleft() if len(replies) > 1 else replies[0]
        packet = _packet("ack", reply.namespace, reply.payload)._replace(
            ack_id=seen.ack_id, attachments=reply.attachments
        )
        assert self.wire is not None
        number = self._stage.journal.packet_id()
        self.wire.send(packet, _Tag(number, None, seen.done_ns, None, answers=packet_id))

    def closed(self) -> None:
        assert self.wire is not None
        wire, stamp_ns = self.wire, self.wire.closed_ns or 0
        if not self._leaving and wire.closed_by == "cut":
            self._note_trouble(Outcome.RESET, wire.close_reason or "the connection ended without a close frame")
        elif not self._leaving and wire.closed_by == "server" and not self._action.closed_by_server:
            self._note_trouble(Outcome.MISMATCH, f"closed by the server{shown_code(wire.close_code)}, unlike recorded")
        self._conclude(stamp_ns, stood=wire.connected_ns is not None)
        pending = [*self._joining.values(), *(step for step, _ in self._waiting.values() if step.index in self._timers)]
        for step in pending:
            self._end(step, stamp_ns)
        unsent, self._unsent = self._unsent, {}
        for step in unsent.values():
            self._stage.tally.sent -= 1
            self._stage.tally.dropped += 1
            self._ended(step, stamp_ns)
        self._closed()

    def _row(self, outcome: Outcome, detail: str | None) -> Socket:
        wire = self.wire
        assert wire is not None
        return (
            super()
            ._row(outcome, detail)
            ._replace(
                connection=wire.connection,
                version=4,
                sid=wire.sid,
                transports=",".join(wire.transports),
                connected_ns=wire.connected_ns,
            )
        )


def _packet(kind: str, namespace: str, payload: str | None) -> PacketSeen:
    """A packet to send; its stamps come with its sending."""
    return PacketSeen("client", 0, 0, "message", kind, namespace, None, None, payload, (), 0)


def _namespace(step: Step) -> str:
    return getattr(step.action, "namespace", "/")
