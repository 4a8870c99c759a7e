"""What waits for what, what is sent and what is not, and why."""

from __future__ import annotations

import random

import pytest

from nestperf.capture.model import Kind, Outcome
from nestperf.errors import CaptureEmpty
from replay.steps import Close, Emit, Http, Join, Leave, Open, SessionPlan
from replay.structure import release_order
from tests.replay.conftest import MS, Recording, plan_of


def ms(*spans: tuple[float, float | None]) -> list[tuple[int, int | None]]:
    return [(round(a * MS), None if b is None else round(b * MS)) for a, b in spans]


RELEASES = [
    ("one after the other", ms((0, 10), (15, 20), (21, 30)), [((), 0), ((0,), 5), ((1,), 1)]),
    ("three at once, then one", ms((0, 9), (1, 8), (2, 12), (15, 16)), [((), 0), ((), 1), ((), 2), ((0, 1, 2), 3)]),
    ("a long one beside two short ones", ms((0, 50), (5, 10), (12, 20)), [((), 0), ((), 5), ((1,), 2)]),
    ("released by the first of two", ms((0, 10), (1, 30), (12, 20), (31, 35)), [((), 0), ((), 1), ((0,), 2),
                                                                             ((1, 2), 1)]),
    ("ended the moment another began", ms((0, 10), (10, 20)), [((), 0), ((0,), 0)]),
    ("nobody waits for what never ended", ms((0, None), (5, 6), (9, 10)), [((), 0), ((), 5), ((1,), 3)]),
    ("three without duration keep their order", ms((5, 5), (5, 5), (5, 5)), [((), 0), ((0,), 0), ((1,), 0)]),
]  # fmt: skip


@pytest.mark.parametrize(("spans", "expected"), [case[1:] for case in RELEASES], ids=[case[0] for case in RELEASES])
def test_release_order_of_a_table_is_exact(
    spans: list[tuple[int, int | None]], expected: list[tuple[tuple[int, ...], float]]
) -> None:
    releases = release_order(spans, spans[0][0])
    assert [(release.after, release.think_ns) for release in releases] == [
        (after, round(think * MS)) for after, think in expected
    ]


@pytest.mark.parametrize("seed", range(20))
def test_release_order_of_random_spans_is_the_transitive_reduction(seed: int) -> None:
    chance = random.Random(seed)
    spans = sorted((start := chance.randrange(60), start + chance.randrange(1, 25)) for _ in range(40))
    releases = release_order(spans, spans[0][0])
    before: list[set[int]] = [{j for j in range(i) if spans[j][1] <= spans[i][0]} for i in range(len(spans))]
    for index, release in enumerate(releases):
        reduced = {j for j in before[index] if not any(j in before[k] for k in before[index])}
        assert set(release.after) == reduced
        latest = max((spans[j][1] for j in before[index]), default=spans[0][0])
        assert release.think_ns == spans[index][0] - latest


def test_session_of_a_page_keeps_parallel_what_was_parallel(recording: Recording) -> None:
    page = recording.exchange("GET", "/", 100, 150)
    recording.exchange("GET", "/a.js", 160, 200, connection=1)
    recording.exchange("GET", "/b.js", 161, 210, connection=2)
    recording.exchange("POST", "/api/x", 500, 520, body=b"{}")
    (session,) = recording.plan().sessions
    assert [step.after for step in session.steps] == [(), (0,), (0,), (1, 2)]
    assert [step.think_ns for step in session.steps] == [0, 10 * MS, 11 * MS, 290 * MS]
    assert session.length_ns == 420 * MS
    assert http(session, 0).source == page


