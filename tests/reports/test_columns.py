"""Columns of rows: numbers and NULL as they are, whatever comes first in a batch, strings as codes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from reports.columns import read_columns

NUMBERS = st.none() | st.integers(-(2**53), 2**53) | st.sampled_from([0, 1, 200])


@given(
    rows=st.lists(st.tuples(NUMBERS, st.sampled_from(["a", "b", None]), NUMBERS, st.just(7), st.none()), max_size=40),
    size=st.integers(1, 15),
)
def test_columns_hold_what_the_rows_hold(
    rows: list[tuple[int | None, str | None, int | None, int, None]], size: int
) -> None:
    batches = (rows[at : at + size] for at in range(0, len(rows), size))
    first, text, third, same, nothing = read_columns(iter(batches), frozenset({1}), 5)
    for place, column in ((0, first), (2, third), (3, same), (4, nothing)):
        expected = np.array([row[place] for row in rows], dtype=np.float64)
        assert column.dtype == np.float64
        assert np.array_equal(column, expected, equal_nan=True)
    assert [text.names[code] for code in text.codes] == [row[1] or "" for row in rows]
