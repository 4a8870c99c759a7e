"""What a contract needs of a session: what hands out its values, what opened its socket; repeated steps in a row."""

from __future__ import annotations

from replay.checks.cut import cut, indexes_of, needed_by
from replay.steps import Close, Emit, Http, Join, Open
from tests.replay.checks.conftest import call, session

VISIT = session(
    call(1, "GET /"),
    call(2, "POST /login"),
    call(3, "GET /picture"),
    call(4, "GET /dashboard"),
    call(5, "GET /other"),
    links=((3, 1), (1, 0)),
)


def opening(socket: int) -> Open:
    return Open(
        socket=socket, source=9, upstream=0, authority="localhost", target="/socket.io/", route="/socket.io/",
        headers=(), polls=None, replies=(), closed_by_server=False,
    )  # fmt: skip


def join(socket: int, namespace: str) -> Join:
    return Join(socket=socket, source=10, namespace=namespace, payload=None, accepted=True)


def emit(socket: int, namespace: str) -> Emit:
    return Emit(
        socket=socket, source=11, namespace=namespace, event="ask", payload="[]", ack_id=None, acknowledged=False,
        attachments=(),
    )  # fmt: skip


def test_needed_are_the_steps_that_handed_out_what_is_sent_and_theirs() -> None:
    assert needed_by(VISIT, [3]) == (0, 1, 3)
    assert needed_by(VISIT, [4]) == (4,)


def test_cut_keeps_order_and_waits_and_drops_pauses() -> None:
    small = cut(VISIT, needed_by(VISIT, [3]))
    assert [step.action.source for step in small.steps if isinstance(step.action, Http)] == [1, 2, 4]
    assert [step.after for step in small.steps] == [(), (0,), (1,)]
    assert {step.think_ns for step in small.steps} == {0}
    assert [(link.step, link.source) for link in small.links] == [(2, 1), (1, 0)]


def test_cut_repeats_a_step_in_a_row() -> None:
    small = cut(VISIT, (1, 3), repeat=3, times=4)
    assert [step.index for step in small.steps] == [0, 1, 2, 3, 4]
    assert [step.after for step in small.steps] == [(), (0,), (1,), (2,), (3,)]
    assert indexes_of(small, [4], (Http,)) == (1, 2, 3, 4)


def test_needed_on_a_socket_are_its_opening_and_the_namespace() -> None:
    visit = session(
        call(1, "POST /login"), opening(7), join(7, "/"), join(7, "/live"), emit(7, "/live"),
        Close(socket=7, code=1000, reason="", cut=False), links=((3, 0),),
    )  # fmt: skip
    assert needed_by(visit, [4]) == (0, 1, 2, 3, 4)
    small = cut(visit, needed_by(visit, [4]))
    assert [step.behind for step in small.steps] == [None, None, 1, 2, 3]
    assert [step.after for step in small.steps] == [(), (0,), (1,), (0, 2), (3,)]
