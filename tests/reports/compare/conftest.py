"""Simulated latencies whose truth is known."""

from __future__ import annotations

import numpy as np

from reports.compare.evidence import Evidence, weigh_evidence
from reports.dependence import Floats

MS = 1e6


def lognormal(chance: np.random.Generator, n: int, sigma: float = 0.5) -> Floats:
    """Latencies around 20 ms, nanoseconds."""
    made: Floats = 20 * MS * np.exp(sigma * chance.standard_normal(n))
    return made


def report_of(
    chance: np.random.Generator,
    *,
    routes: int = 30,
    runs: int = 3,
    n: int = 200,
    by_run: float = 0,
    by_route: float = 0,
) -> list[Evidence]:
    """A report in which nothing changed, with so much noise between runs (standard deviations of logarithms)."""
    whole = by_run * chance.standard_normal(runs + 1)
    evidence = []
    for _ in range(routes):
        factors = np.exp(whole + by_route * chance.standard_normal(runs + 1))
        *old, new = (factor * lognormal(chance, n) for factor in factors)
        evidence.append(weigh_evidence(old, new))
    return evidence
