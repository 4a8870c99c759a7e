"""Captured content is hostile when shown: neither escapes nor markup reach the terminal of whoever records."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from rich.console import Console

from nestperf.capture.model import Packet
from proxy_addon.live import LiveView, counts
from proxy_addon.tally import Tally
from tests.capture.test_sweep import exchange
from tests.conftest import serving

HOSTILE = "/\x1b]0;owned\x07\x1b[2J\u202e[bold red]markup[/][link=http://evil]x[/link]\r\n"
FORBIDDEN = ("\x1b]0;owned", "\x07", "\x1b[2J", "\u202e", "\x1b]8;")


def seen() -> Tally:
    tally = Tally()
    tally.exchange(exchange(1, 1, None)._replace(method="G\x1b[2JT", route=HOSTILE))
    packet = Packet(
        id=1, socket_id=1, frame_id=None, exchange_id=None, sender="client", stamp_ns=1, done_ns=1,
        engine_type="message", type="event", namespace=HOSTILE, event=HOSTILE, ack_id=None, payload=None,
        attachments=None, size=1, answers=None, intended_ns=None, source_packet=None,
    )  # fmt: skip
    tally.packet(packet)
    return tally


def test_live_table_shows_hostile_names_as_text() -> None:
    tally = seen()
    view = LiveView(tally)
    view._console = Console(file=io.StringIO(), force_terminal=True, width=200, highlight=False)
    view.start()
    view.show(1, 1)
    shown = view._console.file.getvalue()  # type: ignore[attr-defined]
    view.stop()
    assert not [text for text in FORBIDDEN if text in shown]
    assert "[/link]" in shown
    assert not [text for text in FORBIDDEN if text in counts(tally)]


class Application(BaseHTTPRequestHandler):
    """Says something hostile in reason, header and body."""

    def do_GET(self) -> None:
        self.send_response(500, "\x1b]0;owned\x07\x1b[2J")
        self.send_header("X-\x1b[2J", "\x1b]0;owned\x07")
        self.end_headers()
        self.wfile.write(b"\x1b]0;owned\x07\x1b[2J")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@pytest.fixture
def application() -> Iterator[int]:
    with serving(Application) as port:
        yield port


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_record_on_a_terminal_lets_no_escape_through(application: int, tmp_path: Path) -> None:
    controller, terminal = os.openpty()
    capture = tmp_path / "qa.db"
    process = subprocess.Popen(
        [sys.executable, "-m", "nestperf", "record", f"http://127.0.0.1:{application}", "-o", str(capture)],
        stdout=terminal, stderr=terminal, stdin=terminal, env=os.environ | {"TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(terminal)
    printed = b""
    deadline = time.perf_counter() + 60
    while b"Ctrl-C ends the recording" not in printed and time.perf_counter() < deadline:
        printed += os.read(controller, 65536)
    port = int(printed.partition(b"  at  http://")[2].partition(b"\r\n")[0].rpartition(b":")[2])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /\x1b]0;owned\x07\x1b[2J[red]x HTTP/1.1\r\nHost: a\r\nUser-Agent: \x1b[2J\r\n\r\n")
        client.settimeout(10)
        while client.recv(65536):
            pass
    until = time.perf_counter() + 60
    while b"slowest so far" not in printed and time.perf_counter() < until:
        printed += os.read(controller, 65536)
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(OSError):  # the other end is closed
        while piece := os.read(controller, 65536):
            printed += piece
    assert process.wait(60) == 0
    os.close(controller)
    assert b"slowest so far" in printed
    assert not [text for text in FORBIDDEN if text.encode() in printed]
    for command in (("report", capture), ("show", capture, "1")):
        shown = subprocess.run(
            [sys.executable, "-m", "nestperf", *command], capture_output=True, text=True, check=False
        )
        assert not [text for text in FORBIDDEN if text in shown.stdout + shown.stderr]
