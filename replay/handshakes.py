"""The exchanges by which a live connection comes about and polls: what they ask, and what is noted of them.

Live cookies and values stand in every head anew; the first exchange belongs to the step that opens the connection.
"""

from __future__ import annotations

from nestperf.capture.model import FAILED, Kind, Outcome, Pairs
from replay.live import LiveState
from replay.openings import upgrade_target
from replay.outcome import Judged, judge_exchange
from replay.records import ExchangeRecord
from replay.request import uses_at, with_forwarded
from replay.stage import Stage, User
from replay.steps import Open, Step
from replay.transport.answer import Answer, Request, head_bytes
from replay.transport.polling import Asked


class Handshakes:
    """Those of one connection."""

    def __init__(
        self, stage: Stage, user: User, session_id: int, live: LiveState, step: Step, intended_ns: int, *, whole: bool
    ) -> None:
        """`whole`: heads and bodies of polls are kept."""
        action = step.action
        assert isinstance(action, Open)
        self.action = action
        self.intended_ns = intended_ns
        self.target = live.text(action.target, uses_at(step, "target"))
        """Of the first request, the stamp of a poll apart."""
        self.first_id: int | None = None
        """The exchange that opened the connection, once it is over."""
        self.first_sent_ns: int | None = None
        self._stage = stage
        self._user = user
        self._session_id = session_id
        self._live = live
        self._whole = whole
        self._live_values = self._filled(step)
        self._upgrading_since_ns = intended_ns

    def first_fields(self) -> Pairs:
        """Of the first request."""
        return self._fields(self.action.headers)

    def ask(self, sid: str | None, body: bytes | None) -> Asked:
        """The next poll: a GET without a body, else a POST."""
        polls = self.action.polls
        assert polls is not None
        target = self.target
        if polls.stamped:
            target += f"&t={self._stage.clock.now_ns():x}"
        if sid is not None:
            target += f"&sid={sid}"
        if body is None:
            fields = self._fields(polls.get if sid is not None else self.action.headers)
            return Asked(Request(method="GET", head=head_bytes("GET", target, "HTTP/1.1", fields)), target)
        length = str(len(body))
        fields = tuple(
            (name, length if name.lower() == "content-length" else value) for name, value in self._fields(polls.post)
        )
        return Asked(Request(method="POST", head=head_bytes("POST", target, "HTTP/1.1", fields), body=body), target)

    def upgrade(self, sid: str | None) -> tuple[str, Pairs]:
        """Target and fields of the WebSocket's handshake, which takes over from polling where there is a session."""
        polls = self.action.polls
        if polls is None or polls.upgrade is None:
            return self.target, self.first_fields()
        self._upgrading_since_ns = self._stage.clock.now_ns()
        return f"{upgrade_target(self.target)}&sid={sid}", self._fields(polls.upgrade)

    def note(self, answer: Answer, exchange: int, kind: Kind, target: str) -> Judged:
        """An exchange is over: count and store it; how it ended."""
        opens = self.first_id is None
        polls = self.action.polls
        recorded: int | None = 200
        if kind is Kind.UPGRADE:
            recorded = 101 if polls is None else polls.upgrade_status
        judged = judge_exchange(answer.status, recorded, answer.failure, answer.detail)
        stage = self._stage
        stage.connected(answer.connect_ns)
        stage.refused(judged.outcome, judged.detail)
        if opens:
            self.first_id, self.first_sent_ns = exchange, answer.sent_ns
            self._count_first(answer)
        elif answer.sent_ns is not None:
            stage.tally.requests += 1
        source = None
        if opens:
            source = self.action.source
        elif kind is Kind.UPGRADE and polls is not None:
            source = polls.upgrade_source
        stage.journal.note(
            ExchangeRecord(
                id=exchange,
                session_id=self._session_id,
                client_id=self._user.client_id,
                kind=kind,
                authority=self.action.authority,
                target=target,
                trailers=(),
                answer=answer,
                intended_ns=self.intended_ns if opens else _due(answer, kind, self._upgrading_since_ns),
                unsent=False,
                outcome=judged.outcome,
                detail=judged.detail,
                source=source,
                kept=opens or self._whole or judged.outcome in FAILED,
            )
        )
        if judged.outcome is Outcome.OK:
            self._live.learn(self.action.authority, answer.headers, (), None)
        return judged

    def _count_first(self, answer: Answer) -> None:
        tally = self._stage.tally
        if answer.sent_ns is None:
            tally.unconnected += 1
            return
        tally.sent += 1
        tally.requests += 1
        tally.lags_ns.append(answer.sent_ns - self.intended_ns - answer.queued_ns - (answer.connect_ns or 0))

    def _fields(self, recorded: Pairs) -> Pairs:
        """Live values where the first request has some, live cookies everywhere."""
        filled = tuple((name, self._live_values.get((name.lower(), value), value)) for name, value in recorded)
        fields = self._live.headers(self.action.authority, filled, (), self.target)
        return fields if self._user.forwarded is None else with_forwarded(fields, self._user.forwarded)

    def _filled(self, step: Step) -> dict[tuple[str, str], str]:
        """What stands in the place of a recorded field's value."""
        uses = uses_at(step, "header")
        if not uses:
            return {}
        headers = self.action.headers
        live = self._live.headers(self.action.authority, headers, uses, self.target)
        return {(name.lower(), value): now for (name, value), (_, now) in zip(headers, live, strict=True)}


def _due(answer: Answer, kind: Kind, upgrading_since_ns: int) -> int:
    """A poll goes out when the one before it allows: it is due when it is sent."""
    if kind is Kind.UPGRADE or answer.sent_ns is None:
        return upgrading_since_ns
    return answer.sent_ns
