"""The HTTP connections of one virtual user during one visit, as a browser keeps them: a few for each upstream.

Gives each exchange a connection, in the order asked, opens new ones up to the limit, and ends what takes too long.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterator

from nestperf.capture.clock import Clock
from nestperf.capture.model import Outcome
from replay.transport.answer import Answer
from replay.transport.connection import Connection
from replay.transport.dial import Dial, Target, describe_refusal
from replay.transport.outbox import Outbox

LIMIT = 6
"""Connections to one upstream where nobody says otherwise: a browser's."""
_GRAIN_NS = 1_000_000
"""The loop's timers may ring this much too early."""


class Connections:
    """One user's connections. Every `on_done` is called once, from the loop, and never before `exchange` returns."""

    def __init__(
        self,
        targets: tuple[Target, ...],
        *,
        source: str | None,
        limits: dict[int, int],
        clock: Clock,
        timeout_s: float,
        numbers: Callable[[], int],
        outbox: Outbox | None = None,
    ) -> None:
        """`limits`: upstream to how many may be open at once; `numbers` gives each connection its number; `outbox`
        is shared by all users of a run."""
        self.clock = clock
        self.outbox = outbox or Outbox()
        self._targets = targets
        self._source = source
        self._limits = limits
        self._timeout_s = timeout_s
        self._numbers = numbers
        self._open: dict[int, list[Connection]] = {}
        self._dials: dict[Connection, Dial] = {}
        self._by_recorded: dict[int | None, Connection] = {}
        self.queues: dict[int, deque[Answer]] = {}
        self._alarm: asyncio.TimerHandle | None = None
        """One for all exchanges: each of them has as long as the others."""
        self._over = False

    def exchange(self, answer: Answer) -> None:
        """Send its request now, or as soon as a connection is free.

        It is over when nothing happens for the time limit; a patient one may pause once it has begun.
        """
        if self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(self._timeout_s, self._check_time)
        if not self.queues or not self.queues.get(answer.upstream):
            connection = self._by_recorded.get(answer.wanted)
            if connection is not None and connection.is_idle():
                connection.begin(answer)
                return
            if self._place(answer):
                return
        answer.progress_ns = self.clock.now_ns()
        answer.queued_ns = -answer.progress_ns
        self.queues.setdefault(answer.upstream, deque()).append(answer)

    def cancel(self, answer: Answer, outcome: Outcome, detail: str | None = None) -> None:
        """End an exchange from this side, its connection with it."""
        if answer.over:
            return
        carrier = answer.carrier
        if carrier is not None:
            carrier.answer = None
            carrier.abort()
            self._stop_dialing(carrier)
        else:
            self.queues[answer.upstream].remove(answer)
        answer.finish(self.clock.now_ns(), outcome, detail)
        if carrier is not None:
            self._forget(carrier)

    def close(self) -> None:
        """The visit is over: close all connections. Exchanges under way must have been cancelled."""
        self._over = True
        if self._alarm is not None:
            self._alarm.cancel()
        for connections in self._open.values():
            for connection in connections:
                connection.close() if connection.answer is None else connection.abort()
                self._stop_dialing(connection)
        self._open.clear()

    def freed(self, connection: Connection) -> None:
        """A connection has nothing to do."""
        self._serve_queue(connection.upstream)

    def lost(self, connection: Connection) -> None:
        """A connection is closed."""
        self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        connections = self._open.get(connection.upstream, [])
        if connection in connections:
            connections.remove(connection)
            self._serve_queue(connection.upstream)

    def _serve_queue(self, upstream: int) -> None:
        queue = self.queues.get(upstream)
        while queue and not self._over:
            answer = queue.popleft()
            if not self._place(answer):
                queue.appendleft(answer)
                return

    def _place(self, answer: Answer) -> bool:
        """Give it a connection: the one its recorded neighbours used, else a new one, else any idle one."""
        live = [connection for connection in self._open.get(answer.upstream, ()) if not connection.closed]
        wanted = self._by_recorded.get(answer.wanted) if answer.wanted is not None else None
        if wanted is not None and wanted.is_idle():
            self._start(answer, wanted)
            return True
        idle = [connection for connection in live if connection.is_idle()]
        is_new = wanted is None and answer.wanted is not None
        room = sum(not connection.closed for connection in live) < self._limits.get(answer.upstream, LIMIT)
        if room and (is_new or not idle):
            self._dial(answer)
        elif idle:
            self._remember(answer, idle[0])
            self._start(answer, idle[0])
        else:
            return False
        return True

    def _remember(self, answer: Answer, connection: Connection) -> None:
        if answer.wanted is not None:
            self._by_recorded[answer.wanted] = connection

    def _start(self, answer: Answer, connection: Connection) -> None:
        self._leave_queue(answer)
        connection.begin(answer)

    def _leave_queue(self, answer: Answer) -> None:
        if answer.queued_ns:
            answer.queued_ns += self.clock.now_ns()

    def _dial(self, answer: Answer) -> None:
        connection = Connection(self, answer.upstream, self._numbers())
        connection.answer = answer
        answer.carrier = connection
        self._remember(answer, connection)
        self._open.setdefault(answer.upstream, []).append(connection)
        self._leave_queue(answer)
        answer.progress_ns = self.clock.now_ns()
        self._dials[connection] = Dial(
            self._targets[answer.upstream],
            self._source,
            connection,
            on_open=lambda sock: self._opened(connection, answer, sock),
            on_failure=lambda error: self._refused(connection, answer, error),
        )

    def _opened(self, connection: Connection, answer: Answer, sock: socket.socket) -> None:
        self._dials.pop(connection, None)
        if self._targets[connection.upstream].tls is None:
            connection.sock = sock
        answer.connect_ns = self.clock.now_ns() - answer.progress_ns
        if not connection.closed and not answer.over:
            connection.begin(answer)

    def _refused(self, connection: Connection, answer: Answer, error: OSError) -> None:
        self._dials.pop(connection, None)
        connection.closed = True
        connection.answer = None
        sentence = describe_refusal(self._targets[connection.upstream], error)
        answer.finish(self.clock.now_ns(), Outcome.CONNECT_ERROR, sentence)
        self._forget(connection)

    def _stop_dialing(self, connection: Connection) -> None:
        dial = self._dials.pop(connection, None)
        if dial is not None:
            dial.cancel()

    # time

    def _under_way(self) -> Iterator[Answer]:
        for connections in self._open.values():
            for connection in connections:
                if connection.answer is not None:
                    yield connection.answer
        for queue in self.queues.values():
            yield from queue

    def _check_time(self) -> None:
        """End what has been silent for the time limit; look again when the next one may have been."""
        self._alarm = None
        now_ns = self.clock.now_ns()
        limit_ns = round(self._timeout_s * 1e9) - _GRAIN_NS
        impatient = [answer for answer in self._under_way() if not _may_be_silent(answer)]
        waiting = [answer.progress_ns for answer in impatient if now_ns - answer.progress_ns < limit_ns]
        if waiting:
            left_s = (min(waiting) + limit_ns + _GRAIN_NS - now_ns) / 1e9
            self._alarm = asyncio.get_running_loop().call_later(left_s, self._check_time)
        for answer in impatient:
            if now_ns - answer.progress_ns >= limit_ns:
                self._timed_out(answer)

    def _timed_out(self, answer: Answer) -> None:
        limit = f"{self._timeout_s:g} s"
        if answer.carrier is None:
            self.cancel(answer, Outcome.TIMEOUT, f"no connection was free within {limit}")
        elif answer.sent_ns is None:
            self.cancel(answer, Outcome.CONNECT_ERROR, f"no connection within {limit}")
        elif answer.status is None:
            self.cancel(answer, Outcome.TIMEOUT, f"no answer within {limit}")
        else:
            self.cancel(answer, Outcome.TIMEOUT, f"nothing more of the answer for {limit}")


def _may_be_silent(answer: Answer) -> bool:
    if answer.hangs:
        return answer.sent_ns is not None
    return answer.patient and answer.status is not None
