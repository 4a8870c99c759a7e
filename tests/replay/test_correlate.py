"""Which values are taken from live answers and where they go: on recordings, with decoys."""

from __future__ import annotations

import json

import pytest

from nestperf.capture.vault import secrets_path
from replay.steps import SessionPlan
from tests.replay.conftest import Recording, plan_of

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.c2lnbmF0dXJlLW9mLXRoZS10ZXN0"
CSRF = "5f2b9d1c8e7a4f60b3d2"
JSON = ("Content-Type", "application/json")


def links(session: SessionPlan) -> list[tuple[int, str, str, list[tuple[int, str, str]]]]:
    """(consuming step, place, the value, its producers as (step, source, path))."""
    found: list[tuple[int, str, str, list[tuple[int, str, str]]]] = []
    for step in session.steps:
        for use in step.uses:
            producers: list[tuple[int, str, str]] = [
                (other.index, take.source, ".".join(map(str, take.path)))
                for other in session.steps
                for take in other.takes
                if take.value == use.value
            ]
            found.append((step.index, use.place, session.values[use.value], producers))
    return found


def test_jwt_of_a_login_body_is_linked_to_header_cookie_body_and_socket_auth(recording: Recording) -> None:
    recording.exchange("POST", "/login", 0, 10, answer=json.dumps({"data": {"token": JWT}}).encode())
    recording.exchange("GET", "/a", 20, 30, headers=(("Authorization", f"Bearer {JWT}"),))
    recording.exchange("GET", "/b", 40, 50, headers=(("Cookie", f"theme=dark; jwt={JWT}"),))
    recording.exchange("POST", "/c", 60, 70, headers=(JSON,), body=json.dumps({"t": JWT}).encode())
    socket = recording.socket(80, 90, 200)
    recording.packet(socket, "client", "connect", 95, "/media", json.dumps({"token": f"Bearer {JWT}"}))
    recording.packet(socket, "client", "event", 99, "/media", json.dumps([{"again": JWT}]), event="auth")
    (session,) = recording.plan().sessions
    producer = [(0, "json", "data.token")]
    assert links(session) == [
        (1, "header", JWT, producer),
        (2, "header", JWT, producer),
        (3, "body", JWT, producer),
        (5, "payload", JWT, producer),
        (6, "payload", JWT, producer),
    ]


def test_csrf_of_header_and_cookie_goes_into_a_header_and_a_form(recording: Recording) -> None:
    answer_headers = (JSON, ("X-CSRF-Token", CSRF), ("Set-Cookie", f"csrf={CSRF}; Path=/; HttpOnly"))
    recording.exchange("GET", "/csrf", 0, 10, answer_headers=answer_headers, answer=b"{}")
    form = ("Content-Type", "application/x-www-form-urlencoded")
    recording.exchange("POST", "/x", 20, 30, headers=(form, ("x-csrf-token", CSRF)), body=f"a=1&_csrf={CSRF}".encode())
    (session,) = recording.plan().sessions
    producers = [(0, "cookie", "csrf"), (0, "header", "x-csrf-token")]
    assert links(session) == [(1, "body", CSRF, producers), (1, "header", CSRF, producers)]


def test_id_of_what_was_created_goes_into_later_paths_and_queries(recording: Recording) -> None:
    made = "0f8fad5b-d9cb-469f-a165-70867728950e"
    recording.exchange("POST", "/things", 0, 10, answer=json.dumps([{"id": made}]).encode())
    recording.exchange("DELETE", f"/things/{made}?again={made}", 20, 30)
    (session,) = recording.plan().sessions
    assert links(session) == [(1, "target", made, [(0, "json", "0.id")])] * 2


def test_value_of_several_answers_is_taken_from_each_of_them(recording: Recording) -> None:
    for at, path in ((0, "/login"), (20, "/session")):
        recording.exchange("GET", path, at, at + 10, answer=json.dumps({"token": JWT}).encode())
    recording.exchange("GET", "/a", 40, 50, headers=(("Authorization", f"Bearer {JWT}"),))
    (session,) = recording.plan().sessions
    assert links(session) == [(2, "header", JWT, [(0, "json", "token"), (1, "json", "token")])]


def test_list_that_repeats_an_id_does_not_replace_where_it_came_from(recording: Recording) -> None:
    made = "0f8fad5b-d9cb-469f-a165-70867728950e"
    recording.exchange("POST", "/things", 0, 10, answer=json.dumps({"id": made}).encode())
    recording.exchange("GET", "/things", 20, 30, answer=json.dumps([{"id": made}]).encode())
    recording.exchange("DELETE", f"/things/{made}", 40, 50)
    (session,) = recording.plan().sessions
    assert links(session) == [(2, "target", made, [(0, "json", "id")])]


def created_and_broadcast(recording: Recording, *, answered: float) -> None:
    """An item whose id both its creator's answer and a broadcast to everybody name; the broadcast at 110 ms."""
    made = "0f8fad5b-d9cb-469f-a165-70867728950e"
    socket = recording.socket(0, 10, 500)
    recording.packet(socket, "client", "connect", 20)
    recording.packet(socket, "server", "connect", 30, payload="{}")
    recording.exchange("POST", "/things", 100, answered, answer=json.dumps({"id": made}).encode())
    recording.packet(socket, "server", "event", 110, payload=json.dumps([{"id": made}]), event="thing:new")
    recording.exchange("GET", f"/things/{made}", 150, 160, answer=json.dumps({"id": made}).encode())
    recording.exchange("DELETE", f"/things/{made}", 200, 210)


