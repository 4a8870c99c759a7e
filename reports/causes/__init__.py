"""Likely causes of a broken promise: pure functions over the columns of a capture, each with its evidence.

A cause is claimed only where it accounts for most of what failed or was slow, and where its opposite is there to
compare with: other routes that are fast, other moments that were quiet. Often none is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reports.causes.evidence import FEWEST, Cause, Evidence
from reports.causes.failures import OF_FAILURES
from reports.causes.slowness import OF_SLOWNESS

if TYPE_CHECKING:
    from reports.columns import Mask
    from reports.samples import Exchanges

MOST_CAUSES = 2


def likely_causes(exchanges: Exchanges, selected: Mask, broken: Mask) -> tuple[Cause, ...]:
    """What may have broken a promise, the most telling first; empty where nothing stands out.

    `selected` are the exchanges that the promise is about, `broken` those of them that break it.
    """
    evidence = Evidence(exchanges, selected, broken)
    if len(evidence.broken) < FEWEST:
        return ()
    of_failures = (find(evidence) for find in OF_FAILURES)
    of_slowness = (find(evidence) for find in OF_SLOWNESS)
    first = next((cause for cause in of_failures if cause is not None), None)
    return tuple(cause for cause in (first, *of_slowness) if cause is not None)[:MOST_CAUSES]
