"""Our HAR in Chromium's own DevTools: their importer opens it, and what their export writes of it comes back to us."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from nestperf.capture.reader import Capture
from nestperf.cli import run
from nestperf.demo.children import free_port
from tests.capture.har.test_writing import recorded
from tests.proxy_addon.test_recorder import CHUNKS, records

pytestmark = pytest.mark.peer("chromium")

# The importer and the writer behind "Import HAR file" and "Export HAR (with sensitive data)" of the network panel.
OPEN_AND_WRITE = """async har => {
  const devtools = await import('/devtools/models/har/har.js').catch(() => null);
  const importer = devtools?.Importer?.Importer, writer = devtools?.Writer?.Writer;
  if (!importer?.requestsFromHARLog || !writer?.write) return null;
  const requests = importer.requestsFromHARLog(new devtools.HARFormat.HARRoot(har).log);
  const opened = await Promise.all(requests.map(async request => {
    const content = await request.requestContentData();
    return {
      url: request.url(), status: request.statusCode, type: request.resourceType().name(), seconds: request.duration,
      frames: request.frames().map(frame => [frame.type, frame.opCode, frame.text]),
      text: 'error' in content ? null : content.isTextContent ? content.text : content.base64,
      post: await request.requestFormData(),
    };
  }));
  const written = [];
  const progress = {
    title: '', totalWork: 0, worked: 0, canceled: false, done: false,
    setTitle() {}, setTotalWork() {}, setWorked() {}, incrementWorked() {}, isCanceled() { return false; },
  };
  await writer.write({write: async part => { written.push(part); }}, requests, {sanitize: false}, progress);
  return {opened, written: written.join('')};
}"""


def through_devtools(har: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """What DevTools shows of a HAR, and the HAR that it writes of that."""
    port = free_port()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", f"--remote-debugging-port={port}"]
        )
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/devtools/inspector.html")
        told = page.evaluate(OPEN_AND_WRITE, har)
        browser.close()
    if told is None:
        pytest.skip("This Chromium's DevTools keep their importer elsewhere than those the test knows.")
    return told["opened"], told["written"]


def test_devtools_open_an_exported_har_and_what_they_export_is_imported(tmp_path: Path) -> None:
    db = recorded(tmp_path / "qa.db", list(records(CHUNKS)))
    assert run(["export", str(db), "--format", "har", "-o", str(tmp_path / "qa.har")]) == 0
    opened, written = through_devtools(json.loads((tmp_path / "qa.har").read_text()))
    (tmp_path / "devtools.har").write_text(written)
    assert json.loads(written)["log"]["creator"]["name"] == "WebInspector"
    assert run(["import", str(tmp_path / "devtools.har"), "-o", str(tmp_path / "back.db")]) == 0
    with Capture.open(db) as one, Capture.open(tmp_path / "back.db") as other:
        exchanges = list(one.exchanges())
        assert [request["status"] for request in opened] == [e.status for e in exchanges]
        assert [request["url"].partition("4000")[2] for request in opened] == [e.target for e in exchanges]
        for request, e in zip(opened, exchanges, strict=True):
            if e.done_ns is not None:
                assert abs(request["seconds"] - (e.done_ns - e.sent_ns) / 1e9) < 1e-5
            body = one.body(e.response_body)
            if body is not None and body.state == "whole":
                assert request["text"] == (body.content or b"").decode()
        assert sum(len(request["frames"]) for request in opened) == len(list(one.frames()))
        assert {request["type"] for request in opened} == {"fetch", "preflight", "websocket"}
        assert [(e.method, e.target, e.status, e.kind) for e in exchanges] == [
            (e.method, e.target, e.status, e.kind) for e in other.exchanges()
        ]
        events = [(p.sender, p.namespace, p.event) for p in one.packets() if p.event]
        assert [(p.sender, p.namespace, p.event) for p in other.packets() if p.event] == events
