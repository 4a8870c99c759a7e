"""How a repeated exchange ended: a table."""

from __future__ import annotations

import pytest

from nestperf.capture.model import Outcome
from replay.outcome import judge_exchange

TABLE = [
    ("same status", 200, 200, None, Outcome.OK),
    ("same class", 201, 200, None, Outcome.OK),
    ("a refusal that was recorded", 404, 401, None, Outcome.OK),
    ("a server error that was recorded", 502, 500, None, Outcome.OK),
    ("304 for 200", 304, 200, None, Outcome.OK),
    ("200 for 304", 200, 304, None, Outcome.OK),
    ("a redirect for 200", 302, 200, None, Outcome.MISMATCH),
    ("refused, unlike the recording", 401, 200, None, Outcome.MISMATCH),
    ("served, unlike the recording", 200, 401, None, Outcome.MISMATCH),
    ("broken, unlike the recording", 500, 200, None, Outcome.MISMATCH),
    ("limited", 429, 200, None, Outcome.LIMITED),
    ("limited where another 4xx was recorded", 429, 404, None, Outcome.LIMITED),
    ("limited as recorded", 429, 429, None, Outcome.LIMITED),
    ("never answered in the recording, now refused", 403, None, None, Outcome.REFUSED),
    ("never answered in the recording, now broken", 503, None, None, Outcome.HTTP_ERROR),
    ("never answered in the recording, now fine", 200, None, None, Outcome.OK),
    ("nothing came in time", None, 200, Outcome.TIMEOUT, Outcome.TIMEOUT),
    ("the answer was cut off", 200, 200, Outcome.RESET, Outcome.RESET),
    ("a stream let go of as recorded", 200, 200, Outcome.ABORTED, Outcome.OK),
    ("let go of before anything came", None, 200, Outcome.ABORTED, Outcome.ABORTED),
]


@pytest.mark.parametrize(
    ("status", "recorded", "failure", "expected"), [case[1:] for case in TABLE], ids=[case[0] for case in TABLE]
)
def test_outcome_of_a_table_is_exact(
    status: int | None, recorded: int | None, failure: Outcome | None, expected: Outcome
) -> None:
    assert judge_exchange(status, recorded, failure, "why").outcome is expected


def test_mismatch_says_what_came_and_what_was_expected() -> None:
    judged = judge_exchange(401, 200, None, None, "; later steps wanted json token from this answer")
    assert judged.detail == (
        "answered 401 where the recording has 200; later steps wanted json token from this answer; likely cause: "
        "a token or session that is not this user's or has expired"
    )


def test_mismatch_whose_cause_may_be_anything_names_none() -> None:
    assert judge_exchange(500, 200, None, None).detail == "answered 500 where the recording has 200"
    assert "--before" in (judge_exchange(200, 409, None, None).detail or "")
