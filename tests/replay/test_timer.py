"""The pacer: never early, in order, with and without the kernel's timer."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
from collections.abc import Callable

import pytest

from nestperf.capture.clock import Clock
from replay.timer import Pacer

MS = 1_000_000


@pytest.fixture(
    params=[pytest.param(True, marks=pytest.mark.skipif(sys.platform != "linux", reason="timerfd is Linux's")), False],
    ids=["timerfd", "loop and spin"],
)
def kernel(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_pacer_calls_in_order_and_never_early(kernel: bool) -> None:
    clock = Clock.start()
    pacer = Pacer(clock, kernel=kernel)
    called: list[tuple[int, int]] = []
    done = asyncio.Event()

    def call(due_ns: int) -> None:
        called.append((due_ns, clock.now_ns()))
        if len(called) == 100:
            done.set()

    chance = random.Random(3)
    start_ns = clock.now_ns() + 20 * MS
    for due_ns in (start_ns + chance.randrange(200 * MS) for _ in range(100)):
        pacer.at(due_ns, call, due_ns)
    await asyncio.wait_for(done.wait(), 10)
    pacer.close()
    assert [due for due, _ in called] == sorted(due for due, _ in called)
    assert all(at >= due for due, at in called)


async def test_pacer_calls_what_is_already_due_soon_and_not_from_within(kernel: bool) -> None:
    pacer = Pacer(Clock.start(), kernel=kernel)
    called: list[str] = []
    pacer.at(0, called.append, "past")
    assert called == []
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    pacer.close()
    assert called == ["past"]


async def test_pacer_calls_what_was_asked_for_from_within_a_call(kernel: bool) -> None:
    clock = Clock.start()
    pacer = Pacer(clock, kernel=kernel)
    done = asyncio.Event()
    stamps: list[int] = []

    def again(left: int) -> None:
        stamps.append(clock.now_ns())
        if left:
            pacer.at(clock.now_ns() + MS, again, left - 1)
        else:
            done.set()

    again(10)
    await asyncio.wait_for(done.wait(), 10)
    pacer.close()
    assert all(later - earlier >= MS for earlier, later in itertools.pairwise(stamps))


async def test_pacer_that_was_cleared_calls_nothing(kernel: bool) -> None:
    clock = Clock.start()
    pacer = Pacer(clock, kernel=kernel)
    called: list[int] = []
    forget: Callable[[int], None] = called.append
    pacer.at(clock.now_ns() + 5 * MS, forget, 1)
    pacer.clear()
    await asyncio.sleep(0.02)
    pacer.close()
    assert called == []


async def test_earlier_moment_set_later_is_called_first(kernel: bool) -> None:
    clock = Clock.start()
    pacer = Pacer(clock, kernel=kernel)
    called: list[str] = []
    done = asyncio.Event()
    pacer.at(clock.now_ns() + 40 * MS, done.set)
    pacer.at(clock.now_ns() + 10 * MS, called.append, "early")
    await asyncio.sleep(0.025)
    assert called == ["early"]
    await asyncio.wait_for(done.wait(), 10)
    pacer.close()
