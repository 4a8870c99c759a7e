"""Which points of a cloud have to be drawn so that the picture shows what all of them would. Pure.

Up to `MOST` points all are. Of more, one of each occupied cell of a fine grid (time across, logarithm of the duration
upwards), the least and the greatest of each column, and the greatest of all: what lies apart from the others is alone
in its cell, so no outlier is hidden.
"""

from __future__ import annotations

import numpy as np

from reports.columns import Codes, Stamps

MOST = 2_500
COLUMNS, LEVELS = 200, 36
GREATEST = 100
_LEAST_NS = 1_000.0


def thin(when: Stamps, took: Stamps, kinds: int = 1) -> Codes:
    """The places of the points to draw, ascending. Points without a time or a duration are none.

    `when` and `took` are nanoseconds, one of each a point. `kinds`: so many clouds of very many points share a picture
    and its cells.
    """
    rows = np.flatnonzero(np.isfinite(when) & np.isfinite(took))
    if len(rows) <= MOST:
        return rows
    coarser = max(1, kinds) ** 0.5
    column = _scaled(when[rows], round(COLUMNS / coarser))
    level = _scaled(np.log(np.maximum(took[rows], _LEAST_NS)), round(LEVELS / coarser))
    _, of_cells = np.unique(column * LEVELS + level, return_index=True)
    by_size = np.lexsort((took[rows], column))
    ends = np.flatnonzero(np.diff(column[by_size], append=-1))
    begins = np.concatenate(([0], ends[:-1] + 1))
    greatest = np.argsort(-took[rows], kind="stable")[:GREATEST]
    kept: Codes = rows[np.unique(np.concatenate((of_cells, by_size[begins], by_size[ends], greatest)))]
    return kept


def _scaled(values: Stamps, steps: int) -> Codes:
    """Each value's step, of so many equal ones between the least and the greatest."""
    least, greatest = float(np.min(values)), float(np.max(values))
    if greatest <= least:
        return np.zeros(len(values), dtype=np.int64)
    step: Codes = np.minimum((values - least) / (greatest - least) * steps, steps - 1).astype(np.int64)
    return step
