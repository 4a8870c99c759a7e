"""Reconnecting's judgement: all back, one away, one late, one deaf, events lost and told twice, no traffic."""

from __future__ import annotations

from collections.abc import Sequence

from nestperf.durations import SECOND_NS
from nestperf.verdicts import Verdict
from replay.checks.contract import Finding
from replay.checks.deliveries import Receipt
from replay.checks.returns import Client, hearing_of, judge_reconnect

MS = 1_000_000
CUT, BACK, END = 1000, 2000, 5000
CAUSES = tuple(range(100, 5000, 250))


def client(number: int, back_ms: float | None = BACK, detail: str = "") -> Client:
    back_ns = None if back_ms is None else round(back_ms * MS)
    return Client(
        number=number, sockets=(number, number + 100), cut_ns=CUT * MS, tried_ns=(BACK - 20) * MS, back_ns=back_ns,
        subscribed_ns=back_ns, closed_ns=END * MS, detail=detail,
    )  # fmt: skip


def heard(number: int, *, away: tuple[float, float] = (CUT, BACK)) -> list[Receipt]:
    """Every event but those caused while it was away."""
    return [Receipt(number, (ms + 2) * MS, f"[{ms}]") for ms in CAUSES if not away[0] <= ms < away[1]]


def judged(clients: Sequence[Client], receipts: list[Receipt], **changes: object) -> Finding:
    told = {"asked": len(clients), "within_ns": 5 * SECOND_NS, "may_lose": None, "follows": True} | changes
    return judge_reconnect(clients, [ms * MS for ms in CAUSES], receipts, **told)  # type: ignore[arg-type]


def three() -> list[Client]:
    return [client(n) for n in (1, 2, 3)]


def of(*numbers: int) -> list[Receipt]:
    return [receipt for number in numbers for receipt in heard(number)]


def test_clients_that_are_back_and_hear_everything_pass_with_what_they_missed() -> None:
    # One of them was never away, so that it is known what was caused meanwhile.
    found = judged([*three(), client(4, CUT)], [*of(1, 2, 3), *heard(4, away=(0, 0))])
    assert (found.verdict, found.sentences) == (Verdict.PASS, ())
    numbers = {number.name: number.value for number in found.numbers}
    assert numbers["lost meanwhile"] == 3 * 4
    assert numbers["slowest to be back and subscribed"] == 1 * SECOND_NS
    assert numbers["most in 100 ms"] == 4


def test_client_that_does_not_come_back_is_named_with_its_reason() -> None:
    found = judged([*three(), client(4, None, "answered 503.")], of(1, 2, 3))
    assert found.sentences == ("1 of 4 clients did not come back: answered 503.",)
    assert found.measured.startswith("3 of 4 back")


def test_client_that_is_late_is_named() -> None:
    found = judged([*three(), client(4, 4900)], [*of(1, 2, 3), *heard(4, away=(CUT, 4900))], within_ns=2 * SECOND_NS)
    assert "1 of 4 were back after 2 s, the last after 3.90 s." in found.sentences


def test_client_that_hears_nothing_any_more_lost_its_subscription() -> None:
    found = judged(three(), [*of(1, 2), *heard(3, away=(CUT, END))])
    assert found.sentences == ("1 of 3 clients heard nothing any more after their return.",)


def test_event_that_comes_again_after_the_return_is_counted() -> None:
    found = judged(three(), [*of(1, 2, 3), Receipt(2, (BACK + 1) * MS, f"[{CAUSES[0]}]")])
    assert found.sentences == ("1 event came twice to a client.",)


def test_event_that_misses_one_who_had_subscribed_again_is_lost() -> None:
    missing = next(receipt for receipt in heard(3) if receipt.stamp_ns > 3000 * MS)
    found = judged(three(), [receipt for receipt in of(1, 2, 3) if receipt is not missing and receipt != missing])
    assert found.sentences == ("1 event did not come to clients that had subscribed again.",)


def test_what_may_be_lost_is_a_promise_only_where_it_was_given() -> None:
    clients, receipts = [client(1), client(2, CUT)], [*heard(1), *heard(2, away=(0, 0))]
    assert judged(clients, receipts, may_lose=4).verdict is Verdict.PASS
    found = judged(clients, receipts, may_lose=3)
    assert found.sentences == ("1 of 2 clients missed more than 3 events meanwhile, at most 4.",)


def test_without_clients_or_causes_nothing_is_judged() -> None:
    assert judged([], []).verdict is Verdict.NOT_MEASURED
    never = judge_reconnect(three(), [], [], asked=3, within_ns=5 * SECOND_NS, may_lose=None, follows=True)
    assert never.verdict is Verdict.INCONCLUSIVE
    found = judge_reconnect(three(), [], [], asked=3, within_ns=5 * SECOND_NS, may_lose=None, follows=False)
    assert (found.verdict, found.measured) == (Verdict.PASS, "3 of 3 back in 1.00 s")


def test_payloads_that_are_always_the_same_are_counted() -> None:
    receipts = [Receipt(1, receipt.stamp_ns, "[]") for receipt in heard(1)]
    found = hearing_of(client(1), [ms * MS for ms in CAUSES], receipts)
    assert (found.lost, found.lost_after, found.twice) == (4, 0, 0)
