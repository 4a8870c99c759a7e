"""A HAR that a real Chromium's traffic was written into, imported, reported, planned and replayed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from nestperf.capture.model import Kind, Outcome
from nestperf.capture.reader import Capture
from nestperf.capture.vault import Vault
from nestperf.cli import run
from replay.plan import build_plan
from replay.steps import Http
from tests.interop.talking_app import talking_app

pytestmark = pytest.mark.peer("chromium")


def record_har(url: str, path: Path) -> None:
    """Visit the page; Playwright writes what Chromium tells it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        context = browser.new_context(record_har_path=path)
        page = context.new_page()
        page.goto(url)
        page.wait_for_function("document.title == 'done'", timeout=60_000)
        context.close()
        browser.close()


def test_chromiums_har_becomes_a_capture_like_any_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    har, db = tmp_path / "qa.har", tmp_path / "qa.db"
    with talking_app() as url:
        record_har(url + "/", har)
        assert "canary-bearer-4711" in har.read_text()
        assert run(["import", str(har), "-o", str(db)]) == 0
        assert f"with {url}" in capsys.readouterr().out
        assert b"canary" not in db.read_bytes()
        with Capture.open(db) as capture:
            assert capture.run.upstreams[0].url == url
            exchanges = {e.target.partition("?")[0]: e for e in capture.exchanges()}
            assert exchanges["/"].kind is Kind.PAGE
            assert exchanges["/picture.png"].kind is Kind.ASSET
            assert exchanges["/nowhere"].outcome is Outcome.REFUSED
            items = exchanges["/api/items/17"]
            assert items.route == "/api/items/{id}"
            assert (items.done_ns or 0) - items.sent_ns >= 90_000_000
            body = capture.body(items.response_body)
            assert body is not None
            assert json.loads(body.content or b"")[99] == {"id": 99}
            picture = capture.body(exchanges["/picture.png"].response_body)
            assert picture is not None
            assert picture.content == bytes(range(256))
            assert [(q.source, q.exchange_id) for q in capture.queries()] == [
                ("server-timing", exchanges["/api/login"].id)
            ]
            live, plain = capture.sockets()
            assert (live.protocol, plain.protocol) == ("socket.io", "websocket")
            events = [(p.sender, p.type, p.event) for p in capture.packets(live.id) if p.engine_type == "message"]
            assert events == [
                ("client", "connect", None), ("server", "connect", None), ("client", "event", "hello"),
                ("server", "event", "news"), ("server", "ack", None),
            ]  # fmt: skip
            assert [frame.content for frame in capture.frames(plain.id)][:2] == [b"\x09\x08\xff", b"got 3"]
            (session,) = capture.sessions()
            assert "Chrome" in session.label
            (planned,) = build_plan(capture, Vault.open(db)).sessions
        sent = [step.action.target for step in planned.steps if isinstance(step.action, Http)]
        assert sent[:2] == ["/", "/api/login"]
        assert run(["report", str(db)]) in (0, 4)
        limits = tmp_path / "limits.toml"
        limits.write_text('[[threshold]]\nexpression = "count(users) >= 1"\n')
        replayed = tmp_path / "replay.db"
        # 4: a machine so busy that its verdicts do not count; what was answered does.
        assert run(["replay", str(db), "-o", str(replayed), "--thresholds", str(limits)]) in (0, 4)
    with Capture.open(replayed) as capture:
        assert {e.outcome for e in capture.exchanges()} == {Outcome.OK}
        assert [p.event for p in capture.packets() if p.sender == "server" and p.type == "event"] == ["news"]
