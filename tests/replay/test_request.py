"""The bytes of a request: as recorded, but for what is live."""

from __future__ import annotations

import gzip
import json
import zlib

import brotli
import pytest
import zstandard

from nestperf.capture.model import Pairs
from replay.live import LiveState
from replay.request import Requests, encode_body
from replay.steps import SessionPlan
from replay.transport.answer import head_pairs
from tests.replay.conftest import Recording

JSON = ("Content-Type", "application/json")
OLD = "recorded-token-0123456789"


def built(
    session: SessionPlan, index: int, live: LiveState, forwarded: str | None = None
) -> tuple[bytes, bytes, Pairs]:
    sent = Requests(session).build(session.steps[index], live, forwarded)
    return sent.request.head, sent.request.body, head_pairs(sent.request.head)


def test_request_without_live_values_is_the_same_object_for_all_users(recording: Recording) -> None:
    recording.exchange("POST", "/a?b=1", 0, 1, headers=(("Host", "x:1"), JSON), body=b'{"a":1}')
    (session,) = recording.plan().sessions
    requests = Requests(session)
    first = requests.build(session.steps[0], LiveState(0), None)
    assert requests.build(session.steps[0], LiveState(0), None) is first
    assert first.request.head == (
        b"POST /a?b=1 HTTP/1.1\r\nHost: x:1\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n"
    )
    assert first.request.body == b'{"a":1}'


def test_content_length_follows_a_live_value_and_keeps_its_place(recording: Recording) -> None:
    recording.exchange("POST", "/login", 0, 1, answer=json.dumps({"t": OLD}).encode())
    body = json.dumps({"t": OLD}).encode()
    headers = (("Host", "x"), ("content-LENGTH", str(len(body))), JSON)
    recording.exchange("POST", "/a", 5, 6, headers=headers, body=body)
    (session,) = recording.plan().sessions
    live = LiveState(len(session.values))
    live.values[0] = 'sh"ort'
    head, content, fields = built(session, 1, live)
    assert json.loads(content) == {"t": 'sh"ort'}
    assert fields == (("Host", "x"), ("content-LENGTH", str(len(content))), JSON)
    assert f"content-LENGTH: {len(content)}\r\n".encode() in head


@pytest.mark.parametrize(
    ("coding", "decode"),
    [
        ("gzip", gzip.decompress),
        ("deflate", zlib.decompress),
        ("br", brotli.decompress),
        ("zstd", zstandard.decompress),
        ("identity", bytes),
        ("", bytes),
        ("deflate, gzip", lambda coded: zlib.decompress(gzip.decompress(coded))),
    ],
)
def test_body_is_coded_as_its_coding_says(coding: str, decode: object) -> None:
    content = b"some content " * 50
    assert callable(decode)
    assert decode(encode_body(content, coding)) == content


def test_forwarded_address_takes_the_place_of_a_recorded_one(recording: Recording) -> None:
    recording.exchange("GET", "/", 0, 1, headers=(("Host", "x"), ("x-forwarded-for", "10.0.0.1"), ("Via", "y")))
    (session,) = recording.plan().sessions
    _, _, fields = built(session, 0, LiveState(0), "198.18.0.5")
    assert fields == (("Host", "x"), ("Via", "y"), ("X-Forwarded-For", "198.18.0.5"))


def test_recorded_content_length_zero_stays(recording: Recording) -> None:
    recording.exchange("POST", "/", 0, 1, headers=(("Host", "x"), ("Content-Length", "0")))
    (session,) = recording.plan().sessions
    head, body, _ = built(session, 0, LiveState(0))
    assert (head, body) == (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", b"")
