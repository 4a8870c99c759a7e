"""Which request a contract repeats: by a pattern, inferred, or one that nobody recorded."""

from __future__ import annotations

import pytest

from nestperf.capture.model import Kind
from replay.checks.choose import choose_call
from replay.checks.contract import NothingSuch, Source
from replay.steps import Plan
from tests.replay.checks.conftest import call, session

BEARER = (("Host", "localhost"), ("Authorization", "Bearer x"), ("User-Agent", "Tester/1"))
VISIT = session(
    call(1, "GET /api/items"),
    call(2, "POST /login"),
    call(3, "GET /api/figures", headers=BEARER),
    call(4, "GET /api/items", headers=BEARER),
    call(5, "GET /api/items", headers=BEARER),
    call(6, "GET /api/broken", status=500),
    call(7, "GET /account"),
    links=((6, 1),),
)
SOURCE = Source(plan=Plan(sessions=(VISIT,), skipped=()))
WITH_HEALTH = Source(plan=Plan(sessions=(session(call(1, "GET /api/v2/healthz")),), skipped=()))


def test_pattern_means_the_first_request_that_went_well() -> None:
    assert choose_call(SOURCE, "GET /api/*").action.source == 1
    assert choose_call(SOURCE, "/api/fig*").action.source == 3
    assert choose_call(SOURCE, "post /login").action.source == 2


def test_pattern_for_people_who_are_signed_in_passes_over_the_anonymous() -> None:
    assert choose_call(SOURCE, "/api/items", signed_in=True).action.source == 4
    assert choose_call(SOURCE, "/account", signed_in=True).action.source == 7
    with pytest.raises(NothingSuch, match="of the 1 requests"):
        choose_call(SOURCE, "POST /login", signed_in=True)


def test_without_a_pattern_it_is_the_health_check_or_the_most_frequent_call() -> None:
    assert choose_call(WITH_HEALTH, "").name == "GET /api/v2/healthz"
    chosen = choose_call(SOURCE, "", signed_in=True)
    assert chosen.action.source == 4
    assert "(2 times)" in chosen.why
    with pytest.raises(NothingSuch, match="health check"):
        choose_call(SOURCE, "")
    with pytest.raises(NothingSuch, match="signed in"):
        choose_call(WITH_HEALTH, "", signed_in=True)


def test_path_that_nobody_recorded_is_a_plain_request_without_credentials() -> None:
    source = Source(plan=Plan(sessions=(session(call(3, "GET /api/figures", headers=BEARER)),), skipped=()))
    chosen = choose_call(source, "/health")
    assert (chosen.name, chosen.action.source, chosen.action.status) == ("GET /health", None, 200)
    assert chosen.action.headers == (("Host", "localhost"), ("User-Agent", "Tester/1"))


def test_path_that_nobody_recorded_is_asked_for_where_calls_are_answered_and_no_pages() -> None:
    front = [call(1, "GET /", kind=Kind.PAGE, upstream=0), *(call(n, "GET /part", upstream=0) for n in range(2, 9))]
    api = call(9, "GET /api/items", upstream=1, authority="localhost:4000", headers=(("Host", "localhost:4000"),))
    chosen = choose_call(Source(plan=Plan(sessions=(session(*front, api),), skipped=())), "/health")
    assert (chosen.action.upstream, chosen.action.authority) == (1, "localhost:4000")
    assert "to where most calls went" in chosen.why
    alone = choose_call(Source(plan=Plan(sessions=(session(*front),), skipped=())), "/health")
    assert alone.action.upstream == 0


@pytest.mark.parametrize("pattern", ["POST /health", "/heal*", "GET /api/broken*"])
def test_what_was_not_recorded_is_not_guessed(pattern: str) -> None:
    with pytest.raises(NothingSuch):
        choose_call(SOURCE, pattern)