def test_a_redirect_is_followed_at_its_head_also_where_its_answer_ends_later(recording: Recording) -> None:
    answered = (("Location", "/home/u-4711"), ("Set-Cookie", "sid=1f9a77c0e2"))
    recording.exchange("POST", "/login", 0, 30, body=b"a=1", first_byte_ns=20 * MS, status=302, answer_headers=answered)
    recording.exchange("GET", "/home/u-4711", 22, 40, headers=(("Cookie", "sid=1f9a77c0e2"),))
    (session,) = recording.plan().sessions
    assert session.steps[1].after == (0,)
    assert session.steps[1].think_ns == 2 * MS
    assert [link.place for link in session.links if link.by_jar] == ["cookie sid"]


def http(session: SessionPlan, index: int) -> Http:
    action = session.steps[index].action
    assert isinstance(action, Http)
    return action


def test_plan_sends_originals_where_the_capture_has_placeholders(recording: Recording) -> None:
    recording.exchange(
        "POST", "/login?token=topsecretvalue", 0, 1,
        headers=(("Authorization", "Bearer abc.def.ghi-0123456789"), ("Cookie", "a=1; sid=s3cr3t-cookie-value"),
                 ("Content-Type", "application/json")),
        body=b'{"password": "hunter2-hunter2", "n": 1}',
    )  # fmt: skip
    (session,) = recording.plan().sessions
    action = http(session, 0)
    stored = recording.path.read_bytes()
    for secret in (b"topsecretvalue", b"abc.def.ghi-0123456789", b"s3cr3t-cookie-value", b"hunter2-hunter2"):
        assert secret not in stored
    assert action.target == "/login?token=topsecretvalue"
    assert dict(action.headers)["Authorization"] == "Bearer abc.def.ghi-0123456789"
    assert dict(action.headers)["Cookie"] == "a=1; sid=s3cr3t-cookie-value"
    assert action.body == b'{"password": "hunter2-hunter2", "n": 1}'
    assert {"topsecretvalue", "abc.def.ghi-0123456789", "s3cr3t-cookie-value", "hunter2-hunter2"} <= set(
        session.secrets
    )


def test_what_is_not_sent_is_listed_with_its_reason(recording: Recording) -> None:
    recording.exchange("GET", "/", 0, 1)
    skipped = {
        recording.exchange("GET", "/api", 2, 3, server_call=True): "a server-side call",
        recording.exchange("GET", "/socket.io/?EIO=4&transport=polling", 4, 5): "a Socket.IO poll",
        recording.exchange("GET", "/never", 6, None, request_done_ns=None): "its request was never complete",
        recording.exchange("GET", "/dropped", 7, None, outcome=Outcome.DROPPED): "it was never sent",
        recording.exchange("GET", "/nobody", 8, 9, client_id=None): "nobody is known to have sent it",
    }
    opaque = recording.socket(10, 11, 12, protocol="opaque", version=None)
    plan = recording.plan()
    assert sum(len(session.steps) for session in plan.sessions) == 1
    reasons = {(entry.table, entry.id): entry.reason for entry in plan.skipped}
    for exchange_id, reason in skipped.items():
        assert reasons["exchanges", exchange_id].startswith(reason)
    assert reasons["sockets", opaque] == "what it spoke was not understood"


def test_streams_and_unfinished_exchanges_are_sent_and_not_waited_for(recording: Recording) -> None:
    events = (("Content-Type", "text/event-stream"),)
    recording.exchange("GET", "/events", 0, 50, answer_headers=events)
    recording.exchange("GET", "/open", 1, None, status=None)
    recording.exchange("GET", "/gone", 2, 40, outcome=Outcome.ABORTED)
    recording.exchange("GET", "/next", 60, 61)
    (session,) = recording.plan(ended=100).sessions
    assert [step.waited for step in session.steps] == [False, False, False, True]
    assert session.steps[3].after == ()
    assert [http(session, index).hold_ns for index in range(4)] == [None, 99 * MS, 38 * MS, None]
    assert http(session, 0).kind is Kind.STREAM


