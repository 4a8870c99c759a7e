"""One tester's browser, as far as a server can tell: Chromium's headers, a cookie jar, up to six kept connections, a
cache for assets, and one Socket.IO connection over WebSocket. It never follows a script of its own."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections import defaultdict
from collections.abc import Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import urljoin, urlsplit

import aiohttp
import brotli
import socketio

from nestperf.errors import ExitCode, NestperfError

USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
CONNECTIONS = 6
"""As many as Chromium opens to one host for HTTP/1.1."""
_ACCEPT = {
    "document": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "style": "text/css,*/*;q=0.1",
    "image": "image/avif,image/webp,image/svg+xml,image/*,*/*;q=0.8",
}
_PATIENCE_S = 15.0
"""How long an answer or an event may take before the session is given up."""


class SessionFailed(NestperfError):
    """The application did not do what the tester expected of it."""

    exit_code = ExitCode.FAILED


class Answer(NamedTuple):
    """One HTTP response, decoded."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()


class Browser:
    """Opens pages and assets, makes calls as a page's script would, and holds one Socket.IO connection."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.token = ""
        """The JWT that the page's script keeps."""
        self._page = "/"
        self._cached: set[str] = set()
        self._jar: aiohttp.CookieJar | None = None
        self._http: aiohttp.ClientSession | None = None
        self._live: LiveConnection | None = None

    async def __aenter__(self) -> Self:
        # Loopback is an address, and by default the jar keeps no cookies of addresses.
        self._jar = aiohttp.CookieJar(unsafe=True, quote_cookie=False)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit_per_host=CONNECTIONS, keepalive_timeout=60),
            cookie_jar=self._jar,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=_PATIENCE_S),
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            await self._live.close()
        if self._http is not None:
            await self._http.close()

    async def page(self, path: str) -> str:
        """Go to a page; its HTML."""
        came_from = self._page
        self._page = path
        site = "none" if came_from == "/" else "same-origin"
        headers = {"Upgrade-Insecure-Requests": "1", "Sec-Fetch-User": "?1"}
        answer = await self._fetch("GET", path, "document", "navigate", site=site, headers=headers)
        return answer.text()

    async def assets(self, paths: list[str], destination: str) -> int:
        """Load what a page refers to, at once, and nothing twice; how many were loaded.

        `destination` is a Sec-Fetch-Dest value: `script`, `style` or `image`.
        """
        fresh = [path for path in dict.fromkeys(paths) if path not in self._cached]
        self._cached.update(fresh)
        await asyncio.gather(*(self._fetch("GET", path, destination, "no-cors") for path in fresh))
        return len(fresh)

    async def call(self, method: str, path: str, body: object = None, *, expect: int = 200) -> Any:
        """Call the API as a script does, with bearer and CSRF token; the answer's JSON.

        Raises:
            SessionFailed: another status than `expect` came, or nothing.
        """
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if method not in ("GET", "HEAD"):
            headers |= {"Origin": self.url, "x-csrf-token": self.cookie("csrf-token")}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body, separators=(",", ":")).encode()
        answer = await self._fetch(
            method, f"/api/v1/{path}", "empty", "cors", headers=headers, content=content, expect=expect
        )
        return answer.json()

    def cookie(self, name: str) -> str:
        """A cookie's value, empty where there is none."""
        assert self._jar is not None, "enter the browser first"
        return next((cookie.value for cookie in self._jar if cookie.key == name), "")

    async def go_live(self, namespaces: tuple[str, ...]) -> LiveConnection:
        """Open the page's Socket.IO connection and join these namespaces with the JWT."""
        assert self._jar is not None, "enter the browser first"
        self._live = LiveConnection(self.url, self._jar)
        await self._live.open(namespaces, {"token": self.token})
        return self._live

    async def _fetch(
        self,
        method: str,
        path: str,
        destination: str,
        mode: str,
        *,
        site: str = "same-origin",
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        expect: int = 200,
    ) -> Answer:
        assert self._http is not None, "enter the browser first"
        sent = _browser_headers(destination, mode, site) | dict(headers or {})
        if site != "none":
            sent["Referer"] = urljoin(self.url, self._page)
        try:
            async with self._http.request(
                method, self.url + path, headers=sent, data=content, allow_redirects=False
            ) as response:
                body = _decoded(await response.read(), response.headers.get("Content-Encoding", ""))
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            raise SessionFailed(f"{method} {path} got no answer from {self.url} ({reason}): is it running?") from error
        if response.status != expect:
            said = body[:200].decode(errors="replace")
            raise SessionFailed(f"{method} {path} was answered {response.status}, not {expect}: {said}")
        return Answer(response.status, body)


