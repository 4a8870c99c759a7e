"""One HAR entry as an exchange: the forms of browsers, and nothing worse than "unreadable" for anything else."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.foreign import Content, Message
from nestperf.capture.har.entries import BLOCKED, CACHED, NO_HTTP, LeftOut, exchange_of
from nestperf.capture.har.fields import Unreadable, parse_moment
from nestperf.capture.model import Outcome

MS = 1_000_000
START = 1_795_962_758_726 * MS


def entry(**changes: Any) -> dict[str, Any]:
    """An entry as Chrome writes it; `request__url=...` changes one field of an object."""
    one: dict[str, Any] = {
        "_initiator": {"type": "script"},
        "_priority": "High",
        "_resourceType": "fetch",
        "cache": {},
        "connection": "443",
        "pageref": "page_1",
        "request": {
            "method": "POST",
            "url": "https://app.test/api/items?x=1#part",
            "httpVersion": "http/1.1",
            "headers": [{"name": "Host", "value": "app.test"}, {"name": "User-Agent", "value": "Mozilla/5.0"}],
            "queryString": [{"name": "x", "value": "1"}],
            "cookies": [],
            "headersSize": 100,
            "bodySize": 9,
            "postData": {"mimeType": "application/json", "text": '{"a":"ä"}'},
        },
        "response": {
            "status": 200,
            "statusText": "OK",
            "httpVersion": "http/1.1",
            "headers": [{"name": "Content-Type", "value": "application/json"}],
            "cookies": [],
            "content": {"size": 12, "mimeType": "application/json", "compression": 2, "text": '{"ok": true}'},
            "redirectURL": "",
            "headersSize": 90,
            "bodySize": 10,
            "_transferSize": 100,
            "_error": None,
        },
        "serverIPAddress": "10.0.0.1",
        "startedDateTime": "2026-11-29T14:32:38.726Z",
        "time": 77,
        "timings": {"blocked": 2, "dns": 3, "ssl": 4, "connect": 9, "send": 1, "wait": 50, "receive": 12},
    }
    for path, value in changes.items():
        holder, mark, name = path.partition("__")
        (one[holder] if mark else one)[name or holder] = value
    return one


def test_chromes_entry_is_an_exchange_that_begins_when_it_is_sent() -> None:
    told = exchange_of(entry(), "qa.har")
    assert (told.upstream, told.method, told.target, told.version) == (
        "https://app.test:443", "POST", "/api/items?x=1", "HTTP/1.1",
    )  # fmt: skip
    assert told.client == "qa.har"
    assert told.sent_unix_ns == START + 14 * MS  # queue, name and connection come before
    assert told.connect_ns == 9 * MS
    assert told.request_done_unix_ns == START + 15 * MS
    assert told.first_byte_unix_ns == START + 65 * MS
    assert told.done_unix_ns == START + 77 * MS
    assert (told.status, told.reason) == (200, "OK")
    assert told.request_body == Content('{"a":"ä"}'.encode(), 10, 9)
    assert told.response_body == Content(b'{"ok": true}', 12, 10)
    assert told.ending is None


def test_http2_entry_loses_its_pseudo_fields_and_has_a_host() -> None:
    fields = [{"name": ":authority", "value": "app.test"}, {"name": "accept", "value": "*/*"}]
    told = exchange_of(entry(request__headers=fields, request__httpVersion="h2"), "qa.har")
    assert told.version == "HTTP/2"
    assert told.request_headers == (("Host", "app.test"), ("accept", "*/*"))


def test_firefoxes_entry_with_its_zone_and_its_timings_that_tell_tls_apart() -> None:
    content = base64.b64encode(b"\0hell").decode()
    told = exchange_of(
        entry(
            startedDateTime="2026-11-29T15:32:38.726+01:00",
            time=57,
            timings={"blocked": 1, "dns": 0, "connect": 4, "ssl": 10, "send": 0, "wait": 40, "receive": 2},
            request__httpVersion="HTTP/2",
            response__content={"mimeType": "text/html", "size": 5, "encoding": "base64", "text": content},
            response__bodySize=-1,
            _securityState="secure",
        ),
        "qa.har",
    )
    assert (told.sent_unix_ns, told.done_unix_ns - told.sent_unix_ns) == (START + 15 * MS, 42 * MS)
    assert told.connect_ns == 14 * MS
    assert told.response_body == Content(b"\0hell", 5, 5)


def test_firefoxes_upload_whose_text_begins_with_its_head_fields() -> None:
    fields = [
        {"name": "Host", "value": "app.test"},
        {"name": "Content-Type", "value": "application/x-www-form-urlencoded"},
        {"name": "Content-Length", "value": "7"},
        {"name": "content-type", "value": "application/x-www-form-urlencoded"},
        {"name": "content-length", "value": "7"},
    ]
    text = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\na=1&b=2"
    told = exchange_of(
        entry(request__headers=fields, request__postData={"text": text, "params": []}, request__bodySize=len(text)), ""
    )
    assert told.request_body == Content(b"a=1&b=2", 7, 7)
    assert [name for name, _ in told.request_headers] == ["Host", "Content-Type", "Content-Length"]
    told = exchange_of(entry(request__postData={"text": "Content-Type: is what this text speaks of"}), "")
    assert told.request_body is not None
    assert (told.request_body.content or b"").startswith(b"Content-Type: is")


@pytest.mark.parametrize(("unit", "stamp"), [("seconds", 1_795_962_759.0), ("milliseconds", 1_795_962_759_000.0)])
def test_websocket_messages_of_chrome_and_playwright(unit: str, stamp: float) -> None:
    messages = [
        {"type": "receive", "time": stamp, "opcode": 2, "data": base64.b64encode(b"\x01\xff").decode()},
        {"type": "send", "time": stamp - (0.1 if unit == "seconds" else 100), "opcode": 1, "data": "40"},
        {"type": "receive", "time": stamp, "opcode": -1, "data": "failed"},
    ]
    told = exchange_of(
        entry(request__url="wss://app.test/live", request__method="GET", response__status=101, time=1000,
              _webSocketMessages=messages, timings={"send": -1, "wait": -1, "receive": -1}),
        "qa.har",
    )  # fmt: skip
    at = 1_795_962_759 * 1000 * MS  # after the entry began
    assert told.upstream == "https://app.test:443"
    assert told.switched == "websocket"
    assert [(m.sender, m.opcode, m.payload) for m in told.messages] == [
        ("client", "text", b"40"), ("server", "binary", b"\x01\xff"),
    ]  # fmt: skip
    assert told.messages[1] == Message("server", at, "binary", b"\x01\xff")
    # Its time is the whole connection's here: open it was before the first message.
    assert told.sent_unix_ns < told.done_unix_ns <= told.messages[0].unix_ns
    assert told.closed_unix_ns == START + 1000 * MS


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"_fromCache": "memory"}, CACHED),
        ({"response___fetchedViaServiceWorker": True}, CACHED),
        ({"request__url": "data:text/plain,x"}, NO_HTTP),
        ({"request__url": "chrome-extension://abc/x.js"}, NO_HTTP),
        ({"response__status": 0, "response___error": "net::ERR_BLOCKED_BY_CLIENT"}, BLOCKED),
    ],
)
def test_what_the_network_never_saw_is_left_out(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(LeftOut, match=reason.split("(")[0].strip()):
        exchange_of(entry(**changes), "qa.har")


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("net::ERR_CONNECTION_REFUSED", Outcome.CONNECT_ERROR),
        ("net::ERR_CONNECTION_RESET", Outcome.RESET),
        ("net::ERR_TIMED_OUT", Outcome.TIMEOUT),
        ("NS_ERROR_NET_TIMEOUT", Outcome.TIMEOUT),
        ("net::ERR_ABORTED", Outcome.ABORTED),
        ("", Outcome.ABORTED),
    ],
)
def test_entry_without_an_answer_says_why(error: str, outcome: Outcome) -> None:
    told = exchange_of(entry(response__status=0, response___error=error), "qa.har")
    assert told.status is None
    assert told.ending is not None
    assert told.ending.outcome is outcome


def test_bodies_that_are_not_told_are_known_by_their_size() -> None:
    told = exchange_of(entry(response__content={"size": 900, "mimeType": "image/png"}, request__postData={}), "qa.har")
    assert told.response_body == Content(None, 900, 10)
    assert told.request_body == Content(None, 9, 9)


def test_form_of_which_only_the_fields_are_told_is_put_together() -> None:
    params = [{"name": "a", "value": "1 2"}, {"name": "f", "value": "x", "fileName": "f.txt", "contentType": "text/a"}]
    plain = exchange_of(
        entry(request__postData={"mimeType": "application/x-www-form-urlencoded", "params": params}), ""
    )
    assert plain.request_body is not None
    assert plain.request_body.content == b"a=1+2&f=x"
    parts = exchange_of(entry(request__postData={"mimeType": "multipart/form-data; boundary=B", "params": params}), "")
    assert parts.request_body is not None
    assert parts.request_body.content == (
        b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\n1 2\r\n'
        b'--B\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\n'
        b"Content-Type: text/a\r\n\r\nx\r\n--B--\r\n"
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"request__url": ""},
        {"request__url": "https://"},
        {"request__url": "https://a:99999/"},
        {"request__url": ["x"]},
        {"request": None},
        {"startedDateTime": "yesterday"},
        {"startedDateTime": None},
        {"startedDateTime": "9999-11-29T14:32:38Z"},
        {"startedDateTime": "1066-10-14T12:00:00Z"},
        {"request__url": "https://a b/"},
        {"response__status": 10**18},
    ],
)
def test_entry_without_an_address_or_a_time_is_unreadable(changes: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        exchange_of(entry(**changes), "qa.har")


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T00:00:01.123456789Z", 1_123_456_789),
        ("1970-01-01T01:00:01.5+01:00", 1_500_000_000),
        ("1970-01-01T00:00:01", 10**9),
    ],
)
def test_dates_with_any_fraction_and_zone(text: str, ns: int) -> None:
    assert parse_moment(text) == ns


SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = SCALAR | st.lists(SCALAR, max_size=2) | st.dictionaries(st.text(max_size=5), SCALAR, max_size=2)
PLACES = (
    *("request", "response", "timings", "startedDateTime", "time", "cache", "connection", "_webSocketMessages"),
    *("request__headers", "request__postData", "request__url", "request__bodySize", "request__httpVersion"),
    *("response__content", "response__status", "response__headers", "response__bodySize", "timings__wait"),
)


@given(st.dictionaries(st.sampled_from(PLACES), JSON, max_size=3))
def test_any_json_in_any_place_is_an_exchange_or_is_refused(changes: dict[str, Any]) -> None:
    ordered = dict(sorted(changes.items(), key=lambda item: "__" not in item[0]))
    try:
        told = exchange_of(entry(**ordered), "qa.har")
    except (LeftOut, Unreadable):
        return
    assert told.sent_unix_ns <= told.request_done_unix_ns
    assert told.sent_unix_ns <= told.first_byte_unix_ns <= told.done_unix_ns
