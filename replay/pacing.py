"""When users arrive and which session each of them repeats: pure arithmetic on numbers, seeded, without a clock.

This is the closed model: N users, each starting again when it is through. What is in a session keeps its own time:
a step is due its think time after the live end of whatever released it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, TypeAlias

from nestperf.durations import SECOND_NS as SECOND_NS
from nestperf.durations import parse_duration as parse_duration

SPREAD_NS = 10 * SECOND_NS
"""Users arrive within this time at most."""
GRACE_NS = 10 * SECOND_NS
"""How long what is in flight may take to end after the run's time is over."""
PAUSE_NS = SECOND_NS
"""How long a user waits who could not connect at all, before starting again."""

Think: TypeAlias = Literal["recorded", "none"]
Start: TypeAlias = Literal["spread", "together"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The load that was asked for."""

    users: int
    duration_ns: int | None = None
    """None: every session once, and every user at least once."""
    start: Start = "spread"
    think: Think = "recorded"
    seed: int = 1

    def arrivals(self, session_length_ns: int) -> tuple[int, ...]:
        """When each user arrives, nanoseconds since the run began: uniform over the shorter of a session and 10 s.

        One user alone, and users that start together, arrive at 0. Earlier users have smaller numbers.
        """
        spread_ns = min(session_length_ns, SPREAD_NS)
        if self.users == 1 or self.start == "together" or spread_ns <= 0:
            return (0,) * self.users
        chance = random.Random(self.seed)
        return tuple(sorted(chance.randrange(spread_ns) for _ in range(self.users)))

    def session_for(self, user: int, iteration: int, sessions: int) -> int | None:
        """Which session (index) a user repeats at its n-th time; None where it is through.

        Users take turns through the sessions: whatever the timing, the same user repeats the same ones.
        """
        play = user + iteration * self.users
        if self.duration_ns is None and play >= max(sessions, self.users):
            return None
        return play % sessions

    def due_ns(self, released_ns: int, think_ns: int) -> int:
        """When a step is due that was released at `released_ns`."""
        return released_ns if self.think == "none" else released_ns + think_ns


def source_address(user: int, network: int) -> str:
    """A user's own loopback address, 127.N.x.y, never ending in 0 or 255.

    `network` (1 to 254) differs from run to run, so that a server that counts per address does not take one run's
    users for those of the run before. 65,024 users have addresses of their own.
    """
    return f"127.{network}.{user // 254 % 256}.{user % 254 + 1}"


def forwarded_address(user: int, network: int) -> str:
    """A user's address for X-Forwarded-For, out of the block for benchmarks (198.18.0.0/15, RFC 2544)."""
    return f"198.{18 + network % 2}.{user // 254 % 256}.{user % 254 + 1}"