class LiveConnection:
    """A page's Socket.IO connection, and the events that came on it."""

    def __init__(self, url: str, jar: aiohttp.CookieJar) -> None:
        self._url = url
        self._jar = jar
        self._heard: defaultdict[tuple[str, str], asyncio.Queue[Any]] = defaultdict(asyncio.Queue)
        self._http: aiohttp.ClientSession | None = None
        self._client: Any = None

    async def open(self, namespaces: tuple[str, ...], auth: dict[str, str]) -> None:
        """Connect by WebSocket and join the namespaces.

        Raises:
            SessionFailed: the server refuses, or does not answer.
        """
        # Chromium does not count WebSockets among its six connections: a pool of their own.
        self._http = aiohttp.ClientSession(cookie_jar=self._jar, headers={"User-Agent": USER_AGENT})
        self._client = socketio.AsyncClient(handle_sigint=False, reconnection=False, http_session=self._http)
        for namespace in namespaces:
            self._client.on("*", self._hear(namespace), namespace=namespace)
        try:
            await self._client.connect(
                self._url,
                headers={"Origin": self._url},
                auth=auth,
                transports=["websocket"],
                namespaces=list(namespaces),
                wait_timeout=_PATIENCE_S,
            )
        except socketio.exceptions.ConnectionError as error:
            raise SessionFailed(f"Socket.IO at {self._url} refused {', '.join(namespaces)}: {error}") from error

    async def close(self) -> None:
        """Leave every namespace and close the connection."""
        if self._client is not None:
            await self._client.disconnect()
        if self._http is not None:
            await self._http.close()
        self._client = self._http = None

    async def emit(self, namespace: str, event: str, content: object = None) -> None:
        """Send an event."""
        await self._client.emit(event, content, namespace=namespace)

    async def ask(self, namespace: str, event: str, content: object = None) -> Any:
        """Send an event and wait for its ack."""
        try:
            return await self._client.call(event, content, namespace=namespace, timeout=_PATIENCE_S)
        except socketio.exceptions.TimeoutError as error:
            raise SessionFailed(f"Nobody acknowledged {event} at {namespace} within {_PATIENCE_S:g} s.") from error

    async def expect(self, namespace: str, event: str) -> Any:
        """The next event of that name that nobody has waited for yet.

        Raises:
            SessionFailed: it did not come in time.
        """
        try:
            return await asyncio.wait_for(self._heard[namespace, event].get(), _PATIENCE_S)
        except TimeoutError as error:
            raise SessionFailed(f"No {event} came at {namespace} within {_PATIENCE_S:g} s.") from error

    def forget(self, namespace: str, event: str) -> int:
        """Drop the events of that name that nobody has waited for; how many they were."""
        unread = self._heard.pop((namespace, event), None)
        return unread.qsize() if unread is not None else 0

    def _hear(self, namespace: str) -> Any:
        async def hear(event: str, *arguments: Any) -> None:
            self._heard[namespace, event].put_nowait(arguments[0] if arguments else None)

        return hear


def _browser_headers(destination: str, mode: str, site: str) -> dict[str, str]:
    return {
        "Connection": "keep-alive",
        "sec-ch-ua-platform": '"Linux"',
        "User-Agent": USER_AGENT,
        "sec-ch-ua": '"Chromium";v="130", "Not?A_Brand";v="99"',
        "sec-ch-ua-mobile": "?0",
        "Accept": _ACCEPT.get(destination, "*/*"),
        "Sec-Fetch-Site": site,
        "Sec-Fetch-Mode": mode,
        "Sec-Fetch-Dest": destination,
        "Accept-Encoding": "gzip, br",
        "Accept-Language": "en-US,en;q=0.9",
    }


def _decoded(body: bytes, coding: str) -> bytes:
    if coding == "br":
        return bytes(brotli.decompress(body))
    return gzip.decompress(body) if coding == "gzip" else body


def origin_of(url: str) -> str:
    """Scheme, host and port of a URL.

    Raises:
        SessionFailed: it is none that a browser could open.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise SessionFailed(f"{url} is not an address to open: give one like http://127.0.0.1:8400.")
    return f"{parts.scheme}://{parts.netloc}"
