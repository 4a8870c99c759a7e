"""Heads of HTTP/1: first lines, fields, and what they say about the body."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.wire import heads
from nestperf.wire.heads import CHUNKED, UNKNOWN, UNTIL_END


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        (b"GET / HTTP/1.1", ("GET", "/", "HTTP/1.1")),
        (b"GET http://a.example/x?y HTTP/1.0", ("GET", "http://a.example/x?y", "HTTP/1.0")),
        (b"CONNECT a.example:443 HTTP/1.1", ("CONNECT", "a.example:443", "HTTP/1.1")),
        (b"OPTIONS * HTTP/1.1", ("OPTIONS", "*", "HTTP/1.1")),
        (b"M-SEARCH * HTTP/1.1", ("M-SEARCH", "*", "HTTP/1.1")),
        (b"GET  /two blanks  HTTP/1.1 ", ("GET", "/two blanks", "HTTP/1.1")),
        (b"GET /\xe9 HTTP/1.1", ("GET", "/\xe9", "HTTP/1.1")),
        (b"GET /", None),
        (b"GET  HTTP/1.1", None),
        (b"GET", None),
        (b"PRI * HTTP/2.0", None),
        (b"G@T / HTTP/1.1", None),
        (b"\x16\x03\x01 / HTTP/1.1", None),
        (b"", None),
    ],
)
def test_request_line_as_written_gives_its_parts(line: bytes, parsed: tuple[str, str, str] | None) -> None:
    assert heads.request_line(line) == parsed


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        (b"HTTP/1.1 200 OK", ("HTTP/1.1", 200, "OK")),
        (b"HTTP/1.0 404 Not Found", ("HTTP/1.0", 404, "Not Found")),
        (b"HTTP/1.1 204", ("HTTP/1.1", 204, "")),
        (b"HTTP/1.1 204 ", ("HTTP/1.1", 204, "")),
        (b"HTTP/1.1 599 " + b"x" * 500, ("HTTP/1.1", 599, "x" * 500)),
        (b"HTTP/1.1 20", None),
        (b"HTTP/1.1 2000", None),
        (b"HTTP/1.1 -20 no", None),
        (b"HTTP/1.1 099 low", None),
        (b"HTTP/2 200", None),
        (b"ICY 200 OK", None),
        (b"", None),
    ],
)
def test_status_line_as_written_gives_its_parts(line: bytes, parsed: tuple[str, int, str] | None) -> None:
    assert heads.status_line(line) == parsed


def test_fields_with_repeats_and_odd_case_stay_as_sent() -> None:
    lines = [b"Set-Cookie: a=1", b"set-cookie:b=2", b"X-Empty:", b"X-Blank: \t ", b"X-Latin: caf\xe9 \t", b"Odd : yes"]
    fields = heads.parse_fields(lines)
    assert fields is not None
    assert fields[0] == (
        ("Set-Cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("X-Empty", ""),
        ("X-Blank", ""),
        ("X-Latin", "café"),
        ("Odd", "yes"),
    )
    assert fields[1] == {}


def test_fields_that_frame_are_found_in_any_case_every_time() -> None:
    lines = [b"CONTENT-LENGTH: 5", b"Content-Length: 5", b"tRaNsFeR-eNcOdInG: chunked", b"Connection: close"]
    for _ in range(2):  # the second time from memory
        fields = heads.parse_fields(lines)
        assert fields is not None
        assert fields[1] == {"content-length": "5, 5", "transfer-encoding": "chunked", "connection": "close"}


def test_fields_that_are_folded_are_joined_by_one_blank() -> None:
    fields = heads.parse_fields([b"A: 1,", b"   2,\t", b"\t3", b"Content-Length:", b" 7"])
    assert fields is not None
    assert fields == ((("A", "1, 2, 3"), ("Content-Length", "7")), {"content-length": "7"})


@pytest.mark.parametrize("lines", [[b"no colon"], [b": no name"], [b" fold of nothing"], [b"A: 1", b"", b" x"]])
def test_fields_with_a_line_that_is_none_give_none(lines: list[bytes]) -> None:
    assert heads.parse_fields(lines) is None


def test_fields_by_the_thousand_keep_memory_bounded() -> None:
    for number in range(10_000):
        assert heads.parse_fields([b"X-Number: %d" % number, b"Content-Length: %d" % number]) is not None
    heads.parse_fields([b"X-Long: " + b"x" * 100_000])
    assert len(heads._KNOWN) <= 4096
    assert len(heads._KNOWN_FRAMING) <= 4096
    assert max(map(len, heads._KNOWN)) <= 1024


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        ({}, -9),
        ({"content-length": "0"}, 0),
        ({"content-length": "12"}, 12),
        ({"content-length": "12, 12"}, 12),
        ({"content-length": "12, 13"}, UNKNOWN),
        ({"content-length": ""}, UNKNOWN),
        ({"content-length": "-1"}, UNKNOWN),
        ({"content-length": "+1"}, UNKNOWN),
        ({"content-length": "1_0"}, UNKNOWN),
        ({"content-length": "²"}, UNKNOWN),
        ({"content-length": "9" * 5000}, UNKNOWN),
        ({"transfer-encoding": "chunked", "content-length": "12"}, CHUNKED),
        ({"transfer-encoding": "gzip, Chunked"}, CHUNKED),
        ({"transfer-encoding": "gzip,\tchunked ,"}, CHUNKED),
        ({"transfer-encoding": "gzip"}, UNTIL_END),
        ({"transfer-encoding": "chunked, gzip"}, UNTIL_END),
        ({"transfer-encoding": "identity", "content-length": "3"}, 3),
        ({"transfer-encoding": " "}, -9),
    ],
)
def test_body_is_delimited_as_its_fields_say(framing: dict[str, str], body: int) -> None:
    assert heads.body_of(framing, otherwise=-9) == body


@pytest.mark.parametrize(
    ("value", "close"), [("close", True), ("Keep-Alive, Close", True), ("keep-alive", False), ("closed", False)]
)
def test_connection_field_names_whole_tokens(value: str, close: bool) -> None:
    assert heads.has_token({"connection": value}, "close") is close


@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=6))
def test_fields_of_any_bytes_never_raise(lines: list[bytes]) -> None:
    fields = heads.parse_fields(lines)
    if fields is not None:
        assert all(name[0] not in " \t" and ":" not in name for name, _ in fields[0])
        assert all(value == value.strip(" \t") for _, value in fields[0])
        assert heads.body_of(fields[1], otherwise=0) >= UNKNOWN


@given(st.binary(max_size=60))
def test_first_lines_of_any_bytes_never_raise(line: bytes) -> None:
    request, status = heads.request_line(line), heads.status_line(line)
    assert request is None or request[2].startswith("HTTP/1.")
    assert status is None or 100 <= status[1] <= 999
    if request is not None:
        assert heads.may_begin_request(line)
    if status is not None:
        assert heads.may_begin_response(line)


@given(st.lists(st.sampled_from([b"\r\n", b"\n", b"a", b"\r"]), max_size=12).map(b"".join), st.integers(0, 4))
def test_blank_line_is_the_first_empty_line_with_either_end(data: bytes, start: int) -> None:
    ends = [
        index + len(blank)
        for index in range(start, len(data))
        for blank in (b"\n\n", b"\n\r\n")
        if data.startswith(blank, index)
    ]
    assert heads.blank_line(data, start) == min(ends, default=-1)