@pytest.mark.parametrize("answered", [105, 120], ids=["answer first", "broadcast first"])
def test_id_that_an_answer_gave_is_not_replaced_by_broadcasts_of_others(recording: Recording, answered: float) -> None:
    created_and_broadcast(recording, answered=answered)
    (session,) = recording.plan().sessions
    assert session.listens == ()
    assert [source for *_, producers in links(session) for _, source, _ in producers] == ["json"] * 4


def test_id_that_first_came_by_broadcast_is_kept_apart_from_the_answers(recording: Recording) -> None:
    created_and_broadcast(recording, answered=180)
    (session,) = recording.plan().sessions
    heard, own = (use.value for step in session.steps for use in step.uses)
    assert heard != own
    assert session.values[heard] == session.values[own]
    assert [listen.take.value for listen in session.listens] == [heard]
    assert {take.value for step in session.steps for take in step.takes} == {own}


def test_secret_is_linked_without_its_vault_and_the_plan_says_what_is_missing(recording: Recording) -> None:
    recording.exchange("POST", "/login", 0, 10, answer=json.dumps({"token": JWT}).encode())
    recording.exchange("GET", "/a", 20, 30, headers=(("Authorization", f"Bearer {JWT}"),))
    path = recording.finish()
    secrets_path(path).unlink()
    plan = plan_of(path)
    assert [(*link[:2], link[3]) for link in links(plan.sessions[0])] == [(1, "header", [(0, "json", "token")])]
    assert [note for note in plan.notes if "placeholders go out" in note]


DECOYS = [
    ("shorter than 16 characters", {"a": "fifteen-letters"}, (("X-A", "fifteen-letters"),), b""),
    ("not whole", {"a": "sixteen-letters-and-more"}, (("X-A", "sixteen-letters-and-more-and-more"),), b""),
    ("a number", {"a": 12345678901234567890}, (("X-A", "12345678901234567890"),), b""),
    ("a field of the client's own", {"a": "application/vnd.x+json"}, (("Accept", "application/vnd.x+json"),), b""),
    ("part of a sentence in a body", {"a": "sixteen-letters-x"}, (JSON,), b'{"b": "see sixteen-letters-x there"}'),
]


@pytest.mark.parametrize(("answer", "headers", "body"), [case[1:] for case in DECOYS], ids=[case[0] for case in DECOYS])
def test_decoy_is_not_linked(
    recording: Recording, answer: object, headers: tuple[tuple[str, str], ...], body: bytes
) -> None:
    recording.exchange("GET", "/first", 0, 10, answer=json.dumps(answer).encode())
    recording.exchange("POST", "/second", 20, 30, headers=headers, body=body)
    assert links(recording.plan().sessions[0]) == []


def test_value_that_the_client_sent_first_is_its_own(recording: Recording) -> None:
    words = b'{"query": "the longest word"}'
    recording.exchange("POST", "/search", 0, 10, headers=(JSON,), body=words, answer=b'{"echo": "the longest word"}')
    recording.exchange("POST", "/search", 20, 30, headers=(JSON,), body=words)
    assert links(recording.plan().sessions[0]) == []


def test_value_is_not_taken_from_an_answer_that_came_later(recording: Recording) -> None:
    recording.exchange("GET", "/slow", 0, 100, answer=json.dumps({"token": JWT}).encode())
    recording.exchange("GET", "/a", 50, 60, headers=(("Authorization", f"Bearer {JWT}"),))
    assert links(recording.plan().sessions[0]) == []


def test_values_of_another_session_are_not_linked(recording: Recording) -> None:
    recording.exchange("GET", "/login", 0, 10, answer=json.dumps({"token": JWT}).encode(), client=1)
    recording.exchange("GET", "/a", 50, 60, headers=(("Authorization", f"Bearer {JWT}"),), client=2)
    assert [links(session) for session in recording.plan().sessions] == [[], []]


def test_fields_about_the_answer_itself_are_never_taken(recording: Recording) -> None:
    etag = 'W/"abcdefghijklmnop"'
    recording.exchange("GET", "/a", 0, 10, answer_headers=(JSON, ("ETag", etag), ("Server", "a-very-long-name/1.0")))
    recording.exchange("GET", "/a", 20, 30, headers=(("If-None-Match", etag), ("X-S", "a-very-long-name/1.0")))
    assert links(recording.plan().sessions[0]) == []


@pytest.mark.parametrize("answer", [b"", b"not json", b'"' + b"[" * 3000, b"[" * 100_000])
def test_answer_that_is_no_json_gives_nothing_and_breaks_nothing(recording: Recording, answer: bytes) -> None:
    recording.exchange("GET", "/a", 0, 10, answer=answer)
    recording.exchange("GET", "/b", 20, 30)
    assert links(recording.plan().sessions[0]) == []
