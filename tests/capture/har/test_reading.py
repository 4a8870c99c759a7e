"""Whole HAR files: known by their beginning, read entry by entry, refused with one sentence where they are broken."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from nestperf.capture.foreign import Account, ForeignExchange
from nestperf.capture.har.reading import HarFile
from nestperf.capture.har.streaming import entries_of
from nestperf.errors import CaptureError, CaptureForeign, CaptureTruncated
from tests.capture.har.test_entries import entry


def har_of(*entries: object) -> str:
    return json.dumps(
        {"log": {"version": "1.2", "creator": {"name": "WebInspector", "version": "1"}, "entries": entries}}
    )


def read(path: Path, content: str | bytes) -> tuple[list[ForeignExchange], Account]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    har = HarFile.recognise(path, path.read_bytes()[:1000])
    assert har is not None
    account = Account()
    return list(har.exchanges(account)), account


def test_entries_are_counted_as_what_they_are(tmp_path: Path) -> None:
    entries: list[Any] = [
        entry(),
        7,
        entry(_fromCache="disk"),
        entry(request__url=3),
        entry(response__content={"size": 4}),
    ]
    exchanges, account = read(tmp_path / "qa.har", har_of(*entries))
    assert len(exchanges) == account.taken == 2
    assert account.left_out == {"came from the browser's cache": 1}
    assert (account.unreadable, account.first_unreadable) == (2, "entry 2 of qa.har: no object")
    assert account.without_content == 1


def test_entry_that_would_be_more_than_one_request_is_none(tmp_path: Path) -> None:
    smuggled = "GET / HTTP/1.1\r\nEvil: x\r\n\r\nGET"
    fields = [{"name": "X-A", "value": "1\r\nEvil: x"}, {"name": "X-B", "value": "2\0"}]
    entries = [entry(request__method=smuggled), entry(request__headers=fields[1:]), entry(request__headers=fields[:1])]
    (exchange,), account = read(tmp_path / "qa.har", har_of(*entries))
    assert account.unreadable == 2
    assert exchange.request_headers[1] == ("X-A", "1  Evil: x")


def test_halves_of_surrogate_pairs_are_replaced(tmp_path: Path) -> None:
    entries = [entry(), entry(response__content={"text": "a\udc00b", "size": 3}), entry(response__statusText="\ud83d!")]
    exchanges, account = read(tmp_path / "qa.har", har_of(*entries))
    assert (account.taken, account.unreadable) == (3, 0)
    assert exchanges[1].response_body is not None
    assert exchanges[1].response_body.content == "a\ufffdb".encode()
    assert exchanges[2].reason == "\ufffd!"


def test_har_is_known_by_its_beginning_or_its_name(tmp_path: Path) -> None:
    assert HarFile.recognise(tmp_path / "x.json", har_of().encode()) is not None
    assert HarFile.recognise(tmp_path / "x.json", b'\xef\xbb\xbf {\n "log" : {') is not None
    assert HarFile.recognise(tmp_path / "x.HAR", b"anything") is not None
    assert HarFile.recognise(tmp_path / "x.json", b'{"entries": []}') is None
    har = HarFile.recognise(tmp_path / "x.har", har_of().encode())
    assert har is not None
    assert (har.creator, har.vantage, har.all_from_browser) == ("WebInspector", "client", True)


def test_byte_order_mark_of_other_programs_is_no_obstacle(tmp_path: Path) -> None:
    exchanges, _ = read(tmp_path / "qa.har", b"\xef\xbb\xbf" + har_of(entry()).encode())
    assert len(exchanges) == 1


@pytest.mark.parametrize(
    ("content", "error", "sentence"),
    [
        (har_of(entry(), entry())[:-700], CaptureTruncated, "is no whole HAR"),
        ("not json at all", CaptureTruncated, "is no whole HAR"),
        (b'{"log": {"entries": [{"request": "\xff\xfe"}]}}', CaptureTruncated, "is no whole HAR"),
        ('{"log": {"entries": [' + "[" * 100_000, CaptureTruncated, "nested deeper than anybody writes"),
        ('{"log": {"x": ' + '{"a":' * 100_000, CaptureTruncated, "nested deeper than anybody writes"),
        ('{"log": {"entries": [' + "1" * 10_000 + "e999999]}}", CaptureTruncated, "is no whole HAR"),
        (har_of(), CaptureForeign, "has no entries"),
        ('{"log": {"version": "1.2"}}', CaptureForeign, "has no entries"),
        ('{"log": []}', CaptureForeign, "has no entries"),
        ("{}", CaptureForeign, "has no entries"),
    ],
)
def test_broken_file_is_one_sentence(
    tmp_path: Path, content: str | bytes, error: type[CaptureError], sentence: str
) -> None:
    with pytest.raises(error, match=sentence) as raised:
        read(tmp_path / "qa.har", content)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 3


def test_entries_are_what_json_says_wherever_else_the_same_names_stand(tmp_path: Path) -> None:
    log = {
        "log": {"entries": [1]},
        "x": {"log": {"entries": [2]}},
        "entries": [{"a": {"entries": [3, [], {}, None, "s", True, 1.5]}}, [4, [5]], 6],
        "pages": [{"log": 1}],
    }
    text = json.dumps({"before": {"log": {"entries": [0]}}, "log": log, "after": [[]]})
    assert list(entries_of(io.BytesIO(text.encode()))) == log["entries"]
