"""Rules overrule what is found: never, fresh, and a link that no equal value shows."""

from __future__ import annotations

import json

import pytest

from nestperf.capture.reader import Capture
from nestperf.capture.vault import Vault
from nestperf.errors import UsageError
from replay.live import LiveState, invent
from replay.plan import build_plan
from replay.provenance.rules import Rules, parse_rules
from replay.steps import SessionPlan
from tests.replay.conftest import Recording

TOKEN = "kQ3vX9_tLw82hZbN5rYc"
JSON = ("Content-Type", "application/json")


def planned(recording: Recording, rules: Rules) -> SessionPlan:
    path = recording.finish()
    with Capture.open(path) as capture:
        (session,) = build_plan(capture, Vault.open(path), (), rules).sessions
    return session


def record_token(recording: Recording) -> None:
    recording.exchange("GET", "/key", 0, 5, answer=json.dumps({"data": {"key": TOKEN}}).encode())
    recording.exchange("POST", "/pay/17", 10, 15, headers=(("X-Signature", "s1gn4ture-of-the-page"), ("X-Key", TOKEN)))
    recording.exchange("POST", "/other", 20, 25, headers=(("X-Key", TOKEN),))


def test_never_keeps_a_place_as_it_was_recorded(recording: Recording) -> None:
    record_token(recording)
    rules = parse_rules('[[never]]\nplace = "header x-key"\nof = "POST /pay/*"', "r.toml")
    assert [(link.step, link.place) for link in planned(recording, rules).links] == [(2, "header x-key")]


def test_link_takes_what_a_rule_names_whatever_its_value(recording: Recording) -> None:
    record_token(recording)
    rules = parse_rules('[[link]]\nplace = "header x-sig*"\nfrom = "json data.key"\nby = "GET /key"', "r.toml")
    session = planned(recording, rules)
    signed = [(link.step, link.source, link.origin, link.reason) for link in session.links if "sig" in link.place]
    assert signed == [(1, 0, "json data.key", "a rule says so")]
    live = LiveState(len(session.values))
    live.learn("h", (), session.steps[0].takes, b'{"data": {"key": "LIVE"}}')
    action = session.steps[1].action
    sent = dict(live.headers("h", getattr(action, "headers", ()), session.steps[1].uses))
    assert (sent["X-Signature"], sent["X-Key"]) == ("LIVE", "LIVE")


def test_fresh_is_made_up_by_every_visit_and_the_same_within_it(recording: Recording) -> None:
    for at in (0, 10):
        recording.exchange("POST", "/carts", at, at + 5, headers=(JSON,), body=b'{"clientRef": "AB-1234-xy"}')
    rules = parse_rules('[[fresh]]\nplace = "json clientRef"', "r.toml")
    session = planned(recording, rules)
    assert [len(step.uses) for step in session.steps] == [1, 1]
    made = {LiveState(1, [(0, session.values[0])]).values[0] for _ in range(20)}
    assert len(made) == 20
    assert all(one and len(one) == 10 and one[2] == one[7] == "-" and one[3:7].isdigit() for one in made)


def test_invented_uuid_is_a_uuid() -> None:
    assert invent("0f8fad5b-d9cb-469f-a165-70867728950e")[14] == "4"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[link]\n", "is no TOML"),
        ('[[always]]\nplace = "x"', "[[always]] is no rule"),
        ('link = "x"', "[[link]] is no rule"),
        ('[[link]]\nplace = "x"', "a [[link]] has no from"),
        ('[[never]]\nwhere = "x"', "where in [[never]] means nothing: write place, of"),
        ("[[fresh]]\nplace = 1", "place in [[fresh]] means nothing"),
    ],
)
def test_rule_that_says_nothing_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=r"^r\.toml") as refused:
        parse_rules(text, "r.toml")
    assert sentence in str(refused.value)
