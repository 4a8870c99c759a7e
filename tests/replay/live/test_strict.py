"""Recorded once, replayed by twenty: every user gets through an application that refuses all values but its own."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import socketio

from nestperf.capture.model import FAILED
from nestperf.capture.reader import Capture
from nestperf.capture.vault import secrets_path
from tests.conftest import Recorder, Recorders
from tests.replay.live.strict import Served, StrictApp

USERS = 20
Browse = Callable[[aiohttp.ClientSession, str], Awaitable[None]]


@pytest.fixture
def strict() -> Iterator[tuple[StrictApp, Served]]:
    app = StrictApp()
    served = Served(app.application())
    yield app, served
    served.stop()


async def csrf_and_jwt(http: aiohttp.ClientSession, url: str) -> str:
    """Sign in; the token."""
    async with http.get(f"{url}/csrf") as answer:
        csrf = (await answer.json())["data"]["token"]
    http.cookie_jar.update_cookies({"csrf": csrf})
    async with http.post(f"{url}/login", headers={"x-csrf-token": csrf}, json={"name": "kim"}) as answer:
        assert answer.status == 200
        token: str = (await answer.json())["token"]
    return token


async def signed_in(http: aiohttp.ClientSession, url: str) -> None:
    auth = {"Authorization": f"Bearer {await csrf_and_jwt(http, url)}"}
    for _ in range(2):
        async with http.post(f"{url}/things", headers=auth, json={"price": 1299}) as answer:
            number = (await answer.json())["data"]["thing"]["id"]
        async with http.get(f"{url}/things/{number}", headers=auth) as answer:
            assert answer.status == 200
        async with http.post(f"{url}/parts", headers=auth, json={"thing": number, "price": 5}) as answer:
            assert answer.status == 201
    async with http.delete(f"{url}/things/{number}", headers=auth) as answer:
        assert answer.status == 200


async def sockets(http: aiohttp.ClientSession, url: str) -> None:
    token = await csrf_and_jwt(http, url)
    auth = {"Authorization": f"Bearer {token}"}
    async with http.post(f"{url}/things", headers=auth, json={}) as answer:
        number = (await answer.json())["data"]["thing"]["id"]
    news: asyncio.Queue[Any] = asyncio.Queue()
    client = socketio.AsyncClient(reconnection=False, handle_sigint=False)
    client.on("news:created", news.put)
    await client.connect(url, auth={"token": token}, transports=["websocket"])
    await client.emit("thing:watch", {"thingId": number, "thing": number})
    created = await asyncio.wait_for(news.get(), 5)
    async with http.get(f"{url}/news/{created['news']['id']}", headers=auth) as answer:
        assert answer.status == 200
    ticket = (await client.call("ask", {"first": True}))["ticket"]
    await client.call("ask", {"ticket": ticket})
    await client.disconnect()


async def twice(_: aiohttp.ClientSession, url: str) -> None:
    # aiohttp's jar sends one cookie of a name; a browser sends both, the one of the longer path first.
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        async with http.post(f"{url}/twice") as answer:
            sids = [one.split(";")[0] for one in answer.headers.getall("Set-Cookie")][1:]
        async with http.get(f"{url}/twice/check", headers={"Cookie": "; ".join(reversed(sids))}) as answer:
            assert answer.status == 200


async def rotating(http: aiohttp.ClientSession, url: str) -> None:
    async with http.post(f"{url}/rotating/begin") as answer:
        token = (await answer.json())["accessToken"]
    for _ in range(7):
        async with http.get(f"{url}/rotating/next", headers={"X-Access-Token": token}) as answer:
            assert answer.status == 200
            token = answer.headers.get("X-New-Token", token)


async def reissued(http: aiohttp.ClientSession, url: str) -> None:
    for path in ("begin", "next", "next", "next", "next"):
        async with http.get(f"{url}/chain/{path}") as answer:
            assert answer.status == 200


async def page_and_codings(http: aiohttp.ClientSession, url: str) -> None:
    async with http.get(f"{url}/page") as answer:
        token = (await answer.text()).partition('value="')[2].partition('"')[0]
    async with http.post(f"{url}/form", data={"_token": token, "title": "a b"}) as answer:
        assert answer.status == 200
        assert answer.history
    async with http.post(f"{url}/key") as answer:
        key = (await answer.json())["apiKey"]
    basic = base64.b64encode(f"kim:{key}".encode()).decode()
    async with http.get(f"{url}/usage", headers={"Authorization": f"Basic {basic}"}) as answer:
        assert answer.status == 200
    own = str(uuid.uuid4())
    async with http.post(f"{url}/notes", json={"id": own, "text": "made in the page"}) as answer:
        assert answer.status == 201
    async with http.get(f"{url}/notes/{own}") as answer:
        assert answer.status == 200


VISITS: dict[str, Browse] = {
    "CSRF into header and cookie, JWT into Authorization, ids into URLs and under the thing's own name": signed_in,
    "JWT into CONNECT, ids into events, an event's id fetched next, an ack's ticket": sockets,
    "two Set-Cookie of one name": twice,
    "tokens rotated by a header": rotating,
    "a session cookie re-issued by every call": reissued,
    "hidden field, redirect, base64, ids made up in the page": page_and_codings,
}


async def record_visit(recorder: Recorder, visit: Browse) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        await visit(http, recorder.urls[0])


def replay(capture: Path, output: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "nestperf", "replay", str(capture), "-o", str(output), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=output.parent)
    assert output.exists(), ended.stdout + ended.stderr
    return ended.stdout


def failures(capture: Path) -> list[tuple[str, str, str | None]]:
    with Capture.open(capture) as opened:
        found = [(e.target, str(e.outcome), e.detail) for e in opened.exchanges() if e.outcome in FAILED]
        found += [(s.target, str(s.outcome), s.detail) for s in opened.sockets() if s.outcome in FAILED]
    return found


@pytest.mark.parametrize("name", VISITS)
def test_twenty_users_get_through_with_values_of_their_own(
    name: str, strict: tuple[StrictApp, Served], record: Recorders, tmp_path: Path
) -> None:
    app, served = strict
    recorder = record(served.url)
    asyncio.run(record_visit(recorder, VISITS[name]))
    assert recorder.stop() == 0, recorder.output
    before = app.answered.copy()
    assert not [status for (_, status) in before if status >= 400]
    output = tmp_path / "replay.db"
    printed = replay(recorder.capture, output, "--users", str(USERS), "--start", "together")
    assert failures(output) == [], printed
    refused = {place: count for place, count in app.answered.items() if place[1] >= 400}
    assert refused == {}, printed
    for place, count in before.items():
        if not place[0].startswith("note-"):
            assert app.answered[place] == count * (USERS + 1), (place, printed)
    if app.joined:
        assert len(set(app.joined)) == USERS + 1
        assert len(app.told) == 2 * (USERS + 1)
        assert all(own is True or isinstance(own, int) for _, own in app.told)


def test_secrets_that_are_missing_are_no_obstacle_where_live_answers_give_them(
    strict: tuple[StrictApp, Served], record: Recorders, tmp_path: Path
) -> None:
    app, served = strict
    recorder = record(served.url)
    asyncio.run(record_visit(recorder, signed_in))
    assert recorder.stop() == 0, recorder.output
    secrets_path(recorder.capture).unlink()
    output = tmp_path / "replay.db"
    printed = replay(recorder.capture, output, "--users", "3", "--start", "together")
    assert failures(output) == [], printed
    assert not [place for place in app.answered if place[1] >= 400]
