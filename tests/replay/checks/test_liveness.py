"""The connections' judgement over rows: all stayed, one late, refused, closed, unanswered, none at all."""

from __future__ import annotations

import pytest

from nestperf.capture.model import Outcome, Packet, Socket
from nestperf.verdicts import Verdict
from replay.checks.contract import Finding
from replay.checks.liveness import judge_connections, ping_interval_ns
from tests.replay.checks.conftest import SECOND, packet, socket

OPEN = '{"sid":"x","pingInterval":300,"pingTimeout":20000}'


def spoken(socket_id: int, *, joined_ms: tuple[float, ...] = (8, 12), pings: int = 1, pongs: int = 1) -> list[Packet]:
    """What one client heard and said."""
    return [
        packet(socket_id, "server", 5, engine_type="open", payload=OPEN),
        *(packet(socket_id, "server", at, type="connect") for at in joined_ms),
        *(packet(socket_id, "server", 310, engine_type="ping") for _ in range(pings)),
        *(packet(socket_id, "client", 311, engine_type="pong") for _ in range(pongs)),
    ]


def judge(sockets: list[Socket], packets: list[Packet], users: int = 2) -> Finding:
    return judge_connections(sockets, packets, users, joins=2, within_ns=SECOND)


def test_connections_that_stay_pass() -> None:
    found = judge([socket(1), socket(2)], [*spoken(1), *spoken(2, joined_ms=(8, 40))])
    assert found.verdict is Verdict.PASS, found.sentences
    assert found.measured == "2 of 2 in 40.0 ms"
    assert {number.name: number.value for number in found.numbers}["pings"] == 2


def test_connections_without_traffic_are_not_measured_and_with_too_few_inconclusive() -> None:
    assert judge([], []).verdict is Verdict.NOT_MEASURED
    assert judge([socket(1)], spoken(1)).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("joined_ms", "verdict"), [(1000, Verdict.PASS), (1000.001, Verdict.FAIL)])
def test_connection_exactly_at_the_limit_keeps_it(joined_ms: float, verdict: Verdict) -> None:
    found = judge([socket(1), socket(2)], [*spoken(1), *spoken(2, joined_ms=(8, joined_ms))])
    assert found.verdict is verdict
    assert verdict is Verdict.PASS or found.sentences == ("1 of 2 were connected after 1 s, the last after 1.00 s.",)


def test_connection_that_joined_too_few_namespaces_did_not_connect() -> None:
    refused = socket(2, outcome=Outcome.MISMATCH, detail="/live refused to be joined; in the recording it let in")
    found = judge([socket(1), refused], [*spoken(1), *spoken(2, joined_ms=(8,))])
    assert found.sentences == (
        "1 of 2 clients did not connect: /live refused to be joined; in the recording it let in.",
    )


def test_connection_that_the_server_closed_is_named_with_its_reason() -> None:
    closed = socket(2, closed_by="server", detail="closed by the server with code 1011, unlike recorded")
    found = judge([socket(1), closed], [*spoken(1), *spoken(2)])
    assert found.measured == "1 of 2 in 12.0 ms"
    assert found.sentences == (
        "1 of 2 connections ended unexpectedly: closed by the server with code 1011, unlike recorded.",
    )


def test_connection_that_did_not_answer_or_was_never_asked_fails() -> None:
    found = judge([socket(1), socket(2)], [*spoken(1, pings=2), *spoken(2)])
    assert found.sentences == ("1 of 3 pings went unanswered.",)
    silent = judge([socket(1, closed_ms=9000), socket(2)], [*spoken(1, pings=0, pongs=0), *spoken(2)])
    assert silent.sentences == ("1 of 2 clients were never pinged in 8.99 s, longer than the server's interval.",)


def test_ping_interval_is_what_the_server_said_first() -> None:
    assert ping_interval_ns(spoken(1)) == 300_000_000
    assert ping_interval_ns([packet(1, "server", 1, engine_type="open", payload="nonsense")]) is None
    assert ping_interval_ns([]) is None
