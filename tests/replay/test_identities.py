"""Users of their own identity: from a file or a command, what they replace, what is then not sent, what is refused."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import sys
from pathlib import Path

import pytest

from nestperf.capture.reader import Capture
from nestperf.capture.vault import Vault
from nestperf.errors import UsageError
from replay.identities import Identity, ask_command, enough_for, read_identities, refuse_expired
from replay.plan import build_plan
from replay.steps import Http, Plan
from tests.replay.conftest import CountingServer, Recording, Recordings, Replays, Request, command, write_json

JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")


def jwt(expires_s: int, subject: str = "kim") -> str:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256'})}.{part({'sub': subject, 'exp': expires_s})}.c2lnbmF0dXJlLW9mLXRoZS10ZXN0"


FAR = 4_000_000_000
RECORDED = jwt(FAR)


def plan_with(path: Path, *columns: str) -> Plan:
    with Capture.open(path) as capture:
        return build_plan(capture, Vault.open(path), columns=columns)


def record_login(recording: Recording, host: str = "localhost:4000") -> Path:
    """A pin that somebody confirms elsewhere, its verification, and what is done with the token."""
    recording.exchange("GET", "/titles", 0, 5, answer=b'{"titles": []}')
    recording.exchange("POST", "/pin", 10, 15, answer=b'{"id": "0f8fad5b-d9cb-469f-a165-70867728950e"}')
    body = b'{"pinId": "0f8fad5b-d9cb-469f-a165-70867728950e"}'
    recording.exchange(
        "POST", "/verify", 20, 25, headers=(JSON,), body=body, answer=f'{{"token": "{RECORDED}"}}'.encode()
    )
    recording.exchange("GET", "/me", 30, 35, headers=(("Authorization", f"Bearer {RECORDED}"),), answer=b'{"id": 1}')
    recording.exchange("POST", "/again", 40, 45, headers=(JSON,), body=f'{{"token": "{RECORDED}"}}'.encode())
    return recording.finish()


def sent(plan: Plan) -> list[str]:
    return [
        f"{step.action.method} {step.action.target}" for step in plan.sessions[0].steps if isinstance(step.action, Http)
    ]


def test_token_of_an_identity_replaces_the_steps_that_obtained_it_and_the_plan_lists_them(recording: Recording) -> None:
    plan = plan_with(record_login(recording), "token")
    assert sent(plan) == ["GET /titles", "GET /me", "POST /again"]
    dropped = [(skipped.name, skipped.reason) for skipped in plan.skipped]
    assert dropped == [
        ("POST /pin", "identities bring what it was sent for"),
        ("POST /verify", "identities bring what it was sent for"),
    ]
    assert [len(step.uses) for step in plan.sessions[0].steps] == [0, 1, 1]


def test_step_that_hands_out_something_else_that_is_needed_is_sent(recording: Recording) -> None:
    answer = json.dumps({"token": RECORDED, "csrfToken": "kQ3vX9tLw82hZbN5rYc7"}).encode()
    recording.exchange("POST", "/verify", 20, 25, answer=answer)
    headers = (("Authorization", f"Bearer {RECORDED}"), ("x-csrf-token", "kQ3vX9tLw82hZbN5rYc7"))
    recording.exchange("POST", "/do", 30, 35, headers=headers)
    path = recording.finish()
    assert sent(plan_with(path, "token")) == ["POST /verify", "POST /do"]
    assert sent(plan_with(path, "token", "csrf-token")) == ["POST /do"]


def test_column_that_nothing_is_named_is_refused_and_named(recording: Recording) -> None:
    with pytest.raises(UsageError, match="column 'passphrase' of the identities names nothing"):
        plan_with(record_login(recording), "passphrase")


async def answer_login(server: CountingServer, request: Request, writer: asyncio.StreamWriter) -> None:
    document = {}
    if request.target == "/login":
        user = request.body.decode().partition("user=")[2].partition("&")[0]
        document["token"] = f"token-for-{user}-{len(server.requests):06d}"
    write_json(writer, document)


async def test_every_user_signs_in_as_a_person_of_the_file(
    server: CountingServer, recordings: Recordings, replay: Replays, tmp_path: Path
) -> None:
    server.behaviour = answer_login
    recording = recordings(server.url)
    form = b"user=kim&password=correct%20horse"
    recording.exchange(
        "POST", "/login", 0, 5, headers=(FORM,), body=form, answer=b'{"token": "token-of-the-recording"}'
    )
    recording.exchange("GET", "/me", 10, 15, headers=(("Authorization", "Bearer token-of-the-recording"),))
    people = tmp_path / "users.csv"
    people.write_text('user,password,identity\nanna,"geheim & lang",Anna\nben,zebra-Kuchen-17,Ben\n')
    done = await replay(recording.finish(), "--users", "2", "--identities", str(people))
    assert sorted(request.body for request in server.requests if request.target == "/login") == [
        b"user=anna&password=geheim%20%26%20lang",
        b"user=ben&password=zebra-Kuchen-17",
    ]
    bearers = {request.field("authorization") for request in server.requests if request.target == "/me"}
    assert {bearer.split("-")[2] for bearer in bearers} == {"anna", "ben"}
    assert sorted(session.identity or "" for session in done.sessions) == ["Anna", "Ben"]
    stored = done.path.read_bytes()
    assert b"zebra-Kuchen-17" not in stored
    assert b"geheim" not in stored


async def test_cookie_of_an_identity_is_there_from_the_start(
    server: CountingServer, recordings: Recordings, replay: Replays
) -> None:
    recording = recordings(server.url)
    login = (JSON, ("Set-Cookie", "sid=8f2kQ3vX9tLw82hZ; Path=/; HttpOnly"))
    recording.exchange("POST", "/login", 0, 5, answer_headers=login)
    recording.exchange("GET", "/me", 10, 15, headers=(("Cookie", "theme=dark; sid=8f2kQ3vX9tLw82hZ"),))
    script = """import json, os; print(json.dumps({'sid': 'session-of-user-' + os.environ['NESTPERF_USER']}))"""
    asked = f'{sys.executable} -c "{script}"'
    await replay(recording.finish(), "--users", "3", "--identity-command", asked)
    assert {request.target for request in server.requests} == {"/me"}
    assert sorted(request.field("cookie") for request in server.requests) == [
        f"theme=dark; sid=session-of-user-{n}" for n in (1, 2, 3)
    ]


async def test_expired_token_stops_the_run_before_anything_is_sent(
    server: CountingServer, recordings: Recordings, tmp_path: Path
) -> None:
    recording = recordings(server.url)
    recording.exchange("GET", "/me", 0, 5, headers=(("Authorization", f"Bearer {jwt(1_700_000_000)}"),))
    code, printed = await command(tmp_path, str(recording.finish()))
    assert code == 2
    assert "in header authorization of step 1 expired at 2023-11-14 22:13 UTC" in printed
    assert "no answer of its session (1) gives a new one" in printed
    assert len(printed.strip().splitlines()) == 1
    assert server.requests == []


def test_expired_token_of_an_identity_is_named_without_showing_it(recording: Recording) -> None:
    plan = plan_with(record_login(recording), "token")
    old = jwt(1_700_000_000)
    with pytest.raises(UsageError, match="The token of Anna expired at 2023-11-14") as refused:
        refuse_expired(plan, [Identity(label="Anna", values={"token": old})], 1_800_000_000)
    assert old not in str(refused.value)
    refuse_expired(plan, [Identity(label="Anna", values={"token": jwt(FAR)})], 1_800_000_000)


def test_expired_token_without_the_bodies_that_gave_it_says_so(recording: Recording) -> None:
    recording.exchange("GET", "/me", 0, 5, headers=(("Authorization", f"Bearer {jwt(1_700_000_000)}"),))
    plan = dataclasses.replace(recording.plan(), notes=("Its bodies were taken out.",))
    with pytest.raises(UsageError, match=r"--identities\. Its bodies were taken out\.$"):
        refuse_expired(plan, (), 1_800_000_000)


def test_token_that_a_login_gives_anew_may_be_old(recording: Recording) -> None:
    old = jwt(1_700_000_000)
    recording.exchange("POST", "/login", 0, 5, answer=json.dumps({"token": old}).encode())
    recording.exchange("GET", "/me", 10, 15, headers=(("Authorization", f"Bearer {old}"),))
    refuse_expired(recording.plan(), (), 1_800_000_000)


def test_fewer_identities_than_users_are_refused_unless_shared() -> None:
    two = [Identity(label=name, values={}) for name in ("Anna", "Ben")]
    with pytest.raises(UsageError, match=r"2 identities are not enough for 5 users.*--share-identities"):
        enough_for(two, 5, share=False)
    enough_for(two, 5, share=True)
    enough_for(two, 2, share=False)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("user,password\n", "has no identity"),
        ("", "has no identity"),
        ("user,user\na,b\n", "two columns of one name"),
        ("user,\na,b\n", "one without a name"),
        ("user,password\na\n", "identity 1 has 1 values for 2 columns"),
        ('user,password\n"a,b\n', "no CSV"),
    ],
)
def test_file_that_names_nobody_is_refused_with_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "users.csv"
    path.write_text(text)
    with pytest.raises(UsageError) as refused:
        read_identities(path)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [("exit 3", "ended with 3 for user 1"), ("echo hello", "printed no JSON object"), ("echo '{}'", "printed no JSON")],
)
def test_command_that_gives_no_identity_is_refused_with_a_sentence(asked: str, sentence: str) -> None:
    with pytest.raises(UsageError) as refused:
        ask_command(asked, 2)
    assert sentence in str(refused.value)
