"""Where the time of an exchange went, for clients and for recorders, and where it broke off."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.model import Outcome
from reports.breakdown import Part, break_down
from tests.reports.conftest import exchange

WHOLE: dict[str, Any] = {"sent_ns": 100, "request_done_ns": 110, "first_byte_ns": 200, "done_ns": 250}
CASES: list[tuple[str, dict[str, Any], bool, list[tuple[Part, int]]]] = [
    ("a recording", WHOLE, False, [(Part.SEND, 10), (Part.WAIT, 90), (Part.TRANSFER, 50)]),
    ("a recording that connected", {**WHOLE, "connect_ns": 30}, False,
     [(Part.SEND, 10), (Part.CONNECT, 30), (Part.WAIT, 60), (Part.TRANSFER, 50)]),
    ("a connect longer than all", {**WHOLE, "connect_ns": 900}, False,
     [(Part.SEND, 10), (Part.CONNECT, 90), (Part.TRANSFER, 50)]),
    ("a replay in time", {**WHOLE, "intended_ns": 100}, True,
     [(Part.SEND, 10), (Part.WAIT, 90), (Part.TRANSFER, 50)]),
    ("a replay that queued and connected", {**WHOLE, "intended_ns": 40, "connect_ns": 20}, True,
     [(Part.BEFORE, 40), (Part.CONNECT, 20), (Part.SEND, 10), (Part.WAIT, 90), (Part.TRANSFER, 50)]),
    ("a replay that connected early", {**WHOLE, "intended_ns": 90, "connect_ns": 80}, True,
     [(Part.CONNECT, 10), (Part.SEND, 10), (Part.WAIT, 90), (Part.TRANSFER, 50)]),
    ("sent before it was due", {**WHOLE, "intended_ns": 105}, True,
     [(Part.SEND, 10), (Part.WAIT, 90), (Part.TRANSFER, 50)]),
    ("an answer before the request was whole", {**WHOLE, "request_done_ns": 220}, False,
     [(Part.SEND, 120), (Part.TRANSFER, 30)]),
    ("no answer", {**WHOLE, "first_byte_ns": None, "done_ns": None}, False, [(Part.SEND, 10)]),
    ("no answer until the timeout", {**WHOLE, "first_byte_ns": None}, False, [(Part.SEND, 10), (Part.WAIT, 140)]),
    ("an answer that broke off", {**WHOLE, "done_ns": None}, False, [(Part.SEND, 10), (Part.WAIT, 90)]),
    ("a connect that failed", {"sent_ns": 5, "first_byte_ns": None, "done_ns": 9, "outcome": Outcome.CONNECT_ERROR},
     True, [(Part.CONNECT, 4)]),
    ("nothing but its sending", {"sent_ns": 5, "first_byte_ns": None, "done_ns": None}, True, []),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "at_client", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_break_down_of_an_exchange_gives_its_parts(
    changes: dict[str, Any], at_client: bool, expected: list[tuple[Part, int]]
) -> None:
    stretches = break_down(exchange(1)._replace(**changes), at_client=at_client)
    assert [(stretch.part, stretch.length_ns) for stretch in stretches] == expected


_stamp = st.none() | st.integers(-1000, 1000)


@given(st.integers(-1000, 1000), _stamp, _stamp, _stamp, _stamp, st.none() | st.integers(0, 3000), st.booleans())
def test_break_down_of_any_stamps_touches_and_never_overlaps(
    sent: int, intended: int | None, asked: int | None, first: int | None, done: int | None, connect: int | None,
    at_client: bool,
) -> None:  # fmt: skip
    row = exchange(1)._replace(
        sent_ns=sent, intended_ns=intended, request_done_ns=asked, first_byte_ns=first, done_ns=done, connect_ns=connect
    )
    stretches = break_down(row, at_client=at_client)
    assert all(stretch.length_ns > 0 for stretch in stretches)
    for one, other in pairwise(stretches):
        assert one.begin_ns + one.length_ns == other.begin_ns
