"""The stand-in's API under `/api/v1` and its health checks, in the shapes of MediaNest's answers."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import defaultdict
from datetime import UTC, datetime

from aiohttp import web

from nestperf.demo.answers import downloads_exhausted, failed, json_answer, rejected, success, timestamp
from nestperf.demo.catalogue import Title
from nestperf.demo.gate import API, CSRF_COOKIE, TOKEN_COOKIE, Gate, user_key
from nestperf.demo.identity import TOKEN_LIFETIME_S, Identity, sign_token
from nestperf.demo.limits import RateLimit
from nestperf.demo.services import check_services
from nestperf.demo.sockets import Sockets
from nestperf.demo.store import MediaRequest, Store

MEDIA_TYPES = ("movie", "tv")
_MOST_PAGE_SIZE = 100
_DOWNLOADS_AN_HOUR = 5
_UPSTREAM_S = 0.012
"""Searching and details ask Overseerr in the real MediaNest, over the network."""


class Api:
    """The routes; friends and wishes are in the store, events go out through the sockets."""

    def __init__(self, gate: Gate, store: Store, sockets: Sockets) -> None:
        self._gate = gate
        self._store = store
        self._sockets = sockets
        self._began_s = time.perf_counter()
        self._downloads: defaultdict[str, RateLimit] = defaultdict(lambda: RateLimit(_DOWNLOADS_AN_HOUR, 3600.0))

    def routes(self) -> list[web.RouteDef]:
        """What to add to the application's router."""
        return [
            web.get("/health", self.health),
            web.get("/api/health", self.api_health),
            web.get(f"{API}health", self.api_health),
            web.get(f"{API}csrf/token", self.csrf_token),
            web.post(f"{API}auth/plex/pin", self.create_pin),
            web.post(f"{API}auth/plex/verify", self.verify_pin),
            web.get(f"{API}auth/session", self.session),
            web.post(f"{API}auth/logout", self.logout),
            web.get(f"{API}dashboard/status", self.status),
            web.get(f"{API}dashboard/stats", self.stats),
            web.get(f"{API}dashboard/notifications", self.notifications),
            web.get(f"{API}media/search", self.search),
            web.post(f"{API}media/request", self.create_request),
            web.get(f"{API}media/requests", self.requests),
            web.get(f"{API}media/requests/{{request_id}}", self.request),
            web.delete(f"{API}media/requests/{{request_id}}", self.delete_request),
            web.get(f"{API}media/{{media_type}}/{{tmdb_id}}", self.details),
            web.post(f"{API}youtube/download", self.download),
        ]

    async def health(self, _: web.Request) -> web.Response:
        """Alive."""
        return json_answer({"status": "ok", "timestamp": timestamp()}, headers={"Cache-Control": "no-cache"})

    async def api_health(self, _: web.Request) -> web.Response:
        """Alive, with version and uptime."""
        uptime_s = time.perf_counter() - self._began_s
        body = {"status": "ok", "timestamp": timestamp(), "version": "1.0.0", "uptime": round(uptime_s, 3)}
        return json_answer(body, headers={"Cache-Control": "no-cache"})

    async def csrf_token(self, request: web.Request) -> web.Response:
        """A CSRF token, in the body and as a cookie."""
        token = self._gate.new_csrf(self._gate.client_key(request))
        response = success({"token": token, "expiresIn": 3600})
        self._gate.set_csrf(response, token)
        return response

    async def create_pin(self, _: web.Request) -> web.Response:
        """A new Plex pin."""
        pin_id, code = await self._store.create_pin()
        return success({"id": pin_id, "code": code, "qrUrl": f"https://plex.tv/link/?pin={code}", "expiresIn": 900})

    async def verify_pin(self, request: web.Request) -> web.Response:
        """Sign in: whoever shows a fresh pin is a new friend."""
        pin_id = (await _json_object(request)).get("pinId")
        if not isinstance(pin_id, str):
            raise rejected(400, "VALIDATION_ERROR", "Invalid request data")
        friend = await self._store.verify_pin(pin_id, timestamp())
        if friend is None:
            raise rejected(400, "INVALID_PIN", "Invalid or expired PIN")
        token = self._token_for(friend)
        csrf = self._gate.new_csrf(user_key(friend))
        response = success({"user": _user(friend), "token": token, "rememberToken": None, "csrfToken": csrf})
        self._gate.set_csrf(response, csrf)
        response.set_cookie(TOKEN_COOKIE, token, max_age=TOKEN_LIFETIME_S, path="/", httponly=True, samesite="Lax")
        return response

    async def session(self, request: web.Request) -> web.Response:
        """Who is signed in."""
        return success({"user": _user(self._gate.require_identity(request))})

    async def logout(self, request: web.Request) -> web.Response:
        """Forget the cookies; as in MediaNest the token itself stays good until it expires."""
        self._gate.require_identity(request)
        response = json_answer({"success": True, "message": "Logged out successfully"})
        response.del_cookie(TOKEN_COOKIE, path="/")
        response.del_cookie(CSRF_COOKIE, path="/")
        return response

    async def status(self, request: web.Request) -> web.Response:
        """How the services are."""
        self._gate.require_identity(request)
        found = [service.as_json() for service in check_services(self._sockets.checks, timestamp())]
        return success(found, meta={"timestamp": timestamp(), "count": len(found)})

    async def stats(self, request: web.Request) -> web.Response:
        """A friend's figures."""
        friend = self._gate.require_identity(request)
        total = await self._store.count_requests(friend.user_id)
        recent = [wish.as_json() for wish in await self._store.requests(friend.user_id, limit=5)]
        figures = {"totalRequests": total, "pendingRequests": total, "availableRequests": 0}
        return success({"user": _user(friend), "requests": {"recent": recent}, "stats": figures})

    async def notifications(self, request: web.Request) -> web.Response:
        """A friend's news."""
        friend = self._gate.require_identity(request)
        news = [line.as_json() for line in await self._store.notifications(friend.user_id)]
        return success(news, meta={"unreadCount": len(news)})

    async def search(self, request: web.Request) -> web.Response:
        """Titles by a part of their name."""
        self._gate.require_identity(request)
        query = request.query.get("query", "").strip()
        if not query:
            raise rejected(400, "VALIDATION_ERROR", "Search query is required")
        await asyncio.sleep(_UPSTREAM_S)
        found = [_title(title) for title in await self._store.search(query)]
        return success(found, meta={"query": query, "page": 1, "totalPages": 1})

    async def details(self, request: web.Request) -> web.Response:
        """One title."""
        self._gate.require_identity(request)
        media_type, tmdb_id = request.match_info["media_type"], request.match_info["tmdb_id"]
        if media_type not in MEDIA_TYPES:
            raise rejected(400, "VALIDATION_ERROR", "Invalid media type")
        await asyncio.sleep(_UPSTREAM_S)
        return success(_title(await self._title_or_refuse(media_type, tmdb_id)))

    async def create_request(self, request: web.Request) -> web.Response:
        """A friend asks for a title; their open pages hear of it at once."""
        friend = self._gate.require_identity(request)
        body = await _json_object(request)
        media_type, tmdb_id = body.get("mediaType"), body.get("tmdbId", body.get("mediaId"))
        if media_type not in MEDIA_TYPES or not isinstance(tmdb_id, int | str) or isinstance(tmdb_id, bool):
            raise rejected(400, "VALIDATION_ERROR", "mediaType and mediaId/tmdbId are required")
        title = await self._title_or_refuse(str(media_type), str(tmdb_id))
        wish = await self._store.create_request(friend.user_id, title, timestamp())
        if wish is None:
            raise rejected(409, "DUPLICATE_REQUEST", f"You have already requested {title.title}")
        await self._sockets.request_created(wish)
        return success(wish.as_json(), 201, meta={"timestamp": timestamp()})

    async def requests(self, request: web.Request) -> web.Response:
        """A friend's wishes, by pages."""
        friend = self._gate.require_identity(request)
        page, size = _positive(request, "page", 1), min(_positive(request, "pageSize", 20), _MOST_PAGE_SIZE)
        wishes = await self._store.requests(friend.user_id, offset=(page - 1) * size, limit=size)
        total = await self._store.count_requests(friend.user_id)
        meta = {"totalCount": total, "totalPages": -(-total // size), "currentPage": page, "timestamp": timestamp()}
        return success([wish.as_json() for wish in wishes], meta=meta)

    async def request(self, request: web.Request) -> web.Response:
        """One wish of one's own."""
        return success((await self._own_request(request)).as_json())

    async def delete_request(self, request: web.Request) -> web.Response:
        """Take a wish back."""
        wish = await self._own_request(request)
        await self._store.delete_request(wish.id)
        await self._sockets.request_status(wish, "cancelled")
        return json_answer({"success": True, "message": "Request deleted successfully"})

    async def download(self, request: web.Request) -> web.Response:
        """Queue a YouTube download, five an hour."""
        friend = self._gate.require_identity(request)
        url = (await _json_object(request)).get("url")
        if not isinstance(url, str) or "://" not in url:
            raise rejected(400, "VALIDATION_ERROR", "Invalid request")
        admission = self._downloads[friend.user_id].admit("", time.perf_counter())
        if not admission.admitted:
            raise downloads_exhausted(_DOWNLOADS_AN_HOUR, int(admission.reset_s) + 1)
        queued = {"id": str(uuid.uuid4()), "url": url, "status": "queued", "progress": 0, "userId": friend.user_id}
        return json_answer(queued, 201)

    def _token_for(self, friend: Identity) -> str:
        now_s = int(datetime.now(UTC).timestamp())
        return sign_token(friend, secret=self._gate.secret, now_s=now_s, token_id=str(uuid.uuid4()))

    async def _title_or_refuse(self, media_type: str, tmdb_id: str) -> Title:
        if not tmdb_id.isascii() or not tmdb_id.isdigit() or len(tmdb_id) > 12:
            raise rejected(400, "VALIDATION_ERROR", "Invalid tmdbId")
        title = await self._store.title(media_type, int(tmdb_id))
        if title is None:
            raise failed(404, "Media not found", f"No {media_type} with id {tmdb_id}")
        return title

    async def _own_request(self, request: web.Request) -> MediaRequest:
        friend = self._gate.require_identity(request)
        wish = await self._store.request(request.match_info["request_id"])
        if wish is None:
            raise failed(404, "Request not found", "No such request")
        if wish.user_id != friend.user_id:
            raise failed(403, "Access denied", "The request belongs to somebody else")
        return wish


async def _json_object(request: web.Request) -> dict[str, object]:
    try:
        body = json.loads(await request.read() or b"{}")
    except ValueError:
        raise rejected(400, "VALIDATION_ERROR", "The body is not JSON") from None
    if not isinstance(body, dict):
        raise rejected(400, "VALIDATION_ERROR", "The body is not a JSON object")
    return body


def _positive(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= 1_000_000:
        raise rejected(400, "VALIDATION_ERROR", f"{name} must be a positive number")
    return int(text[:9])


def _user(friend: Identity) -> dict[str, object]:
    return {"id": friend.user_id, "username": friend.username, "email": friend.email, "role": friend.role}


def _title(title: Title) -> dict[str, object]:
    return {
        "id": title.tmdb_id,
        "mediaType": title.media_type,
        "tmdbId": title.tmdb_id,
        "imdbId": f"tt{title.tmdb_id + 1_000_000}",
        "title": title.title,
        "releaseDate": f"{title.year}-03-14",
        "genre": title.genre,
        "voteAverage": round(title.rating, 1),
        "overview": title.overview,
        "posterPath": title.poster_path,
    }
