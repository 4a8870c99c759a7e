"""`nestperf show`: one exchange, socket, packet, query or session with everything around it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.model import (
    Body,
    Client,
    Exchange,
    HeaderSet,
    Kind,
    Mark,
    Outcome,
    Row,
    Session,
    Statement,
    Upstream,
)
from nestperf.cli import run
from nestperf.errors import ExitCode, UsageError
from nestperf.printable import columns_of
from reports.render.contents import first_lines, render_body
from reports.views import Ref, parse_ref
from tests.reports.conftest import MS, S, Write, exchange, packet, query, socket

TWO = (Upstream("http://localhost:3000"), Upstream("http://localhost:4000"))
HEADS = json.dumps([["Host", "localhost:4000"], ["Authorization", "Bearer nps_abc_1_"], ["X-Odd", "a\x1b[2Jb"]])


def body(number: int, content: bytes | None, media_type: str = "application/json", **changes: Any) -> Body:
    size = len(content or b"")
    whole = Body(
        id=number, content_id=f"c{number}", media_type=media_type, coding="", chunked=False, size=size, wire_size=size,
        state="whole", content=content,
    )  # fmt: skip
    return whole._replace(**changes)


def user_call(number: int, at_ms: float, took_ms: float | None = 20, **changes: Any) -> Exchange:
    changes = {"client_id": 1, "upstream": 1, "target": f"/api/{number}?x=1", **changes}
    return exchange(number, took_ms, sent_ns=round(at_ms * MS), **changes)


ROWS: list[Row] = [
    Client(1, "127.0.0.1", "Mozilla/5.0 Chrome/130", "friend"),
    HeaderSet(1, HEADS),
    HeaderSet(2, json.dumps([["Content-Type", "application/json"]])),
    body(1, b'{"ask": ["for", "it"]}'),
    body(2, json.dumps({"items": list(range(50)), "token": "nps_abc_2_"}).encode(), coding="gzip", wire_size=90),
    *(user_call(n, n * 100) for n in range(1, 9)),
    user_call(
        20, 1000, 200, request_headers=1, request_body=1, response_headers=2, response_body=2, relay_ns=90_000,
        connect_ns=3 * MS, request_done_ns=1010 * MS, first_byte_ns=1150 * MS, method="POST",
    ),
    exchange(21, 30, sent_ns=1050 * MS, server_call=True, upstream=0, target="/internal", route="/internal"),
    user_call(22, 1300, None, outcome=Outcome.TIMEOUT, status=None, detail="no answer within 30 s"),
    user_call(23, 1400, 60_000, kind=Kind.UPGRADE, target="/socket.io/?EIO=4"),
    socket(1, client_id=1, exchange_id=23, opened_ns=900 * MS, closed_ns=9 * S, closed_by="client", close_code=1000),
    packet(1, 1, 1020, event="service:status", payload='[{"id":1,"status":"up"}]'),
    packet(2, 1, 1090, sender="client", event="ping", ack_id=7),
    packet(3, 1, 1095, type="ack", event=None, ack_id=7, answers=2, payload="[true]"),
    packet(4, 1, 5000, engine_type="ping", type=None, event=None, namespace=None, payload=None),
    Statement(1, "select * from users where id = ?", "00ff"),
    query(1, 1060, 12, statement_id=1, rows=3),
    query(2, 50, 5, statement_id=1),
    query(3, 1020, 5, statement_id=1, rows=1),
]  # fmt: skip

Shown = Callable[..., str]


@pytest.fixture
def shown(written: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shown:
    """What `nestperf show FILE REF` prints of rows: `shown("20")`, `shown("socket:1", rows=..., columns=120)`."""

    def show(ref: str, *options: str, rows: list[Row] = ROWS, columns: int = 80, **changes: Any) -> str:
        monkeypatch.setenv("COLUMNS", str(columns))
        path = written(rows, **{"upstreams": TWO, "name": f"{ref}-{columns}.db".replace(":", "-"), **changes}).path
        assert run(["show", str(path), ref, *options]) == ExitCode.OK
        return capsys.readouterr().out.replace(str(path), "FILE")

    return show


def flat(text: str) -> list[str]:
    """Its lines with single spaces."""
    return [" ".join(line.split()) for line in text.splitlines()]


def test_show_of_an_exchange_has_everything_around_it(shown: Shown) -> None:
    text = shown("20", columns=100)
    for line in (
        "  what          POST /api/health",
        "  came to       ok, 200 OK",
        "  at            1.00 s (22:13:21 UTC)",
        "  service time  200 ms",
        "  sent to       http://localhost:4000, connection 1, a new one",
        "  nestperf added 90.0 µs of it.",
        "  POST /api/20?x=1 1.1",
        "  Authorization: Bearer nps_abc_1_",
        "  (application/json, 22 B)",
        '    "ask": [',
        "  Content-Type: application/json",
    ):
        assert line in text.splitlines(), line
    assert "gzip 90 B on the wire" in text
    assert "connect " in text
    for line in (
        "› 20 POST /api/20 200 ok 200 ms +0 ms",
        "21 GET /internal 200 ok 30.0 ms +50.0 ms",
        "8 GET /api/8 200 ok 20.0 ms −200 ms",
        "22 GET /api/22 timeout +300 ms",
        "query:3 select * from users where id = ? 1 5.00 ms +20.0 ms",
    ):
        assert line in flat(text), line
    assert any(line.startswith("packet:1 service:status in /") for line in flat(text))


def test_show_of_the_exchange_that_opened_a_socket_leads_to_it(shown: Shown) -> None:
    assert "nestperf show FILE socket:1   the connection that this opened" in shown("23")


def test_show_of_what_was_never_answered_says_why(shown: Shown) -> None:
    text = shown("22")
    assert "  came to  timeout, no answer" in text
    assert "No answer\n  no answer within 30 s" in text


def test_show_of_a_server_side_call_names_its_cause(shown: Shown) -> None:
    text = shown("21")
    assert "call by a server, not a browser" in text
    assert "Most likely made for" in text
    assert "20 POST /api/20 200 ok 200 ms −50.0 ms" in flat(text)


def test_show_of_a_socket_lists_what_it_carried(shown: Shown) -> None:
    text = shown("socket:1")
    assert "  closed      after 8.10 s, by client, code 1000" in text
    assert any(line.startswith("packet:2 ping #7 in /") for line in flat(text))
    assert "nestperf show FILE 23   the exchange that opened it" in text


def test_show_of_a_socket_with_many_packets_leaves_out_the_middle(shown: Shown) -> None:
    rows: list[Row] = [socket(1), *(packet(n, 1, n) for n in range(1, 101))]
    text = shown("socket:1", rows=rows)
    assert "… 76 more packets …" in text
    assert "packet:12 " in text
    assert "packet:13 " not in text
    assert "packet:100" in text


def test_show_of_a_packet_has_its_ack_and_its_place(shown: Shown) -> None:
    text = shown("packet:2")
    assert "  ack        packet:3, after 5.00 ms" in text
    assert "› packet:2" in text
    assert "  answers    packet:2" in shown("packet:3")


def test_show_of_a_query_names_who_asked(shown: Shown) -> None:
    assert "exchange 21, GET /internal (the only one under way then)" in shown("query:1")
    assert "exchange 20, POST /api/health (the only one under way then)" in shown("query:3")
    assert "no exchange: background work" in shown("query:2")


def test_show_of_a_recorded_session_is_that_of_its_client(shown: Shown) -> None:
    text = shown("session:1")
    assert "1 query, 1 statement" in text
    assert "What it sent (11)" in text
    assert any(line.startswith("20 POST /api/20 200 200 ms") for line in flat(text))
    assert "socket:1  /socket.io/  open for 8.10 s" in text


def test_show_of_a_replayed_exchange_leads_to_the_recorded_one(
    written: Write, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recording = written([user_call(5, 100, 30)], name="recording.db", uid="rec1")
    rows: list[Row] = [
        Session(1, None, "user 1", vu=0, identity="friend"),
        user_call(9, 100, 50, session_id=1, client_id=None, source_exchange=5, intended_ns=90 * MS),
    ]
    replay: dict[str, Any] = {"purpose": "replay", "vantage": "client", "source_uid": "rec1"}
    path = written(rows, name="replay.db", source_path="recording.db", **replay).path.relative_to(tmp_path)
    assert run(["show", str(path), "9"]) == ExitCode.OK
    text = capsys.readouterr().out
    assert "recorded as    exchange 5 of recording.db: 200 in 30.0 ms (service time)" in text
    assert "nestperf show recording.db 5   as it was recorded" in text
    assert "response time  60.0 ms" in text
    assert "not stored: replays keep those of failures and of the slowest" in text
    assert "session:1" in text
    elsewhere = Path("elsewhere.db")
    recording.path.rename(elsewhere)
    assert run(["show", str(path), "9"]) == ExitCode.OK
    assert "recorded as    exchange 5 of recording.db (not beside this one: --source FILE)" in capsys.readouterr().out
    assert run(["show", str(path), "9", "--source", str(elsewhere)]) == ExitCode.OK
    assert "in 30.0 ms (service time)" in capsys.readouterr().out
    assert run(["show", str(path), "9", "--source", str(path)]) == ExitCode.CAPTURE
    assert "is not the recording that" in capsys.readouterr().err


@pytest.mark.parametrize("columns", [60, 80, 100, 120, 300])
@pytest.mark.parametrize("ref", ["20", "22", "socket:1", "packet:1", "query:1", "session:1"])
def test_show_stays_within_every_width_and_is_printable(shown: Shown, ref: str, columns: int) -> None:
    text = shown(ref, columns=columns)
    assert max(map(columns_of, text.splitlines())) <= max(columns, 60)
    assert not [c for c in text if c != "\n" and unicodedata.category(c) == "Cc"]


HOSTILE = "\x1b]0;owned\x07\u202e\r\n\x9b31m<script>"


def test_show_of_hostile_content_never_acts_on_a_terminal(shown: Shown) -> None:
    rows: list[Row] = [
        Client(1, HOSTILE, HOSTILE, HOSTILE),
        HeaderSet(1, json.dumps([[HOSTILE, HOSTILE]])),
        body(1, HOSTILE.encode(), "text/html"),
        user_call(
            1, 0, request_headers=1, request_body=1, response_headers=1, response_body=1, target=f"/{HOSTILE}",
            route=HOSTILE, method="G\x1bT", reason=HOSTILE, detail=HOSTILE,
        ),
        user_call(2, 10, target=HOSTILE),
        socket(1, client_id=1, target=HOSTILE, detail=HOSTILE, close_reason=HOSTILE, closed_ns=S, close_code=1),
        packet(1, 1, 5, event=HOSTILE, namespace=HOSTILE, payload=HOSTILE),
        Statement(1, HOSTILE, ""),
        query(1, 5, 2, statement_id=1, database=HOSTILE, parameters=HOSTILE),
    ]  # fmt: skip
    for ref in ("1", "socket:1", "packet:1", "query:1", "session:1"):
        text = shown(ref, rows=rows)
        unsafe = {"Cc", "Cf", "Cs", "Zl", "Zp"}
        assert not [c for c in text if c != "\n" and unicodedata.category(c) in unsafe], ref


def test_show_with_fewer_lines_of_bodies_counts_the_rest(shown: Shown) -> None:
    text = shown("20", "--lines", "3")
    assert "more lines" in text
    assert '"nps_abc_2_"' not in text
    assert '"token": "nps_abc_2_"' in shown("20", "--lines", "100", name="all.db")


WRONG = [
    ("9999", "has no exchange 9999: they go from 1 to 23."),
    ("socket:7", "has no socket 7: they go from 1 to 1."),
    ("session:7", "has no session 7: they go from 1 to 1."),
    ("socket", "names nothing: give an exchange's number, or socket:N, packet:N, query:N, session:N."),
    ("-1", "No such option"),
    ("page:1", "names nothing"),
    ("1; drop table", "names nothing"),
]


@pytest.mark.parametrize(("ref", "sentence"), WRONG)
def test_show_of_nothing_says_what_there_is(
    written: Write, capsys: pytest.CaptureFixture[str], ref: str, sentence: str
) -> None:
    assert run(["show", str(written(ROWS).path), ref]) == ExitCode.USAGE
    assert sentence in capsys.readouterr().err


def test_show_of_an_empty_capture_says_so(written: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", str(written([]).path), "1"]) == ExitCode.USAGE
    assert "has no exchange 1: it holds none." in capsys.readouterr().err


def test_parse_ref_reads_what_reports_print() -> None:
    assert parse_ref("17") == parse_ref("exchange:17") == Ref("exchange", 17)
    assert [str(parse_ref(text)) for text in ("17", "socket:3")] == ["17", "socket:3"]


@given(st.text(max_size=30))
def test_parse_ref_of_any_text_gives_a_ref_or_the_refusal(text: str) -> None:
    try:
        ref = parse_ref(text)
    except UsageError:
        return
    assert parse_ref(str(ref)) == ref


BODIES = [
    ("binary", body(1, bytes(range(200)), "image/png"), "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f …"),
    ("not stored", body(1, None, size=9_000_000, state="omitted"), "(application/json, 9.0 MB, not stored)"),
    ("cut", body(1, b"{", size=900, state="cut"), "only its beginning was stored"),
    ("broken JSON", body(1, b'{"a": '), '{"a":'),
    ("deep JSON", body(1, b"[" * 100_000), "[[["),
    ("text that is no UTF-8", body(1, b"caf\xe9", "text/plain"), "caf�"),
]


@pytest.mark.parametrize(("content", "expected"), [case[1:] for case in BODIES], ids=[case[0] for case in BODIES])
def test_render_body_shows_what_it_can(content: Body, expected: str) -> None:
    lines = render_body(content, 80, 12)
    assert any(expected in line for line in lines)
    assert max(map(columns_of, lines)) <= 80


def test_render_body_of_nothing_is_nothing() -> None:
    assert render_body(None, 80, 12) == []
    assert render_body(body(1, b""), 80, 12) == []


@given(st.text(max_size=400), st.integers(1, 8))
def test_first_lines_of_any_text_fit(text: str, most: int) -> None:
    lines = first_lines(text, 60, most)
    assert len(lines) <= most + 1
    assert max(map(columns_of, lines)) <= 60


def test_show_names_the_mark_and_the_test_that_an_exchange_goes_by(
    written: Write, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    written(
        [
            Mark(None, 0, None, "now requesting\x1b[2J", "key"),
            HeaderSet(1, '[["X-Nestperf-Test", "lists films"]]'),
            exchange(1, request_headers=1),
        ]
    )
    assert run(["show", str(tmp_path / "run.db"), "1"]) == 0
    assert "under         now requesting\\e[2J; lists films" in capsys.readouterr().out
