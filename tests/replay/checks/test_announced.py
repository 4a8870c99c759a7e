"""What answers say of their rate limits: both families of fields, with and without a window, and nonsense."""

from __future__ import annotations

import pytest

from nestperf.capture.model import Pairs
from replay.checks.announced import Announced, announced
from replay.checks.contract import Source
from replay.checks.limit import RateLimit
from replay.steps import Plan
from tests.replay.checks.conftest import SECOND, call, exchange, session

TOLD: Pairs = (("RateLimit-Policy", "100;w=60"), ("RateLimit-Limit", "100"), ("RateLimit-Remaining", "97"))


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        (TOLD, Announced(100, 2, 60 * SECOND)),
        ((("X-RateLimit-Limit", "20"), ("X-RateLimit-Remaining", "19")), Announced(20, 0, None)),
        ((("RateLimit-Limit", "5"),), Announced(5, None, None)),
        ((("RateLimit-Limit", "5"), ("RateLimit-Remaining", "9")), Announced(5, 0, None)),
        ((("RateLimit-Limit", "many"),), None),
        ((("X-RateLimit-Limit", "0"),), None),
        ((), None),
    ],
)
def test_limit_is_read_where_it_stands(headers: Pairs, found: Announced | None) -> None:
    assert announced(headers) == found


@pytest.mark.parametrize(
    ("heads", "sentence"),
    [
        ({7: TOLD}, "100 requests in 60 s, as the recorded answer says"),
        ({}, "100 requests in 60 s, a guess: no recorded answer says"),
        ({7: (("X-RateLimit-Limit", "20"),)}, "20 requests in 60 s, as the recorded answer says"),
    ],
)
def test_contract_without_numbers_takes_those_of_the_recorded_answer(heads: dict[int, Pairs], sentence: str) -> None:
    source = Source(
        plan=Plan(sessions=(session(call(1, "GET /items")),), skipped=()),
        exchanges=(exchange(0, id=1, response_headers=7),),
        heads=heads,
    )
    contract = RateLimit(call="/items", signed_in=False, requests=None, window_ns=None, comes_back=True)
    assert sentence in contract.prepare(source).chosen
