"""A secret that is recognised late is taken out of the rows, and of the file's raw bytes."""

from __future__ import annotations

import base64
import json
import sqlite3
from pathlib import Path

from nestperf.capture.contents import Contents
from nestperf.capture.model import Client, Exchange, Kind, Mark, Outcome, Packet, Page, Resource, Run, Timing
from nestperf.capture.reader import Capture
from nestperf.capture.redaction import Redactor
from nestperf.capture.vault import Vault
from nestperf.capture.writer import CaptureWriter

LATE = "late-known/7f3a9c51"
PAIRS = (("X-Note", f'say "{LATE}"'), ("Host", "a"))


def exchange(number: int, headers: int, body: int | None) -> Exchange:
    return Exchange(
        id=number, session_id=None, client_id=1, connection=1, upstream=0, kind=Kind.CALL, server_call=False,
        method="GET", authority="a", target=f"/users/{LATE}/photo", route=f"/users/{LATE}/photo", http_version="1.1",
        request_headers=headers, request_trailers=None, request_body=None, request_bytes=1, status=200, reason=LATE,
        response_headers=headers, response_trailers=None, response_body=body, response_bytes=1, interim=None,
        intended_ns=None, sent_ns=number, request_done_ns=number, first_byte_ns=number, done_ns=number,
        connect_ns=None, relay_ns=None, outcome=Outcome.OK, detail=None, source_exchange=None,
    )  # fmt: skip


def packet(number: int, payload: str) -> Packet:
    return Packet(
        id=number, socket_id=1, frame_id=None, exchange_id=None, sender="client", stamp_ns=1, done_ns=1,
        engine_type="message", type="event", namespace="/", event=LATE, ack_id=None, payload=payload, attachments=None,
        size=1, answers=None, intended_ns=None, source_packet=None,
    )  # fmt: skip


def page(number: int) -> Page:
    return Page(
        id=number, session_id=None, client_id=1, upstream=0, exchange_id=1, kind="load", url=f"http://a/users/{LATE}",
        route=f"/users/{LATE}", profile="", cpu_factor=None, round=None, cache=None, hidden=False, started_ns=1,
        first_byte_ns=1, dom_loaded_ns=1, load_ns=1, fcp_ns=1, lcp_ns=1, lcp_element=f"h1 {LATE}", cls=0.0, inp_ns=1,
        inp_element=f"button {LATE}", interactions=1, long_tasks=0, long_tasks_ns=0, errors=1, ended_ns=None,
        clock_error_ns=None, screenshot=None,
    )  # fmt: skip


def begun(path: Path) -> tuple[CaptureWriter, Contents, Vault]:
    vault = Vault.create(path)
    writer = CaptureWriter.create(path, Run("u", "record", "proxy", "running", "0", 1), vault=vault)
    return writer, Contents(Redactor(vault), writer.add), vault


def filled(path: Path, rows: int = 3) -> tuple[CaptureWriter, Contents, Vault]:
    """A capture in which `LATE` stands everywhere before anybody knows it."""
    writer, contents, vault = begun(path)
    for number in range(1, rows + 1):
        headers = contents.headers((*PAIRS, ("X-Number", str(number))))
        encoded = base64.b64encode(f"{number} {LATE} tail".encode()).decode()
        content = json.dumps({"x": LATE, "filler": "y" * (number * 37 % 6000), "b": encoded}).encode()
        body = contents.body(content, media_type="application/json", coding="", chunked=False, request=False)
        writer.add(exchange(number, headers, body))
        writer.add(packet(number, json.dumps([LATE, number])))
        if number % 7 == 0:
            writer.commit()
    writer.add(page(1))
    writer.add(Resource(1, 1, None, f"http://a/users/{LATE}/photo", "img", 1, None, 2, None, False))
    writer.add(Timing(1, 1, "error", f"no photo of {LATE}", 1, None, None, None, f"at {LATE}"))
    writer.add(Client(1, "127.0.0.1", f"agent {LATE}"))
    writer.add(Mark(None, 1, None, f"signing in with {LATE}", "key"))
    writer.commit()
    return writer, contents, vault


