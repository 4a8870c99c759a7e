"""Directs a contract's visits: lets users in, holds steps back and releases them, all on the run's loop.

A director is a driver (`replay.drivers`) to whom every step is offered when it is due: `visit.go(step, due_ns)` sends
it, and what it does not send waits. It never judges; what happened is in the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from nestperf.durations import SECOND_NS
from nestperf.wire.observations import PacketSeen
from replay.checks.barrier import Barrier
from replay.drivers import House
from replay.pacing import NONE, Load
from replay.player import Visit
from replay.steps import Step
from replay.transport.answer import Answer

STAGGER_NS = 20_000_000
"""Between two users' coming: getting ready is not what is measured, and twenty sign-ins at once would be a test of
their own."""
READY_NS = 5_000_000
"""From the moment when all are ready to the one when all are released."""


def once(users: int, seed: int, most_ns: int = 120 * SECOND_NS) -> Load:
    """The load of a contract that directs everything itself: so many users, one visit each, no pauses, ended after
    `most_ns` whatever is still missing."""
    return Load(users=users, duration_ns=most_ns, think=NONE, start="together", seed=seed)


class Director:
    """Lets so many users in, one after the other, each for one visit; every step goes when it is due."""

    def __init__(self, house: House, load: Load, sessions: int = 1) -> None:
        """`sessions`: how many the contract's plan has."""
        self.house = house
        self.load = load
        self.sessions = sessions
        self.visits: dict[int, Visit] = {}
        """By user: who is here."""
        self._to_come = load.users
        self._stopped = False

    # what a contract may override

    def session_of(self, user: int) -> int:
        """Which session of the plan a user plays."""
        return user % self.sessions

    def offer(self, visit: Visit, step: Step) -> None:
        """A step is due: send it, or keep it for later."""
        self.send(visit, step)

    def answered(self, visit: Visit, step: Step, answer: Answer) -> None:
        """A request was answered, or will not be."""

    def heard(self, visit: Visit, packet: PacketSeen) -> None:
        """A server sent a Socket.IO packet."""

    def left(self, visit: Visit) -> None:
        """A visit is over."""

    # what it can do

    def send(self, visit: Visit, step: Step, due_ns: int | None = None) -> None:
        """Send a step; `due_ns` is when it was to go, now where nothing is said."""
        visit.go(step, self.house.clock.now_ns() if due_ns is None else due_ns)

    def after(self, wait_ns: int, call: Callable[..., None], *arguments: object) -> None:
        """Call in so long."""
        self.house.pacer.at(self.house.clock.now_ns() + wait_ns, call, *arguments)

    def soon(self, call: Callable[[int], None]) -> None:
        """Call with the moment at which all who wait go, which is a little from now."""
        due_ns = self.house.clock.now_ns() + READY_NS
        self.house.pacer.at(due_ns, call, due_ns)

    # what the runner calls

    def start(self, begin_ns: int) -> None:
        """Schedule who comes."""
        for user in range(self.load.users):
            due_ns = begin_ns + user * STAGGER_NS
            self.house.pacer.at(due_ns, self._come, user, due_ns)

    def over(self, visit: Visit) -> None:
        """A visit is over."""
        self.visits.pop(visit.user.number, None)
        self.left(visit)

    def stop(self) -> None:
        """Let nobody in any more."""
        self._stopped = True

    @property
    def is_through(self) -> bool:
        """Whether nobody will come any more."""
        return self._to_come == 0

    def _come(self, user: int, due_ns: int) -> None:
        self._to_come -= 1
        if not self._stopped:
            visit = self.house.let_in(user, 0, user * self.sessions + self.session_of(user), due_ns)
            self.visits[user] = visit
            visit.start()


class Together(Director):
    """Everybody comes to the steps that `holds` names, and waits there; when all are there, all go at one moment.

    Who is over without having come there is not waited for.
    """

    def __init__(self, house: House, load: Load, holds: Callable[[Step], bool], sessions: int = 1) -> None:
        super().__init__(house, load, sessions)
        self._holds = holds
        self._held: list[tuple[Visit, Step]] = []
        self._all_here = Barrier(load.users, partial(self.soon, self._release))

    def offer(self, visit: Visit, step: Step) -> None:
        if not self._holds(step):
            self.send(visit, step)
            return
        self._held.append((visit, step))
        self._all_here.come(visit)

    def left(self, visit: Visit) -> None:
        self._all_here.come(visit)

    def _release(self, due_ns: int) -> None:
        for visit, step in self._held:
            visit.go(step, due_ns)
