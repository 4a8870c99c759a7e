"""`nestperf plan`: everything that is sent and not sent is there, in 80 columns and as JSON, and nothing secret is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nestperf.capture.model import Outcome
from nestperf.cli import run as nestperf
from nestperf.printable import columns_of
from replay.plan_text import MOST_STEPS, render_plan
from tests.replay.conftest import Recording

SECRET = "hunter2-hunter2-hunter2"


def everything(path: Path) -> Path:
    """A recording of one of each."""
    recording = Recording(path, "http://127.0.0.1:4000", "http://192.0.2.9:80")
    recording.exchange("GET", "/", 0, 150, answer_headers=(("Content-Type", "text/html"),))
    recording.exchange("GET", "/a.js", 160, 200, connection=1, answer_headers=(("Content-Type", "text/javascript"),))
    recording.exchange("GET", "/b.js", 161, 210, connection=2, answer_headers=(("Content-Type", "text/javascript"),))
    recording.exchange(
        "POST", f"/api/login?token={SECRET}", 500, 520, body=json.dumps({"password": SECRET}).encode(),
        headers=(("Content-Type", "application/json"), ("Authorization", f"Bearer {SECRET}")),
    )  # fmt: skip
    recording.exchange("GET", "/evil\x1b[2J\u202e" + "/very/long" * 30, 600, 610)
    for number in range(7):
        recording.exchange("GET", "/api/session", 700 + number, 705 + number, server_call=True)
    recording.exchange("GET", "/never", 720, None, request_done_ns=None)
    recording.exchange("GET", "/dropped", 721, None, outcome=Outcome.DROPPED)
    recording.exchange("GET", "/elsewhere", 730, 735, upstream=1)
    recording._contents.max_request = 10
    recording.exchange("POST", "/upload", 740, 745, body=b"x" * 300_000)
    recording.exchange("GET", "/socket.io/?EIO=4&transport=polling", 790, 795)
    socket = recording.socket(800, 810, 2000)
    recording.packet(socket, "client", "connect", 811, "/media", json.dumps({"token": SECRET}))
    recording.packet(socket, "server", "connect", 820, "/media", '{"sid":"x"}')
    recording.packet(socket, "client", "event", 830, "/media", "[1]", event="ask\x1b[0m", ack_id=0)
    recording.packet(socket, "server", "ack", 835, "/media", "[]", ack_id=0)
    recording.socket(900, 910, 920, protocol="websocket", version=None)
    return recording.finish(2100)


def plan(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    capsys.readouterr()
    assert nestperf(["plan", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_plan_says_what_is_sent_and_what_each_step_waits_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = plan(capsys, everything(tmp_path / "r.db"))
    rows = [line.split() for line in text.splitlines()]
    assert ["1", "start", "0", "ms", "call", "GET", "/", "200"] in rows
    assert ["4", "2,", "3", "290", "ms", "call", "POST", "/api/login", "200"] in rows
    assert ["7", "6", "1.00", "ms", "packet", "join", "/media", "joined"] in rows
    assert rows[0] == ["r.db:", "1", "session,", "11", "steps", "sent,", "14", "not", "sent"]


def test_plan_says_what_is_not_sent_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    path = everything(tmp_path / "r.db")
    text = plan(capsys, path)
    for reason in (
        "7 × a server-side call: the application makes it itself",
        "1 × its request was never complete",
        "1 × it was never sent",
        "1 × its body was not stored whole",
        "1 × a Socket.IO poll: the connection's own step does it",
        "2 × an upgrade: the connection's own step does it",
        "1 × 192.0.2.9 is not this machine: --allow-host 192.0.2.9 allows it",
    ):
        assert reason in text
    assert "and 2 more: --all shows them" in text
    assert text.count("GET /api/session") == 5
    assert plan(capsys, path, "--all").count("GET /api/session") == 7
    assert "192.0.2.9 is" not in plan(capsys, path, "--allow-host", "192.0.2.9")


@pytest.mark.parametrize("columns", [80, 120])
def test_plan_fits_the_terminal_and_shows_nothing_raw_or_secret(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    path = everything(tmp_path / "r.db")
    text = plan(capsys, path, "--all")
    assert max(map(columns_of, text.splitlines())) <= columns
    for told in (text, plan(capsys, path, "--json")):
        assert "\x1b" not in told
        assert "\u202e" not in told
        assert SECRET not in told
    assert "emit ask\\e[0m in /media" in text


def test_plan_as_json_has_every_step_and_every_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(plan(capsys, everything(tmp_path / "r.db"), "--json"))
    totals = document["totals"]
    assert (totals["sessions"], totals["sent"], totals["not_sent"], totals["writes"]) == (1, 11, 14, 2)
    assert totals["reasons"]["a server-side call: the application makes it itself"] == 7
    (session,) = document["sessions"]
    assert [step["waits_for"] for step in session["steps"][:5]] == [[], [0], [0], [1, 2], [3]]
    assert session["steps"][3]["then_ns"] == 290_000_000
    assert [step["kind"] for step in session["steps"]] == [
        "call", "asset", "asset", "call", "call", "socket", "packet", "packet", "socket", "socket", "socket",
    ]  # fmt: skip
    assert {one["id"] for one in document["not_sent"]} >= {6, 7, 8}


def test_long_session_is_cut_and_says_so(recording: Recording) -> None:
    for number in range(MOST_STEPS + 10):
        recording.exchange("GET", f"/{number}x", number * 10, number * 10 + 5)
    planned = recording.plan()
    assert "  and 10 more: --all shows them" in render_plan(planned, "r.db", 80).splitlines()
    assert f"/{MOST_STEPS + 9}x" in render_plan(planned, "r.db", 80, everything=True)


def test_plan_of_nothing_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert nestperf(["plan", str(tmp_path / "none.db")]) == 3
    assert "There is no capture" in capsys.readouterr().err
