"""What an exchange was for, told from its heads."""

from __future__ import annotations

import pytest

from nestperf.capture.kinds import fields_of, kind_of
from nestperf.capture.model import Kind, Pairs

HTML = (("Content-Type", "text/html; charset=utf-8"),)
JSON = (("Content-Type", "application/json"),)


@pytest.mark.parametrize(
    ("method", "target", "request_head", "status", "response_head", "kind"),
    [
        ("GET", "/api/x", (), 200, JSON, Kind.CALL),
        ("GET", "/", (("Sec-Fetch-Dest", "document"),), 200, HTML, Kind.PAGE),
        ("GET", "/", (("Accept", "text/html,*/*"),), 200, HTML, Kind.PAGE),
        ("GET", "/fragment", (("Sec-Fetch-Dest", "empty"), ("Accept", "*/*")), 200, HTML, Kind.CALL),
        ("GET", "/a.js", (("Sec-Fetch-Dest", "script"),), 200, (), Kind.ASSET),
        ("GET", "/a.css", (), 200, (("content-type", "text/css"),), Kind.ASSET),
        ("OPTIONS", "/api", (("Access-Control-Request-Method", "GET"),), 204, (), Kind.PREFLIGHT),
        ("OPTIONS", "/api", (), 204, (), Kind.CALL),
        ("GET", "/socket.io/?EIO=4&transport=polling&sid=x", (), 200, (), Kind.POLL),
        ("GET", "/socket.io/?EIO=4&transport=websocket", (("Upgrade", "websocket"), ("Connection", "Upgrade")), 101, (),
         Kind.UPGRADE),
        ("GET", "/ws", (("Upgrade", "websocket"), ("Connection", "keep-alive, Upgrade")), 403, (), Kind.UPGRADE),
        ("GET", "/events", (), 200, (("Content-Type", "text/event-stream"),), Kind.STREAM),
        ("GET", "/dead", (), None, (), Kind.CALL),
    ],
)  # fmt: skip
def test_kind_of_table(
    method: str, target: str, request_head: Pairs, status: int | None, response_head: Pairs, kind: Kind
) -> None:
    assert kind_of(method, target, fields_of(request_head), status, fields_of(response_head)) is kind
