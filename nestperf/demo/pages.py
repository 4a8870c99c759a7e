"""The stand-in's pages, rendered here as a Next.js server would, and their assets under `/_next/static/<hash>/`.

All of it comes from `dashboard.html`; nothing is fetched from anywhere else.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template

from aiohttp import web

from nestperf.demo.answers import timestamp
from nestperf.demo.catalogue import Title, build_catalogue, poster_svg
from nestperf.demo.gate import Gate
from nestperf.demo.identity import Identity
from nestperf.demo.services import Service, check_services
from nestperf.demo.sockets import Sockets
from nestperf.demo.store import Store

_SOURCE = Path(__file__).with_name("dashboard.html")
_PART = re.compile(r"^<!-- part: (\S+) -->\n", re.MULTILINE)
_MEDIA_TYPES = {"app.js": "text/javascript", "app.css": "text/css", "icon.svg": "image/svg+xml"}
_FEATURED = 14
"""Titles on a fresh dashboard."""
_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}


def read_parts(source: str) -> dict[str, str]:
    """Cut a source at its `<!-- part: NAME -->` lines; what stands before the first is left out."""
    pieces = _PART.split(source)[1:]
    return {name: text.strip() + "\n" for name, text in zip(pieces[::2], pieces[1::2], strict=True)}


class Pages:
    """Sign-in page, dashboard, their assets, and posters."""

    def __init__(self, gate: Gate, store: Store, sockets: Sockets) -> None:
        self._gate = gate
        self._store = store
        self._sockets = sockets
        self._parts = read_parts(_SOURCE.read_text(encoding="utf-8"))
        build = hashlib.sha256("".join(self._parts[name] for name in _MEDIA_TYPES).encode()).hexdigest()[:16]
        self._folder = f"/_next/static/{build}/"
        self._featured = build_catalogue()[::9][:_FEATURED]

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application's router."""
        return [
            web.get("/", self.home),
            web.get("/signin", self.signin),
            web.get("/dashboard", self.dashboard),
            web.get("/requests", self.dashboard),
            web.get(self._folder + "{name}", self.asset),
            web.get("/posters/{tmdb_id:[0-9]{1,9}}", self.poster),
            web.get("/favicon.ico", self.icon),
        ]

    async def home(self, _: web.Request) -> web.StreamResponse:
        """Leads to the dashboard."""
        raise web.HTTPFound("/dashboard")

    async def signin(self, _: web.Request) -> web.Response:
        """The door."""
        return self._page("signin", "Sign in", self._fill("signin", {}))

    async def dashboard(self, request: web.Request) -> web.Response:
        """A friend's dashboard, or the list of requests, which is the same page; leads others to the door."""
        friend = self._gate.identify(request)
        if friend is None:
            raise web.HTTPFound("/signin")
        return self._page("dashboard", "Dashboard", await self._board(friend))

    async def asset(self, request: web.Request) -> web.Response:
        """Script, style or icon of this build."""
        name = request.match_info["name"]
        if name not in _MEDIA_TYPES:
            raise web.HTTPNotFound
        return web.Response(
            body=self._parts[name].encode(), content_type=_MEDIA_TYPES[name], charset="utf-8", headers=_FOREVER
        )

    async def icon(self, _: web.Request) -> web.StreamResponse:
        """Browsers ask for it unasked."""
        raise web.HTTPFound(self._folder + "icon.svg")

    async def poster(self, request: web.Request) -> web.Response:
        """A title's picture."""
        title = await self._store.poster_title(int(request.match_info["tmdb_id"]))
        if title is None:
            raise web.HTTPNotFound
        return web.Response(
            body=poster_svg(title).encode(), content_type="image/svg+xml", charset="utf-8", headers=_FOREVER
        )

    def _page(self, name: str, title: str, body: str) -> web.Response:
        links = {"stylesheet": "app.css", "script": "app.js", "icon": "icon.svg"}
        paths = {role: self._folder + file for role, file in links.items()}
        text = Template(self._parts["shell"]).substitute(paths, title=title, page=name, body=body)
        headers = {"Cache-Control": "no-store, must-revalidate"}
        return web.Response(body=text.encode(), content_type="text/html", charset="utf-8", headers=headers)

    async def _board(self, friend: Identity) -> str:
        total = str(await self._store.count_requests(friend.user_id))
        written = {"username": friend.username, "initial": friend.username[:1].upper()}
        figures = {"total_requests": total, "pending_requests": total}
        rendered = {
            "services": "".join(map(self._service, check_services(self._sockets.checks, timestamp()))),
            "titles": "".join(map(self._title, self._featured)),
            "notifications": "".join(
                self._fill("notification", {"message": line.message})
                for line in await self._store.notifications(friend.user_id, limit=6)
            ),
        }
        return self._fill("dashboard", written | figures, rendered)

    def _service(self, service: Service) -> str:
        values = {"name": service.name, "display_name": service.display_name, "status": service.status}
        figures = {"uptime": str(service.uptime_percent), "response_time": str(service.response_time_ms)}
        return self._fill("service", values | figures)

    def _title(self, title: Title) -> str:
        values = {"media_type": title.media_type, "title": title.title, "genre": title.genre, "year": str(title.year)}
        figures = {"tmdb_id": str(title.tmdb_id), "poster": title.poster_path, "rating": f"{title.rating:.1f}"}
        return self._fill("title", values | figures)

    def _fill(self, part: str, values: Mapping[str, str], rendered: Mapping[str, str] | None = None) -> str:
        escaped = {name: html.escape(value) for name, value in values.items()}
        icon = {"icon": self._folder + "icon.svg"}
        return Template(self._parts[part]).substitute(icon, **escaped, **(rendered or {}))
