"""Who comes when: one driver for each load model. It asks the house (the runner) to let users in and is told when they
leave; it plays nothing itself and never ends the run.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Protocol

from nestperf.capture.clock import Clock
from replay.pacing import PAUSE_NS, Load
from replay.player import Visit
from replay.profile import Moment
from replay.steps import Step
from replay.timer import Pacer


class House(Protocol):
    """What a driver needs of the runner."""

    @property
    def clock(self) -> Clock:
        """The run's."""

    @property
    def pacer(self) -> Pacer:
        """The run's."""

    def let_in(self, user: int, iteration: int, visit: int, arrival_ns: int) -> Visit:
        """A user begins that visit of the run; the driver starts it."""

    def drop_arrival(self, visit: int, due_ns: int) -> None:
        """A session was due and found no free user."""

    def drop_slot(self, visit: int, due_ns: int) -> None:
        """A request was due and found no free user; it would have been the first one of that visit."""

    def count(self, due_ns: int, *, sent: bool) -> None:
        """A slot or an arrival of a phase that counts was due, and found somebody or not."""

    def nobody_left(self) -> None:
        """Nobody will come any more."""


class Driver(Protocol):
    """One load model at work."""

    def start(self, begin_ns: int) -> None:
        """Schedule who comes."""

    def over(self, visit: Visit) -> None:
        """A visit is over."""

    def stop(self) -> None:
        """Let nobody in any more, whatever is scheduled."""

    @property
    def is_through(self) -> bool:
        """Whether nobody will come any more."""


class Closed:
    """So many users, each starting again when it is through."""

    def __init__(self, house: House, load: Load, sessions: int, length_ns: int) -> None:
        """`sessions`, `length_ns`: how many were recorded, and how long the longest is."""
        self._house = house
        self._load = load
        self._profile = load.profile
        self._sessions = sessions
        self._length_ns = length_ns
        self._begin_ns = 0
        self._to_come = 0
        """Users that have not come yet, or pause."""
        self._iterations: dict[int, int] = {}
        self._here: set[int] = set()
        self._stopped = False

    @property
    def is_through(self) -> bool:
        return self._to_come == 0

    def stop(self) -> None:
        self._stopped = True

    def start(self, begin_ns: int) -> None:
        self._begin_ns = begin_ns
        for due_ns, user in self._load.comings(self._length_ns):
            self._to_come += 1
            self._house.pacer.at(begin_ns + due_ns, self._come, user, begin_ns + due_ns)

    def over(self, visit: Visit) -> None:
        user, now_ns = visit.user.number, self._house.clock.now_ns()
        if not self._profile.wants(user, now_ns - self._begin_ns):
            self._here.discard(user)
            return
        # A user who reached nobody would come back at once, again and again.
        due_ns = now_ns + (PAUSE_NS if visit.state == "failed" else 0)
        self._to_come += 1
        self._house.pacer.at(due_ns, self._again, user, due_ns)

    def _come(self, user: int, due_ns: int) -> None:
        if user in self._here:
            # Sent away when the level fell, and back up before the last visit was over: it simply goes on.
            self._to_come -= 1
            return
        self._again(user, due_ns)

    def _again(self, user: int, due_ns: int) -> None:
        self._to_come -= 1
        if self._stopped:
            return
        iteration = self._iterations.get(user, 0)
        visit = self._load.visit_of(user, iteration, self._sessions)
        if visit is None:
            self._here.discard(user)
            if self.is_through:
                self._house.nobody_left()
            return
        self._here.add(user)
        self._iterations[user] = iteration + 1
        self._house.let_in(user, iteration, visit, due_ns).start()


class _Free:
    """Users of an open run: a new one for each arrival as long as there are any, then the one that rested longest."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._iterations: list[int] = []
        self._resting: deque[int] = deque()

    def take(self) -> tuple[int, int] | None:
        """A user, and how often it came before; None where all are busy."""
        if len(self._iterations) < self._most:
            self._iterations.append(0)
            return len(self._iterations) - 1, 0
        if not self._resting:
            return None
        user = self._resting.popleft()
        self._iterations[user] += 1
        return user, self._iterations[user]

    def rest(self, user: int) -> None:
        """A user is free again."""
        self._resting.append(user)


class _Open:
    """What both open models have in common: moments that are known beforehand, one scheduled after the other."""

    def __init__(self, house: House, load: Load, moments: Iterator[Moment]) -> None:
        self._house = house
        self._moments = moments
        self._free = _Free(load.users)
        self._visits = 0
        self._begin_ns = 0
        self._ended = False
        self._stopped = False

    @property
    def is_through(self) -> bool:
        return self._ended

    def start(self, begin_ns: int) -> None:
        self._begin_ns = begin_ns
        self._schedule()

    def over(self, visit: Visit) -> None:
        self._free.rest(visit.user.number)

    def stop(self) -> None:
        self._stopped = True

    def _on_time(self, due_ns: int, counts: bool) -> None:
        # What is late when the run is stopped is on the loop already, where no pacer can take it back.
        if not self._stopped:
            self._due(due_ns, counts)

    def _schedule(self) -> None:
        moment = next(self._moments, None)
        if moment is None:
            self._end()
        else:
            due_ns = self._begin_ns + moment.due_ns
            self._house.pacer.at(due_ns, self._on_time, due_ns, moment.counts)

    def _end(self) -> None:
        self._ended = True
        self._house.nobody_left()

    def _due(self, due_ns: int, counts: bool) -> None:
        raise NotImplementedError


class Arrivals(_Open):
    """Users arrive at a rate, whatever became of those before."""

    def __init__(self, house: House, load: Load, sessions: int) -> None:
        super().__init__(house, load, load.profile.arrivals(load.seed))
        self._most = load.visits(sessions)

    def _due(self, due_ns: int, counts: bool) -> None:
        if self._visits == self._most:
            self._end()
            return
        user = self._free.take()
        if counts:
            self._house.count(due_ns, sent=user is not None)
        visit, self._visits = self._visits, self._visits + 1
        if user is None:
            self._house.drop_arrival(visit, due_ns)
        else:
            self._house.let_in(*user, visit, due_ns).start()
        self._schedule()


class Slots(_Open):
    """Requests go out at a rate: each evenly spaced slot is handed to the step that has been ready longest, of
    whatever live session; where none is ready, a new session begins with it."""

    def __init__(self, house: House, load: Load) -> None:
        super().__init__(house, load, load.profile.slots())
        self._ready: deque[tuple[Visit, Step]] = deque()

    def offer(self, visit: Visit, step: Step) -> None:
        """A step is ready to go."""
        self._ready.append((visit, step))

    def _due(self, due_ns: int, counts: bool) -> None:
        sent = self._hand(due_ns) or (self._begin(due_ns) and self._hand(due_ns))
        if counts:
            self._house.count(due_ns, sent=sent)
        if not sent:
            self._house.drop_slot(self._visits, due_ns)
        self._schedule()

    def _hand(self, due_ns: int) -> bool:
        while self._ready:
            visit, step = self._ready.popleft()
            if visit.go(step, due_ns):
                return True
        return False

    def _begin(self, due_ns: int) -> bool:
        user = self._free.take()
        if user is None:
            return False
        visit, self._visits = self._visits, self._visits + 1
        self._house.let_in(*user, visit, due_ns).start()
        return True
