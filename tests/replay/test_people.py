"""Who was who behind one address and browser: two people become two sessions, two tabs of one stay one."""

from __future__ import annotations

import base64
import json

from replay.steps import Http, Join, Plan
from tests.replay.conftest import Recording

JSON = ("Content-Type", "application/json")
ANNA, BEN = "kQ3vX9tLw82hZbN5rYc7", "Zp81mWq0xTg57LdK29sV"


def jwt(subject: str) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"sub": subject}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJIUzI1NiJ9.{claims}.c2lnbmF0dXJlLW9mLXRoZS10ZXN0"


def targets(plan: Plan) -> list[list[str]]:
    return [
        [step.action.target for step in session.steps if isinstance(step.action, Http)] for session in plan.sessions
    ]


def visit(recording: Recording, name: str, session: str, connection: int, at: int) -> None:
    """Sign in by cookie, then three requests, 100 ms each."""
    given = (JSON, ("Set-Cookie", f"sid={session}; Path=/"))
    recording.exchange("POST", f"/login/{name}", at, at + 5, answer_headers=given, connection=connection)
    for n in range(1, 4):
        cookie = (("Cookie", f"sid={session}"),)
        recording.exchange("GET", f"/{name}/{n}", at + 100 * n, at + 100 * n + 5, headers=cookie, connection=connection)


def test_two_people_with_a_cookie_each_become_two_sessions(recording: Recording) -> None:
    visit(recording, "anna", ANNA, 1, 0)
    visit(recording, "ben", BEN, 2, 50)
    plan = recording.plan()
    assert targets(plan) == [
        ["/login/anna", "/anna/1", "/anna/2", "/anna/3"],
        ["/login/ben", "/ben/1", "/ben/2", "/ben/3"],
    ]
    assert [session.label[-8:] for session in plan.sessions] == ["person 1", "person 2"]
    assert [len(session.links) for session in plan.sessions] == [3, 3]


def test_cookie_that_holds_an_address_makes_two_people_not_one(recording: Recording) -> None:
    for name, token, connection, at in (("anna", ANNA, 1, 0), ("ben", BEN, 2, 50)):
        for n in range(4):
            cookie = (("Cookie", f"sid={token}; callback-url=http%3A%2F%2Flocalhost%3A3000%2Fdashboard"),)
            recording.exchange(
                "GET", f"/{name}/{n}", at + 100 * n, at + 100 * n + 5, headers=cookie, connection=connection
            )
    assert [len(found) for found in targets(recording.plan())] == [4, 4]


def test_two_tabs_of_one_person_stay_one_session(recording: Recording) -> None:
    visit(recording, "anna", ANNA, 1, 0)
    for n in range(5):
        cookie = (("Cookie", f"sid={ANNA}"),)
        recording.exchange("GET", f"/tab/{n}", 50 + 70 * n, 60 + 70 * n, headers=cookie, connection=3 + n % 2)
    assert len(recording.plan().sessions) == 1


def test_token_that_is_rotated_on_many_connections_stays_one_session(recording: Recording) -> None:
    tokens = [f"{n}{ANNA}{n}" for n in range(6)]
    recording.exchange("POST", "/login", 0, 5, answer=json.dumps({"token": tokens[0]}).encode(), connection=1)
    for n in range(5):
        fresh = (JSON, ("X-New-Token", tokens[n + 1]))
        bearer = (("Authorization", f"Bearer {tokens[n]}"),)
        recording.exchange(
            "GET", f"/{n}", 10 + 10 * n, 15 + 10 * n, headers=bearer, answer_headers=fresh, connection=n + 2
        )
    assert len(recording.plan().sessions) == 1


def test_people_are_told_apart_by_the_subjects_of_their_tokens(recording: Recording) -> None:
    for n, name in enumerate(("anna", "ben")):
        bearer = (("Authorization", f"Bearer {jwt(name)}"),)
        recording.exchange("GET", f"/{name}/1", 1000 * n, 1000 * n + 5, headers=bearer, connection=n + 1)
        socket = recording.socket(1000 * n + 10, 1000 * n + 15, 1000 * n + 99)
        recording.packet(socket, "client", "connect", 1000 * n + 20, "/", json.dumps({"token": jwt(name)}))
        recording.packet(socket, "server", "connect", 1000 * n + 25, "/", '{"sid": "x"}')
    plan = recording.plan()
    assert targets(plan) == [["/anna/1"], ["/ben/1"]]
    joins = [[step for step in session.steps if isinstance(step.action, Join)] for session in plan.sessions]
    assert [len(found) for found in joins] == [1, 1]


def test_one_who_signs_in_again_after_all_is_over_stays_one_session(recording: Recording) -> None:
    visit(recording, "anna", ANNA, 1, 0)
    visit(recording, "again", BEN, 2, 1000)
    assert len(recording.plan().sessions) == 1


def test_what_nobody_is_known_to_have_sent_goes_to_who_was_active(recording: Recording) -> None:
    visit(recording, "anna", ANNA, 1, 0)
    visit(recording, "ben", BEN, 2, 50)
    recording.exchange("GET", "/style.css", 151, 155, connection=9)
    recording.exchange("GET", "/ben.css", 352, 355, connection=10)
    first, second = targets(recording.plan())
    assert "/style.css" in second
    assert "/ben.css" in second
    assert len(first) == 4
