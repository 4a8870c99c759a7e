"""What a step that is due still waits for: values that the server pushes, or the message that caused it.

It waits for no longer than an answer may take, and then goes out as recorded: what comes of it shows what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from replay.live import LiveState
from replay.pacing import Pace
from replay.sockets import LiveSocket
from replay.stage import Stage
from replay.steps import Close, Say, Step
from replay.websockets import LiveWebSocket


class Waits:
    """The waits of one visit."""

    __slots__ = (
        "_due",
        "_for_cause",
        "_for_values",
        "_given_up",
        "_live",
        "_pace",
        "_patience_ns",
        "_sockets",
        "_stage",
    )

    def __init__(
        self,
        stage: Stage,
        live: LiveState,
        pace: Pace,
        sockets: Mapping[int, LiveSocket | LiveWebSocket],
        steps: int,
        due: Callable[[Step, int], None],
    ) -> None:
        """
        Args:
            sockets: the visit's, as they come; by socket of the source capture.
            steps: how many the visit has.
            due: takes a step whose wait is over, and when it was to be sent.
        """
        self._stage = stage
        self._live = live
        self._pace = pace
        self._sockets = sockets
        self._due = due
        self._patience_ns = round(stage.timeout_s * 1e9)
        self._for_values: dict[int, tuple[Step, int]] = {}
        """By step, with when it was due."""
        self._for_cause: dict[int, tuple[Step, int]] = {}
        """By socket, whose messages go out in order."""
        self._given_up = bytearray(steps)
        """By step: whether it waits no more, for either."""

    def lacks_values(self, step: Step) -> bool:
        """Whether a step has to wait for values."""
        return not self._given_up[step.index] and any(self._live.values[one.value] is None for one in step.awaits)

    def wait_for_values(self, step: Step, intended_ns: int) -> None:
        """Keep a step until they have come."""
        self._for_values[step.index] = (step, intended_ns)
        self._stage.pacer.at(self._stage.clock.now_ns() + self._patience_ns, self._no_values_came, step.index)

    def heard(self) -> None:
        """A packet brought values: steps that waited for them go on, as long after it as in the recording."""
        now_ns = self._stage.clock.now_ns()
        for index, (step, intended_ns) in list(self._for_values.items()):
            if not self.lacks_values(step):
                del self._for_values[index]
                think_ns = max(awaited.think_ns for awaited in step.awaits)
                due_ns = max(intended_ns, now_ns + self._pace.pause_ns(think_ns, index))
                self._stage.pacer.at(due_ns, self._due, step, due_ns)

    def _no_values_came(self, index: int) -> None:
        step, intended_ns = self._for_values.pop(index, (None, 0))
        if step is not None:
            self._give_up(index)
            self._due(step, intended_ns)

    def waits_for_cause(self, step: Step, action: Say | Close, intended_ns: int) -> bool:
        """Whether a message has to wait for the server's, which caused it, and is kept until then; it goes out as long
        after that one as in the recording."""
        socket = self._sockets.get(action.socket)
        if action.cue is None or self._given_up[step.index] or not isinstance(socket, LiveWebSocket) or socket.is_over:
            return False
        if self._for_cause.get(action.socket) is None:
            self._for_cause[action.socket] = (step, intended_ns)
            until_ns = self._stage.clock.now_ns() + self._patience_ns
            self._stage.pacer.at(until_ns, self._no_cause_came, action.socket, step.index)
        self.cause_came(action.socket)
        return True

    def cause_came(self, socket_id: int) -> None:
        """A message came over a plain WebSocket, or nothing more will."""
        waiting, socket = self._for_cause.get(socket_id), self._sockets.get(socket_id)
        if waiting is None or not isinstance(socket, LiveWebSocket):
            return
        step, intended_ns = waiting
        action = step.action
        assert isinstance(action, Say | Close)
        assert action.cue is not None
        came_ns = socket.cause_ns(action.cue)
        if came_ns is None and not socket.is_over:
            return
        del self._for_cause[socket_id]
        self._given_up[step.index] = 1
        due_ns = intended_ns
        if came_ns is not None:
            due_ns = max(intended_ns, came_ns + self._pace.pause_ns(action.cue.think_ns, step.index))
        self._stage.pacer.at(due_ns, self._due, step, due_ns)

    def _no_cause_came(self, socket_id: int, index: int) -> None:
        waiting = self._for_cause.get(socket_id)
        if waiting is not None and waiting[0].index == index:
            step, _ = self._for_cause.pop(socket_id)
            self._give_up(index)
            self._due(step, self._stage.clock.now_ns())

    def _give_up(self, index: int) -> None:
        self._given_up[index] = 1
        self._stage.tally.missing_values += 1
