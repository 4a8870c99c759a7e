"""Next-auth's sign-in and Django's admin, recorded once and replayed by twenty users, with no rules."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import Recorder, Recorders, missing_peer
from tests.replay.live.test_strict import failures, replay

HERE = Path(__file__).parent
NODE = HERE / "node"
USERS = 20
Serve = Callable[..., "Peer"]


class Peer:
    """A server in a process of its own, and what it printed."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def stop(self) -> list[str]:
        self._process.terminate()
        return self._process.communicate(timeout=10)[0].splitlines()


@pytest.fixture
def serve() -> Iterator[Serve]:
    started: list[Peer] = []

    def start(*command: str) -> Peer:
        started.append(Peer(*command))
        return started[-1]

    yield start
    for peer in started:
        peer.stop()


async def sign_in_and_out(http: aiohttp.ClientSession, url: str) -> None:
    """By next-auth's own pages."""
    async with http.get(f"{url}/api/auth/signin") as answer:
        page = await answer.text()
    token = re.search(r'name="csrfToken" value="(\w+)"', page)
    assert token
    form = {"csrfToken": token[1], "username": "kim", "password": "correct horse"}
    async with http.post(f"{url}/api/auth/callback/credentials", data=form) as answer:
        assert answer.status == 200
    async with http.get(f"{url}/api/auth/session") as answer:
        person = (await answer.json())["user"]["id"]
    async with http.get(f"{url}/api/me") as answer:
        assert (await answer.json())["id"] == person
    async with http.get(f"{url}/api/people/{person}") as answer:
        assert answer.status == 200
    async with http.get(f"{url}/api/auth/csrf") as answer:
        again = (await answer.json())["csrfToken"]
    async with http.post(f"{url}/api/auth/signout", data={"csrfToken": again, "json": "true"}) as answer:
        assert answer.status == 200
    async with http.get(f"{url}/api/me") as answer:
        assert answer.status == 401


def hidden(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert found
    return found[1]


async def use_admin(http: aiohttp.ClientSession, url: str) -> None:
    """Sign in, add, change and delete as one clicks through it."""

    async def page(path: str) -> str:
        async with http.get(f"{url}{path}") as answer:
            assert answer.status == 200, path
            return await answer.text()

    async def post(path: str, token: str, **form: str) -> str:
        async with http.post(f"{url}{path}", data={"csrfmiddlewaretoken": token, **form}) as answer:
            assert answer.status == 200, path
            return await answer.text()

    await post("/hello/", hidden(await page("/hello/")), name="kim")
    token = hidden(await page("/admin/"))
    await post("/admin/login/?next=/admin/", token, username="kim", password="correct horse", next="/admin/")
    token = hidden(await page("/admin/auth/thing/add/"))
    listed = await post("/admin/auth/thing/add/", token, name="A thing", price="1299", _save="Save")
    link = re.search(r'href="(/admin/auth/thing/\d+/change/)"', listed)
    assert link
    token = hidden(await page(link[1]))
    changed = await post(link[1], token, name="Another", price="1299", _continue="Save and continue editing")
    await post(link[1], hidden(changed), name="A third", price="1299", _save="Save")
    delete = link[1].replace("change", "delete")
    await post(delete, hidden(await page(delete)), post="yes")


async def record_visit(recorder: Recorder, visit: Callable[[aiohttp.ClientSession, str], Awaitable[None]]) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True, quote_cookie=False)) as http:
        await visit(http, recorder.urls[0])
    assert recorder.stop() == 0, recorder.output


@pytest.mark.peer("node")
def test_next_auth_signs_in_every_user(serve: Serve, record: Recorders, tmp_path: Path) -> None:
    if not (NODE / "node_modules" / "next-auth").is_dir():
        missing_peer("Node's next-auth is missing: run `npm install --prefix tests/interop/node --no-package-lock`.")
    peer = serve("node", str(NODE / "next_auth.mjs"))
    recorder = record(peer.url)
    asyncio.run(record_visit(recorder, sign_in_and_out))
    output = tmp_path / "replay.db"
    printed = replay(recorder.capture, output, "--users", str(USERS))
    assert failures(output) == [], printed
    assert peer.stop()[-1] == str(USERS + 1)


def test_django_admin_serves_every_user(serve: Serve, record: Recorders, tmp_path: Path) -> None:
    pytest.importorskip("django", reason="Django is missing: install nestperf's dev dependencies.")
    peer = serve(sys.executable, str(HERE / "django_app.py"), str(tmp_path))
    recorder = record(peer.url)
    asyncio.run(record_visit(recorder, use_admin))
    output = tmp_path / "replay.db"
    printed = replay(recorder.capture, output, "--users", str(USERS))
    assert failures(output) == [], printed
    assert peer.stop() == []
    with closing(sqlite3.connect(tmp_path / "django.sqlite3")) as database:
        left = database.execute("select count(*) from auth_thing").fetchone()
        log = "select count(distinct object_id), count(*) from django_admin_log group by action_flag"
        done = database.execute(log).fetchall()
    assert left == (0,)
    # Every user added one thing, changed that one twice, and deleted it.
    assert done == [(USERS + 1, USERS + 1), (USERS + 1, 2 * (USERS + 1)), (USERS + 1, USERS + 1)]
