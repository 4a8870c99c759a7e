from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import re
from typing import Any

import brotli
import pytest

from nestperf.demo.app import DemoApp
from nestperf.demo.faults import Faults


async def test_post_without_csrf_token_is_a_403(stranger: Any) -> None:
    reply = await stranger.post("/api/v1/auth/plex/pin", {})
    assert (reply.status, reply.json["error"]["code"]) == (403, "CSRF_TOKEN_MISSING")


async def test_post_with_another_token_than_the_cookies_is_a_403(stranger: Any) -> None:
    first = await stranger.fetch_csrf()
    await stranger.fetch_csrf()
    reply = await stranger.post("/api/v1/auth/plex/pin", {}, x_csrf_token=first)
    assert (reply.status, reply.json["error"]["code"]) == (403, "CSRF_TOKEN_INVALID")


async def test_post_with_an_invented_token_in_header_and_cookie_is_a_403(stranger: Any) -> None:
    invented = "ab" * 32
    reply = await stranger.post("/api/v1/auth/plex/pin", {}, x_csrf_token=invented, Cookie=f"csrf-token={invented}")
    assert (reply.status, reply.json["error"]["code"]) == (403, "CSRF_TOKEN_INVALID")


async def test_csrf_token_of_another_address_or_browser_is_a_403(app: DemoApp, new_client: Any) -> None:
    here, there = await new_client(app), await new_client(app, address="127.0.0.9")
    token = await here.fetch_csrf()
    sent = {"x_csrf_token": token, "Cookie": f"csrf-token={token}"}
    assert (await there.post("/api/v1/auth/plex/pin", {}, **sent)).status == 403
    assert (await here.post("/api/v1/auth/plex/pin", {}, **sent, User_Agent="Other/1")).status == 403
    assert (await here.post("/api/v1/auth/plex/pin", {}, **sent)).status == 200


async def test_csrf_token_from_before_the_sign_in_is_a_403_afterwards(stranger: Any) -> None:
    before = await stranger.fetch_csrf()
    await stranger.sign_in()
    stranger.csrf = before
    assert (await stranger.ask_for()).status == 403


async def test_delete_without_csrf_token_is_a_403(friend: Any) -> None:
    friend.csrf = ""
    assert (await friend.send("DELETE", "/api/v1/media/requests/x")).status == 403


async def test_hundred_requests_a_minute_then_429_with_retry_after(friend: Any) -> None:
    replies = [await friend.get("/api/v1/auth/session") for _ in range(101)]
    assert [reply.status for reply in replies] == [200] * 100 + [429]
    refused = replies[-1]
    assert refused.json["error"].startswith("Too many requests")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.json["retryAfter"] == int(refused.headers["Retry-After"])
    assert (refused.headers["RateLimit-Limit"], refused.headers["RateLimit-Remaining"]) == ("100", "0")
    assert replies[0].headers["RateLimit-Remaining"] == "99"


async def test_request_is_admitted_again_when_the_window_is_over(start_app: Any, new_client: Any) -> None:
    app = await start_app(Faults(limit=3), window_s=0.4)
    client = await new_client(app)
    loop = asyncio.get_running_loop()
    began = loop.time()
    statuses = [(await client.get("/api/v1/health")).status for _ in range(4)]
    if loop.time() - began < 0.4:  # a stalled machine may have let the window pass
        assert statuses == [200, 200, 200, 429]
    await asyncio.sleep(0.45)
    assert (await client.get("/api/v1/health")).status == 200


async def test_limit_counts_each_user_and_each_address_apart(start_app: Any, new_client: Any) -> None:
    app = await start_app(Faults(limit=5))
    one, other = await new_client(app, signed_in=True), await new_client(app, address="127.0.0.2", signed_in=True)
    assert [(await one.get("/api/v1/auth/session")).status for _ in range(6)] == [200] * 5 + [429]
    assert (await other.get("/api/v1/auth/session")).status == 200


async def test_limit_believes_x_forwarded_for(start_app: Any, new_client: Any) -> None:
    app = await start_app(Faults(limit=1))
    client = await new_client(app)
    for address in ("10.0.0.1", "10.0.0.2, 10.9.9.9", "10.0.0.3"):
        assert (await client.get("/api/v1/health", X_Forwarded_For=address)).status == 200
    assert (await client.get("/api/v1/health", X_Forwarded_For="10.0.0.2")).status == 429


