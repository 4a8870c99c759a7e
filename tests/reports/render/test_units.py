"""Numbers as people read them."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.console import duration
from reports.expressions import Dimension
from reports.render.units import format_count, format_limit, format_measured, format_rate, format_share

DURATIONS = [
    (None, "–"), (0, "0 ms"), (7, "7 ns"), (999, "999 ns"), (83_123, "83.1 µs"), (999_600, "1.00 ms"),
    (41_250_000, "41.2 ms"), (412_400_000, "412 ms"), (1_049_000_000, "1.05 s"), (72_000_000_000, "72.0 s"),
    (599_900_000_000, "600 s"), (750_000_000_000, "12.5 min"), (-5_000_000, "-5.00 ms"),
]  # fmt: skip


@pytest.mark.parametrize(("ns", "shown"), DURATIONS, ids=[shown for _, shown in DURATIONS])
def test_duration_of_a_table_has_three_digits_and_a_unit(ns: int | None, shown: str) -> None:
    assert duration(ns) == shown


@given(st.integers(1, 10**13))
def test_duration_of_any_is_within_half_a_percent(ns: int) -> None:
    number, unit = duration(ns).replace(",", "").split(" ")
    factor = {"ns": 1, "µs": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9}[unit]
    assert abs(float(number) * factor - ns) <= 0.00501 * ns


SHARES = [(None, "–"), (0, "0 %"), (1, "100 %"), (0.5, "50 %"), (0.0012, "0.12 %"), (1 / 3, "33.3 %"),
          (0.99999, "99.999 %"), (0.000001, "0.0001 %"), (0.9951, "99.5 %")]  # fmt: skip


@pytest.mark.parametrize(("share", "shown"), SHARES, ids=[shown for _, shown in SHARES])
def test_format_share_of_a_table_never_rounds_to_all_or_nothing(share: float | None, shown: str) -> None:
    assert format_share(share) == shown


def test_format_count_and_rate_set_thousands_off() -> None:
    assert (format_count(1234567), format_count(None)) == ("1,234,567", "–")
    assert [format_rate(value) for value in (None, 0.0, 8.69, 12.6, 7129.0)] == ["–", "0", "8.7", "13", "7,129"]


def test_format_limit_reads_as_it_was_written() -> None:
    assert [format_limit(Fraction(ns)) for ns in (10**9, 500 * 10**6, 1_500_000, 60 * 10**9)] == [
        "1 s", "500 ms", "1.5 ms", "60 s"]  # fmt: skip
    assert format_limit(Fraction(1, 200), Dimension.SHARE) == "0.5 %"
    assert format_limit(Fraction(1000), Dimension.NUMBER) == "1,000"


def test_format_measured_beside_its_limit_never_looks_like_it() -> None:
    limit = Fraction(10**9)
    assert format_measured(1_000_400_000, limit, Dimension.TIME) == "1.0004 s"
    assert format_measured(1_000_000_000, limit, Dimension.TIME) == "1.00 s"
    assert format_measured(412_000_000, limit, Dimension.TIME) == "412 ms"
    assert format_measured(0.0099999, Fraction(1, 100), Dimension.SHARE) == "0.99999 %"
