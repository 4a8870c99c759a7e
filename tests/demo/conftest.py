"""A running stand-in and friends of its, over real HTTP."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import aiohttp
import pytest

from nestperf.demo.app import DemoApp, Settings
from nestperf.demo.faults import Faults

StartApp = Callable[..., Awaitable[DemoApp]]


class Reply(NamedTuple):
    status: int
    headers: Any
    raw: bytes
    """As it came, still content-coded."""

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


class Client:
    """A client with cookies that sends nothing by itself but what is asked for."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.token = ""
        self.csrf = ""
        self.user: dict[str, Any] = {}
        self._http = http

    async def send(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """Underscores in header names become hyphens."""
        sent = {"User-Agent": "Tester/1", "Accept-Encoding": "identity"}
        sent |= {"x-csrf-token": self.csrf} if self.csrf and method != "GET" else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = None if body is None else io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
        async with self._http.request(
            method, self.url + path, data=content, headers=sent, allow_redirects=False
        ) as response:
            return Reply(response.status, response.headers.copy(), await response.read())

    async def get(self, path: str, **headers: str) -> Reply:
        return await self.send("GET", path, **headers)

    async def post(self, path: str, body: object = None, **headers: str) -> Reply:
        return await self.send("POST", path, body, **headers)

    async def api(self, path: str) -> Any:
        """The data of a GET that must succeed."""
        reply = await self.get("/api/v1/" + path)
        assert reply.status == 200, reply
        return reply.json["data"]

    async def fetch_csrf(self) -> str:
        self.csrf = (await self.api("csrf/token"))["token"]
        return self.csrf

    async def sign_in(self) -> None:
        await self.fetch_csrf()
        pin = (await self.post("/api/v1/auth/plex/pin", {})).json["data"]["id"]
        signed_in = (await self.post("/api/v1/auth/plex/verify", {"pinId": pin})).json["data"]
        self.token, self.csrf, self.user = signed_in["token"], signed_in["csrfToken"], signed_in["user"]

    async def ask_for(self, media_type: str = "movie", tmdb_id: int = 36877) -> Reply:
        return await self.post("/api/v1/media/request", {"mediaType": media_type, "tmdbId": tmdb_id})


@pytest.fixture
async def start_app() -> AsyncIterator[StartApp]:
    """Start stand-ins with faults and settings of choice; all are stopped at the end."""
    async with AsyncExitStack() as stack:

        async def start(faults: Faults | None = None, **settings: Any) -> DemoApp:
            return await stack.enter_async_context(DemoApp(settings=Settings(**settings), faults=faults))

        yield start


@pytest.fixture
async def app(start_app: StartApp) -> DemoApp:
    return await start_app()


@pytest.fixture
async def new_client() -> AsyncIterator[Callable[..., Awaitable[Client]]]:
    """Clients with cookie jars of their own; `address` is the loopback address they come from."""
    async with AsyncExitStack() as stack:

        async def new(app: DemoApp, *, address: str = "127.0.0.1", signed_in: bool = False) -> Client:
            http = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(local_addr=(address, 0)),
                cookie_jar=aiohttp.CookieJar(unsafe=True, quote_cookie=False),
                auto_decompress=False,
                skip_auto_headers=("Content-Type",),
            )
            client = Client(app.url, await stack.enter_async_context(http))
            if signed_in:
                await client.sign_in()
            return client

        yield new


@pytest.fixture
async def stranger(app: DemoApp, new_client: Callable[..., Awaitable[Client]]) -> Client:
    return await new_client(app)


@pytest.fixture
async def friend(app: DemoApp, new_client: Callable[..., Awaitable[Client]]) -> Client:
    return await new_client(app, signed_in=True)
