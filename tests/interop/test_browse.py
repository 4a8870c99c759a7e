"""`nestperf browse` with a real Chromium: pages over a slow line take their bytes and round trips, and little more."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median
from threading import Thread

import pytest
from aiohttp import web

from nestperf.capture.model import Kind, Page
from nestperf.capture.reader import Capture
from nestperf.demo.children import free_port
from nestperf.network.lane import transmission_ns
from nestperf.network.profiles import PROFILES
from tests.replay.conftest import Recording
from tests.tls import Certificates

FAST = PROFILES["wpt-3g-fast"]
LARGE = 800_000
"""Bytes of the one large script: four seconds of the line, so that what a busy machine adds is little beside them."""
STRICT = (
    "default-src 'self'; script-src 'self'; style-src 'none'; connect-src 'none'; require-trusted-types-for 'script'"
)


class Site:
    """An application in a thread of its own."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        """`context`: speaks TLS by it."""
        self.url = f"{'http' if context is None else 'https'}://localhost:{free_port()}"
        self._context = context
        self.cookies: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    def __enter__(self) -> Site:
        self._thread.start()
        deadline = time.perf_counter() + 20
        while time.perf_counter() < deadline and not hasattr(self, "ready"):
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        app = web.Application()
        app.add_routes(
            [
                web.get("/large", self._page('<!doctype html><script src="/large.js"></script><p>There')),
                web.get("/large.js", self._large),
                web.get("/strict", self._page("<!doctype html><p>Strict", **{"Content-Security-Policy": STRICT})),
                web.get("/never", self._never),
                web.get("/account", self._account),
                web.get("/signin", self._page("<!doctype html><p>Sign in")),
                web.post("/login", self._login),
                web.get("/echo", self._echo),
                web.get("/chat", self._page(f"<!doctype html><p id=p>…<script>{CHAT}</script>")),
            ]
        )
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", int(self.url.rpartition(":")[2]), ssl_context=self._context).start()
        self.ready = True
        await self._stop.wait()
        await runner.cleanup()

    def _page(self, html: str, **headers: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def page(_: web.Request) -> web.Response:
            return web.Response(text=html, content_type="text/html", headers=headers)

        return page

    async def _large(self, _: web.Request) -> web.Response:
        headers = {"Cache-Control": "public, max-age=3600"}
        return web.Response(body=b"//" + b"x" * (LARGE - 2), content_type="text/javascript", headers=headers)

    async def _never(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/html"})
        await response.prepare(request)
        await response.write(b"<!doctype html><p>Begun")
        await self._stop.wait()
        return response

    async def _login(self, request: web.Request) -> web.Response:
        response = web.json_response({"token": SECRET})
        response.set_cookie("session", SECRET, httponly=True)
        return response

    async def _account(self, request: web.Request) -> web.Response:
        self.cookies.append(request.cookies.get("session", ""))
        if self.cookies[-1] != SECRET:
            raise web.HTTPFound("/signin")
        return web.Response(text="<!doctype html><p>Yours", content_type="text/html")

    async def _echo(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(str(message.data))
        return socket


SECRET = "LiveQ8v2Zr6Tn1Xw5Yb9"
RECORDED = "OldK3m7Pd4Hs8Jf2Gc6"
CHAT = """
const socket = new WebSocket(location.origin.replace("http", "ws") + "/echo");
let sent = 0;
socket.onopen = () => { performance.mark("ping"); socket.send("1"); };
socket.onmessage = () => { performance.measure("round trip", "ping"); };
"""


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as running:
        yield running


def record_pages(folder: Path, site: str, *paths: str) -> Path:
    """A recording in which somebody signed in and opened these pages."""
    recording = Recording(folder / "qa.db", site)
    at = 0.0
    login = (("Content-Type", "application/json"), ("Set-Cookie", f"session={RECORDED}; HttpOnly"))
    recording.exchange("POST", "/login", at, at + 1, answer=f'{{"token": "{RECORDED}"}}'.encode(), answer_headers=login)
    for path in paths:
        at += 10
        headers = (("Accept", "text/html"), ("Sec-Fetch-Dest", "document"), ("Cookie", f"session={RECORDED}"))
        answer_headers = (("Content-Type", "text/html"),)
        recording.exchange("GET", path, at, at + 5, headers=headers, answer=b"<p>", answer_headers=answer_headers)
    return recording.finish()


def browse(recording: Path, *arguments: str) -> tuple[int, str, Path]:
    """`nestperf browse`: exit code, what it printed, and its capture."""
    output = recording.with_name("pages.db")
    command = [sys.executable, "-m", "nestperf", "browse", str(recording), "-o", str(output), "--force", *arguments]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=600, check=False, cwd=recording.parent,
        env=os.environ | {"COLUMNS": "200"},
    )  # fmt: skip
    return ended.returncode, ended.stdout + ended.stderr, output


def pages_of(path: Path) -> list[Page]:
    with Capture.open(path) as capture:
        return list(capture.pages())


def load_s(page: Page) -> float:
    assert page.load_ns is not None
    return (page.load_ns - page.started_ns) / 1e9


@pytest.mark.peer("chromium")
def test_a_page_with_one_large_resource_takes_its_bytes_and_round_trips_and_little_more(
    site: Site, tmp_path: Path
) -> None:
    recording = record_pages(tmp_path, site.url, "/large")
    code, printed, output = browse(recording, "--runs", "3", "--cache", "cold")
    assert code in (0, 1, 4), printed
    assert "WebPageTest 3G Fast" in printed
    found = pages_of(output)
    assert [(page.profile, page.cache, page.round) for page in found] == [
        ("wpt-3g-fast", "cold", 1),
        ("wpt-3g-fast", "cold", 2),
        ("wpt-3g-fast", "cold", 3),
    ]
    # Handshake, document, script; the document's few bytes are left out.
    floor_s = (3 * FAST.rtt_ns + transmission_ns(LARGE, FAST.down_bps)) / 1e9
    assert min(map(load_s, found)) >= floor_s
    assert median(map(load_s, found)) <= 1.15 * floor_s
    assert all(page.screenshot is not None for page in found)
    with Capture.open(output) as capture:
        assert capture.run.purpose == "browse"
        assert capture.run.source_path == "qa.db"
        body = capture.body(found[0].screenshot)
        scripts = [exchange for exchange in capture.exchanges() if exchange.target == "/large.js"]
    assert body is not None
    assert body.media_type == "image/jpeg"
    assert (body.content or b"").startswith(b"\xff\xd8")
    assert len(scripts) == 3
    assert all(e.done_ns is not None and e.done_ns - e.sent_ns >= FAST.rtt_ns for e in scripts)
    assert "/large.js" in printed
    assert "2 s is impossible" in printed


@pytest.mark.peer("chromium")
def test_pages_are_opened_cold_and_warm_signed_in_whatever_their_policy(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = record_pages(tmp_path, site.url, "/strict", "/account", "/chat", "/never")
    # As in a job of CI: the secrets come from its settings, and the verdict goes into its summary.
    vault, summary = recording.with_name("qa.db.secrets"), tmp_path / "summary.md"
    monkeypatch.setenv("NESTPERF_SECRETS", vault.read_text("utf-8"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    vault.unlink()
    code, printed, output = browse(recording, "--runs", "1", "--timeout", "8s")
    assert code in (0, 1, 4), printed
    found = pages_of(output)
    by_route = {(page.route, page.cache): page for page in found}
    assert {route for route, _ in by_route} == {"/strict", "/account", "/chat", "/never"}
    for route in ("/strict", "/account", "/chat"):
        for cache in ("cold", "warm"):
            assert load_s(by_route[route, cache]) >= 2 * FAST.rtt_ns / 1e9, (route, cache)
    assert set(site.cookies) == {SECRET}
    assert "/never" in printed
    assert "did not load within 8 s" in printed
    assert by_route["/never", "cold"].load_ns is None
    # A WebSocket's handshake, its message and the answer cross the line like everything else.
    with Capture.open(output) as capture:
        echoed = [t for t in capture.timings() if t.name == "round trip"]
        sockets = [e for e in capture.exchanges() if e.kind is Kind.UPGRADE]
    assert len(echoed) == len(sockets) == 2
    assert min(t.duration_ns or 0 for t in echoed) >= FAST.rtt_ns
    assert "Pages within 2 s on 3G" in summary.read_text("utf-8")
    for secret in (SECRET, RECORDED):
        assert secret.encode() not in output.read_bytes()
        assert secret not in printed


@pytest.mark.peer("chromium")
def test_tls_takes_its_round_trip_and_another_target_stands_in_under_the_recorded_address(
    certificates: Certificates, tmp_path: Path
) -> None:
    recorded = f"https://localhost:{free_port()}"
    with Site(certificates.server_context()) as site:
        recording = record_pages(tmp_path, recorded, "/strict")
        arguments = ("--runs", "1", "--cache", "cold", "--target", site.url, "--ca", str(certificates.ca))
        code, printed, output = browse(recording, *arguments)
    assert code in (0, 1, 4), printed
    (page,) = pages_of(output)
    assert page.url == f"{recorded}/strict"
    assert load_s(page) >= 3 * FAST.rtt_ns / 1e9


@pytest.mark.peer("chromium")
def test_an_application_that_is_not_there_is_said(tmp_path: Path) -> None:
    recording = record_pages(tmp_path, f"http://127.0.0.1:{free_port()}", "/strict")
    code, printed, _ = browse(recording, "--runs", "1", "--cache", "cold")
    assert code == 4
    assert "is the application running?" in printed
    assert "Traceback" not in printed


@pytest.mark.peer("chromium")
def test_ctrl_c_keeps_the_pages_that_were_opened_and_closes_the_browser(site: Site, tmp_path: Path) -> None:
    recording = record_pages(tmp_path, site.url, "/strict", "/never")
    output = tmp_path / "pages.db"
    command = [sys.executable, "-u", "-m", "nestperf", "browse", str(recording), "-o", str(output)]
    command += ["--network", "devtools-slow-4g"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path, start_new_session=True
    )
    assert process.stdout is not None
    printed = ""
    for line in process.stdout:
        printed += line
        if "warm" in line and "/strict" in line:
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
            break
    rest, _ = process.communicate(timeout=90)
    printed += rest
    assert "Traceback" not in printed, printed
    assert process.returncode in (0, 1, 4, 130), printed
    with Capture.open(output) as capture:
        assert capture.run.state == "interrupted"
        cold, warm = list(capture.pages())[:2]
    assert [(page.route, page.cache, page.profile) for page in (cold, warm)] == [
        ("/strict", "cold", "devtools-slow-4g"),
        ("/strict", "warm", "devtools-slow-4g"),
    ]
    # Shaped by Chromium: its latency stands before every answer.
    assert min(load_s(cold), load_s(warm)) >= PROFILES["devtools-slow-4g"].rtt_ns / 1e9
