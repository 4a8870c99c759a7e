from __future__ import annotations

import asyncio
import base64
import json
import re
from typing import Any

import pytest

from nestperf.demo.app import DemoApp
from nestperf.demo.faults import Faults

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SIGNED_IN_ONLY = [
    ("GET", "auth/session"),
    ("POST", "auth/logout"),
    ("GET", "dashboard/status"),
    ("GET", "dashboard/stats"),
    ("GET", "dashboard/notifications"),
    ("GET", "media/search?query=star"),
    ("GET", "media/movie/36877"),
    ("POST", "media/request"),
    ("GET", "media/requests"),
    ("GET", "media/requests/00000000-0000-4000-8000-000000000000"),
    ("DELETE", "media/requests/00000000-0000-4000-8000-000000000000"),
    ("POST", "youtube/download"),
]


@pytest.mark.parametrize("path", ["/health", "/api/health", "/api/v1/health"])
async def test_health_is_ok_for_anybody(stranger: Any, path: str) -> None:
    reply = await stranger.get(path)
    assert (reply.status, reply.json["status"]) == (200, "ok")


async def test_csrf_token_is_the_same_in_body_and_cookie(stranger: Any) -> None:
    reply = await stranger.get("/api/v1/csrf/token")
    token = reply.json["data"]["token"]
    assert reply.headers["Set-Cookie"].startswith(f"csrf-token={token};")
    assert "SameSite=Strict" in reply.headers["Set-Cookie"]


async def test_sign_in_gives_token_in_body_and_httponly_cookie(stranger: Any) -> None:
    await stranger.fetch_csrf()
    pin = (await stranger.post("/api/v1/auth/plex/pin", {})).json["data"]
    assert UUID.fullmatch(pin["id"])
    reply = await stranger.post("/api/v1/auth/plex/verify", {"pinId": pin["id"]})
    content = reply.json["data"]
    assert UUID.fullmatch(content["user"]["id"])
    cookies = {line.partition("=")[0]: line for line in reply.headers.getall("Set-Cookie")}
    assert cookies["token"].startswith(f"token={content['token']};")
    assert "HttpOnly" in cookies["token"]
    assert cookies["csrf-token"].startswith(f"csrf-token={content['csrfToken']};")
    claims = json.loads(base64.urlsafe_b64decode(content["token"].split(".")[1] + "=="))
    assert claims["userId"] == content["user"]["id"]


async def test_each_sign_in_is_a_new_friend(app: DemoApp, new_client: Any) -> None:
    friends = [await new_client(app, signed_in=True) for _ in range(3)]
    assert len({friend.user["id"] for friend in friends}) == 3


@pytest.mark.parametrize("body", [{}, {"pinId": 3}, {"pinId": "nobody's"}, [], b"{", b"\xff"])
async def test_verify_without_a_fresh_pin_is_a_400(stranger: Any, body: object) -> None:
    await stranger.fetch_csrf()
    reply = await stranger.post("/api/v1/auth/plex/verify", body)
    assert reply.status == 400
    assert reply.json["success"] is False
    assert reply.json["error"]["code"] in ("VALIDATION_ERROR", "INVALID_PIN")


@pytest.mark.parametrize(("method", "path"), SIGNED_IN_ONLY)
async def test_call_of_a_stranger_is_a_401(stranger: Any, method: str, path: str) -> None:
    await stranger.fetch_csrf()
    reply = await stranger.send(method, "/api/v1/" + path)
    assert reply.status == 401
    assert reply.json["error"] is True
    assert reply.json["message"] == "Authentication Required"
    assert UUID.fullmatch(reply.json["details"]["errorId"])


async def test_session_is_known_by_cookie_or_bearer(app: DemoApp, friend: Any, new_client: Any) -> None:
    assert (await friend.api("auth/session"))["user"] == friend.user
    elsewhere = await new_client(app)
    reply = await elsewhere.get("/api/v1/auth/session", Authorization=f"Bearer {friend.token}")
    assert reply.json["data"]["user"] == friend.user


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."])
async def test_wrong_bearer_is_a_401_even_with_a_good_cookie(friend: Any, token: str) -> None:
    reply = await friend.get("/api/v1/auth/session", Authorization=f"Bearer {token}")
    assert reply.status == 401


async def test_logout_takes_the_cookies_away(friend: Any) -> None:
    reply = await friend.post("/api/v1/auth/logout")
    assert (reply.status, reply.json["success"]) == (200, True)
    assert (await friend.get("/api/v1/auth/session")).status == 401


async def test_dashboard_shows_services_figures_and_news(friend: Any) -> None:
    status = (await friend.get("/api/v1/dashboard/status")).json
    assert status["meta"]["count"] == len(status["data"]) == 4
    assert {"name", "displayName", "status", "responseTime", "lastCheck"} <= set(status["data"][0])
    assert (await friend.api("dashboard/stats"))["stats"]["totalRequests"] == 0
    assert [line["message"] for line in await friend.api("dashboard/notifications")] == [
        f"Welcome to MediaNest, {friend.user['username']}."
    ]


async def test_search_finds_titles_by_a_part_of_their_name(friend: Any) -> None:
    reply = await friend.get("/api/v1/media/search?query=STAR")
    assert [title["title"] for title in reply.json["data"]][:2] == ["Star Harbour", "Star Garden"]
    assert reply.json["meta"]["query"] == "STAR"
    assert await friend.api("media/search?query=nothing%20like%20it") == []


