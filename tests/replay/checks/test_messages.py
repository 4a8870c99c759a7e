"""The message burst: copies that can be told apart, and its judgement over what was sent and answered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nestperf.capture.reader import Capture
from nestperf.capture.vault import Vault
from nestperf.durations import SECOND_NS
from nestperf.verdicts import Verdict
from replay.checks.contract import NothingSuch, Source
from replay.checks.messages import copies
from replay.checks.performance import source_of
from replay.checks.replies import Told, echo_of, judge_messages
from replay.checks.sequels import ACK, choose_answered, choose_caused
from replay.plan import build_plan
from replay.steps import Close, Emit
from tests.replay.conftest import MS, Recording


def source(path: Path) -> Source:
    with Capture.open(path) as capture:
        return source_of(capture, build_plan(capture, Vault.open(path)), 1)


def asking(recording: Recording, *, echo: bool = True) -> Recording:
    """A client that asks three times and is answered, hears something else in between, and pings with an ack."""
    socket = recording.socket(0, 1, 900)
    recording.packet(socket, "client", "connect", 2, "/", None)
    recording.packet(socket, "server", "connect", 3, "/", '{"sid":"x"}')
    for n, at in enumerate((100, 200, 300)):
        told = json.dumps([{"id": n, "text": "hi"}])
        recording.packet(socket, "client", "event", at, "/", told, event="ask")
        recording.packet(socket, "server", "event", at + 4, "/", json.dumps([{"n": n}]), event="noise")
        answer = [{"ok": True, **({"id": n} if echo else {})}]
        recording.packet(socket, "server", "event", at + 5, "/", json.dumps(answer), event="told")
    recording.packet(socket, "server", "event", 700, "/", '[{"n": 9}]', event="noise")
    recording.packet(socket, "client", "event", 800, "/", '["?"]', event="sure", ack_id=3)
    recording.packet(socket, "server", "ack", 805, "/", '["!"]', ack_id=3)
    return recording


def test_answer_is_the_event_that_always_follows_and_little_else_causes(recording: Recording) -> None:
    found = choose_answered(source(asking(recording).finish()))
    assert (found.action.event, found.answer) == ("ask", "told")
    assert found.why == "emit ask: followed by told 3 of 3 times, after 5.00 ms"


def test_acknowledged_emit_is_answered_by_its_ack(recording: Recording) -> None:
    found = choose_answered(source(asking(recording).finish()), "sure")
    assert found.answer == ACK
    assert found.why == "emit sure: acknowledged 1 of 1 times"


def test_pairing_can_be_overruled(recording: Recording) -> None:
    made = source(asking(recording).finish())
    assert choose_answered(made, "ask", "noise").answer == "noise"
    with pytest.raises(NothingSuch, match="no emit `ask` that was answered by `ack`"):
        choose_answered(made, "ask", "ack")
    with pytest.raises(NothingSuch, match="no emit `shout`"):
        choose_answered(made, "shout")


def test_copies_carry_a_value_of_their_own_where_the_answer_repeats_it(recording: Recording) -> None:
    chosen = choose_answered(source(asking(recording).finish()))
    echo = echo_of(chosen)
    assert echo is not None
    session = copies(chosen, 4, echo)
    emits = [step for step in session.steps if isinstance(step.action, Emit)]
    payloads = [json.loads(step.action.payload) for step in emits if isinstance(step.action, Emit)]
    assert payloads == [[{"id": n, "text": "hi"}] for n in range(4)]
    assert len({step.after for step in emits}) == 1, "none waits for another"
    assert isinstance(session.steps[-1].action, Close)


def test_copies_of_an_acknowledged_emit_ask_for_acks_of_their_own(recording: Recording) -> None:
    chosen = choose_answered(source(asking(recording).finish()), "sure")
    steps = copies(chosen, 3, echo_of(chosen)).steps
    assert [step.action.ack_id for step in steps if isinstance(step.action, Emit)] == [0, 1, 2]


def test_nothing_repeated_nothing_told_apart(recording: Recording) -> None:
    assert echo_of(choose_answered(source(asking(recording, echo=False).finish()))) is None


def test_cause_is_no_answer_to_the_one_who_asked(recording: Recording) -> None:
    found = choose_caused(source(asking(recording).finish()))
    assert (found.cause, found.event) == ("emit ask", "noise")


def test_event_that_a_request_caused_is_not_put_down_to_an_emit_shortly_before(recording: Recording) -> None:
    socket = recording.socket(0, 10, 9000)
    recording.packet(socket, "client", "connect", 20)
    recording.packet(socket, "server", "connect", 30, payload="{}")
    recording.packet(socket, "client", "event", 1000, payload="[1]", event="hello")
    recording.exchange("POST", "/items", 2000, 2010, status=201)
    recording.packet(socket, "server", "event", 2005, payload='[{"n":1}]', event="item:new")
    made = source(recording.finish())
    assert choose_caused(made).cause == "POST /items"
    with pytest.raises(NothingSuch, match="nothing that can be repeated came shortly before"):
        choose_caused(made, emits_only=True)
    assert choose_caused(made, "emit hello", emits_only=True).cause == "emit hello", "who names it knows"


def test_cause_that_was_followed_often_comes_before_one_that_was_followed_once(recording: Recording) -> None:
    socket = recording.socket(0, 10, 9000)
    recording.packet(socket, "client", "connect", 20)
    recording.packet(socket, "server", "connect", 30, payload="{}")
    recording.packet(socket, "client", "event", 1000, payload='[{"room":7}]', event="join")
    for n, at in enumerate((1002, 1200, 1400)):
        recording.packet(socket, "client", "event", at, payload=json.dumps([{"text": f"hi {n}"}]), event="say")
        recording.packet(socket, "server", "event", at + 5 + 10 * n, payload=json.dumps([{"n": n}]), event="said")
    found = choose_caused(source(recording.finish()))
    assert found.why == "emit say: followed by said 3 of 3 times, after 15.0 ms", "the only join was nearer to one"


def told(*answers: str, sent: int = 3, at_ms: float = 10) -> Told:
    return Told(
        tuple((str(n), 0, 0) for n in range(sent)),
        tuple((name, round((at_ms + n) * MS)) for n, name in enumerate(answers)),
    )


def test_messages_answered_once_in_order_and_time_pass() -> None:
    found = judge_messages({1: told("0", "1", "2"), 2: told("0", "1", "2")}, 2, 3, SECOND_NS)
    assert (found.verdict, found.n, found.measured) == (Verdict.PASS, 6, "6 of 6 in 12.0 ms")


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        (("0", "2"), "1 of 3 messages were never answered."),
        (("0", "1", "1", "2"), "1 of 3 messages were answered twice."),
        (("1", "0", "2"), "1 answer came before that to an earlier message."),
        ((), "3 of 3 messages were never answered."),
    ],
)
def test_messages_that_are_lost_doubled_or_swapped_fail(answers: tuple[str, ...], sentence: str) -> None:
    found = judge_messages({1: told(*answers)}, 1, 3, SECOND_NS)
    assert (found.verdict, found.sentences) == (Verdict.FAIL, (sentence,))


def test_messages_answered_late_fail_and_exactly_in_time_do_not() -> None:
    assert judge_messages({1: told("0", sent=1, at_ms=1000)}, 1, 1, SECOND_NS).verdict is Verdict.PASS
    found = judge_messages({1: told("0", sent=1, at_ms=1000.1)}, 1, 1, SECOND_NS)
    assert found.sentences == ("1 of 1 answers came after 1 s, the last after 1.00 s.",)


def test_messages_that_cannot_be_told_apart_are_counted() -> None:
    alike = Told(((None, 0, 0),) * 3, ((None, 5), (None, 6), (None, 7), (None, 8)))
    found = judge_messages({1: alike}, 1, 3, SECOND_NS)
    assert found.sentences == ("1 of 3 messages were answered twice.",)


def test_messages_without_traffic_are_not_measured_and_with_too_little_inconclusive() -> None:
    assert judge_messages({}, 5, 50, SECOND_NS).verdict is Verdict.NOT_MEASURED
    assert judge_messages({1: told("0", "1", "2")}, 2, 3, SECOND_NS).verdict is Verdict.INCONCLUSIVE
