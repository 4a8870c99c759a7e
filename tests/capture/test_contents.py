"""Heads and bodies become rows once, decoded, within their limits."""

from __future__ import annotations

import gzip
import zlib

import brotli
import pytest
import zstandard

from nestperf.capture.contents import Contents
from nestperf.capture.inflate import codings_of
from nestperf.capture.model import Body, HeaderSet, Row
from nestperf.capture.redaction import Redactor
from nestperf.capture.vault import Vault

CONTENT = b'{"title":"The Matrix","overview":"' + b"x" * 2000 + b'"}'


@pytest.fixture
def rows() -> list[Row]:
    return []


@pytest.fixture
def contents(rows: list[Row]) -> Contents:
    return Contents(Redactor(Vault.in_memory()), rows.append, max_request=10_000, max_response=1_000_000)


def store(contents: Contents, raw: bytes, coding: str = "", piece: int = 997) -> int | None:
    body = contents.collect(coding, request=False)
    for at in range(0, len(raw), piece):
        body.add(raw[at : at + piece])
    return contents.store(body, media_type="application/json", chunked=False)


def test_headers_equal_heads_are_one_row(contents: Contents, rows: list[Row]) -> None:
    pairs = (("Host", "localhost"), ("X-A", "1"), ("X-A", "2"))
    assert contents.headers(pairs) == contents.headers(pairs) == 1
    assert contents.headers(pairs[:2]) == 2
    assert rows == [HeaderSet(1, '[["Host", "localhost"],["X-A", "1"],["X-A", "2"]]'), rows[1]]


@pytest.mark.parametrize(
    ("coding", "encode"),
    [
        ("gzip", gzip.compress),
        ("br", brotli.compress),
        ("zstd", zstandard.ZstdCompressor().compress),
        ("deflate", zlib.compress),
        ("deflate", lambda raw: zlib.compressobj(wbits=-15).compress(raw) + b""),
        ("gzip, br", lambda raw: brotli.compress(gzip.compress(raw))),
        ("identity", bytes),
    ],
)
def test_body_coded_is_stored_decoded(contents: Contents, rows: list[Row], coding: str, encode: object) -> None:
    assert callable(encode)
    raw = zlib_raw(CONTENT) if coding == "deflate" and encode is not zlib.compress else encode(CONTENT)
    store(contents, raw, coding)
    (row,) = rows
    assert isinstance(row, Body)
    assert (row.content, row.size, row.wire_size, row.state) == (CONTENT, len(CONTENT), len(raw), "whole")


def zlib_raw(content: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(content) + deflater.flush()


def test_body_equal_bodies_are_one_row(contents: Contents, rows: list[Row]) -> None:
    assert store(contents, CONTENT) == store(contents, CONTENT) == 1
    assert len(rows) == 1


def test_body_over_the_limit_keeps_its_beginning_its_size_and_its_id(contents: Contents, rows: list[Row]) -> None:
    content = b"0123456789 " * 200_000
    store(contents, content, piece=65_536)
    (row,) = rows
    assert isinstance(row, Body)
    assert row.state == "cut"
    assert row.size == row.wire_size == len(content)
    assert row.content is not None
    assert content.startswith(row.content)
    assert len(row.content) <= 1_000_000
    assert row.content_id == contents.redactor.vault.keyed_id(content)


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_body_corrupt_is_stored_as_it_came_and_marked(contents: Contents, rows: list[Row], size: int) -> None:
    store(contents, b"no gzip at all, " * (size // 16), "gzip")
    (row,) = rows
    assert isinstance(row, Body)
    assert row.state == "undecodable"
    assert row.content is not None
    assert row.content.startswith(b"no gzip at all")


def test_body_empty_is_no_row(contents: Contents, rows: list[Row]) -> None:
    assert store(contents, b"") is None
    assert rows == []


def test_body_still_growing_is_replaced_under_its_id(contents: Contents, rows: list[Row]) -> None:
    body = contents.collect("", request=False)
    body.add(b"data: one\n\n")
    first = contents.store(body, media_type="text/event-stream", chunked=True, whole=False)
    body.add(b"data: two\n\n")
    again = contents.store(body, media_type="text/event-stream", chunked=True, whole=True, body_id=first)
    assert first == again
    assert [row.state for row in rows if isinstance(row, Body)] == ["cut", "whole"]


def test_codings_of_orders_and_drops_identity() -> None:
    assert codings_of("gzip, identity, BR") == ("gzip", "br")
    assert codings_of("") == ()