async def test_search_for_nothing_is_a_400(friend: Any) -> None:
    for path in ("media/search", "media/search?query=%20"):
        reply = await friend.get("/api/v1/" + path)
        assert (reply.status, reply.json["error"]["code"]) == (400, "VALIDATION_ERROR")


async def test_details_name_one_title(friend: Any) -> None:
    title = await friend.api("media/tv/36878")
    assert (title["title"], title["mediaType"], title["tmdbId"]) == ("Star Garden", "tv", 36878)


@pytest.mark.parametrize(
    ("path", "status"), [("tv/36877", 404), ("movie/1", 404), ("book/36877", 400), ("movie/x", 400), ("movie/²", 400)]
)
async def test_details_of_no_title_are_refused(friend: Any, path: str, status: int) -> None:
    assert (await friend.get("/api/v1/media/" + path)).status == status


async def test_request_is_created_listed_opened_and_deleted(friend: Any) -> None:
    reply = await friend.ask_for()
    wish = reply.json["data"]
    assert (reply.status, wish["title"], wish["userId"]) == (201, "Star Harbour", friend.user["id"])
    assert UUID.fullmatch(wish["id"])
    listed = (await friend.get("/api/v1/media/requests?page=1&pageSize=20")).json
    assert (listed["data"], listed["meta"]["totalCount"], listed["meta"]["totalPages"]) == ([wish], 1, 1)
    assert await friend.api(f"media/requests/{wish['id']}") == wish
    assert (await friend.api("dashboard/stats"))["stats"]["totalRequests"] == 1
    assert (await friend.send("DELETE", f"/api/v1/media/requests/{wish['id']}")).status == 200
    assert (await friend.get(f"/api/v1/media/requests/{wish['id']}")).status == 404
    assert await friend.api("media/requests") == []


async def test_request_twice_is_a_409_for_the_same_friend_only(app: DemoApp, friend: Any, new_client: Any) -> None:
    assert (await friend.ask_for()).status == 201
    again = await friend.ask_for()
    assert (again.status, again.json["error"]["code"]) == (409, "DUPLICATE_REQUEST")
    other = await new_client(app, signed_in=True)
    assert (await other.ask_for()).status == 201


@pytest.mark.parametrize(
    "body",
    [{}, {"mediaType": "movie"}, {"mediaType": "book", "tmdbId": 1}, {"mediaType": "movie", "tmdbId": True}, b"nope"],
)
async def test_request_that_says_too_little_is_a_400(friend: Any, body: object) -> None:
    assert (await friend.post("/api/v1/media/request", body)).status == 400


async def test_request_of_somebody_else_is_a_403(app: DemoApp, friend: Any, new_client: Any) -> None:
    wish = (await friend.ask_for()).json["data"]
    other = await new_client(app, signed_in=True)
    for method in ("GET", "DELETE"):
        assert (await other.send(method, f"/api/v1/media/requests/{wish['id']}")).status == 403
    assert await friend.api("media/requests") == [wish]


async def test_requests_come_in_pages(friend: Any) -> None:
    for tmdb_id in range(36877, 36882):
        await friend.ask_for("movie" if tmdb_id % 2 else "tv", tmdb_id)
    page = (await friend.get("/api/v1/media/requests?page=2&pageSize=2")).json
    assert [wish["tmdbId"] for wish in page["data"]] == [36879, 36878]
    assert (page["meta"]["totalCount"], page["meta"]["totalPages"], page["meta"]["currentPage"]) == (5, 3, 2)


@pytest.mark.parametrize("query", ["page=0", "page=x", "pageSize=-1", "pageSize=", "page=²"])
async def test_page_that_is_none_is_a_400(friend: Any, query: str) -> None:
    assert (await friend.get("/api/v1/media/requests?" + query)).status == 400


async def test_sixth_download_in_an_hour_is_refused_in_youtubes_shape(friend: Any) -> None:
    video = {"url": "https://youtube.example/watch?v=1"}
    replies = [await friend.post("/api/v1/youtube/download", video) for _ in range(6)]
    assert [reply.status for reply in replies] == [201] * 5 + [429]
    assert replies[-1].json["window"] == "1 hour"
    assert 3500 < int(replies[-1].headers["Retry-After"]) <= 3601


async def test_unknown_route_and_method_answer_in_json(stranger: Any) -> None:
    reply = await stranger.get("/api/v1/nowhere")
    assert (reply.status, reply.json["error"]) == (404, True)
    reply = await stranger.send("PUT", "/health", b"x")
    assert reply.status == 405
    assert "GET" in reply.headers["Allow"]


async def test_twenty_friends_at_once_are_served_and_told_apart(app: DemoApp, new_client: Any) -> None:
    async def visit(number: int) -> str:
        friend = await new_client(app, address=f"127.0.1.{number}", signed_in=True)
        parts = ("dashboard/status", "dashboard/stats", "dashboard/notifications", "media/search?query=star")
        await asyncio.gather(*(friend.api(part) for part in parts))
        assert (await friend.ask_for()).status == 201
        assert len(await friend.api("media/requests")) == 1
        return str(friend.user["id"])

    users = await asyncio.gather(*(visit(number) for number in range(1, 21)))
    assert len(set(users)) == 20
    assert app.counts.users == set(users)
    assert len(app.counts.peers) == 20
    assert set(app.counts.statuses) == {200, 201}


async def test_slow_route_is_slow_and_others_are_not(start_app: Any, new_client: Any) -> None:
    app = await start_app(Faults(slow_path="/api/v1/csrf/", slow_ms=200.0))
    client = await new_client(app)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await client.fetch_csrf()
    took_s = loop.time() - began
    assert took_s >= 0.2
    assert (await client.get("/health")).status == 200
