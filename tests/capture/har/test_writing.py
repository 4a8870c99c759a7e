"""Captures as HAR: every file is what the specification says, and comes back as what HAR can hold of it."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from nestperf.capture.clock import Clock
from nestperf.capture.contents import Contents
from nestperf.capture.model import Exchange, Kind, Outcome, Run, Session, Upstream
from nestperf.capture.reader import Capture
from nestperf.capture.redaction import Redactor
from nestperf.capture.vault import Vault, secrets_path
from nestperf.capture.writer import CaptureWriter
from nestperf.cli import run
from nestperf.wire.websocket import encode_frame
from proxy_addon.recorder import Recorder
from proxy_addon.tap import Record, What
from tests.capture.har.specification import check_har
from tests.proxy_addon.test_recorder import CHUNKS, records
from tests.reports.conftest import exchange

BEGAN = 1_795_962_758_726_000_000
MS = 1_000_000


def recorded(path: Path, told: list[Record]) -> Path:
    """A recording of these records."""
    vault = Vault.create(path)
    upstreams = (Upstream("http://app.test:4000"), Upstream("http://app.test:4001"))
    writer = CaptureWriter.create(
        path, Run("a1", "record", "proxy", "running", "0.1.0", BEGAN, None, upstreams), vault=vault
    )
    contents = Contents(Redactor(vault), writer.add, max_response=2000)
    recorder = Recorder(contents, writer.add, Clock(0, BEGAN), upstreams)
    for record in told:
        recorder.feed(record)
    recorder.finish()
    writer.set_run(writer.run._replace(state="finished", ended_ns=told[-1].stamp_ns))
    writer.close()
    return path


def turn(number: int, at_ms: int, what: What, payload: bytes) -> Record:
    return Record(what, number, at_ms * MS, 0, payload)


def opened(number: int, at_ms: int) -> list[Record]:
    return [
        turn(number, at_ms, What.OPENED, b'{"client":"10.0.0.7","upstream":0}'),
        turn(number, at_ms, What.CONNECTED, b""),
    ]


def answer(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    head = "\r\n".join((f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields))
    return head.encode() + b"\r\n\r\n" + body


def exported(db: Path, *options: str) -> dict[str, Any]:
    har = db.with_suffix(".har")
    assert run(["export", str(db), "--format", "har", "-o", str(har), "--force", *options]) == 0
    told: dict[str, Any] = json.loads(har.read_text())
    check_har(told)
    return told


def imported(db: Path) -> Path:
    back = db.with_name("back.db")
    assert run(["import", str(db.with_suffix(".har")), "-o", str(back)]) == 0
    return back


def moments(capture: Capture, rows: Any, name: str) -> list[Any]:
    """A column of stamps as nanoseconds since 1970: an import begins with its first exchange."""
    stamps = [getattr(row, name) for row in rows]
    return [stamp if stamp is None else capture.run.started_unix_ns + stamp for stamp in stamps]


def unhidden(capture: Capture, rows: Any) -> list[Any]:
    """Rows with the numbers of placeholders, but not the name of the file that they belong to."""
    vault = Vault.open(capture.path)
    tag = vault.tag if vault is not None else "none"
    return [tuple(str(value).replace(tag, "tag") for value in row) for row in rows]


def test_recording_of_medianest_comes_back_whole(tmp_path: Path) -> None:
    db = recorded(tmp_path / "qa.db", list(records(CHUNKS)))
    told = exported(db)
    assert len(told["log"]["entries"]) == 58
    back = imported(db)
    with Capture.open(db) as one, Capture.open(back) as other:
        assert other.run.vantage == one.run.vantage == "proxy"
        ours, theirs = list(one.exchanges()), list(other.exchanges())
        for name in ("kind", "method", "route", "status", "reason", "outcome", "request_bytes", "response_bytes"):
            assert [getattr(e, name) for e in ours] == [getattr(e, name) for e in theirs], name
        for name in ("sent_ns", "request_done_ns", "first_byte_ns", "done_ns"):
            assert moments(one, ours, name) == moments(other, theirs, name), name
        heads = [one.headers(e.response_headers) for e in ours]
        assert unhidden(one, heads) == unhidden(other, [other.headers(e.response_headers) for e in theirs])
        for e, f in zip(ours, theirs, strict=True):
            body, same = one.body(e.response_body), other.body(f.response_body)
            assert (body is None) == (same is None)
            if body is not None and same is not None:
                assert (body.wire_size, body.media_type) == (same.wire_size, same.media_type)
        packets, same_packets = list(one.packets()), list(other.packets())
        for name in ("socket_id", "sender", "type", "namespace", "event", "ack_id", "answers"):
            assert [getattr(p, name) for p in packets] == [getattr(p, name) for p in same_packets], name
        assert moments(one, packets, "stamp_ns") == moments(other, same_packets, "stamp_ns")
        sockets, same_sockets = list(one.sockets()), list(other.sockets())
        for name in ("protocol", "transports", "sid", "outcome"):
            assert [getattr(s, name) for s in sockets] == [getattr(s, name) for s in same_sockets], name
        assert moments(one, sockets, "connected_ns") == moments(other, same_sockets, "connected_ns")
        assert len(sockets) == 7
        assert len(packets) > 50


def test_polled_connection_keeps_its_packets_and_binary_messages_their_bytes(tmp_path: Path) -> None:
    poll = b"/socket.io/?EIO=4&transport=polling"
    get = b"GET " + poll + b"%s HTTP/1.1\r\nHost: app.test\r\n\r\n"
    text = "Content-Type: text/plain"
    news = '40{"sid":"x"}\x1e451-/a,7["é",{"_placeholder":true,"num":0}]\x1ebAQID'
    posted = b'40{"token":"canary-4711-secret"}'
    upgrade = (
        b"GET /socket.io/?EIO=4&transport=websocket&sid=s1 HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\n\r\n"
    )
    told = [
        *opened(1, 0),
        turn(1, 1, What.CLIENT_BYTES, get % b""),
        turn(1, 2, What.SERVER_BYTES, answer(b'0{"sid":"s1","upgrades":["websocket"]}', text)),
        turn(1, 3, What.CLIENT_BYTES, b"POST" + get[3:-2] % b"&sid=s1" + b"Content-Length: %d\r\n\r\n" % len(posted)),
        turn(1, 3, What.CLIENT_BYTES, posted),
        turn(1, 4, What.SERVER_BYTES, answer(b"ok", text)),
        turn(1, 5, What.CLIENT_BYTES, get % b"&sid=s1"),
        turn(1, 6, What.SERVER_BYTES, answer(news.encode(), text)),
        *opened(2, 7),
        turn(2, 8, What.CLIENT_BYTES, upgrade),
        turn(2, 9, What.SERVER_BYTES, b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
        turn(2, 10, What.CLIENT_BYTES, encode_frame("text", b"2probe", mask=b"abcd")),
        turn(2, 11, What.SERVER_BYTES, encode_frame("text", b"3pro", mask=None, fin=False)),
        turn(2, 12, What.SERVER_BYTES, encode_frame("continuation", b"be", mask=None)),
        turn(2, 13, What.SERVER_BYTES, encode_frame("ping", b"", mask=None)),
        turn(2, 14, What.SERVER_BYTES, encode_frame("text", b'451-["b",{"_placeholder":true,"num":0}]', mask=None)),
        turn(2, 15, What.SERVER_BYTES, encode_frame("binary", b"\xff\x00\x01", mask=None)),
        turn(2, 16, What.CLIENT_BYTES, encode_frame("close", b"\x03\xe8bye", mask=b"abcd")),
        turn(2, 17, What.CLOSED, b""),
        turn(1, 18, What.CLOSED, b""),
    ]  # fmt: skip
    db = recorded(tmp_path / "qa.db", told)
    har = exported(db)
    assert "canary" not in json.dumps(har)
    messages = har["log"]["entries"][3]["_webSocketMessages"]
    assert [(m["type"], m["opcode"], m["data"]) for m in messages] == [
        ("send", 1, "2probe"), ("receive", 1, "3probe"), ("receive", 9, ""),
        ("receive", 1, '451-["b",{"_placeholder":true,"num":0}]'), ("receive", 2, "/wAB"), ("send", 8, "A+hieWU="),
    ]  # fmt: skip
    back = imported(db)
    with Capture.open(db) as one, Capture.open(back) as other:
        (socket,), (same,) = one.sockets(), other.sockets()
        for name in (
            "protocol",
            "transports",
            "sid",
            "closed_by",
            "close_code",
            "close_reason",
            "outcome",
        ):
            assert getattr(socket, name) == getattr(same, name), name
        assert moments(one, [socket], "closed_ns") == moments(other, [same], "closed_ns")
        ours, theirs = list(one.packets()), list(other.packets())
        for name in ("sender", "engine_type", "type", "namespace", "event", "ack_id", "exchange_id"):
            assert [getattr(p, name) for p in ours] == [getattr(p, name) for p in theirs], name
        assert unhidden(one, [(p.payload,) for p in ours]) == unhidden(other, [(p.payload,) for p in theirs])
        attached = [json.loads(p.attachments)[0] for p in ours if p.attachments]
        again = [json.loads(p.attachments)[0] for p in theirs if p.attachments]
        assert len(attached) == 2
        for number, other_number in zip(attached, again, strict=True):
            body, other_body = one.body(number), other.body(other_number)
            assert body is not None
            assert other_body is not None
            assert body.content == other_body.content


def requests() -> list[Record]:
    """What is left of requests: cut off, given up, refused, large, binary, secret."""
    ask = b"%s HTTP/1.1\r\nHost: app.test\r\nUser-Agent: Mozilla/5.0\r\nCookie: sid=canary-cookie-4711; x=1\r\n"
    told: list[Record] = []
    for number, (line, reply, end) in enumerate(
        [
            (
                b"GET /plain?q=%20a&b",
                answer(b"hello", "Content-Type: text/plain", "Set-Cookie: a=b; Path=/; HttpOnly"),
                None,
            ),
            (b"GET /picture", answer(bytes(range(256)), "Content-Type: image/png"), None),
            (b"GET /large", answer(b"line\n" * 1000, "Content-Type: text/plain"), None),
            (b"GET /cut", answer(b"half")[:-2], What.SERVER_END),
            (b"GET /given-up", b"", What.CLIENT_END),
            (b"GET /open", b"", None),
            (b"GET /limited", answer(b"", status="429 Too Many"), None),
        ],
        1,
    ):
        at = number * 10
        told += opened(number, at)
        told.append(turn(number, at + 1, What.CLIENT_BYTES, ask % line + b"\r\n"))
        if reply:
            told.append(turn(number, at + 5, What.SERVER_BYTES, reply))
        if end is not None:
            told.append(turn(number, at + 6, end, b""))
            told.append(turn(number, at + 7, What.CLOSED, b""))
    body = b"\xff\x00binary"
    told += opened(9, 200)
    head = ask % b"POST /upload" + b"Content-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % len(body)
    told.append(turn(9, 201, What.CLIENT_BYTES, head + body))
    told.append(turn(9, 205, What.SERVER_BYTES, answer(b"")))
    return told


def test_every_outcome_and_body_is_told_and_comes_back(tmp_path: Path) -> None:
    db = recorded(tmp_path / "qa.db", requests())
    entries = exported(db)["log"]["entries"]
    by_path = {entry["request"]["url"].partition("4000")[2]: entry for entry in entries}
    plain = by_path["/plain?q=%20a&b"]
    assert plain["request"]["queryString"] == [{"name": "q", "value": " a"}, {"name": "b", "value": ""}]
    assert [cookie["name"] for cookie in plain["request"]["cookies"]] == ["sid", "x"]
    assert plain["request"]["cookies"][0]["value"].startswith("nps_")
    (cookie,) = plain["response"]["cookies"]
    assert (cookie["name"], cookie["path"], cookie["httpOnly"]) == ("a", "/", True)
    assert plain["timings"]["wait"] == 4
    assert by_path["/picture"]["response"]["content"]["encoding"] == "base64"
    assert (by_path["/open"]["response"]["status"], by_path["/open"]["response"]["_error"]) == (
        0, "still open when the recording ended",
    )  # fmt: skip
    back = imported(db)
    with Capture.open(db) as one, Capture.open(back) as other:
        ours, theirs = list(one.exchanges()), list(other.exchanges())
        assert {e.outcome for e in ours} == {
            Outcome.OK, Outcome.RESET, Outcome.ABORTED, Outcome.UNFINISHED, Outcome.LIMITED
        }  # fmt: skip
        for name in ("outcome", "status", "detail"):
            assert [getattr(e, name) for e in ours] == [getattr(e, name) for e in theirs], name
        for name in ("sent_ns", "first_byte_ns", "done_ns"):
            assert moments(one, ours, name) == moments(other, theirs, name), name
        for e, f in zip(ours, theirs, strict=True):
            for body_id, other_id in ((e.request_body, f.request_body), (e.response_body, f.response_body)):
                body, same = one.body(body_id), other.body(other_id)
                shown = [(b.state, b.size, b.wire_size, b.content) for b in (body, same) if b is not None]
                assert len(shown) in (0, 2)
                assert shown[:1] == shown[1:], e.target
        assert [client.address for client in other.clients()] == ["10.0.0.7"]


def test_secrets_stay_behind_unless_they_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = recorded(tmp_path / "qa.db", requests())
    assert "canary" not in json.dumps(exported(db))
    assert "--without-bodies takes it out" in capsys.readouterr().out
    told = exported(db, "--with-secrets")
    assert told["log"]["entries"][0]["request"]["cookies"][0]["value"] == "canary-cookie-4711"
    assert stat.S_IMODE((tmp_path / "qa.har").stat().st_mode) == 0o600
    assert "SECRETS: " in capsys.readouterr().out
    bare = exported(db, "--without-bodies")
    assert "hello" not in json.dumps(bare)
    assert bare["log"]["entries"][0]["response"]["content"]["size"] == 5
    secrets_path(db).unlink()
    assert run(["export", str(db), "--format", "har", "-o", str(tmp_path / "x.har"), "--with-secrets"]) == 2


def test_replay_tells_what_a_request_waited_for_and_each_session_apart(tmp_path: Path) -> None:
    rows = [
        exchange(1, 10, sent_ns=5 * MS, intended_ns=2 * MS, connect_ns=MS, request_done_ns=6 * MS, session_id=7),
        exchange(
            2, None, sent_ns=9 * MS, outcome=Outcome.CONNECT_ERROR, status=None, detail="refused", kind=Kind.ASSET
        ),
    ]
    writer = CaptureWriter.create(
        tmp_path / "qa.db", Run("a1", "replay", "client", "finished", "0", BEGAN, MS, (Upstream("http://a:1"),))
    )
    writer.extend([*rows, Session(7, None, "friend 1")])
    writer.close()
    told = exported(tmp_path / "qa.db")
    first, second = told["log"]["entries"]
    assert told["log"]["pages"][0]["title"] == "friend 1"
    assert first["pageref"] == "session_7"
    assert first["startedDateTime"] == "2026-11-29T14:32:38.728000000Z"
    assert {name: first["timings"][name] for name in ("blocked", "connect", "send", "receive")} == {
        "blocked": 2, "connect": 1, "send": 1, "receive": 0,
    }  # fmt: skip
    assert first["time"] == 13
    assert (second["response"]["status"], second["response"]["_error"]) == (0, "refused")
    with Capture.open(imported(tmp_path / "qa.db")) as capture:
        again = [(e.outcome, e.sent_ns, e.connect_ns) for e in capture.exchanges()]
        assert [client.address for client in capture.clients()] == ["friend 1", "qa.har"]
    assert again == [(Outcome.OK, 0, MS), (Outcome.CONNECT_ERROR, 4 * MS, None)]


def test_capture_that_cannot_be_a_har_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def written(name: str, state: str, *rows: Exchange) -> str:
        run_ = Run("a1", "record", "proxy", state, "0", BEGAN, MS, (Upstream("http://a:1"),))
        writer = CaptureWriter.create(tmp_path / name, run_)
        writer.extend(rows)
        writer.close()
        return str(tmp_path / name)

    empty, killed = written("empty.db", "finished"), written("killed.db", "running", exchange(1, 5))
    assert run(["export", empty, "--format", "har", "-o", str(tmp_path / "a.har")]) == 3
    assert "holds no exchanges" in capsys.readouterr().err
    assert run(["export", killed, "--format", "har", "-o", str(tmp_path / "a.har")]) == 2
    assert f"nestperf trim {killed}" in capsys.readouterr().err
    whole = written("whole.db", "finished", exchange(1, 5))
    (tmp_path / "there.har").write_text("mine")
    assert run(["export", whole, "--format", "har", "-o", str(tmp_path / "there.har")]) == 2
    assert (tmp_path / "there.har").read_text() == "mine"
    assert not list(tmp_path.glob(".*.part"))
