"""One live Socket.IO connection of a virtual user: turns steps into packets and says when each has had its answer.

A join is over with its connect or connect_error, an emit with its ack, or at once where the recording has none. What
cannot be sent is counted as dropped, and every difference to the recording becomes the socket's outcome.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Sequence

from nestperf.capture.model import Kind, Outcome, Socket
from nestperf.wire.observations import PacketSeen
from replay.live import LiveState
from replay.outcome import judge_exchange
from replay.records import ExchangeRecord, PacketRecord
from replay.request import uses_at, with_forwarded
from replay.stage import Stage, User
from replay.steps import Emit, Join, Leave, Listen, Open, Reply, Step
from replay.transport.answer import Answer
from replay.transport.socketio import SocketIo

Ended = Callable[[Step, int], None]
"""Told when a step is over: (step, moment)."""


class LiveSocket:
    """A Socket.IO connection during one visit."""

    def __init__(
        self,
        stage: Stage,
        user: User,
        session_id: int,
        live: LiveState,
        listens: Sequence[Listen],
        ended: Ended,
        closed: Callable[[], None],
        heard: Callable[[], None],
    ) -> None:
        self.wire: SocketIo | None = None
        self._stage = stage
        self._user = user
        self._session_id = session_id
        self._live = live
        self._listens = listens
        self._ended = ended
        self._closed = closed
        self._heard = heard
        self._id = 0
        self._opening: tuple[Step, Open, int] | None = None
        self._target = ""
        self._joining: dict[str, Step] = {}
        self._waiting: dict[tuple[str, int], tuple[Step, int]] = {}
        """Emits without their ack: (namespace, ack id) to step and packet id."""
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._replies: dict[tuple[str, str], deque[Reply]] = defaultdict(deque)
        self._trouble: tuple[Outcome, str] | None = None
        self._exchange_id: int | None = None
        self._leaving = False

    @property
    def is_open(self) -> bool:
        """Whether packets can be sent."""
        return self.wire is not None and self.wire.is_open

    def open(self, step: Step, intended_ns: int) -> None:
        """Connect; the step is over when Engine.IO is open, or when it cannot be."""
        action = step.action
        assert isinstance(action, Open)
        stage = self._stage
        self._id = stage.journal.socket_id()
        self._opening = (step, action, intended_ns)
        for reply in action.replies:
            self._replies[reply.namespace, reply.event].append(reply)
        target = self._live.text(action.target, uses_at(step, "target"))
        headers = self._live.headers(action.authority, action.headers, uses_at(step, "header"))
        if self._user.forwarded is not None:
            headers = with_forwarded(headers, self._user.forwarded)
        self.wire = SocketIo(
            number=stage.connection_number(),
            upstream=action.upstream,
            clock=stage.clock,
            on_opened=self._opened,
            on_packet=self._packet,
            on_closed=self._over,
        )
        upstream = stage.targets[action.upstream]
        self._target = target
        self.wire.open(upstream, self._user.source, target, headers, stage.timeout_s, self._answered)

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
        sent_ns = self._send(packet, intended_ns, action.source, packet_id)
        if not waits:
            self._ended(step, sent_ns)

    def leave(self, step: Step, intended_ns: int) -> None:
        """Disconnect from a namespace."""
        action = step.action
        assert isinstance(action, Leave)
        sent_ns = self._send(_packet("disconnect", action.namespace, None), intended_ns, action.source)
        self._ended(step, sent_ns)

    def close(self, code: int | None, reason: str, *, cut: bool) -> None:
        """Close from this side."""
        self._leaving = True
        if self.wire is None:
            return
        if cut:
            self.wire.cut()
        else:
            self.wire.close(code, reason)

    def abort(self) -> None:
        """The run is over: close at once."""
        self._leaving = True
        if self.wire is not None:
            self.wire.cut()

    # sending

    def _send(self, packet: PacketSeen, intended_ns: int, source: int | None, packet_id: int | None = None) -> int:
        assert self.wire is not None
        self._note_as = (packet_id or self._stage.journal.packet_id(), intended_ns, source)
        sent = self.wire.send(packet)
        self._stage.tally.packets_sent += 1
        self._stage.tally.lags_ns.append(sent.stamp_ns - intended_ns)
        return sent.stamp_ns

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

    def _answered(self, answer: Answer) -> None:
        assert self._opening is not None
        _, action, intended_ns = self._opening
        judged = judge_exchange(answer.status, 101, answer.failure, answer.detail)
        stage = self._stage
        self._exchange_id = stage.journal.exchange_id()
        stage.connected(answer.connect_ns)
        stage.refused(judged.outcome, judged.detail)
        if answer.sent_ns is None:
            stage.tally.unconnected += 1
        else:
            stage.tally.sent += 1
            stage.tally.requests += 1
            stage.tally.lags_ns.append(answer.sent_ns - intended_ns - (answer.connect_ns or 0))
        stage.journal.note(
            ExchangeRecord(
                id=self._exchange_id,
                session_id=self._session_id,
                client_id=self._user.client_id,
                kind=Kind.UPGRADE,
                authority=action.authority,
                target=self._target,
                trailers=(),
                answer=answer,
                intended_ns=intended_ns,
                unsent=False,
                outcome=judged.outcome,
                detail=judged.detail,
                source=action.source,
                kept=True,
            )
        )
        if judged.outcome is not Outcome.OK:
            self._note_trouble(judged.outcome, judged.detail or "the handshake was refused")
        else:
            self._live.learn(action.authority, answer.headers, (), None)

    def _opened(self) -> None:
        assert self._opening is not None
        assert self.wire is not None
        self._stage.tally.sockets += 1
        self._stage.journal.note(self._row(Outcome.UNFINISHED, None))
        self._ended(self._opening[0], self.wire.connected_ns or 0)

    def _packet(self, seen: PacketSeen) -> None:
        if seen.sender == "client":
            self._note_sent(seen)
            return
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
        self._note(packet_id, seen, answers)
        if seen.type in ("connect", "connect_error"):
            ended = self._joining.pop(namespace, None)
            self._compare_join(ended, seen)
        elif seen.type == "event" and seen.ack_id is not None:
            self._reply(seen, packet_id)
        if self._listens and self._live.hear(self._listens, seen.type or "", namespace, seen.event or "", seen.payload):
            self._heard()
        if ended is not None:
            self._end(ended, seen.done_ns)

    def _note_sent(self, seen: PacketSeen) -> None:
        if seen.type is None:
            self._stage.journal.note(
                PacketRecord(self._stage.journal.packet_id(), self._session_id, self._id, seen, None, None, None)
            )
            return
        packet_id, intended_ns, source = self._note_as
        self._stage.journal.note(
            PacketRecord(packet_id, self._session_id, self._id, seen, self._replying, intended_ns, source)
        )

    def _note(
        self,
        packet_id: int,
        seen: PacketSeen,
        answers: int | None = None,
        intended_ns: int | None = None,
        source: int | None = None,
    ) -> None:
        record = PacketRecord(packet_id, self._session_id, self._id, seen, answers, intended_ns, source)
        self._stage.journal.note(record)

    def _compare_join(self, step: Step | None, seen: PacketSeen) -> None:
        if step is None or not isinstance(step.action, Join):
            return
        accepted = seen.type == "connect"
        if step.action.accepted is True and not accepted:
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
        self._replying = packet_id
        self._note_as = (self._stage.journal.packet_id(), None, None)
        self.wire.send(packet)
        self._replying = None
        self._stage.tally.packets_sent += 1

    def _note_trouble(self, outcome: Outcome, sentence: str) -> None:
        """The first difference to the recording is the socket's outcome."""
        if self._trouble is None:
            self._trouble = (outcome, sentence)

    def _over(self) -> None:
        assert self.wire is not None
        assert self._opening is not None
        stamp_ns = self.wire.closed_ns or 0
        if not self._leaving and self.wire.connected_ns is not None and self.wire.closed_by == "cut":
            why = self.wire.close_reason or "the connection ended without a close frame"
            self._note_trouble(Outcome.RESET, why)
        elif not self._leaving and self.wire.closed_by == "server" and not self._opening[1].closed_by_server:
            self._note_trouble(Outcome.MISMATCH, f"closed by the server{_code(self.wire.close_code)}, unlike recorded")
        outcome, detail = self._trouble or (Outcome.OK, None)
        if outcome is not Outcome.OK:
            self._stage.tally.sockets_failed += 1
            self._stage.tally.trouble(f"socket {self._opening[1].route}: {detail}")
        self._stage.journal.note(self._row(outcome, detail))
        if self.wire.connected_ns is None:
            self._ended(self._opening[0], stamp_ns)
        pending = [*self._joining.values(), *(step for step, _ in self._waiting.values() if step.index in self._timers)]
        for step in pending:
            self._end(step, stamp_ns)
        self._closed()

    def _row(self, outcome: Outcome, detail: str | None) -> Socket:
        assert self.wire is not None
        assert self._opening is not None
        wire, (_, action, intended_ns) = self.wire, self._opening
        answer = wire.answer
        opened_ns = answer.sent_ns if answer is not None and answer.sent_ns is not None else intended_ns
        return Socket(
            id=self._id,
            session_id=self._session_id,
            client_id=self._user.client_id,
            exchange_id=self._exchange_id,
            connection=wire.number,
            upstream=action.upstream,
            protocol="socket.io",
            version=4,
            authority=action.authority,
            target=self._target,
            sid=wire.sid,
            transports="websocket",
            intended_ns=intended_ns,
            opened_ns=opened_ns,
            connected_ns=wire.connected_ns,
            closed_ns=wire.closed_ns,
            closed_by=wire.closed_by if wire.closed_ns is not None else None,
            close_code=wire.close_code,
            close_reason=wire.close_reason,
            outcome=outcome,
            detail=detail,
            source_socket=action.socket,
        )

    _note_as: tuple[int, int | None, int | None] = (0, None, None)
    """Id, due time and source of the packet that is being sent."""
    _replying: int | None = None
    """The packet that the ack being sent answers."""


def _packet(kind: str, namespace: str, payload: str | None) -> PacketSeen:
    """A packet to send; its stamps come with its sending."""
    return PacketSeen("client", 0, 0, "message", kind, namespace, None, None, payload, (), 0)


def _code(code: int | None) -> str:
    return "" if code is None else f" with code {code}"


def _namespace(step: Step) -> str:
    return getattr(step.action, "namespace", "/")
