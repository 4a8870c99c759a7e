"""The objects of a HAR out of a capture's rows. What HAR has no place for stands in fields that begin with `_`, as the
specification wants it, or is left out: trailers, interim answers, queries, what a send waited for."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from nestperf.capture.kinds import field, fields_of
from nestperf.capture.model import Body, Exchange, Frame, Kind, Outcome, Pairs
from nestperf.wire.websocket import OPCODES

Object = dict[str, Any]

NOTHING = -1
"""HAR's word for a number that does not apply."""
_MS = 1e6
_CODES = {name: code for code, name in OPCODES.items()}
_DATA = frozenset({"text", "binary", "continuation"})
_RESOURCE_TYPES = {
    Kind.PAGE: "document", Kind.PREFLIGHT: "preflight", Kind.POLL: "xhr", Kind.STREAM: "eventsource",
    Kind.UPGRADE: "websocket",
}  # fmt: skip
"""Chrome's names (https://chromedevtools.github.io/devtools-protocol/tot/Network/#type-ResourceType)."""
_ASSETS = (("javascript", "script"), ("css", "stylesheet"), ("image/", "image"), ("font", "font"), ("video/", "media"),
           ("audio/", "media"))  # fmt: skip
_ANSWERED = frozenset({Outcome.OK, Outcome.REFUSED, Outcome.LIMITED, Outcome.HTTP_ERROR, Outcome.MISMATCH})


