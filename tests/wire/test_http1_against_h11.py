"""Valid HTTP/1 messages, read by our decoder and by h11: both must see the same."""

from __future__ import annotations

import string
from typing import NamedTuple

import h11
from hypothesis import given
from hypothesis import strategies as st

from nestperf.wire.http1 import Http1Connection
from nestperf.wire.observations import (
    HttpObservation,
    Interim,
    RequestBody,
    RequestEnd,
    RequestHead,
    ResponseBody,
    ResponseEnd,
    ResponseHead,
    Sender,
)

Headers = list[tuple[bytes, bytes]]


class Message(NamedTuple):
    """What one reader saw of one message."""

    first: tuple[object, ...]
    headers: Headers
    body: bytes
    trailers: Headers


NAME = st.text(string.ascii_letters + string.digits + "-_.!", min_size=1, max_size=12).filter(
    lambda name: name.lower() not in {"content-length", "transfer-encoding", "host", "connection", "expect", "upgrade"}
)
VALUE = st.text(
    st.characters(min_codepoint=33, max_codepoint=126) | st.characters(min_codepoint=161, max_codepoint=255),
    max_size=12,
) | st.text(string.ascii_letters + " ,;=", max_size=20).map(str.strip)
FIELDS = st.lists(st.tuples(NAME, VALUE), max_size=6)
BLANKS = st.sampled_from(["", " ", "  ", "\t", " \t "])
BODY = st.binary(max_size=60)


@st.composite
def framed(draw: st.DrawFn) -> tuple[list[str], bytes]:
    """Field lines and everything after the head, by length or by chunks."""
    lines = [f"{name}:{draw(BLANKS)}{value}{draw(BLANKS)}" for name, value in draw(FIELDS)]
    case = draw(st.sampled_from(["as is", "lower", "upper"]))

    def name(text: str) -> str:
        return text.lower() if case == "lower" else text.upper() if case == "upper" else text

    if draw(st.booleans()):
        body = draw(BODY)
        lines.insert(draw(st.integers(0, len(lines))), f"{name('Content-Length')}: {len(body)}")
        return lines, body
    lines.insert(draw(st.integers(0, len(lines))), f"{name('Transfer-Encoding')}: chunked")
    wire = b""
    for piece in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=4)):
        extension = draw(st.sampled_from([b"", b";a", b";a=b;c", b';q="x"']))
        wire += b"%x%s\r\n%s\r\n" % (len(piece), extension, piece)
    trailers = draw(st.lists(st.tuples(NAME, VALUE), max_size=2))
    return lines, wire + b"0\r\n" + "".join(f"{n}: {v}\r\n" for n, v in trailers).encode("latin-1") + b"\r\n"


def wire_of(first: str, lines: list[str], rest: bytes) -> bytes:
    return "\r\n".join([first, *lines, "", ""]).encode("latin-1") + rest


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    lines, rest = draw(framed())
    method = draw(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "M-SEARCH"]))
    target = draw(st.text(string.ascii_letters + "/?&=%:.~", min_size=1, max_size=20))
    if draw(st.booleans()):
        lines, rest = [line for line in lines if not line.lower().startswith(("content-l", "transfer-e"))], b""
    return wire_of(f"{method} {target} HTTP/1.1", ["Host: a.example", *lines], rest)


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    interim = draw(st.lists(st.sampled_from([100, 102, 103]), max_size=2))
    heads = b"".join(wire_of(f"HTTP/1.1 {status} Wait", ["X-Hint: a"], b"") for status in interim)
    lines, rest = draw(framed())
    status = draw(st.sampled_from([200, 201, 206, 302, 401, 404, 429, 500, 503]))
    reason = draw(st.sampled_from(["", " ", " OK", " Not Found", " caf\xe9"]))
    return heads + wire_of(f"HTTP/1.1 {status}{reason}", lines, rest)


def told_by_h11(connection: h11.Connection, data: bytes) -> list[Message]:
    connection.receive_data(data)
    told: list[Message] = []
    first: tuple[object, ...] = ()
    headers: Headers = []
    body = b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            first, headers = (event.method, event.target), event.headers.raw_items()
        elif isinstance(event, h11.InformationalResponse):
            told.append(Message((event.status_code, event.reason), event.headers.raw_items(), b"", []))
        elif isinstance(event, h11.Response):
            first, headers = (event.status_code, event.reason), event.headers.raw_items()
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            # Of trailers h11 keeps lower-case names only.
            told.append(Message(first, headers, body, [(name, value) for name, value in event.headers]))
            return told
        else:
            raise AssertionError(f"h11 does not think this is a valid message: {event}")


def told_by_us(seen: list[HttpObservation]) -> list[Message]:
    def raw(pairs: tuple[tuple[str, str], ...]) -> Headers:
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]

    told: list[Message] = []
    first: tuple[object, ...] = ()
    headers: Headers = []
    body = b""
    for one in seen:
        if isinstance(one, RequestHead):
            first, headers = (one.method.encode(), one.target.encode("latin-1")), raw(one.headers)
        elif isinstance(one, Interim):
            told.append(Message((one.status, one.reason.encode("latin-1")), raw(one.headers), b"", []))
        elif isinstance(one, ResponseHead):
            first, headers = (one.status, one.reason.encode("latin-1")), raw(one.headers)
        elif isinstance(one, RequestBody | ResponseBody):
            body += one.data
        elif isinstance(one, RequestEnd | ResponseEnd):
            trailers = [(name.lower(), value) for name, value in raw(one.trailers)]
            told.append(Message(first, headers, body, trailers))
    return told


def played(sender: Sender, data: bytes, cut: int) -> list[HttpObservation]:
    connection = Http1Connection()
    if sender == "server":
        connection.receive("client", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 0)
    cut %= len(data)
    return connection.receive(sender, data[:cut], 1) + connection.receive(sender, data[cut:], 2)


@given(requests(), st.integers(0, 10_000))
def test_valid_requests_are_seen_as_h11_sees_them(data: bytes, cut: int) -> None:
    assert told_by_us(played("client", data, cut)) == told_by_h11(h11.Connection(h11.SERVER), data)


@given(responses(), st.integers(0, 10_000))
def test_valid_answers_are_seen_as_h11_sees_them(data: bytes, cut: int) -> None:
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    assert told_by_us(played("server", data, cut)) == told_by_h11(connection, data)


@given(FIELDS, st.lists(BODY, max_size=4), st.sampled_from(["length", "chunks"]))
def test_what_h11_writes_comes_back(fields: list[tuple[str, str]], pieces: list[bytes], framing: str) -> None:
    body = b"".join(pieces)
    marks = ("Content-Length", str(len(body))) if framing == "length" else ("Transfer-Encoding", "chunked")
    headers = [(name.encode(), value.encode("latin-1")) for name, value in [("Host", "a"), marks, *fields]]
    writer = h11.Connection(h11.CLIENT)
    wire = writer.send(h11.Request(method="POST", target="/x", headers=headers)) or b""
    for piece in pieces:
        wire += writer.send(h11.Data(data=piece)) or b""
    wire += writer.send(h11.EndOfMessage()) or b""
    seen = Http1Connection().receive("client", wire, 1)
    told = told_by_us(seen)
    assert [(one.first, one.body) for one in told] == [((b"POST", b"/x"), body)]
    assert [(name.lower(), value) for name, value in told[0].headers] == [(n.lower(), v) for n, v in headers]
    assert isinstance(seen[-1], RequestEnd)
    assert seen[-1].wire_size == len(wire)
