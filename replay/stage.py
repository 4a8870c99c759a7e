"""What all virtual users of a run share: clock, pacer, targets, journal, counts. Holds them and decides nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nestperf.capture.clock import Clock
from nestperf.capture.model import Kind, Outcome
from nestperf.wire.observations import PacketSeen
from replay.certificate import Tally
from replay.identities import Identity
from replay.journal import Journal
from replay.pacing import Load
from replay.request import Requests
from replay.steps import Http, SessionPlan, Step
from replay.timer import Pacer
from replay.transport.dial import Target
from replay.transport.outbox import Outbox
from replay.walk import chained, invert
from replay.watch import Watch

if TYPE_CHECKING:
    from replay.player import Visit
    from replay.transport.answer import Answer

JSON_LIMIT = 64 * 2**20
"""Bytes of a decoded body that are searched for a live value at most."""


@dataclass(slots=True, kw_only=True)
class Stage:
    """One run's common ground."""

    clock: Clock
    pacer: Pacer
    load: Load
    targets: tuple[Target, ...]
    """By upstream of the source capture."""
    journal: Journal
    timeout_s: float
    outbox: Outbox = field(default_factory=Outbox)
    watch: Watch | None = None
    """What may end the run early."""
    offer: Callable[[Visit, Step], None] | None = None
    """Takes a request that is ready where requests go out at a rate; None where each goes when it is due."""
    offers_all: bool = False
    """It takes packets and closes too, not only requests."""
    answered: Callable[[Visit, Step, Answer], None] | None = None
    """Told of every answer, before the steps that waited for it are due."""
    heard: Callable[[Visit, PacketSeen], None] | None = None
    """Told of every Socket.IO packet that a server sent."""
    tally: Tally = field(default_factory=Tally)
    connections: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def connection_number(self) -> int:
        """The next connection's number."""
        return next(self.connections)

    def connected(self, connect_ns: int | None) -> None:
        """A connection came about, where one was waited for."""
        if connect_ns is not None:
            self.tally.connections += 1

    def refused(self, outcome: Outcome, detail: str | None) -> None:
        """An exchange is over; remember why connections do not come about."""
        self.tally.outcomes[outcome] += 1
        if outcome is Outcome.CONNECT_ERROR:
            self.tally.refusals[detail or "no connection"] += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """One virtual user."""

    number: int
    """Counted from 0."""
    client_id: int
    source: str | None
    """Its own loopback address; None where the system gives none."""
    forwarded: str | None
    """Its X-Forwarded-For; None where none is sent."""
    identity: Identity | None = None


class Script:
    """A planned session, made ready for all users who repeat it."""

    def __init__(self, plan: SessionPlan, journal: Journal, *, forwarded: bool = False) -> None:
        """`forwarded`: users have an X-Forwarded-For of their own."""
        self.plan = plan
        self.requests = Requests(plan)
        self.followers = invert(plan.steps)
        """By step: those that wait for its end."""
        self.kept_bytes = {
            step.index: JSON_LIMIT
            for step in plan.steps
            if step.index in plan.shapes or any(take.reads_body for take in step.takes)
        }
        """Steps whose answer's body later steps need: how much of it."""
        self.listens = {
            socket: tuple(group) for socket, group in itertools.groupby(plan.listens, lambda one: one.socket)
        }
        """By socket of the source capture: what is taken from the packets that its server pushes."""
        self.patient = frozenset(step.index for step in plan.steps if _is_patient(step))
        """Steps whose answer may be silent once it has begun."""
        self.particular = self.patient | frozenset(self.kept_bytes)
        """Steps whose answer is not read like any other."""
        self.unconditional = bytes(
            isinstance(step.action, Http) and step.behind is None and not step.awaits for step in plan.steps
        )
        """By step: whether it is a request that waits for nothing but its turn."""
        self.next = tuple(
            step if step is not None and self.unconditional[step.index] else None
            for step in chained(plan.steps, self.followers)
        )
        """By step: the request that its end releases, where it releases that one alone and only its end does."""
        self.fixed = tuple(None if forwarded else self.requests.fixed(step) for step in plan.steps)
        """By step: its request, where that is the same for every user."""
        secrets = frozenset(plan.secrets)
        self.secret_values = frozenset(number for number, value in enumerate(plan.values) if value in secrets) | {
            one.value for one in plan.supplied
        }
        """Live values that are secret, because the recorded ones were."""
        self.patterns = tuple(self._pattern(step, journal) for step in plan.steps)
        """By step: the journal's pattern of its exchange as recorded; None where targets differ from user to user,
        where its body is checked, where it has no service time, or where the recording was refused with a 429."""

    def _pattern(self, step: Step, journal: Journal) -> int | None:
        action = step.action
        if not isinstance(action, Http) or any(use.place == "target" for use in step.uses):
            return None
        if step.index in self.plan.shapes or step.index in self.patient or action.status == 429:
            return None
        return journal.pattern(action, self.fixed[step.index], self.plan.secrets)


def _is_patient(step: Step) -> bool:
    action = step.action
    return isinstance(action, Http) and (action.hold_ns is not None or action.kind is Kind.STREAM)
