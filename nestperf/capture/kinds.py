"""What an exchange was for, told from its heads alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from nestperf.capture.model import Kind, Pairs

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that ask for no change (RFC 9110, 9.2.1); all others write."""
_ASSET_DESTINATIONS = frozenset(
    {"script", "style", "image", "font", "audio", "video", "track", "manifest", "worker", "sharedworker",
     "serviceworker", "object", "embed", "audioworklet", "paintworklet", "xslt"}
)  # fmt: skip
"""Sec-Fetch-Dest values (https://fetch.spec.whatwg.org/#concept-request-destination)."""
_PAGE_DESTINATIONS = frozenset({"document", "iframe", "frame"})
_ASSET_MEDIA = ("image/", "font/", "audio/", "video/", "text/css", "text/javascript", "application/javascript",
                "application/x-javascript", "application/wasm", "application/manifest+json")  # fmt: skip
_STREAM_MEDIA = ("text/event-stream", "application/x-ndjson", "multipart/x-mixed-replace")

Fields = Mapping[str, str]
"""A head's fields by lower-case name; of repeats the first."""


@lru_cache(maxsize=256)
def fields_of(pairs: Pairs) -> Fields:
    """A head's fields for looking things up."""
    return {name.lower(): value for name, value in reversed(pairs)}


def field(pairs: Pairs, name: str) -> str:
    """The first field of that name (given in lower case), empty where there is none."""
    for key, value in pairs:
        if key.lower() == name:
            return value
    return ""


def is_poll(target: str) -> bool:
    """Whether a request target is one of Socket.IO's long polls."""
    return "transport=polling" in target and "EIO=" in target


def kind_of(method: str, target: str, request: Fields, status: int | None, response: Fields) -> Kind:
    """Classify an exchange; the answer may still be missing (`status` None, `response` empty)."""
    if status == 101 or ("upgrade" in request and "upgrade" in request.get("connection", "").lower()):
        return Kind.UPGRADE
    if method == "OPTIONS" and "access-control-request-method" in request:
        return Kind.PREFLIGHT
    if is_poll(target):
        return Kind.POLL
    media = response.get("content-type", "").lower()
    if media.startswith(_STREAM_MEDIA):
        return Kind.STREAM
    destination = request.get("sec-fetch-dest", "")
    if destination in _PAGE_DESTINATIONS:
        return Kind.PAGE
    if destination in _ASSET_DESTINATIONS:
        return Kind.ASSET
    if media.startswith("text/html") and "text/html" in request.get("accept", ""):
        return Kind.PAGE
    if media.startswith(_ASSET_MEDIA):
        return Kind.ASSET
    return Kind.CALL
