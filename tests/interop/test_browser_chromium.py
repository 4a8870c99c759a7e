"""A real Chromium, opened by `record --browser`: the application's own address leads to the recorder."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import pytest

from nestperf.capture.model import Exchange, Kind
from nestperf.capture.reader import Capture
from nestperf.cli import run as nestperf
from nestperf.errors import CaptureError
from tests.conftest import Recorder, serving
from tests.tls import Certificates


@pytest.fixture
def demo() -> Iterator[int]:
    command = [sys.executable, "-m", "nestperf.demo.app", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = re.search(r":(\d+)", process.stdout.readline())
    assert port is not None
    yield int(port[1])
    process.terminate()
    process.communicate(timeout=10)


@pytest.mark.peer("chromium")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_browser_reaches_the_recorder_under_the_applications_address(
    host: str, demo: int, record: Callable[..., Recorder]
) -> None:
    arguments = ("--headless=new", "--disable-gpu")
    recorder = record(
        f"http://{host}:{demo}", "--browser", *(word for a in arguments for word in ("--browser-argument", a))
    )
    deadline = time.perf_counter() + 30
    while time.perf_counter() < deadline and not loaded(recorder):
        time.sleep(0.3)
    assert recorder.stop() == 0, recorder.output
    with Capture.open(recorder.capture) as capture:
        pages = [exchange for exchange in capture.exchanges() if exchange.kind is Kind.PAGE]
        assert pages
        assert {exchange.authority for exchange in capture.exchanges()} == {f"{host}:{demo}"}
        assert all("Chrome" in client.user_agent for client in capture.clients())
        assert any(exchange.kind is Kind.ASSET for exchange in capture.exchanges())


PAGE = b"""<!doctype html><script>
const hop = performance.getEntriesByType("navigation")[0].nextHopProtocol;
fetch("/told?" + new URLSearchParams({ origin: location.origin, secure: isSecureContext, hop }));
</script>"""


class SecurePage(BaseHTTPRequestHandler):
    """A page that tells what it sees of its own address, and a cookie that only https gives back."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.send_header("Set-Cookie", "__Host-seen=1; Path=/; Secure; HttpOnly; SameSite=Strict")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@pytest.fixture
def secure_page(certificates: Certificates) -> Iterator[int]:
    with serving(SecurePage, certificates) as port:
        yield port


@pytest.mark.peer("chromium")
def test_browser_sees_an_https_application_at_its_own_address(
    secure_page: int, record: Callable[..., Recorder], certificates: Certificates
) -> None:
    arguments = ("--headless=new", "--disable-gpu")
    recorder = record(
        *(f"https://localhost:{secure_page}", "--browser", "--upstream-ca", str(certificates.ca)),
        *(word for argument in arguments for word in ("--browser-argument", argument)),
    )
    deadline = time.perf_counter() + 60
    told: list[Exchange] = []
    while time.perf_counter() < deadline and not told:
        time.sleep(0.3)
        with contextlib.suppress(CaptureError), Capture.open(recorder.capture) as capture:
            told = [exchange for exchange in capture.exchanges() if exchange.target.startswith("/told?")]
    assert recorder.stop() == 0, recorder.output
    with Capture.open(recorder.capture) as capture:
        (asked,) = (exchange for exchange in capture.exchanges() if exchange.target.startswith("/told?"))
        assert parse_qs(urlsplit(asked.target).query) == {
            "origin": [f"https://localhost:{secure_page}"],
            "secure": ["true"],
            "hop": ["http/1.1"],
        }
        names = [name.lower() for name, _ in capture.headers(asked.request_headers)]
        assert "cookie" in names
        assert asked.authority == f"localhost:{secure_page}"
        assert capture.run.losses == {}
        assert "notices" not in capture.run.relay


def loaded(recorder: Recorder) -> bool:
    """Whether a page and an asset of it have been recorded."""
    try:
        with Capture.open(recorder.capture) as capture:
            kinds = {exchange.kind for exchange in capture.exchanges()}
    except CaptureError:
        return False  # it is only beginning
    return {Kind.PAGE, Kind.ASSET} <= kinds


def test_browser_that_is_missing_is_said_with_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("NESTPERF_BROWSER", raising=False)
    monkeypatch.setattr("proxy_addon.browser._NAMES", ("chromium",))
    assert nestperf(["record", "http://127.0.0.1:1", "--browser"]) == 2
    assert "apt-get install chromium" in capsys.readouterr().err
