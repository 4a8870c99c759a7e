"""An application that takes nothing but its own values back: every token, id and cookie of another user is refused.

Runs on a thread of its own with real sockets, so that recorder, browser and replayer are processes around it.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import secrets
import threading
from collections import Counter
from collections.abc import Awaitable, Callable

import socketio
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refused(socketio.exceptions.ConnectionRefusedError):  # type: ignore[misc]
    """Nobody comes in without a token of their own."""


class StrictApp:
    """Everything that issue an id or token, and everything that demands it back."""

    def __init__(self) -> None:
        self.answered: Counter[tuple[str, int]] = Counter()
        """(route, status)."""
        self.joined: list[str] = []
        """Users whose socket was let in."""
        self.told: list[tuple[str, object]] = []
        """(user, what its socket asked for) where that was its own."""
        self._csrf: dict[str, str] = {}
        self._users: dict[str, str] = {}
        """Token to user."""
        self._rotating: dict[str, int] = {}
        self._sessions: dict[str, int] = {}
        self._things: dict[int, str] = {}
        self._news: dict[str, str] = {}
        self._numbers = itertools.count(101, 7)
        self._people = itertools.count(1)
        self._sio = socketio.AsyncServer(async_mode="aiohttp")
        self._sids: dict[str, str] = {}

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(middlewares=[self._count])
        self._sio.attach(app)
        self._sio.on("connect", self._connect)
        self._sio.on("thing:watch", self._watch)
        self._sio.on("ask", self._ask)
        app.add_routes(
            [
                web.get("/csrf", self.csrf),
                web.post("/login", self.login),
                web.post("/things", self.make),
                web.get("/things/{number}", self.thing),
                web.delete("/things/{number}", self.thing),
                web.post("/parts", self.part),
                web.get("/news/{id}", self.news),
                web.post("/twice", self.twice),
                web.get("/twice/check", self.twice_check),
                web.post("/rotating/begin", self.rotate_begin),
                web.get("/rotating/next", self.rotate),
                web.get("/chain/begin", self.chain_begin),
                web.get("/chain/next", self.chain),
                web.get("/page", self.page),
                web.post("/form", self.form),
                web.get("/results/{key}", self.results),
                web.post("/key", self.key),
                web.get("/usage", self.usage),
                web.post("/notes", self.note),
                web.get("/notes/{id}", self.note_again),
            ]
        )
        return app

    @web.middleware
    async def _count(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as refusal:
            self.answered[request.path.split("/")[1], refusal.status] += 1
            raise
        self.answered[request.path.split("/")[1], response.status] += 1
        return response

    # CSRF from a body into header and cookie; JWT from a login body into Authorization and CONNECT

    async def csrf(self, _: web.Request) -> web.Response:
        token = secrets.token_hex(32)
        self._csrf[token] = ""
        return web.json_response({"data": {"token": token}})

    async def login(self, request: web.Request) -> web.Response:
        sent = request.headers.get("x-csrf-token", "")
        # The page's script sets the cookie itself, from the body.
        if sent not in self._csrf or request.cookies.get("csrf") != sent:
            raise web.HTTPForbidden
        del self._csrf[sent]
        user = f"user-{next(self._people)}"
        claims = base64.urlsafe_b64encode(json.dumps({"sub": user}).encode()).decode().rstrip("=")
        token = f"eyJhbGciOiJIUzI1NiJ9.{claims}.{secrets.token_urlsafe(32)}"
        self._users[token] = user
        return web.json_response({"token": token})

    def _user(self, request: web.Request) -> str:
        user = self._users.get(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if user is None:
            raise web.HTTPUnauthorized
        return user

    async def _connect(self, sid: str, _: object, auth: object = None) -> None:
        user = self._users.get(auth.get("token", "") if isinstance(auth, dict) else "")
        if user is None:
            raise Refused("no token of ours")
        self._sids[sid] = user
        self.joined.append(user)

    # a created record's id in later URLs and events; an event with an id that is fetched next

    async def make(self, request: web.Request) -> web.Response:
        user = self._user(request)
        number = next(self._numbers)
        self._things[number] = user
        return web.json_response({"data": {"thing": {"id": number, "price": 1299}}}, status=201)

    async def thing(self, request: web.Request) -> web.Response:
        if self._things.get(int(request.match_info["number"])) != self._user(request):
            raise web.HTTPNotFound
        return web.json_response({"price": 1299})

    async def part(self, request: web.Request) -> web.Response:
        if self._things.get((await request.json())["thing"]) != self._user(request):
            raise web.HTTPNotFound
        return web.json_response({}, status=201)

    async def _watch(self, sid: str, wanted: dict[str, int]) -> None:
        user = self._sids[sid]
        if self._things.get(wanted["thingId"]) == self._things.get(wanted["thing"]) == user:
            self.told.append((user, wanted["thingId"]))
        news = secrets.token_hex(12)
        self._news[news] = user
        await self._sio.emit("news:created", {"news": {"id": news}, "unread": 1}, to=sid)

    async def news(self, request: web.Request) -> web.Response:
        if self._news.get(request.match_info["id"]) != self._user(request):
            raise web.HTTPNotFound
        return web.json_response({"text": "hello"})

    async def _ask(self, sid: str, wanted: dict[str, str]) -> dict[str, str]:
        ticket = secrets.token_urlsafe(18)
        if wanted.get("ticket"):
            self.told.append((self._sids[sid], self._news.get(wanted["ticket"]) == self._sids[sid]))
        self._news[ticket] = self._sids[sid]
        return {"ticket": ticket}

    # two Set-Cookie of one name

    async def twice(self, _: web.Request) -> web.Response:
        response = web.Response(text="")
        wide, narrow = secrets.token_hex(16), secrets.token_hex(16)
        self._sessions[wide] = self._sessions[narrow] = 0
        response.headers.add("Set-Cookie", "sid=; Path=/; Max-Age=0")
        response.headers.add("Set-Cookie", f"sid={wide}; Path=/")
        response.headers.add("Set-Cookie", f"sid={narrow}; Path=/twice")
        return response

    async def twice_check(self, request: web.Request) -> web.Response:
        sent = [one.partition("=")[2] for one in request.headers.get("Cookie", "").split("; ") if one[:4] == "sid="]
        if len(set(sent)) != 2 or not all(one in self._sessions for one in sent):
            raise web.HTTPUnauthorized
        return web.json_response({})

    # tokens rotated midway by a header; a session cookie re-issued by every call

    async def rotate_begin(self, _: web.Request) -> web.Response:
        token = secrets.token_urlsafe(30)
        self._rotating[token] = 0
        return web.json_response({"accessToken": token})

    async def rotate(self, request: web.Request) -> web.Response:
        token = request.headers.get("X-Access-Token", "")
        used = self._rotating.get(token)
        if used is None:
            raise web.HTTPUnauthorized
        self._rotating[token] = used + 1
        response = web.json_response({})
        if used == 1:
            del self._rotating[token]
            fresh = secrets.token_urlsafe(30)
            self._rotating[fresh] = 0
            response.headers["X-New-Token"] = fresh
        return response

    async def chain_begin(self, _: web.Request) -> web.Response:
        return self._chained(web.json_response({}))

    async def chain(self, request: web.Request) -> web.Response:
        if self._sessions.pop(request.cookies.get("chain", ""), None) is None:
            raise web.HTTPUnauthorized
        return self._chained(web.json_response({}))

    def _chained(self, response: web.Response) -> web.Response:
        session = secrets.token_hex(20)
        self._sessions[session] = 0
        response.set_cookie("chain", session, httponly=True)
        return response

    # a hidden field, a redirect to what was made, base64, an id that the page makes up

    async def page(self, _: web.Request) -> web.Response:
        token = secrets.token_urlsafe(32)
        self._csrf[token] = "form"
        return web.Response(
            text=f'<form><input name="_token" type="hidden" value="{token}"></form>', content_type="text/html"
        )

    async def form(self, request: web.Request) -> web.Response:
        if self._csrf.pop(str((await request.post()).get("_token", "")), None) != "form":
            raise web.HTTPForbidden
        key = secrets.token_hex(4)
        self._csrf[key] = "result"
        raise web.HTTPFound(f"/results/{key}")

    async def results(self, request: web.Request) -> web.Response:
        if self._csrf.pop(request.match_info["key"], None) != "result":
            raise web.HTTPNotFound
        return web.json_response({})

    async def key(self, _: web.Request) -> web.Response:
        key = secrets.token_hex(16)
        self._csrf[key] = "key"
        return web.json_response({"apiKey": key})

    async def usage(self, request: web.Request) -> web.Response:
        sent = request.headers.get("Authorization", "").removeprefix("Basic ")
        if self._csrf.pop(base64.b64decode(sent).decode().partition(":")[2], None) != "key":
            raise web.HTTPUnauthorized
        return web.json_response({})

    async def note(self, request: web.Request) -> web.Response:
        note = (await request.json())["id"]
        if self._news.setdefault(note, "note") != "note" or self.answered.get((f"note-{note}", 201)):
            raise web.HTTPConflict
        self.answered[f"note-{note}", 201] += 1
        return web.json_response({"id": note}, status=201)

    async def note_again(self, request: web.Request) -> web.Response:
        if self._news.get(request.match_info["id"]) != "note":
            raise web.HTTPNotFound
        return web.json_response({})


class Served:
    """An aiohttp application on a thread and a port of its own."""

    def __init__(self, application: web.Application) -> None:
        self.port = 0
        self._application = application
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = web.AppRunner(self._application, shutdown_timeout=1)
        self._loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", 0)
        self._loop.run_until_complete(site.start())
        self.port = runner.addresses[0][1]
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()
