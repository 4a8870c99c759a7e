"""The load that was asked for: when users come, which session each repeats, how long each pauses. Pure arithmetic on
numbers, seeded, without a clock; how it is written on the command line is in `replay.asked`.

Three models. *Closed* (`users`): so many users, each starting again when it is through. *Open* (`sessions`): users
arrive at a rate, whatever became of those before. *Open by request* (`rate`): requests go out at a rate, each handed
to the next live session that is ready for one. What is in a session keeps its own time in all three: a step is due
its think time after the live end of whatever released it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from nestperf.durations import SECOND_NS
from replay.profile import Coming, Profile, Stage, build_profile

SPREAD_NS = 10 * SECOND_NS
"""Users arrive within this time at most."""
GRACE_NS = 10 * SECOND_NS
"""How long what is in flight may take to end after the run's time is over."""
PAUSE_NS = SECOND_NS
"""How long a user waits who could not connect at all, before starting again."""
NETWORKS = 253
"""How many 127.N networks there are for users' addresses."""
JITTER = 0.5
"""With jitter, a pause is uniform between 1 - JITTER and 1 + JITTER times what it would have been."""

Model: TypeAlias = Literal["users", "sessions", "rate"]
Start: TypeAlias = Literal["spread", "together"]


class Think(NamedTuple):
    """What becomes of the recorded pauses."""

    factor: float = 1.0
    """0: none."""
    jitter: bool = False

    def __str__(self) -> str:
        """As on the command line."""
        if self.jitter:
            return "jitter"
        return {0.0: "none", 1.0: "recorded"}.get(self.factor, f"{self.factor:g}x")


RECORDED = Think()
NONE = Think(0.0)


class Pace(NamedTuple):
    """The pauses of one visit."""

    factor: float = 1.0
    """Of think times."""
    hold: float = 1.0
    """Of the time that a stream which does not end is held."""
    max_idle_ns: int | None = None
    key: int | None = None
    """What jitter is drawn from; None: no jitter."""

    def pause_ns(self, think_ns: int, step: int) -> int:
        """How long the visit pauses before that step. The same key and step always give the same pause."""
        if self.factor != 1.0:
            think_ns = round(think_ns * self.factor)
        if self.key is not None:
            think_ns = round(think_ns * (1 - JITTER + 2 * JITTER * chance_of(self.key, step)))
        if self.max_idle_ns is not None and think_ns > self.max_idle_ns:
            return self.max_idle_ns
        return think_ns

    def hold_ns(self, hold_ns: int) -> int:
        """How long a stream is held."""
        return hold_ns if self.hold == 1.0 else round(hold_ns * self.hold)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The load that was asked for."""

    model: Model = "users"
    users: int = 1
    """Closed: how many. Open: at most so many at once."""
    stages: tuple[Stage, ...] = ()
    """Levels one after another: users, or requests or arrivals a second. Closed and empty: `users`, for
    `duration_ns`."""
    duration_ns: int | None = None
    """Closed, without stages: how long; None: every session once, and every user at least once."""
    until_through: bool = False
    """Open: it ends when everybody who arrived is through, not when the time is over."""
    ramp_ns: int = 0
    warm_up_ns: int = 0
    loops: int | None = None
    """How often every session is repeated, at most."""
    start: Start = "spread"
    think: Think = RECORDED
    speed: float = 1.0
    """How many times as fast as recorded time passes inside sessions: pauses, and how long streams are held."""
    max_idle_ns: int | None = None
    seed: int = 1

    @property
    def profile(self) -> Profile:
        """The load's course."""
        stages = self.stages or (Stage(self.users, self.duration_ns),)
        return build_profile(stages, ramp_ns=self.ramp_ns, warm_up_ns=self.warm_up_ns)

    @property
    def is_timed(self) -> bool:
        """Whether time ends it, whoever is still under way."""
        return (bool(self.stages) or self.duration_ns is not None) and not self.until_through

    @property
    def is_paced(self) -> bool:
        """Whether it says when something is to be sent, rather than only what waits for what."""
        return self.model != "users" or self.think.factor > 0

    def comings(self, session_length_ns: int) -> tuple[Coming, ...]:
        """The closed model: when each user comes. Without a ramp they are spread over a session's length, 10 s at
        most, unless they start together; one user alone comes at 0."""
        spread_ns = 0 if self.start == "together" else min(session_length_ns, SPREAD_NS)
        return self.profile.comings(spread_ns, self.seed)

    def visits(self, sessions: int) -> int | None:
        """How many visits the whole run has; None where only time ends it."""
        once = max(sessions, self.users) if self.model == "users" else sessions
        if self.loops is not None:
            return once * self.loops
        return None if self.is_timed else once

    def visit_of(self, user: int, iteration: int, sessions: int) -> int | None:
        """The closed model: the number of a user's n-th visit; None where the user is through.

        Users take turns: whatever the timing, the same user makes the same visits.
        """
        visit = user + iteration * self.users
        most = self.visits(sessions)
        return None if most is not None and visit >= most else visit

    def pace(self, user: int, iteration: int) -> Pace:
        """The pauses of a user's n-th visit."""
        key = mix(mix(self.seed, user), iteration) if self.think.jitter else None
        return Pace(self.think.factor / self.speed, 1 / self.speed, self.max_idle_ns, key)


def session_of(visit: int, sessions: int, sides: int = 1, seed: int = 1) -> tuple[int, int]:
    """Which session (index) a visit repeats and on which side: sessions take turns, and each goes to every side
    before the next one's turn, in an order drawn anew each time."""
    turn, place = divmod(visit, sides)
    side = place if sides == 1 else (place + math.floor(chance_of(seed, turn) * sides)) % sides
    return turn % sessions, side


def mix(seed: int, number: int) -> int:
    """A 64-bit hash of two numbers: the finalizer of SplitMix64 (Steele, Lea, Flood 2014), which has no state."""
    bits = (seed * 0x9E3779B97F4A7C15 + number * 0xD1B54A32D192ED03 + 0x632BE59BD9B4E019) & 0xFFFFFFFFFFFFFFFF
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return bits ^ (bits >> 31)


def chance_of(seed: int, number: int) -> float:
    """A number in [0, 1), the same for the same arguments."""
    return (mix(seed, number) >> 11) / (1 << 53)


def network_of(number: int) -> int:
    """Which 127.N network the users of the n-th run come from; runs take turns at the `NETWORKS` there are."""
    return 1 + number % NETWORKS


def source_address(user: int, network: int) -> str:
    """A user's own loopback address, 127.N.x.y, never ending in 0 or 255.

    `network` (`network_of`) differs from run to run, so that a server that counts per address does not take one run's
    users for those of the run before. 65,024 users have addresses of their own.
    """
    return f"127.{network}.{user // 254 % 256}.{user % 254 + 1}"


def forwarded_address(user: int, network: int) -> str:
    """A user's address for X-Forwarded-For, out of the block for benchmarks (198.18.0.0/15, RFC 2544)."""
    return f"198.{18 + network % 2}.{user // 254 % 256}.{user % 254 + 1}"
