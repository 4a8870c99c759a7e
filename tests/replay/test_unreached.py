"""What a run was too short to ask for is counted and named."""

from __future__ import annotations

from nestperf.capture.model import Kind
from replay.certificate import Tally
from replay.steps import Plan
from replay.unreached import never_asked, unreached
from tests.replay.checks.conftest import call, session

VISIT = session(
    call(1, "GET /", kind=Kind.PAGE),
    call(2, "GET /logo", kind=Kind.ASSET),
    call(3, "GET /items"),
    call(4, "POST /orders"),
    call(5, "GET /items"),
    call(6, "GET /\x1b[2J"),
)
PLAN = Plan(sessions=(VISIT,), skipped=())


def tally(**visits: int) -> Tally:
    made = Tally()
    made.asked |= {("GET", "/"), ("GET", "/items")}
    made.visits.update(visits)
    return made


def test_routes_that_no_visit_got_to_are_named_assets_apart() -> None:
    found = unreached(PLAN, tally(cut=3, finished=1))
    assert found == {"routes": 4, "never_asked": 2, "never_asked_first": ["POST /orders", "GET /\x1b[2J"]}
    assert never_asked(found) == "2 of 4 recorded routes, such as POST /orders, GET /\\e[2J"


def test_run_whose_visits_came_to_their_end_or_asked_for_everything_says_nothing() -> None:
    assert unreached(PLAN, tally(finished=4)) == {}
    everything = tally(cut=1)
    everything.asked |= {("POST", "/orders"), ("GET", "/\x1b[2J")}
    assert unreached(PLAN, everything) == {}
    assert never_asked({}) == ""
