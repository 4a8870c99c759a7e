"""Signing in before a page, against a server that hands out its own cookies and tokens."""

from __future__ import annotations

import asyncio

import pytest

from nestperf.capture.model import Upstream
from nestperf.capture.reader import Capture
from nestperf.capture.vault import Vault
from nestperf.errors import UsageError
from replay.browse.sign_in import Person, Storage, parse_storage
from replay.browse.tour import stops_of
from replay.identities import Identity
from replay.plan import build_plan
from replay.transport.dial import resolve_target
from tests.replay.browse.test_tour import TOKEN, page
from tests.replay.conftest import CountingServer, Recording, Request, answering
from tests.replay.test_identities import jwt

LIVE = "Zk3tYw9QhB5nXe1uRj7a"
UPSTREAMS = (Upstream("http://127.0.0.1:4000"),)


async def hand_out(server: CountingServer, request: Request, writer: asyncio.StreamWriter) -> None:
    body = f'{{"token": "{LIVE}"}}'.encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nSet-Cookie: session={LIVE}; HttpOnly\r\n"
    writer.write(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)


def record_sign_in(recording: Recording) -> None:
    page(recording, "/signin", 0, ("Cookie", "theme=dark"))
    recording.exchange(
        "POST",
        "/verify",
        10,
        15,
        answer=f'{{"token": "{TOKEN}"}}'.encode(),
        answer_headers=(("Content-Type", "application/json"), ("Set-Cookie", f"session={TOKEN}; HttpOnly")),
    )
    page(recording, "/dashboard", 20, ("Cookie", f'theme=dark; session={TOKEN}; odd={{"a":1}}'))
    recording.exchange("GET", "/api/me", 30, 35, headers=(("Authorization", f"Bearer {TOKEN}"),), answer=b"{}")


def person(recording: Recording, server: CountingServer, *storage: Storage) -> Person:
    session = recording.plan().sessions[0]
    return Person(session, stops_of(session, UPSTREAMS), (resolve_target(server.url),), UPSTREAMS, storage=storage)


async def test_a_page_is_opened_with_what_the_live_answers_gave(recording: Recording, server: CountingServer) -> None:
    server.behaviour = hand_out
    record_sign_in(recording)
    kim = person(recording, server, parse_storage("session:jwt=token"))
    signin, dashboard = stops_of(kim.session, UPSTREAMS)
    await kim.reach(signin)
    assert server.requests == []
    assert [(cookie.name, cookie.value) for cookie in kim.cookies(signin)] == [("theme", "dark")]
    await kim.reach(dashboard)
    assert [request.target for request in server.requests] == ["/verify"]
    cookies = kim.cookies(dashboard)
    assert [(cookie.name, cookie.value) for cookie in cookies] == [
        ("theme", "dark"),
        ("session", LIVE),
        ("odd", '{"a":1}'),
    ]
    assert {cookie.url for cookie in cookies} == {"http://localhost:4000/"}
    assert [(one.area, one.key, value) for one, value in kim.stored()] == [("sessionStorage", "jwt", LIVE)]
    assert kim.troubles == []
    kim.close()


async def test_what_the_application_refuses_is_said_and_the_recorded_values_go_out(
    recording: Recording, server: CountingServer
) -> None:
    server.behaviour = answering("401 Unauthorized")
    record_sign_in(recording)
    kim = person(recording, server)
    dashboard = stops_of(kim.session, UPSTREAMS)[1]
    await kim.reach(dashboard)
    assert kim.troubles == ["POST /verify was answered with 401, in the recording with 200"]
    assert {cookie.name: cookie.value for cookie in kim.cookies(dashboard)}["session"] == TOKEN
    kim.close()


@pytest.mark.parametrize("text", ["token", "=token", "session:=token", "cookie:jwt=token", "jwt="])
def test_a_storage_option_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="session:token=token"):
        parse_storage(text)


def test_a_storage_option_means_local_storage_unless_it_says_otherwise() -> None:
    assert parse_storage("a=b") == Storage(area="localStorage", key="a", name="b")
    assert parse_storage("session:a=b") == Storage(area="sessionStorage", key="a", name="b")
    assert parse_storage("local:user:1=b") == Storage(area="localStorage", key="user:1", name="b")


async def test_an_identity_opens_pages_with_its_own_values_and_asks_for_none(
    recording: Recording, server: CountingServer
) -> None:
    server.behaviour = hand_out
    record_sign_in(recording)
    path = recording.finish()
    with Capture.open(path) as capture:
        session = build_plan(capture, Vault.open(path), columns=["token"]).sessions[0]
    anna = Identity(label="Anna", values={"token": "AnnaM6w2Kx9Fd4Tz8Lp3"})
    stops = stops_of(session, UPSTREAMS)
    storage = [parse_storage("session:jwt=token")]
    person = Person(session, stops, (resolve_target(server.url),), UPSTREAMS, identity=anna, storage=storage)
    await person.reach(stops[-1])
    assert server.requests == []
    assert {cookie.name: cookie.value for cookie in person.cookies(stops[-1])}["session"] == anna.values["token"]
    assert [value for _, value in person.stored()] == [anna.values["token"]]
    person.close()


async def test_a_cookie_that_has_expired_is_said(recording: Recording, server: CountingServer) -> None:
    page(recording, "/dashboard", 0, ("Cookie", f"session={jwt(1_700_000_000)}"))
    kim = person(recording, server)
    await kim.reach(stops_of(kim.session, UPSTREAMS)[0])
    (trouble,) = kim.troubles
    assert trouble.startswith("the cookie session of /dashboard expired at 2023-11-14 22:13 UTC")
    kim.close()
