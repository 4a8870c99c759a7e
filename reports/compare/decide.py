"""Which routes changed: every test of every route against the noise, corrected for having looked so often.

The correction is Holm's (Scandinavian Journal of Statistics 6, 1979), weighted: whatever the tests have to do with
each other, a report in which nothing changed calls something a regression in at most `ERROR` of all cases, and the
same goes for improvements. Pure: arrays in, numbers out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.compare import failures
from reports.compare.evidence import LEVELS, TESTS, WEIGHTS, Evidence, signed_roots
from reports.compare.noise import FEWEST_RUNS, SHIFT_ERROR, Noise
from reports.dependence import Floats
from reports.statistics import student_limit, student_tail

ERROR = 0.01
"""How often a report may call regression where nothing changed."""
RESERVE = 0.0015
"""Of it kept for what the tests do not know: the dependence of few samples is estimated, and where it comes out too
small (AR(1), 200 samples a side) without this a report would call regression in 1.1 % of cases."""
LEAST_EFFECT = math.log(1.05)
"""Smaller changes are never a regression, however certain: nobody feels them and every build has them."""
DEFAULT_FLOOR = math.log(1.30)
"""Without three baselines or an interleaved run: runs that differ by 5 %, the one as the other, pass it in about 1 %
of reports with 30 routes."""
FOUND_Z = 2.0
"""So many standard errors beyond the least significant change, a change is found in more than 90 % of cases, also
where the noise is a little larger than it was estimated."""

Flags = np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decision:
    """What became of one route: a flag for each of `TESTS`."""

    slower: Flags
    """Proven, and more than the noise."""
    faster: Flags
    unproven: Flags
    """More than chance, but maybe only the noise between runs."""
    detectable: Floats
    """The smallest log(new / old) that would have been found; infinite where none would."""
    freedom: Floats
    """Degrees of freedom of the error and the noise together."""


def decide(evidence: Sequence[Evidence], noise: Noise, *, floor: float = LEAST_EFFECT) -> list[Decision]:
    """Judge all routes of a report together.

    `floor` is the least effect that may be called a change: `DEFAULT_FLOOR` where `noise` is not known.
    """
    if not evidence:
        return []
    z, effect, freedom, error = (
        np.stack([getattr(e, name) for e in evidence]) for name in ("z", "effect", "freedom", "error")
    )
    permitted = ERROR - RESERVE - failures.ERROR - (SHIFT_ERROR if noise.shift_known else 0.0)
    sampling = np.where((z != 0) & (effect != 0), effect / np.where(z == 0, 1, z), error) ** 2
    joint = _joint_freedom(sampling, freedom, noise)
    cleared = _smaller(effect, effect - noise.unproven_shift)
    score = np.where(z * effect > 0, cleared / np.sqrt(np.maximum(sampling + noise.variance, 1e-18)), 0.0)
    over = np.abs(effect) > floor
    slower = _holm(score, joint, permitted) & over
    faster = _holm(-score, joint, permitted) & over
    plain = np.where(z * effect > 0, z, 0.0)
    chance = (_holm(plain, freedom, permitted) | _holm(-plain, freedom, permitted)) & (np.abs(effect) > LEAST_EFFECT)
    expected = _joint_freedom(error**2, freedom, noise)
    limits = _limits(expected, permitted / len(evidence))
    detectable = np.maximum((limits + FOUND_Z) * np.sqrt(error**2 + noise.variance), floor + FOUND_Z * error)
    detectable = detectable + abs(noise.unproven_shift)
    for row, (e, limit) in enumerate(zip(evidence, limits, strict=True)):
        detectable[row, _out_of_reach(e, limit)] = math.inf
    return [
        Decision(
            slower=slower[place],
            faster=faster[place],
            unproven=chance[place] & ~slower[place] & ~faster[place],
            detectable=detectable[place],
            freedom=expected[place],
        )
        for place in range(len(evidence))
    ]


def floor_of(runs: int, *, interleaved: bool = False) -> float:
    """The least effect that may be called a change, by how much is known about the noise."""
    return LEAST_EFFECT if interleaved or runs >= FEWEST_RUNS else DEFAULT_FLOOR


def _smaller(a: Floats, b: Floats) -> Floats:
    """Whichever is nearer to zero; zero where they disagree about the direction."""
    nearer: Floats = np.where(a * b > 0, np.sign(a) * np.minimum(np.abs(a), np.abs(b)), 0.0)
    return nearer


def _joint_freedom(sampling: Floats, freedom: Floats, noise: Noise) -> Floats:
    """Degrees of freedom of a sum of variances (Satterthwaite, Biometrics Bulletin 2, 1946)."""
    parts = sampling**2 / freedom + noise.variance**2 / noise.freedom
    total = (sampling + noise.variance) ** 2
    joint: Floats = np.divide(total, parts, out=np.full_like(total, math.inf), where=parts > 0)
    return np.maximum(joint, 1.0)


def _holm(score: Floats, freedom: Floats, permitted: float) -> Flags:
    """Which scores are larger than chance allows, of all routes and tests together."""
    routes = len(score)
    flags = np.zeros(score.shape, dtype=bool)
    # A score below two is never significant where it is one of eight tests: most need no tail at all.
    candidates = [
        (student_tail(float(score[place]), float(freedom[place])) / WEIGHTS[place[1]], place)
        for place in zip(*np.nonzero(score > 2), strict=True)
    ]
    left = float(routes)
    for p, place in sorted(candidates):
        if p > permitted / left:
            break
        flags[place] = True
        left -= WEIGHTS[place[1]]
    return flags


def _limits(freedom: Floats, permitted: float) -> Floats:
    """The score that each test needs at Holm's first step; the degrees of freedom to two digits, so that most are
    known already."""
    return np.array([
        [student_limit(permitted * WEIGHTS[test], float(f"{row[test]:.2g}")) for test in range(len(TESTS))]
        for row in freedom
    ])  # fmt: skip


def _out_of_reach(evidence: Evidence, limits: Floats) -> Flags:
    """Tests that would not find even a slowest tenth (twice the exceeding share) that is slower without end."""
    shares = 1 - np.array(LEVELS)
    exceeding = shares * (evidence.n_old + evidence.n_new)
    best = np.minimum(2 * shares * evidence.n_new, exceeding)
    scores = signed_roots(exceeding - best, evidence.n_old, best, evidence.n_new) / np.sqrt(evidence.inflation[1:])
    return np.concatenate(([False], scores < limits[1:] + FOUND_Z))
