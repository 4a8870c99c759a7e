"""Captures and their pages, opened in a real Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from nestperf.capture.model import Client, Exchange, Kind, Outcome, Row, Run, Statement, Upstream
from nestperf.capture.writer import CaptureWriter
from nestperf.cli import run as nestperf
from tests.conftest import missing_peer
from tests.reports.conftest import MS, RUN, S, exchange, packet, query, session, socket

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page

PROMISES = """
[[threshold]]
name = "Calls answer"
source = "PRD 4.2"
expression = "p95(latency) < 200ms"
kind = "call"

[[threshold]]
name = "Search is quick"
expression = "p90(latency) < 30ms"
route = "/api/search"

[[threshold]]
name = "Never over 2 s"
expression = "max(latency) < 2s"
kind = "call"

[[threshold]]
name = "Hardly anything fails"
expression = "rate(failed) < 10%"

[[threshold]]
name = "A promise whose name takes far more room than a phone has beside a picture"
expression = "p50(latency) < 900ms"
method = "GET"
required = false

[[threshold]]
name = "Pages"
expression = "p95(latency) < 2s"
kind = "page"
required = false

[[threshold]]
name = "News arrive"
expression = "reach(news) == 100%"

[[unchecked]]
name = "99.9 % uptime"
reason = "a capture is minutes long"
"""


class Capture(NamedTuple):
    """A capture on disk."""

    path: Path
    rows: list[Row]

    def of(self, row_type: type[Any]) -> list[Any]:
        return [row for row in self.rows if isinstance(row, row_type)]


def write(path: Path, rows: Iterable[Row], **changes: Any) -> Capture:
    """A capture of these rows."""
    kept = list(rows)
    run: Run = RUN._replace(**changes)
    writer = CaptureWriter.create(path, run)
    writer.extend(kept)
    writer.close()
    return Capture(path, kept)


def recording_rows() -> list[Row]:
    """A person opens a page, searches, and listens to a socket."""
    rows: list[Row] = [Client(1, "127.0.0.1", "Firefox/1", "")]
    rows.append(exchange(1, 40, kind=Kind.PAGE, route="/home", target="/home", client_id=1, sent_ns=0))
    for number in range(2, 8):
        sent_ns = (number - 1) * 900 * MS
        rows.append(exchange(number, 20 + number, route="/api/search", target=f"/api/search?q={number}", client_id=1,
                             sent_ns=sent_ns))  # fmt: skip
    rows += [
        socket(1, client_id=1, opened_ns=50 * MS, connected_ns=55 * MS, closed_ns=6 * S, closed_by="client"),
        packet(1, 1, 60, type="connect", event=None),
        packet(2, 1, 700, sender="client", event="ask", ack_id=0),
        packet(3, 1, 704, type="ack", event=None, answers=2),
        Statement(1, "select * from titles where id = ?", "ab"),
        query(1, 905, 3),
        query(2, 910, 4),
        query(3, 2705, 5),
    ]
    return rows


def due(e: Exchange) -> int:
    """When a replayed exchange was due."""
    assert e.intended_ns is not None
    return e.intended_ns


def took(e: Exchange) -> int:
    """Its response time."""
    assert e.done_ns is not None
    return e.done_ns - due(e)


def service(e: Exchange) -> int:
    """Its service time."""
    assert e.done_ns is not None
    return e.done_ns - e.sent_ns


USERS = 6


def replay_rows() -> list[Row]:
    """Six users do the same twice over; some of it fails, sockets are cut, and one broadcast misses somebody."""
    rows: list[Row] = [Statement(1, "select * from titles where id = ?", "ab")]
    number = 0
    for visit in range(USERS):
        begin = visit * 1_100 * MS
        number += 1
        rows.append(exchange(number, 50 + visit, kind=Kind.PAGE, route="/home", target="/home", session_id=visit + 1,
                             intended_ns=begin, sent_ns=begin + MS, source_exchange=1))  # fmt: skip
        for step in range(2, 8):
            number += 1
            due = begin + (step - 1) * 900 * MS
            outcome = Outcome.HTTP_ERROR if number % 13 == 0 else Outcome.OK
            took = 22 + (number * 7) % 23 + (300 if number == 30 else 0)
            rows.append(
                exchange(
                    number, took, route="/api/search", target=f"/api/search?q={step}", session_id=visit + 1,
                    intended_ns=due, sent_ns=due + 2 * MS, source_exchange=step, outcome=outcome,
                    status=500 if outcome is Outcome.HTTP_ERROR else 200, request_done_ns=due + 3 * MS,
                )._replace(first_byte_ns=due + (took - 1) * MS)
            )  # fmt: skip
        rows.append(exchange(500 + visit, None, outcome=Outcome.TIMEOUT, session_id=visit + 1, route="/api/slow",
                             target="/api/slow", intended_ns=begin + S, sent_ns=begin + S))  # fmt: skip
        rows.append(session(visit + 1, intended_ns=begin, started_ns=begin, ended_ns=begin + 6 * S + visit * MS,
                            source_session=1, label=f"user {visit + 1}"))  # fmt: skip
        cut = visit == 2
        rows.append(socket(visit + 1, session_id=visit + 1, opened_ns=begin + 60 * MS, connected_ns=begin + 64 * MS,
                           closed_ns=begin + (3 if cut else 6) * S, closed_by="cut" if cut else "client"))  # fmt: skip
        rows.append(packet(100 + visit, visit + 1, (begin + 70 * MS) / MS, type="connect", event=None))
        rows.append(packet(200 + visit, visit + 1, (begin + 800 * MS) / MS, sender="client", event="ask", ack_id=0))
    rows.append(socket(20, session_id=3, opened_ns=6 * S, connected_ns=6 * S + MS, closed_ns=8 * S, closed_by="client"))
    rows += [packet(300 + place, place + 1, 5_800 + place * 4, event="news", payload='["a"]') for place in range(4)]
    rows += [query(place, 200 * place, 2 + place % 3) for place in range(1, 30)]
    return rows


def write_replay(folder: Path, name: str = "replay.db", **changes: Any) -> Capture:
    """The replay above, with what it says about itself."""
    settings = {"purpose": "replay", "vantage": "client", "settings": {"users": USERS}, "source_uid": RUN.uid,
                "source_path": "recording.db", "uid": "b2", "certificate": {"planned": 50, "sent": 48, "dropped": 2,
                "cpu_share": 0.06}, "upstreams": (Upstream("http://localhost:4000"),)}  # fmt: skip
    return write(folder / name, replay_rows(), **{**settings, **changes})


def render(folder: Path, capture: Path, *arguments: str, promises: str = PROMISES) -> Path:
    """The page of a capture, made by the command."""
    thresholds = folder / "promises.toml"
    thresholds.write_text(promises, "utf-8")
    page = folder / f"{capture.stem}.html"
    code = nestperf(["report", str(capture), "--format", "html", "-o", str(page), "--force",
                     "--thresholds", str(thresholds), *arguments])  # fmt: skip
    assert code in (0, 1, 4), code
    return page


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for the pages of a module; tests that use it are marked `peer("chromium")`.

    Not of the session: Playwright's loop runs in this thread as long as it is there, and asyncio's tests need theirs.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing_peer("playwright is missing: pip install 'nestperf[browser]'.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        browser.close()


class Opened:
    """A page, and everything that went wrong on it."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.set_default_timeout(120_000)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", self._said)
        page.on("dialog", self._asked)
        page.on("request", lambda request: self._requested(request.url))
        page.goto(path.resolve().as_uri(), timeout=120_000)
        page.wait_for_selector("html[data-ready=true]", state="attached")
        self.wrong += page.locator(".plot[data-failed]").all_inner_texts()

    def _said(self, said: ConsoleMessage) -> None:
        if said.type == "error":
            self.wrong.append(said.text)

    def _asked(self, dialog: Dialog) -> None:
        self.wrong.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    def _requested(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.wrong.append(f"fetched {url}")

    def open_all(self) -> None:
        """Open everything that opens, and wait until it is drawn."""
        self.page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
        self.page.wait_for_selector(".plot:not([data-drawn])", state="detached")

    def traces(self, figure: str) -> list[dict[str, Any]]:
        """What plotly drew."""
        found: list[dict[str, Any]] = self.page.evaluate(
            "id => { const place = document.getElementById(id); if (!place) return [];"
            " return JSON.parse(JSON.stringify(place.data)); }",
            figure,
        )
        return found

    def trace(self, figure: str, name: str) -> dict[str, Any]:
        (found,) = (trace for trace in self.traces(figure) if trace["name"] == name)
        return found

    def count(self, selector: str) -> int:
        return self.page.locator(selector).count()

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_inner_texts()


Open = Callable[..., Opened]


@pytest.fixture(scope="module")
def open_page(chromium: Browser) -> Iterator[Open]:
    """Opens pages: `open_page(path, width=360, color_scheme="dark")`; asserts that nothing went wrong on any."""
    opened: list[Opened] = []

    def open_(path: Path, width: int = 1280, **context: Any) -> Opened:
        page = chromium.new_context(viewport={"width": width, "height": 800}, **context).new_page()
        opened.append(Opened(page, path))
        return opened[-1]

    yield open_
    for one in opened:
        one.page.context.close()
    assert [one.wrong for one in opened if one.wrong] == []