def test_each_person_of_a_recording_is_a_session(recording: Recording) -> None:
    recording.exchange("GET", "/a", 0, 1, client=1)
    recording.exchange("GET", "/b", 0.5, 5, client=2)
    recording.exchange("GET", "/c", 9, 10, client=1)
    first, second = recording.plan().sessions
    assert [http(first, index).target for index in range(2)] == ["/a", "/c"]
    assert [http(second, index).target for index in range(1)] == ["/b"]
    assert first.user_agent == "Tester/1"


def test_socket_steps_join_emit_leave_and_close_in_order(recording: Recording) -> None:
    socket = recording.socket(0, 10, 100)
    recording.packet(socket, "client", "connect", 11, "/media", '{"token":"eyJhbGciOi.eyJzdWIiOj.c2lnbmF0dXJl"}')
    recording.packet(socket, "server", "connect", 20, "/media", '{"sid":"x"}')
    recording.packet(socket, "client", "event", 30, "/media", "[1]", event="ask", ack_id=0)
    recording.packet(socket, "client", "event", 31, "/media", "[2]", event="tell")
    recording.packet(socket, "server", "ack", 45, "/media", "[]", ack_id=0)
    recording.packet(socket, "client", "disconnect", 60, "/media")
    (session,) = recording.plan().sessions
    kinds = [type(step.action) for step in session.steps]
    assert kinds == [Open, Join, Emit, Emit, Leave, Close]
    assert [step.after for step in session.steps] == [(), (0,), (1,), (1,), (2, 3), (4,)]
    assert [step.behind for step in session.steps] == [None, 0, 1, 2, 3, 4]
    assert [step.think_ns for step in session.steps] == [0, MS, 10 * MS, 11 * MS, 15 * MS, 40 * MS]
    join, emit, close = (session.steps[index].action for index in (1, 2, 5))
    assert isinstance(join, Join)
    assert join.payload == '{"token":"eyJhbGciOi.eyJzdWIiOj.c2lnbmF0dXJl"}'
    assert join.accepted is True
    assert isinstance(emit, Emit)
    assert emit.acknowledged
    assert isinstance(close, Close)
    assert (close.code, close.cut) == (1001, False)


def test_handshake_renews_what_a_new_connection_must_renew(recording: Recording) -> None:
    recording.socket(0, 1, 2, target="/socket.io/?EIO=4&transport=websocket&sid=old", headers=(("Origin", "http://x"),))
    (session,) = recording.plan().sessions
    action = session.steps[0].action
    assert isinstance(action, Open)
    assert action.target == "/socket.io/?EIO=4&transport=websocket"
    names = [name.lower() for name, _ in action.headers]
    assert "sec-websocket-extensions" not in names
    assert "origin" in names


POLL = "/socket.io/?EIO=4&transport=polling"


