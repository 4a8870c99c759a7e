"""How the event loop waits: it stays awake only where that pays, and never longer than it says."""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Iterator

import pytest

from proxy_addon.wakeups import STAY_AWAKE_NS, Patience, Ready, Wakeups, WatchedSelector

FOUND = [(selectors.SelectorKey(3, 3, selectors.EVENT_READ, None), selectors.EVENT_READ)]
SOON, LATE = STAY_AWAKE_NS // 2, 5 * STAY_AWAKE_NS


class Looks:
    """Stands in for the system's selector: bytes arrive after a number of looks, and a clock moves with every look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.timeouts: list[float | None] = []
        """Of every look at the system."""
        self.empty = 0
        """So many looks find nothing."""
        self._now = 0
        monkeypatch.setattr(selectors.DefaultSelector, "select", self._select)
        monkeypatch.setattr(time, "perf_counter_ns", lambda: self._now)
        monkeypatch.setattr(os, "cpu_count", lambda: 2)

    def _select(self, timeout: float | None = None) -> Ready:
        self.timeouts.append(timeout)
        if timeout == 0:
            self._now += 2_000
            self.empty -= 1
            return [] if self.empty >= 0 else FOUND
        self._now += SOON
        self.empty = 0
        return FOUND


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(monkeypatch)


@pytest.fixture
def waiting(looks: Looks) -> Iterator[WatchedSelector]:
    """A selector for which it pays to stay awake."""
    with WatchedSelector(Wakeups(), gives_way=lambda: False) as selector:
        for _ in range(20):
            selector.select(None)
        looks.timeouts.clear()
        yield selector


def after(*waits_ns: int) -> bool:
    """Whether it pays after such waits."""
    patience = Patience()
    for waited_ns in waits_ns:
        patience.learn(waited_ns)
    return patience.pays


def test_patience_begins_with_sleep_and_is_learnt() -> None:
    assert not after()
    assert after(*[SOON] * 20)
    assert not after(*[SOON] * 20, *[LATE] * 20)


@pytest.mark.parametrize(("soon_of_four", "pays"), [(0, False), (1, False), (2, True), (4, True)])
def test_one_soon_wait_of_three_is_worth_it(soon_of_four: int, pays: bool) -> None:
    assert after(*[SOON if number % 4 < soon_of_four else LATE for number in range(200)]) is pays


def test_it_sleeps_where_nothing_came_soon(looks: Looks) -> None:
    with WatchedSelector(Wakeups(), gives_way=lambda: False) as selector:
        selector.select(None)
        selector.select(0.5)
    assert looks.timeouts == [None, 0.5]


def test_it_looks_again_while_bytes_come_soon(looks: Looks, waiting: WatchedSelector) -> None:
    looks.empty = 10
    assert waiting.select(None) == FOUND
    assert looks.timeouts == [0] * 11


def test_it_sleeps_after_its_patience(looks: Looks, waiting: WatchedSelector) -> None:
    looks.empty = 10_000
    waiting.select(None)
    assert set(looks.timeouts[:-1]) == {0}
    assert len(looks.timeouts) - 1 == STAY_AWAKE_NS / 2_000
    assert looks.timeouts[-1] is None


def test_a_timer_is_not_late_for_it(looks: Looks, waiting: WatchedSelector) -> None:
    looks.empty = 10_000
    waiting.select(0.00003)
    assert len(looks.timeouts) == 16  # 15 looks of 2 µs, and one that takes what is there
    assert looks.timeouts[-1] == 0
    looks.timeouts.clear()
    looks.empty = 10_000
    waiting.select(0.02)
    assert looks.timeouts[-1] == pytest.approx(0.02 - STAY_AWAKE_NS / 1e9)


def test_it_gives_way(looks: Looks) -> None:
    behind = False
    with WatchedSelector(Wakeups(), gives_way=lambda: behind) as selector:
        for _ in range(20):
            selector.select(None)
        behind = True
        looks.timeouts.clear()
        selector.select(None)
    assert looks.timeouts == [None]


def test_it_sleeps_on_a_machine_with_one_core(looks: Looks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    with WatchedSelector(Wakeups(), gives_way=lambda: False) as selector:
        for _ in range(20):
            selector.select(None)
    assert looks.timeouts == [None] * 20


def test_real_sockets_wake_it_and_are_noted() -> None:
    wakeups = Wakeups()
    here, there = socket.socketpair()
    with here, there, WatchedSelector(wakeups, gives_way=lambda: False) as selector:
        selector.register(here, selectors.EVENT_READ)
        for _ in range(50):
            before = wakeups.woke_ns
            there.send(b"x")
            ((key, _),) = selector.select(5)
            assert key.fileobj is here
            assert here.recv(1) == b"x"
            assert wakeups.woke_ns > before == wakeups.before_ns
        begun = time.perf_counter_ns()
        assert selector.select(0.01) == []
        assert time.perf_counter_ns() - begun >= 10_000_000
