"""MediaNest's answers: JSON bodies, its four shapes of errors, weak ETags and compression.

It builds responses and decides nothing about who gets which.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import uuid
from datetime import UTC, datetime

import brotli
from aiohttp import web

COMPRESS_ABOVE = 1024
"""Bytes; smaller bodies are sent as they are."""
_COMPRESSIBLE = ("application/json", "text/", "image/svg+xml", "application/javascript")


class Refusal(Exception):
    """An error that the client is told about: status, JSON body, headers."""

    def __init__(self, status: int, body: dict[str, object], headers: dict[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self.headers = headers or {}


def timestamp() -> str:
    """The moment as MediaNest writes it: ISO 8601 with milliseconds, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def json_answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A JSON response."""
    return web.Response(
        body=json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode(),
        status=status,
        headers=headers,
        content_type="application/json",
        charset="utf-8",
    )


def success(content: object, status: int = 200, **more: object) -> web.Response:
    """`{"success": true, "data": …}`"""
    return json_answer({"success": True, "data": content, **more}, status)


def failed(status: int, message: str, cause: str) -> Refusal:
    """First shape: `{error: true, message, details}`."""
    details = {"cause": cause, "errorId": str(uuid.uuid4())}
    return Refusal(status, {"error": True, "message": message, "details": details, "timestamp": timestamp()})


def rejected(status: int, code: str, message: str) -> Refusal:
    """Second shape: `{success: false, error: {code, message}}`."""
    return Refusal(status, {"success": False, "error": {"code": code, "message": message}})


def too_many(seconds: int | None) -> Refusal:
    """Third shape, the general rate limit's; `seconds` until the next try, None to keep it a secret."""
    body: dict[str, object] = {"error": "Too many requests, please try again later."}
    if seconds is None:
        return Refusal(429, body)
    return Refusal(429, body | {"retryAfter": seconds}, {"Retry-After": str(seconds)})


def downloads_exhausted(limit: int, seconds: int) -> Refusal:
    """Fourth shape, YouTube's."""
    return Refusal(
        429,
        {"error": "Download rate limit exceeded", "limit": limit, "window": "1 hour", "retryAfter": seconds},
        {"Retry-After": str(seconds)},
    )


def weak_etag(body: bytes) -> str:
    """A weak ETag in Express's form: length in hex and a hash of the content."""
    digest = base64.b64encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode().rstrip("=")
    return f'W/"{len(body):x}-{digest}"'


def finish(request: web.Request, response: web.Response) -> web.Response:
    """Give a complete response its ETag and its compression; 304 where the client has just this content."""
    body = response.body
    if not isinstance(body, bytes) or not body:
        return response
    etag = response.headers.setdefault("ETag", weak_etag(body))
    if request.method in ("GET", "HEAD") and response.status == 200 and request.headers.get("If-None-Match") == etag:
        kept = {name: response.headers[name] for name in ("ETag", "Cache-Control", "Vary") if name in response.headers}
        return web.Response(status=304, headers=kept)
    if len(body) > COMPRESS_ABOVE and response.content_type.startswith(_COMPRESSIBLE):
        response.headers["Vary"] = "Origin, Accept-Encoding"
        _compress(request.headers.get("Accept-Encoding", ""), response, body)
    return response


def _compress(accepted: str, response: web.Response, body: bytes) -> None:
    codings = {coding.partition(";")[0].strip() for coding in accepted.lower().split(",")}
    if "br" in codings:
        response.body = brotli.compress(body, quality=4)
        response.headers["Content-Encoding"] = "br"
    elif "gzip" in codings:
        response.body = gzip.compress(body, compresslevel=6, mtime=0)
        response.headers["Content-Encoding"] = "gzip"
    else:
        return
    # Express compresses while it sends, so nobody knows the length beforehand.
    response.enable_chunked_encoding()
