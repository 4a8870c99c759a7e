"""The rate limit's judgement over rows: exactly at the number, too early, too late, never, without or with a wrong
Retry-After, never admitted again, others hit, used before, too slow, and no traffic."""

from __future__ import annotations

from nestperf.capture.model import Exchange, Outcome, Pairs
from nestperf.verdicts import Verdict
from replay.checks.admissions import Asked, judge_limit, retry_after_ns
from replay.checks.contract import Finding
from tests.replay.checks.conftest import SECOND, exchange

RETRY: Pairs = (("Retry-After", "9"),)
WINDOW = 10 * SECOND


def pressed(admitted: int, *, back: Outcome | None = Outcome.OK, every_ms: float = 1) -> list[Exchange]:
    """So many admitted, one refused (its head is 1), and one more 9 s after it."""
    found = [exchange(n * every_ms) for n in range(admitted)]
    refused = exchange(admitted * every_ms, outcome=Outcome.LIMITED, response_headers=1)
    return [*found, refused, *([exchange(admitted * every_ms + 9001, outcome=back)] if back is not None else [])]


def judge(
    copies: list[Exchange],
    bystander: list[Exchange] | None = None,
    *,
    before: int = 0,
    heads: dict[int, Pairs] | None = None,
) -> Finding:
    """Held against 20 in 10 s; the bystander sends one request late."""
    others = [exchange(5000)] if bystander is None else bystander
    return judge_limit(copies, others, before, Asked(20, WINDOW), {1: RETRY} if heads is None else heads)


def test_limit_that_is_kept_passes() -> None:
    found = judge(pressed(20))
    assert found.verdict is Verdict.PASS, found.sentences
    assert found.measured == "refused after 20"
    numbers = {number.name: number.value for number in found.numbers}
    assert numbers["Retry-After"] == 9 * SECOND
    assert numbers["back after"] == 9 * SECOND
    assert numbers["others admitted meanwhile"] == 1


def test_limit_without_traffic_is_not_measured() -> None:
    assert judge([]).verdict is Verdict.NOT_MEASURED


def test_limit_one_too_early_fails_unless_what_came_before_may_count() -> None:
    found = judge(pressed(19))
    assert found.verdict is Verdict.FAIL
    assert found.sentences == ("The 20th request was refused: 19 were admitted where 20 are promised.",)
    assert judge(pressed(19), before=1).verdict is Verdict.PASS
    assert judge(pressed(18), before=1).verdict is Verdict.FAIL


def test_limit_too_early_fails_when_the_server_says_that_nothing_before_counted() -> None:
    first: Pairs = (("RateLimit-Limit", "20"), ("RateLimit-Remaining", "19"))
    copies = [exchange(0, response_headers=2), *pressed(19)[1:]]
    assert judge(copies, before=1, heads={1: RETRY, 2: first}).verdict is Verdict.FAIL


def test_limit_that_somebody_used_before_is_inconclusive() -> None:
    first: Pairs = (("X-RateLimit-Limit", "20"), ("X-RateLimit-Remaining", "11"))
    copies = [exchange(0, response_headers=2), *pressed(12)[1:]]
    found = judge(copies, heads={1: RETRY, 2: first})
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "8 of 20 were used before" in found.sentences[0]


def test_limit_one_too_late_fails() -> None:
    found = judge(pressed(21))
    assert found.sentences == ("21 requests were admitted where 20 are promised: the 22nd was the first refused.",)


def test_limit_that_never_refuses_fails_and_one_that_was_not_pressed_is_open() -> None:
    found = judge([exchange(n) for n in range(41)])
    assert found.sentences == ("41 requests were admitted where 20 are promised: none was refused.",)
    assert judge([exchange(n) for n in range(20)]).verdict is Verdict.INCONCLUSIVE


def test_limit_pressed_slower_than_the_window_is_inconclusive() -> None:
    found = judge(pressed(25, every_ms=500))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "longer than the window" in found.sentences[0]


def test_limit_whose_refusal_does_not_say_when_to_come_back_fails() -> None:
    assert judge(pressed(20, back=None), heads={}).sentences[0] == "The 429 has no Retry-After."
    soon: Pairs = (("Retry-After", "soon"),)
    assert judge(pressed(20, back=None), heads={1: soon}).sentences[0] == "The 429 has no usable Retry-After (soon)."


def test_limit_that_sends_away_for_longer_than_its_window_fails() -> None:
    found = judge(pressed(20, back=None), heads={1: (("Retry-After", "3600"),)})
    assert found.sentences[0] == "Retry-After says 60.0 min; the window is 10 s."


def test_limit_that_refuses_again_fails_and_one_nobody_came_back_to_is_open() -> None:
    found = judge(pressed(20, back=Outcome.LIMITED))
    assert found.sentences == ("Retry-After said 9.00 s, and the request sent after 9.00 s was refused again.",)
    assert judge(pressed(20, back=None)).verdict is Verdict.INCONCLUSIVE


def test_limit_of_a_long_window_is_judged_without_coming_back() -> None:
    hour = Asked(20, 3600 * SECOND, comes_back=False)
    found = judge_limit(pressed(20, back=None), [exchange(30)], 0, hour, {1: (("Retry-After", "3590"),)})
    assert found.verdict is Verdict.PASS, found.sentences
    assert {number.name: number.value for number in found.numbers}["back after"] is None


def test_limit_that_hits_others_fails_and_without_others_is_open() -> None:
    hit = [exchange(5000, outcome=Outcome.LIMITED), exchange(6000)]
    assert judge(pressed(20), hit).sentences == ("Another identity was refused too: 1 of 2 requests.",)
    assert judge(pressed(20), []).verdict is Verdict.INCONCLUSIVE
    unnamed = judge_limit(pressed(20), hit, 0, Asked(20, WINDOW, named=False), {1: RETRY})
    assert "if that is one account, name two with --identities" in unnamed.sentences[0]


def test_limit_with_other_failures_names_them() -> None:
    copies = [exchange(0, outcome=Outcome.HTTP_ERROR, detail="answered 500"), *pressed(20)[1:]]
    assert "1 requests ended otherwise: answered 500." in judge(copies).sentences


def test_retry_after_is_seconds_or_a_date_held_against_the_answers_own() -> None:
    dated = (("Date", "Sun, 29 Nov 2026 14:00:00 GMT"), ("Retry-After", "Sun, 29 Nov 2026 14:01:30 GMT"))
    assert retry_after_ns((("retry-after", " 60 "),)) == 60 * SECOND
    assert retry_after_ns(dated) == 90 * SECOND
    assert retry_after_ns(dated[1:]) is None
    assert retry_after_ns((("Retry-After", "-1"),)) is None
    assert retry_after_ns(()) is None