def raw(path: Path) -> bytes:
    """Everything that lies beside the capture, but for the secrets."""
    names = [name for name in path.parent.iterdir() if name.is_file() and not name.name.endswith(".secrets")]
    return b"".join(name.read_bytes() for name in names)


def finish(writer: CaptureWriter) -> None:
    writer.set_run(writer.run._replace(state="finished"))
    writer.close()


def test_sweep_takes_out_what_was_recognised_late(tmp_path: Path) -> None:
    path = tmp_path / "qa.db"
    writer, contents, vault = filled(path)
    assert LATE.encode() in raw(path)
    contents.headers((("Authorization", f"Bearer {LATE}"),))
    finish(writer)
    assert b"late-known" not in raw(path)
    assert base64.b64encode(b"x" + LATE.encode())[4:-4] not in raw(path)
    with Capture.open(path) as capture:
        capture.check()
        assert capture.run.state == "finished"
        (first, *_) = capture.exchanges()
        assert vault.reveal(first.target) == f"/users/{LATE}/photo"
        assert LATE not in first.route
        head = capture.headers(first.request_headers)
        assert tuple((name, vault.reveal(value)) for name, value in head[:2]) == PAIRS
        body = capture.body(first.response_body)
        assert body is not None
        assert body.content is not None
        assert json.loads(vault.reveal_bytes(body.content))["x"] == LATE
        (watched,) = capture.pages()
        assert vault.reveal(watched.url) == f"http://a/users/{LATE}"
        assert LATE not in watched.route
        (failed,) = capture.timings()
        assert (vault.reveal(failed.name), vault.reveal(failed.detail or "")) == (f"no photo of {LATE}", f"at {LATE}")
        (mark,) = capture.marks()
        assert vault.reveal(mark.text) == f"signing in with {LATE}"
        (told, *_) = capture.packets()
        assert json.loads(vault.reveal(told.payload or "")) == [LATE, 1]
        assert vault.reveal(told.event or "") == LATE


def test_sweep_leaves_no_traces_between_rows(tmp_path: Path) -> None:
    path = tmp_path / "qa.db"
    writer, contents, _ = filled(path, rows=400)
    for number in range(1, 400, 3):  # rows that grow move others about
        writer.add(exchange(number, 1, None)._replace(detail=LATE * (number % 40)))
        writer.commit()
    contents.headers((("Authorization", f"Bearer {LATE}"),))
    finish(writer)
    assert b"late-known" not in raw(path)
    with Capture.open(path) as capture:
        capture.check()


def test_sweep_while_running_clears_the_log_too(tmp_path: Path) -> None:
    path = tmp_path / "qa.db"
    writer, contents, _ = filled(path)
    contents.headers((("Authorization", f"Bearer {LATE}"),))
    assert writer.sweep() > 0
    assert writer.sweep() == 0
    connection = sqlite3.connect(path)
    assert not [row for row in connection.execute("select content from bodies") if LATE.encode() in row[0]]
    connection.close()
    assert LATE.encode() not in path.with_name("qa.db-wal").read_bytes()
    finish(writer)
    assert b"late-known" not in raw(path)


def test_sweep_without_secrets_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "qa.db"
    writer, _, vault = filled(path)
    assert writer.sweep() == 0
    finish(writer)
    assert len(vault) == 0
    assert LATE.encode() in path.read_bytes()


def test_sweep_stores_what_secrets_are_made_of(tmp_path: Path) -> None:
    path = tmp_path / "qa.db"
    writer, contents, vault = begun(path)
    contents.headers((("Set-Cookie", "csrf=3f1c9a77d0e84b62%7C9b2f0c55aa17; Path=/"),))
    contents.body(b'{"csrfToken":"3f1c9a77d0e84b62"}', media_type="application/json", coding="", chunked=False,
                  request=False)  # fmt: skip
    finish(writer)
    with Capture.open(path) as capture:
        (relation,) = capture.relations()
    assert relation.id == vault.number("3f1c9a77d0e84b62|9b2f0c55aa17")
    assert vault.reveal(relation.template) == "3f1c9a77d0e84b62|9b2f0c55aa17"
    again = Vault.open(path)
    assert again is not None
    assert again.reveal(relation.template) == "3f1c9a77d0e84b62|9b2f0c55aa17"