async def test_pages_and_plain_health_are_not_limited(start_app: Any, new_client: Any) -> None:
    app = await start_app(Faults(limit=1))
    client = await new_client(app)
    assert [(await client.get("/health")).status for _ in range(3)] == [200] * 3
    assert [(await client.get("/signin")).status for _ in range(3)] == [200] * 3


async def test_limit_of_zero_admits_everything(start_app: Any, new_client: Any) -> None:
    app = await start_app(Faults(limit=0))
    client = await new_client(app)
    assert {(await client.get("/api/v1/health")).status for _ in range(120)} == {200}


async def test_429_without_retry_after_when_that_is_broken(start_app: Any, new_client: Any) -> None:
    app = await start_app(Faults(limit=1, retry_after=False))
    client = await new_client(app)
    await client.get("/api/v1/health")
    refused = await client.get("/api/v1/health")
    assert refused.status == 429
    assert "Retry-After" not in refused.headers
    assert "retryAfter" not in refused.json


async def test_each_nth_request_fails_when_that_is_broken(start_app: Any, new_client: Any) -> None:
    app = await start_app(Faults(error_every=3, error_path="/api/v1/health"))
    client = await new_client(app)
    assert [(await client.get("/api/v1/health")).status for _ in range(6)] == [200, 200, 500, 200, 200, 500]
    assert (await client.get("/health")).status == 200
    assert app.counts.statuses == {200: 5, 500: 2}


@pytest.mark.parametrize(
    ("accepted", "coding", "decode"),
    [("gzip, deflate, br", "br", brotli.decompress), ("gzip;q=0.9", "gzip", gzip.decompress)],
)
async def test_long_body_comes_compressed_as_accepted(friend: Any, accepted: str, coding: str, decode: Any) -> None:
    plain = await friend.get("/api/v1/media/search?query=star")
    packed = await friend.get("/api/v1/media/search?query=star", Accept_Encoding=accepted)
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == coding
    assert packed.headers["Transfer-Encoding"] == "chunked"
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert decode(packed.raw) == plain.raw
    assert len(packed.raw) < len(plain.raw) / 2


async def test_short_body_comes_as_it_is(friend: Any) -> None:
    reply = await friend.get("/api/v1/auth/session", Accept_Encoding="gzip, br")
    assert "Content-Encoding" not in reply.headers
    assert reply.headers["Content-Length"] == str(len(reply.raw))


async def test_head_answers_like_get_without_a_body(stranger: Any) -> None:
    reply = await stranger.send("HEAD", "/signin", Accept_Encoding="gzip")
    assert (reply.status, reply.raw) == (200, b"")


async def test_etag_is_weak_and_answers_304_to_its_owner(friend: Any) -> None:
    first = await friend.get("/api/v1/media/movie/36877")
    assert re.fullmatch(r'W/"[0-9a-f]+-[A-Za-z0-9+/]+"', first.headers["ETag"])
    again = await friend.get("/api/v1/media/movie/36877", If_None_Match=first.headers["ETag"])
    assert (again.status, again.raw) == (304, b"")


async def test_answers_carry_correlation_id_and_time(stranger: Any) -> None:
    reply = await stranger.get("/health")
    assert re.fullmatch(r"[0-9a-f-]{36}", reply.headers["x-correlation-id"])
    assert re.fullmatch(r"\d+\.\d\dms", reply.headers["X-Response-Time"])
    told = await stranger.get("/health", x_correlation_id="mine")
    assert told.headers["x-correlation-id"] == "mine"


async def test_counts_know_order_body_and_user(app: DemoApp, friend: Any) -> None:
    app.counts.clear()
    await friend.ask_for()
    await friend.get("/api/v1/media/requests?page=1")
    first, second = app.counts.request_order
    assert (first.method, first.target, first.status, first.user_id) == (
        "POST",
        "/api/v1/media/request",
        201,
        friend.user["id"],
    )
    sent = json.dumps({"mediaType": "movie", "tmdbId": 36877}).encode()
    assert (first.body_bytes, first.body_sha256) == (len(sent), hashlib.sha256(sent).hexdigest())
    assert (second.target, second.body_sha256) == ("/api/v1/media/requests?page=1", "")


async def test_body_that_is_too_large_is_a_413(friend: Any) -> None:
    assert (await friend.post("/api/v1/media/request", b"x" * 1_100_000)).status == 413
