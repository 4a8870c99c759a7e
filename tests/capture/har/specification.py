"""HAR 1.2 as its specification has it (http://www.softwareishard.com/blog/har-12-spec/), to hold files against."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_NUMBER = (int, float)

Shape = Mapping[str, tuple[Any, bool]]
"""Field: its type, and whether it must be there."""

_NAMED: Shape = {"name": (str, True), "value": (str, True), "comment": (str, False)}
_CREATOR: Shape = {"name": (str, True), "version": (str, True), "comment": (str, False)}
_COOKIE: Shape = {
    **_NAMED, "path": (str, False), "domain": (str, False), "expires": (str, False), "httpOnly": (bool, False),
    "secure": (bool, False),
}  # fmt: skip
_TIMINGS: Shape = {
    "blocked": (_NUMBER, False), "dns": (_NUMBER, False), "connect": (_NUMBER, False), "send": (_NUMBER, True),
    "wait": (_NUMBER, True), "receive": (_NUMBER, True), "ssl": (_NUMBER, False), "comment": (str, False),
}  # fmt: skip
_MESSAGE: Shape = {
    "method": (str, False), "url": (str, False), "status": (int, False), "statusText": (str, False),
    "httpVersion": (str, True), "cookies": (list, True), "headers": (list, True), "headersSize": (int, True),
    "bodySize": (int, True), "comment": (str, False),
}  # fmt: skip
_REQUEST: Shape = {
    **_MESSAGE, "method": (str, True), "url": (str, True), "queryString": (list, True), "postData": (dict, False),
}  # fmt: skip
_RESPONSE: Shape = {
    **_MESSAGE, "status": (int, True), "statusText": (str, True), "content": (dict, True), "redirectURL": (str, True),
}  # fmt: skip
_CONTENT: Shape = {
    "size": (int, True), "compression": (int, False), "mimeType": (str, True), "text": (str, False),
    "encoding": (str, False), "comment": (str, False),
}  # fmt: skip
_POST: Shape = {"mimeType": (str, True), "params": (list, False), "text": (str, False), "comment": (str, False)}
_PAGE: Shape = {
    "startedDateTime": (str, True), "id": (str, True), "title": (str, True), "pageTimings": (dict, True),
    "comment": (str, False),
}  # fmt: skip
_ENTRY: Shape = {
    "pageref": (str, False), "startedDateTime": (str, True), "time": (_NUMBER, True), "request": (dict, True),
    "response": (dict, True), "cache": (dict, True), "timings": (dict, True), "serverIPAddress": (str, False),
    "connection": (str, False), "comment": (str, False),
}  # fmt: skip
_LOG: Shape = {
    "version": (str, True), "creator": (dict, True), "browser": (dict, False), "pages": (list, False),
    "entries": (list, True), "comment": (str, False),
}  # fmt: skip


def check_har(har: dict[str, Any]) -> None:
    """Assert everything that the specification says, unknown fields included, which begin with an underscore."""
    assert list(har) == ["log"]
    log = har["log"]
    _check(log, _LOG, "log")
    assert log["version"] == "1.2"
    _check(log["creator"], _CREATOR, "creator")
    for page in log.get("pages", ()):
        _check(page, _PAGE, "page")
        assert _DATE.fullmatch(page["startedDateTime"])
    pages = [page["id"] for page in log.get("pages", ())]
    assert len(set(pages)) == len(pages)
    for entry in log["entries"]:
        _check_entry(entry, pages)


def _check_entry(entry: dict[str, Any], pages: list[str]) -> None:
    _check(entry, _ENTRY, "entry")
    assert _DATE.fullmatch(entry["startedDateTime"]), entry["startedDateTime"]
    assert entry.get("pageref") is None or entry["pageref"] in pages
    timings, request, response = entry["timings"], entry["request"], entry["response"]
    _check(timings, _TIMINGS, "timings")
    assert min(timings[name] for name in ("send", "wait", "receive")) >= 0
    known = [timings[name] for name in ("blocked", "dns", "connect", "send", "wait", "receive") if name in timings]
    assert abs(entry["time"] - sum(value for value in known if value != -1)) < 1e-5
    _check(request, _REQUEST, "request")
    _check(response, _RESPONSE, "response")
    _check(response["content"], _CONTENT, "content")
    if "postData" in request:
        _check(request["postData"], _POST, "postData")
        assert ("text" in request["postData"]) != ("params" in request["postData"])
    assert re.match(r"(https?|wss?)://", request["url"])
    for message in (request, response):
        for pair in (*message["headers"], *request["queryString"]):
            _check(pair, _NAMED, "name and value")
        for cookie in message["cookies"]:
            _check(cookie, _COOKIE, "cookie")


def _check(told: dict[str, Any], shape: Shape, what: str) -> None:
    assert isinstance(told, dict), what
    for name, (kind, required) in shape.items():
        assert name in told or not required, f"{what} without {name}"
        if name in told:
            right = isinstance(told[name], kind) and (kind is bool or not isinstance(told[name], bool))
            assert right, f"{what}.{name} is {told[name]!r}"
    unknown = [name for name in told if name not in shape and not name.startswith("_")]
    assert not unknown, f"{what} has {unknown}"
