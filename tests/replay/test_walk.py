"""Intended times under a clock that only the test moves: exact to the nanosecond."""

from __future__ import annotations

import pytest

from replay.pacing import NONE, Load
from replay.steps import Leave, Step
from replay.structure import release_order
from replay.walk import Walk, invert

MS = 1_000_000

Spans = list[tuple[int, int]]

RECORDED: Spans = [(0, 10), (12, 20), (13, 30), (35, 40)]
"""Milliseconds: one, then two at once, then one after both."""

LIVE = [
    ("as fast as recorded", {0: 10, 1: 8, 2: 17, 3: 5}, [1000, 1012, 1013, 1035]),
    ("slower: think time begins when the answer is there", {0: 100, 1: 8, 2: 17, 3: 5}, [1000, 1102, 1103, 1125]),
    ("the other of two is last: the fourth waits for it", {0: 10, 1: 50, 2: 1, 3: 5}, [1000, 1012, 1013, 1067]),
    ("faster than recorded: think times stay", {0: 1, 1: 1, 2: 1, 3: 1}, [1000, 1003, 1004, 1010]),
]
"""A sentence, how long each live answer takes, when each step is due for a user that arrives at 1000 ms."""


def steps(recorded: Spans) -> list[Step]:
    releases = release_order([(a * MS, b * MS) for a, b in recorded], 0)
    return [
        Step(
            index=index,
            action=Leave(socket=1, source=index, namespace="/"),
            sent_ns=span[0] * MS,
            waited=True,
            after=release.after,
            think_ns=release.think_ns,
            behind=None,
        )
        for index, (span, release) in enumerate(zip(recorded, releases, strict=True))
    ]


def walked(load: Load, durations: dict[int, int]) -> list[int]:
    """When each step was due, in milliseconds."""
    planned = steps(RECORDED)
    walk = Walk(planned, invert(planned), load.pace(0, 0), 1000 * MS)
    intended = dict.fromkeys(range(len(planned)), -1)
    due = walk.first()
    under_way: list[tuple[int, int]] = []
    while due or under_way:
        for step, intended_ns in due:
            intended[step.index] = intended_ns // MS
            under_way.append((intended_ns + durations[step.index] * MS, step.index))
        under_way.sort()
        done_ns, index = under_way.pop(0)
        due = walk.end(index, done_ns)
    assert walk.left == 0
    return list(intended.values())


@pytest.mark.parametrize(("durations", "expected"), [case[1:] for case in LIVE], ids=[case[0] for case in LIVE])
def test_intended_times_of_a_table_are_exact(durations: dict[int, int], expected: list[int]) -> None:
    assert walked(Load(users=1), durations) == expected


def test_intended_times_without_think_are_the_releases() -> None:
    assert walked(Load(users=1, think=NONE), {0: 10, 1: 8, 2: 17, 3: 5}) == [1000, 1010, 1010, 1027]


def test_walk_told_twice_of_an_end_releases_once() -> None:
    planned = steps(RECORDED)
    walk = Walk(planned, invert(planned), Load().pace(0, 0), 0)
    assert [step.index for step, _ in walk.end(0, 5)] == [1, 2]
    assert walk.end(0, 9) == []
    assert walk.left == 3
