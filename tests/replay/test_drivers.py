"""Who comes when, and that nobody comes after the end; with a clock that only the test moves."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from nestperf.capture.clock import Clock
from nestperf.durations import SECOND_NS
from replay.drivers import Arrivals, Closed, Driver, Slots
from replay.pacing import Load
from replay.player import Visit
from replay.profile import Stage
from replay.stage import User
from replay.steps import Step
from replay.timer import Pacer

MS = 1_000_000


@dataclass
class Time:
    """A clock and a pacer at once; what is due is called when the test lets time pass."""

    now: int = 0
    due: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = field(default_factory=list)
    count: int = 0

    def now_ns(self) -> int:
        return self.now

    def at(self, due_ns: int, call: Callable[..., None], *arguments: Any) -> None:
        self.count += 1
        heapq.heappush(self.due, (max(due_ns, self.now), self.count, call, arguments))

    def pass_until(self, end_ns: int) -> None:
        while self.due and self.due[0][0] <= end_ns:
            self.now, _, call, arguments = heapq.heappop(self.due)
            call(*arguments)
        self.now = end_ns


@dataclass(eq=False)
class Guest:
    """A visit of two steps, the second ready `pause_ns` after the first was sent; over `stay_ns` after it began."""

    house: House
    user: User
    iteration: int
    number: int
    arrival_ns: int
    state: str = "finished"

    def start(self) -> None:
        if self.house.slots is not None:
            self.house.slots.offer(cast(Visit, self), cast(Step, 0))
        else:
            self.house.time.at(self.house.time.now + self.house.stay_ns, self.leave)

    def go(self, step: Any, slot_ns: int) -> bool:
        self.house.sent.append((slot_ns, self.number, step))
        if step == 0:
            assert self.house.slots is not None
            due_ns = self.house.time.now + self.house.pause_ns
            self.house.time.at(due_ns, self.house.slots.offer, self, 1)
        else:
            self.house.time.at(self.house.time.now, self.leave)
        return True

    def leave(self) -> None:
        self.house.left.append(self.number)
        assert self.house.driver is not None
        self.house.driver.over(cast(Visit, self))


@dataclass
class House:
    """What a driver asks for, written down."""

    time: Time = field(default_factory=Time)
    stay_ns: int = 100 * MS
    pause_ns: int = 250 * MS
    driver: Driver | None = None
    slots: Slots | None = None
    came: list[tuple[int, int, int, int]] = field(default_factory=list)
    """(due, user, iteration, visit)"""
    sent: list[tuple[int, int, Any]] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    counted: list[tuple[int, bool]] = field(default_factory=list)
    is_empty: bool = False

    @property
    def clock(self) -> Clock:
        return cast(Clock, self.time)

    @property
    def pacer(self) -> Pacer:
        return cast(Pacer, self.time)

    def let_in(self, user: int, iteration: int, visit: int, arrival_ns: int) -> Visit:
        self.came.append((arrival_ns, user, iteration, visit))
        guest = Guest(
            self, User(number=user, client_id=user + 1, source=None, forwarded=None), iteration, visit, arrival_ns
        )
        return cast(Visit, guest)

    def drop_arrival(self, visit: int, due_ns: int) -> None:
        self.dropped.append(due_ns)

    def drop_slot(self, visit: int, due_ns: int) -> None:
        self.dropped.append(due_ns)

    def count(self, due_ns: int, *, sent: bool) -> None:
        self.counted.append((due_ns, sent))

    def nobody_left(self) -> None:
        self.is_empty = True


def closed(house: House, load: Load, sessions: int = 1) -> Closed:
    house.driver = driver = Closed(house, load, sessions, SECOND_NS)
    return driver


def rate(house: House, load: Load) -> Slots:
    house.driver = house.slots = driver = Slots(house, load)
    return driver


def test_closed_users_come_again_as_soon_as_they_are_through() -> None:
    house = House()
    closed(house, Load(users=2, duration_ns=SECOND_NS, start="together")).start(0)
    house.time.pass_until(350 * MS)
    assert [(due // MS, user, iteration) for due, user, iteration, _ in house.came] == [
        (0, 0, 0), (0, 1, 0), (100, 0, 1), (100, 1, 1), (200, 0, 2), (200, 1, 2), (300, 0, 3), (300, 1, 3),
    ]  # fmt: skip


def test_closed_users_are_through_when_every_session_was_played() -> None:
    house = House()
    driver = closed(house, Load(users=2, start="together"), sessions=3)
    driver.start(0)
    house.time.pass_until(SECOND_NS)
    assert [visit for *_, visit in house.came] == [0, 1, 2]
    assert driver.is_through
    assert house.is_empty


def test_surplus_users_leave_after_their_visit_and_come_again_when_the_level_rises() -> None:
    stages = (Stage(2, 250 * MS), Stage(1, 400 * MS), Stage(2, 250 * MS))
    house = House()
    closed(house, Load(users=2, stages=stages, start="together")).start(0)
    house.time.pass_until(890 * MS)
    second = [due // MS for due, user, *_ in house.came if user == 1]
    assert second == [0, 100, 200, 650, 750, 850]
    assert [iteration for _, user, iteration, _ in house.came if user == 1] == list(range(6))


def test_slots_go_to_the_step_that_was_ready_first_and_else_begin_a_session() -> None:
    house = House()
    rate(house, Load(model="rate", users=10, stages=(Stage(10, SECOND_NS),))).start(0)
    house.time.pass_until(SECOND_NS)
    assert [(slot // MS, visit, step) for slot, visit, step in house.sent] == [
        (0, 0, 0), (100, 1, 0), (200, 2, 0), (300, 0, 1), (400, 1, 1),
        (500, 2, 1), (600, 3, 0), (700, 4, 0), (800, 5, 0), (900, 3, 1),
    ]  # fmt: skip
    assert not house.dropped
    assert [sent for _, sent in house.counted] == [True] * 10


def test_slots_without_a_free_user_are_dropped_and_not_made_up_for() -> None:
    house = House()
    rate(house, Load(model="rate", users=1, stages=(Stage(10, SECOND_NS),))).start(0)
    house.time.pass_until(SECOND_NS)
    assert [(slot // MS, visit, step) for slot, visit, step in house.sent] == [
        (0, 0, 0), (300, 0, 1), (400, 1, 0), (700, 1, 1), (800, 2, 0),
    ]  # fmt: skip
    assert [due // MS for due in house.dropped] == [100, 200, 500, 600, 900]


def test_arrivals_take_new_users_first_and_then_who_rested_longest() -> None:
    house = House(stay_ns=1)
    driver = Arrivals(house, Load(model="sessions", users=2, stages=(Stage(5, SECOND_NS),)), 1)
    house.driver = driver
    driver.start(0)
    house.time.pass_until(2 * SECOND_NS)
    assert [(user, iteration) for _, user, iteration, _ in house.came] == [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2)]
    assert house.is_empty


@pytest.mark.parametrize("model", ["users", "rate", "sessions"])
def test_nobody_comes_once_stopped_whatever_is_on_its_way(model: str) -> None:
    house = House()
    driver: Driver
    if model == "users":
        driver = closed(house, Load(users=3, duration_ns=SECOND_NS))
    elif model == "rate":
        driver = rate(house, Load(model="rate", users=10, stages=(Stage(10, SECOND_NS),)))
    else:
        house.driver = driver = Arrivals(house, Load(model="sessions", users=9, stages=(Stage(9, SECOND_NS),)), 1)
    driver.start(0)
    house.time.pass_until(400 * MS)
    before = (len(house.came), len(house.sent), len(house.dropped))
    assert before[0]
    driver.stop()
    house.time.pass_until(3 * SECOND_NS)
    assert (len(house.came), len(house.sent), len(house.dropped)) == before