def moment(unix_ns: int) -> str:
    """ISO 8601 in UTC with nine digits of a second, of which readers take as many as they know.

    >>> moment(1795962758726000001)
    '2026-11-29T14:32:38.726000001Z'
    """
    seconds, rest = divmod(unix_ns, 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"


def timings_of(e: Exchange, *, at_client: bool) -> tuple[int, Object]:
    """When an entry begins (nanoseconds since the run did), and its timings in milliseconds.

    A browser's entry begins when a request is due, waits, connects, and then sends; a proxy sees it only when it comes.
    """
    blocked = connect = 0
    if at_client:
        connect = e.connect_ns or 0
        blocked = max(0, e.sent_ns - e.intended_ns - connect) if e.intended_ns is not None else 0
    request_done = max(e.sent_ns, e.request_done_ns if e.request_done_ns is not None else e.sent_ns)
    first_byte = max(request_done, e.first_byte_ns if e.first_byte_ns is not None else request_done)
    done = max(first_byte, e.done_ns if e.done_ns is not None else first_byte)
    timings = {
        "blocked": blocked / _MS if blocked else NOTHING,
        "dns": NOTHING,
        "connect": connect / _MS if connect else NOTHING,
        "ssl": NOTHING,
        "send": (request_done - e.sent_ns) / _MS,
        "wait": (first_byte - request_done) / _MS,
        "receive": (done - first_byte) / _MS,
    }
    if e.connect_ns is not None and not at_client:
        timings["_connect_upstream"] = e.connect_ns / _MS
    return e.sent_ns - connect - blocked, timings


def total_of(timings: Object) -> float:
    """`time`: what the timings come to."""
    parts: list[float] = [value for name, value in timings.items() if name[0] != "_" and value > 0]
    return round(sum(parts), 6)


def request_of(e: Exchange, url: str, headers: Pairs, body: Body | None, content: bytes | None) -> Object:
    """`request`; `content` is the body as it is handed out, None where it is not."""
    wire_size = body.wire_size if body is not None else 0
    cookies = [pair for name, value in headers if name.lower() == "cookie" for pair in value.split("; ")]
    told: Object = {
        "method": e.method,
        "url": url,
        "httpVersion": e.http_version,
        "cookies": [{"name": name, "value": value} for name, _, value in (pair.partition("=") for pair in cookies)],
        "headers": _headers(headers),
        "queryString": _query(url),
        "headersSize": max(NOTHING, e.request_bytes - wire_size),
        "bodySize": wire_size,
    }
    if content:
        told["postData"] = {"mimeType": field(headers, "content-type")} | _text(content, "_encoding")
    return told


def response_of(e: Exchange, headers: Pairs, body: Body | None, content: bytes | None) -> Object:
    """`response`; status 0 where there was none, as browsers have it."""
    wire_size = body.wire_size if body is not None else 0
    told: Object = {"size": body.size if body is not None else 0, "mimeType": field(headers, "content-type")}
    told["mimeType"] = told["mimeType"] or "x-unknown"
    if content is not None and body is not None:
        told |= _text(content, "encoding")
        if body.coding:
            told["compression"] = body.size - wire_size
        if body.state == "cut":
            told["_cut"] = True
    response: Object = {
        "status": e.status or 0,
        "statusText": e.reason or "",
        "httpVersion": e.http_version,
        "cookies": [_set_cookie(value) for name, value in headers if name.lower() == "set-cookie"],
        "headers": _headers(headers),
        "content": told,
        "redirectURL": field(headers, "location"),
        "headersSize": max(NOTHING, e.response_bytes - wire_size) if e.status else NOTHING,
        "bodySize": wire_size if e.status else NOTHING,
        "_transferSize": e.response_bytes,
    }
    if e.outcome not in _ANSWERED:
        response["_error"] = e.detail or str(e.outcome)
    return response


def resource_type(e: Exchange, response_headers: Pairs, request_headers: Pairs) -> str:
    """What Chrome calls it."""
    if e.kind is not Kind.ASSET:
        return _RESOURCE_TYPES.get(e.kind, "fetch")
    media = field(response_headers, "content-type").lower() or fields_of(request_headers).get("sec-fetch-dest", "")
    return next((name for sign, name in _ASSETS if sign in media), "other")


def messages_of(frames: Iterable[Frame], began_unix_ns: int, reveal: Callable[[bytes], bytes]) -> list[Object]:
    """`_webSocketMessages`: whole messages, in Chrome's form; those whose content is not stored are left out."""
    found: list[Object] = []
    begun: dict[str, str] = {}
    """Opcode of the message that a side has begun and not ended."""
    for frame in frames:
        opcode = frame.opcode
        if opcode in _DATA:
            opcode = begun.setdefault(frame.sender, opcode)
            if not frame.fin:
                continue
            del begun[frame.sender]
        if frame.content is None or opcode not in _CODES:
            continue
        content = reveal(frame.content)
        message: Object = {
            "type": "send" if frame.sender == "client" else "receive",
            "time": (began_unix_ns + frame.stamp_ns) / 1e9,
            "opcode": _CODES[opcode],
        }
        if opcode == "text":
            message["data"] = content.decode("utf-8", "replace")
        else:
            message["data"] = base64.b64encode(content).decode()
            if opcode != "binary":
                message["_encoding"] = "base64"
        found.append(message)
    return found


def _text(content: bytes, encoding: str) -> Object:
    """A body as text, or as base64 with a field that says so."""
    try:
        return {"text": content.decode()}
    except UnicodeDecodeError:
        return {"text": base64.b64encode(content).decode(), encoding: "base64"}


def _headers(pairs: Pairs) -> list[Object]:
    return [{"name": name, "value": value} for name, value in pairs]


def _query(url: str) -> list[Object]:
    try:
        query = urlsplit(url).query
        return [{"name": name, "value": value} for name, value in parse_qsl(query, keep_blank_values=True)]
    except ValueError:
        return []


def _set_cookie(field_value: str) -> Object:
    pair, *attributes = (part.strip() for part in field_value.split(";"))
    name, _, value = pair.partition("=")
    cookie: Object = {"name": name, "value": value, "httpOnly": False, "secure": False}
    for attribute in attributes:
        key, _, told = attribute.partition("=")
        match key.lower():
            case "httponly":
                cookie["httpOnly"] = True
            case "secure":
                cookie["secure"] = True
            case "path" | "domain":
                cookie[key.lower()] = told
    return cookie
