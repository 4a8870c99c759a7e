"""One virtual user's visit: releases steps as the graph says, sends them, learns from the answers, notes it all.

Everything happens in callbacks on the loop; a visit owns its connections and closes them. It never decides when it
begins, and after `stop` it begins nothing more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

from nestperf.capture.model import FAILED, Outcome, Session
from nestperf.capture.repeats import NOTHING, pack
from replay.live import LiveState
from replay.live_connection import Visitor
from replay.outcome import Judged, judge_body, judge_exchange
from replay.records import ExchangeRecord, SessionRecord
from replay.shape import difference_of_body
from replay.sockets import LiveSocket
from replay.stage import JSON_LIMIT, Script, Stage, User
from replay.steps import Close, Emit, Http, Join, Leave, Open, Say, Step
from replay.transport.answer import Answer, decoded
from replay.transport.pool import Connections
from replay.waits import Waits
from replay.walk import Due, Walk
from replay.watch import Stamps, Watch
from replay.websockets import LiveWebSocket


class Visit:
    """One user going through one planned session once."""

    def __init__(
        self,
        stage: Stage,
        user: User,
        script: Script,
        *,
        iteration: int,
        arrival_ns: int,
        on_over: Callable[[Visit], None],
    ) -> None:
        self.user = user
        self.iteration = iteration
        self.state = "finished"
        self._reached = False
        """A request of it went out."""
        plan = script.plan
        self._stage = stage
        self._script = script
        self._arrival_ns = arrival_ns
        self._on_over = on_over
        self._id = stage.journal.session_id()
        self._journal = stage.journal
        self._tally = stage.tally
        self._watching = stage.watch
        self._on_answer = self._answered if stage.answered is None else self._told
        self._whole = stage.journal.keeps_visit(plan.source)
        self._patterns: Sequence[int | None] = [None] * len(plan.steps) if self._whole else script.patterns
        """By step: the pattern of an exchange of which only the numbers are stored."""
        self._unconditional = script.unconditional if stage.offer is None else bytes(len(plan.steps))
        self._next: Sequence[Step | None] = [None] * len(plan.steps)
        """By step: the request that follows at once, without a look at anything else."""
        if stage.offer is None and not stage.load.think.factor:
            self._next = script.next
        self._live = LiveState(len(plan.values), [(number, plan.values[number]) for number in plan.fresh])
        if user.identity is not None:
            self._live.supply(plan.supplied, user.identity.values)
        self._connections = Connections(
            stage.targets,
            source=user.source,
            limits=plan.connections,
            clock=stage.clock,
            timeout_s=stage.timeout_s,
            numbers=stage.connection_number,
            outbox=stage.outbox,
        )
        self._sockets: dict[int, LiveSocket | LiveWebSocket] = {}
        self._sockets_open = 0
        self._pace = stage.load.pace(user.number, iteration)
        self._walk = Walk(plan.steps, script.followers, self._pace, arrival_ns)
        self._begun = bytearray(len(plan.steps))
        self._held: dict[int, list[tuple[Step, int]]] = {}
        """Steps that are due and wait for the one before them on their socket."""
        self._waits = Waits(stage, self._live, self._pace, self._sockets, len(plan.steps), self._due)
        self._under_way: dict[int, Answer | None] = {}
        """Begun and not ended, by step; with the answer where it is an exchange."""
        self._ready: deque[Due] = deque()
        """Due now; begun one after the other, not one inside the other."""
        self._beginning = False
        self._stopping = False
        self._closing = False
        self._over = False

    def start(self) -> None:
        """Arrive: schedule the steps that wait for nobody."""
        self._note_session("running", None)
        self._schedule(self._walk.first(), self._stage.clock.now_ns())

    def go(self, step: Step, slot_ns: int) -> bool:
        """Send a step that was offered, in the slot it was handed; False where the visit is over."""
        if self._stopping:
            return False
        self._go(step, slot_ns)
        return True

    def stop(self) -> None:
        """Begin no new step; the visit is over when what is under way has ended."""
        self._stopping = True
        for index, answer in list(self._under_way.items()):
            if answer is not None and not self._script.plan.steps[index].waited:
                self._let_go(self._script.plan.steps[index])
        self._settle()

    def kill(self) -> None:
        """End all at once; what is under way is unfinished."""
        self._stopping = True
        for answer in list(self._under_way.values()):
            if answer is not None:
                self._connections.cancel(answer, Outcome.UNFINISHED, "still open when the run ended")
        for socket in self._sockets.values():
            socket.abort()
        self._under_way.clear()
        self._settle()

    # the graph

    def _schedule(self, due: Sequence[Due], now_ns: int) -> None:
        ready = self._ready
        for step, intended_ns in due:
            if intended_ns > now_ns:
                self._stage.pacer.at(intended_ns, self._due, step, intended_ns)
            elif self._unconditional[step.index] and not ready and not self._stopping:
                # An exchange never ends in here.
                self._exchange(step, step.action, intended_ns)  # type: ignore[arg-type]
            else:
                ready.append((step, intended_ns))
        if self._beginning or not ready:
            return
        self._beginning = True
        try:
            while ready:
                self._due(*ready.popleft())
        finally:
            self._beginning = False

    def _due(self, step: Step, intended_ns: int) -> None:
        if self._stopping:
            return
        behind = step.behind
        if behind is not None and not self._begun[behind]:
            self._held.setdefault(behind, []).append((step, intended_ns))
            return
        if step.awaits and self._waits.lacks_values(step):
            self._waits.wait_for_values(step, intended_ns)
            return
        if isinstance(step.action, Say | Close) and self._waits.waits_for_cause(step, step.action, intended_ns):
            return
        offer = self._stage.offer
        if offer is not None and (self._stage.offers_all or isinstance(step.action, Http | Open)):
            offer(self, step)
        else:
            self._go(step, intended_ns)

    def _go(self, step: Step, intended_ns: int) -> None:
        action = step.action
        if isinstance(action, Http):
            self._exchange(step, action, intended_ns)
        else:
            self._begun[step.index] = 1
            self._under_way[step.index] = None
            self._begin(step, intended_ns)
        if self._held:
            for follower, follower_ns in self._held.pop(step.index, ()):
                self._due(follower, follower_ns)

    def _begin(self, step: Step, intended_ns: int) -> None:
        action = step.action
        tally = self._tally
        assert not isinstance(action, Http)
        socket = self._sockets.get(action.socket)
        if isinstance(action, Open):
            socket = self._sockets[action.socket] = self._new_socket(action)
            self._sockets_open += 1
            socket.open(step, intended_ns)
        elif isinstance(action, Close) and action.by_server:
            tally.sent += 1
            if socket is None or socket.is_over:
                self._end(step, self._stage.clock.now_ns())
            else:
                socket.await_end(step)
        elif socket is None or not socket.is_open or _was_refused(socket, action):
            tally.dropped += 1
            self._end(step, self._stage.clock.now_ns())
        else:
            tally.sent += 1
            if isinstance(action, Close):
                socket.close(action.code, action.reason, cut=action.cut)
                self._end(step, self._stage.clock.now_ns())
            elif isinstance(socket, LiveWebSocket):
                socket.say(step, intended_ns)
            elif isinstance(action, Join):
                socket.join(step, intended_ns)
            elif isinstance(action, Emit):
                socket.emit(step, intended_ns)
            elif isinstance(action, Leave):
                socket.leave(step, intended_ns)

    def _new_socket(self, action: Open) -> LiveSocket | LiveWebSocket:
        listens = self._script.listens.get(action.socket, ())
        visitor = Visitor(
            self._stage, self.user, self._id, self._live, listens, self._end, self._socket_closed, self._waits.heard
        )
        if action.protocol == "websocket":
            return LiveWebSocket(visitor, self._waits.cause_came)
        heard = None if self._stage.heard is None else partial(self._stage.heard, self)
        return LiveSocket(visitor, self._connections, heard, whole=self._whole)

    def _end(self, step: Step, stamp_ns: int) -> None:
        """A step is over: release those that waited for it."""
        self._under_way.pop(step.index, None)
        walk = self._walk
        freed = walk.end(step.index, stamp_ns)
        if freed and not self._stopping:
            self._schedule(freed, stamp_ns)
        if not walk.left or self._stopping:
            self._settle()

    def _settle(self) -> None:
        """Close what is open once nothing is left to do, and be over once that is closed."""
        if self._over or (self._walk.left and not (self._stopping and not self._under_way)):
            return
        if not self._closing:
            self._closing = True
            self.state = "cut" if self._walk.left else "failed" if self._in_vain() else "finished"
            begun = sum(self._begun)
            self._tally.planned += begun
            self._tally.not_reached += len(self._begun) - begun
            for socket in self._sockets.values():
                socket.close(1000, "", cut=False)
        if self._sockets_open == 0 and not self._over:
            self._over = True
            self._connections.close()
            self._tally.visits[self.state] += 1
            if self.state == "finished":
                self._tally.sessions_ns.append(self._walk.last_ns - self._arrival_ns)
            self._note_session(self.state, self._walk.last_ns)
            self._on_over(self)

    def _in_vain(self) -> bool:
        """Whether it had requests, and none of them went out."""
        return not self._reached and any(
            isinstance(self._script.plan.steps[at].action, Http) and begun for at, begun in enumerate(self._begun)
        )

    def _socket_closed(self) -> None:
        self._sockets_open -= 1
        self._settle()

    # exchanges

    def _exchange(self, step: Step, action: Http, intended_ns: int) -> None:
        index, script = step.index, self._script
        self._begun[index] = 1
        request, target = script.fixed[index], action.target
        if request is None:
            request, target = script.requests.build(step, self._live, self.user.forwarded)
        answer = Answer(
            request, action.upstream, action.connection, self._on_answer, (step, action, target, intended_ns)
        )
        self._under_way[index] = answer
        if index in script.particular:
            answer.patient = index in script.patient
            answer.keep = script.kept_bytes.get(index, answer.keep)
            if action.hold_ns is not None:
                until_ns = self._stage.clock.now_ns() + self._pace.hold_ns(action.hold_ns)
                self._stage.pacer.at(until_ns, self._held_long_enough, step)
        self._connections.exchange(answer)

    def _held_long_enough(self, step: Step) -> None:
        """Let go of an answer that does not end, as long after its sending as the recorded client did."""
        answer, action = self._under_way.get(step.index), step.action
        if answer is None or not isinstance(action, Http):
            return
        now_ns, hold_ns = self._stage.clock.now_ns(), self._pace.hold_ns(action.hold_ns or 0)
        until_ns = (answer.sent_ns if answer.sent_ns is not None else now_ns) + hold_ns
        if now_ns < until_ns:
            self._stage.pacer.at(until_ns, self._held_long_enough, step)
        elif answer.sent_ns is not None or not hold_ns:
            self._let_go(step)

    def _let_go(self, step: Step) -> None:
        answer = self._under_way.get(step.index)
        if answer is not None:
            self._connections.cancel(answer, Outcome.ABORTED, "let go of as in the recording")

    def _told(self, answer: Answer) -> None:
        """As `_answered`, where somebody directs the run and hears of it first."""
        assert self._stage.answered is not None
        self._stage.answered(self, answer.tag[0], answer)
        self._answered(answer)

    def _answered(self, answer: Answer) -> None:
        """Nearly all exchanges of a large run end as recorded: of those only the numbers are stored."""
        step, action, _, intended_ns = answer.tag
        index, head = step.index, answer.head
        missing = self._learn(step, action, answer) if head is not None and (step.takes or head.cookies) else ""
        pattern = self._patterns[index]
        if head is None or not pattern or not answer.plain or head.status != action.status:
            self._judge(answer, missing)
            return
        sent_ns: int = answer.sent_ns  # type: ignore[assignment]  # a plain answer is one to a request that went out
        done_ns: int = answer.done_ns  # type: ignore[assignment]
        connect_ns = answer.connect_ns
        service_ns = done_ns - sent_ns
        journal = self._journal
        note_repeat, exchange_id = journal.note_repeat, journal.exchange_id
        if service_ns > journal.slow_ns and journal.keeps_slow(service_ns):
            self._judge(answer, missing, slow=True)
            return
        note_repeat(
            pack(
                exchange_id(),
                self._id,
                answer.connection,
                answer.request_bytes,
                journal.words[head.reason],
                answer.response_bytes,
                intended_ns,
                sent_ns,
                answer.request_done_ns,
                answer.first_byte_ns,
                done_ns,
                NOTHING if connect_ns is None else connect_ns,
                pattern,
                answer.queued_ns,
            )
        )
        self._reached = True
        if self._watching is not None:
            self._watch(self._watching, answer, intended_ns, Outcome.OK)
        follower = self._next[index]
        if follower is None or self._stopping or self._ready:
            self._end(step, done_ns)
        else:
            del self._under_way[index]
            self._walk.pass_by(index, done_ns)
            self._exchange(follower, follower.action, done_ns)

    def _judge(self, answer: Answer, missing: str, *, slow: bool = False) -> None:
        """An exchange is over that is stored in full, or went otherwise than recorded."""
        step, action, target, intended_ns = answer.tag
        status, done_ns = answer.status, answer.done_ns
        assert done_ns is not None
        if not slow and answer.failure is None and not answer.patient:
            assert answer.sent_ns is not None
            slow = self._journal.keeps_slow(done_ns - answer.sent_ns)
        judged = judge_exchange(status, action.status, answer.failure, answer.detail, missing)
        shape = self._script.plan.shapes.get(step.index)
        if shape is not None and judged.outcome is Outcome.OK and status == action.status and answer.whole:
            judged = judge_body(difference_of_body(shape, decoded(answer, JSON_LIMIT)), action.source)
        unsent = answer.sent_ns is None and judged.outcome is not Outcome.CONNECT_ERROR
        if unsent:
            judged = Judged(Outcome.DROPPED, judged.detail or "no connection was free")
        self._count(action, answer, intended_ns, judged, unsent=unsent)
        exchange_id = self._journal.exchange_id()
        if judged.outcome is Outcome.MISMATCH and self._tally.mismatch is None:
            self._tally.mismatch = exchange_id
        self._journal.note(
            ExchangeRecord(
                id=exchange_id,
                session_id=self._id,
                client_id=self.user.client_id,
                kind=action.kind,
                authority=action.authority,
                target=target,
                trailers=action.trailers,
                answer=answer,
                intended_ns=intended_ns,
                unsent=unsent,
                outcome=judged.outcome,
                detail=judged.detail,
                source=action.source,
                kept=self._whole or slow or (judged.outcome in FAILED and self._journal.keeps_failure()),
                secrets=self._live.in_place_of(step.uses, self._script.secret_values),
            )
        )
        self._end(step, done_ns)

    def _learn(self, step: Step, action: Http, answer: Answer) -> str:
        """Take what later steps need; half a sentence where it is not there."""
        body = None
        if step.index in self._script.kept_bytes:
            body = decoded(answer, JSON_LIMIT)
        missing = self._live.learn(action.authority, answer.headers, step.takes, body)
        self._tally.missing_values += len(missing)
        if not missing:
            return ""
        places = ", ".join(f"{take.source} {'.'.join(map(str, take.path))}" for take in missing[:3])
        return f"; later steps wanted {places} from this answer"

    def _count(self, action: Http, answer: Answer, intended_ns: int, judged: Judged, *, unsent: bool) -> None:
        tally = self._tally
        if self._watching is not None:
            self._watch(self._watching, answer, intended_ns, judged.outcome)
        self._stage.connected(answer.connect_ns)
        self._stage.refused(judged.outcome, judged.detail)
        if judged.outcome in FAILED or unsent:
            tally.trouble(f"{action.method} {action.route}: {judged.detail or judged.outcome}")
        if unsent:
            tally.dropped += 1
            return
        if answer.sent_ns is None:
            tally.unconnected += 1
            return
        tally.sent += 1
        tally.requests += 1
        tally.asked.add((action.method, action.route))
        self._reached = True
        tally.lags_ns.append(answer.sent_ns - intended_ns - answer.queued_ns - (answer.connect_ns or 0))
        if answer.failure is None and answer.done_ns is not None and not answer.patient:
            tally.services_ns.append(answer.done_ns - answer.sent_ns)
            tally.responses_ns.append(answer.done_ns - intended_ns)

    def _watch(self, watch: Watch, answer: Answer, intended_ns: int, outcome: Outcome) -> None:
        assert answer.done_ns is not None
        stamps = Stamps(intended_ns, answer.sent_ns, answer.first_byte_ns, answer.done_ns)
        watch.note(answer.done_ns, outcome, stamps)

    def _note_session(self, state: str, ended_ns: int | None) -> None:
        plan = self._script.plan
        row = Session(
            id=self._id,
            client_id=self.user.client_id,
            label=f"user {self.user.number + 1}, visit {self.iteration + 1}",
            vu=self.user.number,
            iteration=self.iteration,
            source_session=plan.source,
            identity=None if self.user.identity is None else self.user.identity.label,
            intended_ns=self._arrival_ns,
            started_ns=self._arrival_ns,
            ended_ns=ended_ns,
            state=state,
        )
        own = () if self.user.identity is None else tuple(self.user.identity.values.values())
        self._journal.note(SessionRecord(row, (*plan.secrets, *own), over=ended_ns is not None))


def _was_refused(socket: LiveSocket | LiveWebSocket, action: object) -> bool:
    """Whether a step belongs to a namespace that did not let this client in: clients send nothing there then."""
    return isinstance(socket, LiveSocket) and isinstance(action, Emit | Leave) and socket.was_refused(action.namespace)