def polled(recording: Recording, *, upgrade: int | None = None) -> Open:
    origin = (("Origin", "http://x"),)
    poll = recording.exchange("GET", f"{POLL}&t=abc", 0, 2, headers=origin)
    again = (*origin, ("Cookie", "AWSALB=x"))
    recording.exchange("GET", f"{POLL}&t=abd&sid=recorded-sid", 3, 8, headers=again)
    text = ("Content-Type", "text/plain;charset=UTF-8")
    recording.exchange("POST", f"{POLL}&t=abe&sid=recorded-sid", 4, 5, headers=(*again, text), body=b"40")
    transports = "polling"
    if upgrade is not None:
        target = "/socket.io/?EIO=4&transport=websocket&sid=recorded-sid"
        fields = (("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "x"))
        recording.exchange("GET", target, 5, 6, headers=(*again, *fields), status=upgrade)
        transports += ",websocket" * (upgrade == 101)
    recording.socket(0, 2, 9, target=f"{POLL}&t=abc", transports=transports, exchange_id=poll)
    action = recording.plan().sessions[0].steps[0].action
    assert isinstance(action, Open)
    assert action.source == poll
    return action


def test_polling_connection_is_opened_as_it_was_with_the_fields_of_each_kind_of_poll(recording: Recording) -> None:
    action = polled(recording)
    assert action.target == POLL
    assert action.polls is not None
    assert action.polls.stamped
    assert (action.polls.upgrade, action.polls.upgrade_status) == (None, None)
    assert dict(action.headers) == {"Host": "localhost:4000", "Origin": "http://x"}
    assert dict(action.polls.get)["Cookie"] == "AWSALB=x"
    assert dict(action.polls.post)["Content-Type"] == "text/plain;charset=UTF-8"


@pytest.mark.parametrize("status", [101, 400])
def test_upgrade_of_a_polling_connection_is_tried_as_it_was(recording: Recording, status: int) -> None:
    polls = polled(recording, upgrade=status).polls
    assert polls is not None
    assert polls.upgrade is not None
    assert dict(polls.upgrade)["Upgrade"] == "websocket"
    assert polls.upgrade_status == status
    assert polls.upgrade_source is not None


def test_connection_whose_first_request_was_not_recorded_is_not_replayed(recording: Recording) -> None:
    recording.socket(0, 2, 9, target=f"{POLL}&t=abc", transports="polling,websocket", exchange_id=None)
    recording.exchange("GET", "/", 10, 11)
    skipped = [one for one in recording.plan().skipped if one.table == "sockets"]
    assert [one.reason for one in skipped] == ["the request that opened it was not recorded"]


def test_socket_open_at_the_end_stays_open_until_the_recording_ended(recording: Recording) -> None:
    recording.socket(0, 10, None)
    (session,) = recording.plan(ended=500).sessions
    assert isinstance(session.steps[1].action, Close)
    assert session.steps[1].think_ns == 490 * MS


@pytest.mark.parametrize(
    ("closed_by", "outcome"), [("server", Outcome.OK), ("cut", Outcome.RESET)], ids=["close frame", "cut"]
)
def test_socket_that_the_server_closed_is_waited_for(recording: Recording, closed_by: str, outcome: Outcome) -> None:
    recording.socket(0, 10, 50, closed_by=closed_by, outcome=outcome)
    (session,) = recording.plan().sessions
    opened, closed = session.steps
    assert isinstance(opened.action, Open)
    assert isinstance(closed.action, Close)
    assert closed.action.by_server
    assert closed.think_ns == 40 * MS


def test_server_events_that_asked_for_an_ack_carry_the_recorded_reply(recording: Recording) -> None:
    socket = recording.socket(0, 1, 90)
    recording.packet(socket, "server", "event", 5, "/", "[]", event="sure?", ack_id=7)
    recording.packet(socket, "client", "ack", 6, "/", '["yes"]', ack_id=7)
    (session,) = recording.plan().sessions
    action = session.steps[0].action
    assert isinstance(action, Open)
    assert [(reply.event, reply.payload) for reply in action.replies] == [("sure?", '["yes"]')]


def test_connection_limit_is_a_browsers_or_what_was_recorded(recording: Recording) -> None:
    for number in range(9):
        recording.exchange("GET", f"/{number}", number, 100 + number, connection=number)
    assert recording.plan().sessions[0].connections == {0: 9}


def test_body_that_was_not_stored_whole_is_not_sent(recording: Recording) -> None:
    recording.exchange("GET", "/", 0, 1)
    recording._contents.max_request = 10
    recording.exchange("POST", "/upload", 2, 3, body=b"x" * 300_000)
    plan = recording.plan()
    assert [entry.reason for entry in plan.skipped] == ["its body was not stored whole"]


def test_capture_with_nothing_to_send_is_refused_with_the_reason(recording: Recording) -> None:
    recording.exchange("GET", "/api", 2, 3, server_call=True)
    recording.finish()
    with pytest.raises(CaptureEmpty, match=r"nothing to replay.*server-side call.*nestperf record"):
        plan_of(recording.path)


def test_plan_of_one_capture_is_always_the_same(recording: Recording) -> None:
    for number in range(30):
        recording.exchange("GET", f"/{number}", number % 7, 10 + number % 5)
    recording.finish()
    assert plan_of(recording.path) == plan_of(recording.path)
