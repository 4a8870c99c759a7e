"""The level of load over a run, in straight pieces, and the moments that follow from it. Pure arithmetic, no clock.

A level is a number of users in the closed model, and a number of requests or arrivals a second in the open ones. All
moments are nanoseconds since the run began.

- Slots are evenly spaced: slot k stands where the level's integral reaches k.
- Arrivals are those of a Poisson process, as independent people come; each piece has exactly as many as slots, at the
  moments of such a process given its count (uniform order statistics: Cox & Lewis 1966, 2.1), so that the asked rate
  is met to the last arrival.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from nestperf.durations import SECOND_NS

PhaseName: TypeAlias = Literal["ramp", "warm-up", "load"]
"""Only what was due in `load` counts for verdicts, unless the rest is asked in."""


class Stage(NamedTuple):
    """A level that is held."""

    level: float
    length_ns: int | None
    """None: until everybody is through."""


class Piece(NamedTuple):
    """A stretch in which the level goes straight from one value to another."""

    phase: PhaseName
    begin_ns: int
    length_ns: int | None
    first: float
    """The level at its beginning."""
    last: float

    @property
    def end_ns(self) -> int | None:
        """Its end; None for one without."""
        return None if self.length_ns is None else self.begin_ns + self.length_ns

    @property
    def quantity(self) -> float:
        """The level's integral over the piece, in level times seconds."""
        assert self.length_ns is not None
        return (self.first + self.last) / 2 * self.length_ns / SECOND_NS

    def level_at(self, ns: int) -> float:
        """The level at a moment of the piece."""
        if not self.length_ns:
            return self.last
        return self.first + (self.last - self.first) * (ns - self.begin_ns) / self.length_ns

    def moment_of(self, quantity: float) -> int:
        """When the integral since the piece's beginning reaches `quantity`."""
        assert self.length_ns is not None
        slope = (self.last - self.first) / (self.length_ns / SECOND_NS)
        root = math.sqrt(max(0.0, self.first**2 + 2 * slope * quantity))
        seconds = 2 * quantity / (self.first + root) if quantity > 0 else 0.0
        return self.begin_ns + min(round(seconds * SECOND_NS), self.length_ns)


class Phase(NamedTuple):
    """A stretch of the run with one meaning."""

    name: PhaseName
    begin_ns: int
    end_ns: int | None


class Moment(NamedTuple):
    """When something is due."""

    due_ns: int
    counts: bool
    """It lies in a `load` phase."""


class Coming(NamedTuple):
    """A user of the closed model comes."""

    due_ns: int
    user: int


@dataclass(frozen=True, slots=True)
class Profile:
    """The whole course of a run's load."""

    pieces: tuple[Piece, ...]

    @property
    def end_ns(self) -> int | None:
        """When the last piece ends; None where it has no end."""
        return self.pieces[-1].end_ns

    @property
    def highest(self) -> float:
        """The highest level."""
        return max(max(piece.first, piece.last) for piece in self.pieces)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The pieces by meaning, neighbours of the same one joined."""
        phases: list[Phase] = []
        for piece in self.pieces:
            if phases and phases[-1].name == piece.phase:
                phases[-1] = phases[-1]._replace(end_ns=piece.end_ns)
            else:
                phases.append(Phase(piece.phase, piece.begin_ns, piece.end_ns))
        return tuple(phases)

    def level_at(self, ns: int) -> float:
        """The level at a moment; after the end the last one."""
        for piece in self.pieces:
            end_ns = piece.end_ns
            if end_ns is None or ns < end_ns:
                return piece.level_at(ns)
        return self.pieces[-1].last

    def slots(self) -> Iterator[Moment]:
        """Evenly spaced moments, the first at the beginning; of a profile with an end."""
        for piece, before, count in self._counts():
            for number in range(count):
                yield Moment(piece.moment_of(number + math.ceil(before) - before), piece.phase == "load")

    def arrivals(self, seed: int) -> Iterator[Moment]:
        """Poisson arrivals, as many as slots, ascending; the same for the same seed. Needs no memory."""
        chance = random.Random(seed)
        for piece, _, count in self._counts():
            share = 0.0
            for left in range(count, 0, -1):
                share += (1 - share) * (1 - chance.random() ** (1 / left))
                yield Moment(piece.moment_of(piece.quantity * share), piece.phase == "load")

    def _counts(self) -> Iterator[tuple[Piece, float, int]]:
        """Each piece, the integral before it, and how many slots stand in it."""
        before = 0.0
        for piece in self.pieces:
            after = before + piece.quantity
            if abs(after - round(after)) < 1e-6:  # 59.999999999 is sixty
                after = float(round(after))
            yield piece, before, math.ceil(after) - math.ceil(before)
            before = after

    def comings(self, spread_ns: int, seed: int) -> tuple[Coming, ...]:
        """When each user comes, ascending: along a ramp evenly; where the level jumps, spread over `spread_ns` at
        random (0: all at once), earlier users having smaller numbers. A user comes again where the level has fallen
        below it and rises again."""
        chance = random.Random(seed)
        comings: list[Coming] = []
        level = 0.0
        for piece in self.pieces:
            jumped = math.ceil(piece.first) - math.ceil(level)
            if jumped > 0:
                over_ns = spread_ns if piece.length_ns is None else min(spread_ns, piece.length_ns)
                moments = _spread(jumped, over_ns, chance)
                comings += [Coming(piece.begin_ns + ns, math.ceil(level) + n) for n, ns in enumerate(moments)]
            for user in range(math.ceil(piece.first), math.ceil(piece.last)):
                assert piece.length_ns is not None
                share = (user - piece.first) / (piece.last - piece.first)
                comings.append(Coming(piece.begin_ns + round(share * piece.length_ns), user))
            level = piece.last
        return tuple(sorted(comings))

    def wants(self, user: int, ns: int) -> bool:
        """Whether the closed model still has that user at a moment."""
        return user < self.level_at(ns)


def _spread(count: int, over_ns: int, chance: random.Random) -> list[int]:
    if count == 1 or over_ns <= 0:
        return [0] * count
    return sorted(chance.randrange(over_ns) for _ in range(count))


def build_profile(stages: tuple[Stage, ...], *, ramp_ns: int = 0, warm_up_ns: int = 0) -> Profile:
    """Plateaus, each with a ramp before it from the level before (from nothing, at first); the first one is held for
    `warm_up_ns` before it counts."""
    pieces: list[Piece] = []
    at_ns, level = 0, 0.0
    for number, stage in enumerate(stages):
        if ramp_ns and stage.level != level:
            pieces.append(Piece("ramp", at_ns, ramp_ns, level, stage.level))
            at_ns += ramp_ns
        level = stage.level
        if warm_up_ns and number == 0:
            pieces.append(Piece("warm-up", at_ns, warm_up_ns, level, level))
            at_ns += warm_up_ns
        pieces.append(Piece("load", at_ns, stage.length_ns, level, level))
        at_ns += stage.length_ns or 0
    return Profile(tuple(pieces))
