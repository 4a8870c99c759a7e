"""A barrier: who comes twice or leaves after coming counts once, and it is passed once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from replay.checks.barrier import Barrier
from replay.player import Visit


def visit(user: int) -> Visit:
    return cast(Visit, SimpleNamespace(user=SimpleNamespace(number=user)))


def test_barrier_is_passed_once_when_all_have_come_or_left() -> None:
    passed: list[bool] = []
    barrier = Barrier(3, lambda: passed.append(True))
    for user in (0, 0, 1, 0, 1):
        barrier.come(visit(user))
    assert (barrier.is_open, passed) == (False, [])
    barrier.come(visit(2))
    barrier.come(visit(1))
    assert (barrier.is_open, passed) == (True, [True])
