"""Which exchanges go by a mark's or a test's name, in recordings and in what replays them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture import marks as naming
from nestperf.capture.marks import Named, Row, for_a_replay, name_exchanges
from nestperf.capture.model import Mark

HEADER = 7


def sent(*stamps: int) -> list[Row]:
    """Exchanges 1, 2, ... sent at these moments."""
    return [Row(number, stamp, None, None) for number, stamp in enumerate(stamps, 1)]


def mark(stamp_ns: int, text: str, source: str = "key", end_ns: int | None = None) -> Mark:
    return Mark(stamp_ns, stamp_ns, end_ns, text, source)


def test_a_mark_lasts_until_the_next_and_the_last_to_the_end() -> None:
    marks = [mark(20, "search"), mark(10, "sign in", "command")]
    assert name_exchanges(marks, {}, sent(9, 10, 19, 20, 500)) == (
        Named("sign in", "command", (10,), (2, 3)),
        Named("search", "key", (20,), (4, 5)),
    )


def test_a_name_given_twice_is_one_name() -> None:
    marks = [mark(10, "search"), mark(20, "other"), mark(30, "search")]
    (search, other) = name_exchanges(marks, {}, sent(11, 21, 31))
    assert search == Named("search", "key", (10, 30), (1, 3))
    assert other.exchanges == (2,)


def test_a_span_ends_by_itself_and_ends_no_mark() -> None:
    marks = [mark(10, "visit"), mark(15, "query", "measure", 18), mark(16, "beside", "measure", 17)]
    named = {one.text: one.exchanges for one in name_exchanges(marks, {}, sent(10, 15, 16, 17, 18, 99))}
    assert named == {"visit": (1, 2, 3, 4, 5, 6), "query": (2, 3, 4), "beside": (3,)}


def test_a_mark_under_which_nothing_happened_is_kept() -> None:
    assert name_exchanges([mark(10, "nothing")], {}, []) == (Named("nothing", "key", (10,), ()),)


def test_a_test_names_its_own_requests_whatever_else_runs() -> None:
    rows = [Row(1, 5, HEADER, None), Row(2, 6, None, None), Row(3, 7, 8, None), Row(4, 8, HEADER, None)]
    named = name_exchanges([mark(6, "by hand")], {HEADER: "signs in", 8: "searches"}, rows)
    assert {(one.source, one.text): one.exchanges for one in named} == {
        ("key", "by hand"): (2, 3, 4),
        ("test", "signs in"): (1, 4),
        ("test", "searches"): (3,),
    }


def test_a_replay_goes_by_the_names_of_what_it_repeats() -> None:
    recorded = (Named("search", "key", (10,), (2, 3, 4, 9)), Named("signs in", "test", (), (5,)))
    marks = list(for_a_replay((*recorded, Named("nothing", "key", (1,), ()))))
    assert [json.loads(mark.source_exchanges or "") for mark in marks] == [[[2, 4], [9, 9]], [[5, 5]]]
    rows = [Row(1, 0, None, 1), Row(2, 0, None, 3), Row(3, 0, None, 3), Row(4, 0, None, 5), Row(5, 0, None, None)]
    rows += [Row(6, 0, None, 8), Row(7, 0, None, 9), Row(8, 0, None, 10)]
    again = name_exchanges(marks, {}, rows)
    assert again == (Named("search", "key", (), (2, 3, 7)), Named("signs in", "test", (), (4,)))


@given(st.sets(st.integers(1, 200), min_size=1), st.lists(st.integers(1, 210), max_size=50))
def test_ranges_hold_exactly_the_exchanges(ids: set[int], sources: list[int]) -> None:
    marks = list(for_a_replay([Named("x", "key", (), tuple(sorted(ids)))]))
    rows = [Row(number, 0, None, source) for number, source in enumerate(sources)]
    (named,) = name_exchanges(marks, {}, rows)
    assert named.exchanges == tuple(number for number, source in enumerate(sources) if source in ids)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("signs in", "signs in"),
        ("Anmeldung%20l%C3%A4uft", "Anmeldung läuft"),
        ("Ã¼ber", "über"),
        ("caf\xe9", "café"),
        ("  ", ""),
        ("x" * 1000, "x" * 300),
        ("100%", "100%"),
    ],
)
def test_a_tests_name_is_read_from_the_header(value: str, name: str) -> None:
    assert naming.test_name(value) == name
