"""A real Chromium, opened and watched by `record --browser --vitals`; another Playwright is the tester that drives it.

One recording of many pages: the demo's, and those of a server with one peculiarity each. Every test looks at one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import pytest

from nestperf.capture.model import Exchange, Page, Resource, Timing
from nestperf.capture.reader import Capture
from nestperf.errors import CaptureError
from nestperf.pages.rules import load_rules
from tests.conftest import Recorder, serving, start_recorder

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext
    from playwright.async_api import Page as TesterPage

pytestmark = pytest.mark.peer("chromium")

HEADLESS = ("--browser", "--vitals", "--browser-argument", "--headless=new", "--browser-argument", "--disable-gpu")
SLOWED_MS, ALLOWED_MS = 150, 20
RULES = (
    "".join(
        f'[[render]]\nname = "{name}"\nselector = "#{name}"\ncall = "/api/{name}"\n'
        for name in ("plain", "drawn-late", "answered-late")
    )
    + '[[render]]\nname = "wrong"\nselector = "a!"\ncall = "/api/*"\n'
    + (Path(__file__).parents[2] / "nestperf/pages/rules.toml").read_text()
)
PAGES = {
    "/streamed": "<!doctype html><title>s</title><h1>First part</h1>" + "<!-- -->" * 300,
    "/strict": "<!doctype html><title>s</title><h1>Nothing may run here</h1>",
    "/throws": """<!doctype html><title>t</title><h1>Oh</h1><script>
        performance.mark("sorted"); performance.measure("sorting", { start: 5, duration: 12.5 });
        setTimeout(() => { throw new Error("no nest today"); }); Promise.reject(new Error("left alone"));</script>""",
    "/never": "<!doctype html><title>n</title><h1>Waits</h1><img src='/hang'>",
    "/single": """<!doctype html><title>s</title><h1>Home</h1><a href="/single/17">Go</a><div id="view"></div><script>
        document.querySelector("a").onclick = async (event) => {
          event.preventDefault();
          const until = performance.now() + 120;
          while (performance.now() < until);
          history.pushState(null, "", "/single/17");
          view.textContent = await (await fetch("/api/slow")).text();
          setInterval(() => fetch("/api/poll"), 900);
        };</script>""",
    "/rounds": """<!doctype html><title>r</title><div id="plain"></div><div id="drawn-late"></div>
        <div id="answered-late"></div><script>
        const wait = (ms) => new Promise((done) => setTimeout(done, ms));
        const round = async (name, drawing) => {
          const text = await (await fetch("/api/" + name)).text();
          const until = performance.now() + drawing;
          while (performance.now() < until);
          document.getElementById(name).textContent = text + performance.now();
          await wait(60);
        };
        (async () => { for (;;) {
          await round("plain", 0); await round("drawn-late", 150); await round("answered-late", 0);
          await wait(200);
        } })();</script>""",
}


class Peculiar(BaseHTTPRequestHandler):
    """A server whose pages are peculiar."""

    protocol_version = "HTTP/1.1"
    asked: set[str]
    over: Event

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.asked.add(path)
        if path == "/hang":
            self.over.wait(120)
            self.close_connection = True
        elif path == "/streamed":
            self._stream(PAGES[path].encode(), b"<p>Second part</p>")
        elif path in PAGES:
            self._answer(PAGES[path], "text/html", "default-src 'none'" if path == "/strict" else "")
        elif path.startswith("/api/"):
            time.sleep({"/api/answered-late": SLOWED_MS / 1e3, "/api/slow": 0.9}.get(path, 0))
            self._answer("told ", "text/plain")
        else:
            self._answer("", "text/plain")

    def _answer(self, text: str, media_type: str, policy: str = "") -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(text.encode())))
        if policy:
            self.send_header("Content-Security-Policy", policy)
        self.end_headers()
        self.wfile.write(text.encode())

    def _stream(self, *parts: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in parts:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
            time.sleep(0.5)
        self.wfile.write(b"0\r\n\r\n")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Watched:
    """What the recording holds."""

    pages: tuple[Page, ...]
    resources: tuple[Resource, ...]
    timings: tuple[Timing, ...]
    exchanges: dict[int, Exchange]
    asked: frozenset[str]
    """Paths that the peculiar server was asked for."""
    output: str

    def page(self, route: str, kind: str = "load") -> Page:
        return next(page for page in self.pages if page.route == route and page.kind == kind)

    def asked_by(self, page: Page) -> dict[str, Resource]:
        """Its resources by path."""
        return {row.url.partition("?")[0].partition("//")[2].partition("/")[2]: row for row in self.resources
                if row.page_id == page.id}  # fmt: skip

    def told_by(self, page: Page, kind: str) -> list[Timing]:
        return [row for row in self.timings if row.page_id == page.id and row.kind == kind]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("pages")
    (folder / "suite.toml").write_text(RULES)
    assert len(load_rules(folder / "suite.toml", folder)) == 6
    Peculiar.asked, Peculiar.over = set(), Event()
    with serving(Peculiar) as port:
        demo = subprocess.Popen(
            [sys.executable, "-m", "nestperf.demo.app", "--port", "0", "--wishes", "100"],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert demo.stdout is not None
            own, theirs = f"http://127.0.0.1:{port}", demo.stdout.readline().split()[-1]
            recorder = start_recorder(
                folder / "qa.db", own, theirs, *HEADLESS, "--browser-argument", "--window-size=1280,900",
                "--thresholds", str(folder / "suite.toml"),
            )  # fmt: skip
            try:
                asyncio.run(asyncio.wait_for(drive(folder, recorder, own, theirs), 240))
            finally:
                code = recorder.stop()
            assert code == 0, recorder.output
            with Capture.open(folder / "qa.db") as capture:
                yield Watched(
                    tuple(capture.pages()), tuple(capture.resources()), tuple(capture.timings()),
                    {exchange.id: exchange for exchange in capture.exchanges()}, frozenset(Peculiar.asked),
                    recorder.output,
                )  # fmt: skip
        finally:
            Peculiar.over.set()
            demo.terminate()
            demo.communicate(timeout=20)


async def drive(folder: Path, recorder: Recorder, own: str, theirs: str) -> None:
    """What the tester does. Every page is left when the capture holds what it should tell."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(await endpoint(recorder), no_defaults=True)
        (context,) = browser.contexts
        page = await first_page(context, own)
        for path in ("/streamed", "/strict", "/throws", "/single"):
            await page.goto(own + path)
            await until(folder, f"select 1 from pages where route = '{path}' and load_ns and fcp_ns")
        await until(folder, "select 1 from timings where name like '%left alone'")
        await page.click("a")
        await until(folder, "select 1 from pages where kind = 'navigation' and load_ns - started_ns > 900000000")
        await until(folder, "select 1 from resources where url like '%/api/poll' group by url having count(*) > 3")
        await close_before_load(context, own, folder)
        await page.goto(theirs + "/signin")
        await page.click("#signin")
        await until(folder, "select 1 from timings where name = 'dashboard'")
        await page.click("nav a[data-view=requests]")
        await until(folder, "select 1 from timings where name = 'request list' and items = 100")
        await page.goto(own + "/rounds")
        await until(folder, ROUNDS, settled)


async def endpoint(recorder: Recorder) -> str:
    """Where the browser can be reached."""
    deadline = time.perf_counter() + 60
    while time.perf_counter() < deadline:
        for _, parent, arguments in processes():
            port = re.search(r"--remote-debugging-port=(\d+)", arguments)
            if parent == recorder.process.pid and port is not None:
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(port[1]))):
                    return f"http://127.0.0.1:{port[1]}"
        await asyncio.sleep(0.1)
    raise AssertionError("the browser did not start")


async def first_page(context: BrowserContext, own: str) -> TesterPage:
    """The one that the watcher has opened, once it is alone."""
    deadline = time.perf_counter() + 60
    while time.perf_counter() < deadline:
        if [page.url for page in context.pages] == [own + "/"]:
            return context.pages[0]
        await asyncio.sleep(0.05)
    raise AssertionError(f"the watcher opened {[page.url for page in context.pages]}")


def processes() -> list[tuple[int, int, str]]:
    """Id, parent and command line of every process."""
    listed = subprocess.run(["ps", "-ewwo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    found = (line.split(None, 2) for line in listed.splitlines())
    return [(int(pid), int(parent), arguments) for pid, parent, arguments in found]


async def close_before_load(context: BrowserContext, own: str, folder: Path) -> None:
    page = await context.new_page()
    await page.goto(own + "/never", wait_until="commit")
    await until(folder, "select 1 from pages where route = '/never' and fcp_ns")
    await page.close()
    await until(folder, "select 1 from pages where route = '/never' and ended_ns")


async def until(folder: Path, sql: str, enough: object = None) -> None:
    """Wait until the capture, as it is written, gives rows."""
    import sqlite3

    deadline = time.perf_counter() + 90
    while time.perf_counter() < deadline:
        with contextlib.suppress(sqlite3.OperationalError, CaptureError):
            connection = sqlite3.connect(f"file:{folder / 'qa.db'}?mode=ro", uri=True)
            try:
                rows = connection.execute(sql).fetchall()
            finally:
                connection.close()
            if rows and (not callable(enough) or enough(rows)):
                return
        await asyncio.sleep(0.2)
    raise AssertionError(f"the capture never held: {sql}")


ROUNDS = (
    "select name, duration_ns from timings where kind = 'render' and name in ('plain', 'drawn-late', 'answered-late')"
)


def medians(rows: list[tuple[str, int | None]]) -> dict[str, float]:
    """Milliseconds."""
    return {
        name: statistics.median(ns / 1e6 for known, ns in rows if known == name and ns is not None)
        for name in {name for name, _ in rows}
    }


def settled(rows: list[tuple[str, int | None]]) -> bool:
    """Whether enough rounds are there for a busy machine's moods to cancel out."""
    if len(rows) < 3 * 9:
        return False
    found = medians(rows)
    late, answered = found["drawn-late"] - found["plain"], found["answered-late"] - found["plain"]
    return (abs(late - SLOWED_MS) < ALLOWED_MS and abs(answered) < ALLOWED_MS) or len(rows) > 3 * 60


def test_a_slow_drawing_is_the_renders_and_a_slow_answer_is_not(watched: Watched) -> None:
    """The rounds take turns within one page, so that the machine's mood hits all three."""
    told = watched.told_by(watched.page("/rounds"), "render")
    rows = [(row.name, row.duration_ns) for row in told if row.name != "wrong"]
    assert len(rows) >= 3 * 9
    found = medians(rows)
    assert found["drawn-late"] - found["plain"] == pytest.approx(SLOWED_MS, abs=ALLOWED_MS)
    assert found["answered-late"] - found["plain"] == pytest.approx(0, abs=ALLOWED_MS)
    late = [watched.exchanges[row.exchange_id] for row in watched.told_by(watched.page("/rounds"), "render")
            if row.name == "answered-late" and row.exchange_id is not None]  # fmt: skip
    assert late
    assert all(one.done_ns is not None and one.done_ns - one.sent_ns >= SLOWED_MS * 1e6 for one in late)


def test_the_demos_dashboard_belongs_to_its_exchanges(watched: Watched) -> None:
    page = watched.page("/dashboard")
    assert page.exchange_id is not None
    document = watched.exchanges[page.exchange_id]
    assert (document.kind, document.route, document.client_id) == ("page", "/dashboard", page.client_id)
    assert page.clock_error_ns is not None
    assert page.clock_error_ns < 50_000_000
    asked = watched.asked_by(page)
    seen_too = {path: row.exchange_id for path, row in asked.items() if row.exchange_id is not None}
    calls = {path: watched.exchanges[exchange_id].route for path, exchange_id in seen_too.items()}
    assert calls["api/v1/dashboard/status"] == "/api/v1/dashboard/status"
    assert asked["api/v1/dashboard/status"].initiator == "fetch"
    assert sum(path.startswith("posters/") for path in calls) == 14
    for path, exchange_id in seen_too.items():  # what the relay saw lies within what the browser saw
        seen = watched.exchanges[exchange_id]
        assert asked[path].started_ns <= seen.sent_ns + page.clock_error_ns + 1_000_000
        assert seen.done_ns is not None
        assert asked[path].done_ns >= seen.done_ns - page.clock_error_ns - 1_000_000
    stamps = [page.started_ns, page.first_byte_ns, page.dom_loaded_ns, page.load_ns]
    assert stamps == sorted(stamp for stamp in stamps if stamp is not None)
    assert page.fcp_ns is not None
    assert page.lcp_ns is not None
    assert page.lcp_ns >= page.fcp_ns > page.started_ns
    assert page.lcp_element
    assert page.cls is not None


def test_the_demos_data_are_timed_from_answer_to_picture(watched: Watched) -> None:
    (dashboard, *_) = (row for row in watched.timings if row.name == "dashboard")
    assert dashboard.duration_ns is not None
    assert dashboard.exchange_id is not None
    assert watched.exchanges[dashboard.exchange_id].route == "/api/v1/dashboard/status"
    assert dashboard.items == 4
    (wishes, *_) = (row for row in watched.timings if row.name == "request list" and row.items == 100)
    assert wishes.page_id == watched.page("/requests", "navigation").id
    assert wishes.duration_ns is not None
    assert 0 < wishes.duration_ns < 20e9


def test_single_page_navigation_lasts_until_its_data_are_shown(watched: Watched) -> None:
    page = watched.page("/single/{id}", "navigation")
    assert page.load_ns is not None
    assert 900e6 < page.load_ns - page.started_ns < 60e9  # the call took 900 ms
    assert page.exchange_id is None
    call = watched.asked_by(page)["api/slow"]
    assert call.exchange_id is not None
    assert watched.exchanges[call.exchange_id].target == "/api/slow"
    assert watched.page("/single").ended_ns is not None
    polls = sorted(row.started_ns for row in watched.resources if row.url.endswith("/api/poll"))
    assert page.load_ns < polls[2]  # what comes by itself afterwards does not prolong it


def test_interaction_lasts_until_what_it_caused_is_painted(watched: Watched) -> None:
    page = watched.page("/single")  # whose click keeps the main thread for 120 ms
    assert page.inp_ns is not None
    assert page.inp_ns >= 112e6  # the browser rounds to 8 ms
    assert page.inp_element == "a"
    assert page.interactions == 1


def test_streamed_page_shows_its_first_part_before_the_second_is_there(watched: Watched) -> None:
    page = watched.page("/streamed")
    (document,) = (row for row in watched.asked_by(page).values() if row.initiator == "navigation")
    assert page.fcp_ns is not None
    assert page.first_byte_ns is not None
    assert page.first_byte_ns <= page.fcp_ns < document.done_ns
    assert document.done_ns - page.first_byte_ns > 450e6


def test_strict_policy_keeps_nothing_out_and_the_server_is_asked_for_nothing_more(watched: Watched) -> None:
    page = watched.page("/strict")
    assert page.fcp_ns is not None
    assert page.errors == 0
    apis = {f"/api/{name}" for name in ("slow", "poll", "plain", "drawn-late", "answered-late")}
    assert watched.asked <= {"/", "/favicon.ico", "/hang", *PAGES, *apis}


def test_page_that_throws_is_told_with_its_errors_and_user_timing(watched: Watched) -> None:
    page = watched.page("/throws")
    assert page.errors == 2
    errors = watched.told_by(page, "error")
    assert any("no nest today" in row.name for row in errors)
    assert any("left alone" in row.name for row in errors)
    (measure,) = watched.told_by(page, "measure")
    assert (measure.name, measure.duration_ns) == ("sorting", 12_500_000)
    assert [row.name for row in watched.told_by(page, "mark")] == ["sorted"]
    assert page.load_ns is not None


def test_page_closed_before_it_was_loaded_is_there_and_not_loaded(watched: Watched) -> None:
    page = watched.page("/never")
    assert page.exchange_id is not None
    assert page.load_ns is None
    assert page.fcp_ns is not None
    assert page.ended_ns is not None
    assert page.ended_ns > page.started_ns


def test_rule_that_is_none_is_told_and_keeps_out_no_other(watched: Watched) -> None:
    told = {row.detail for row in watched.timings if row.name == "wrong"}
    assert told == {"a! is no CSS selector"}


def test_recording_says_how_many_pages_it_has_and_no_trouble(watched: Watched) -> None:
    assert f"{len(watched.pages)} pages" in watched.output
    assert "Pages are" not in watched.output
    assert "incomplete" not in watched.output


@pytest.fixture
def peculiar() -> Iterator[str]:
    """The peculiar server by itself; its URL."""
    Peculiar.asked, Peculiar.over = set(), Event()
    with serving(Peculiar) as port:
        yield f"http://127.0.0.1:{port}"


def test_watcher_that_cannot_start_costs_the_timings_only(
    peculiar: str, record: Callable[..., Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLAYWRIGHT_NODEJS_PATH", "/bin/false")
    recorder = record(peculiar, *HEADLESS)
    assert recorder.wait_for("Pages are not watched", 90), recorder.output
    assert wait_until(lambda: "/" in Peculiar.asked)  # the browser was sent there all the same
    assert recorder.stop() == 0, recorder.output
    with Capture.open(recorder.capture) as capture:
        assert capture.count(Page) == 0
        assert capture.count(Exchange) > 0
        assert capture.run.losses == {}
        assert any(sentence.startswith("Pages are not watched") for sentence in capture.run.relay["notices"])


def test_watcher_that_dies_costs_the_timings_from_then_on(peculiar: str, record: Callable[..., Recorder]) -> None:
    recorder = record(peculiar, *HEADLESS)
    assert wait_until(lambda: "/" in Peculiar.asked)
    os.kill(watcher_of(recorder), signal.SIGKILL)
    # Killed a moment before it has said that it is there, it never was.
    assert recorder.wait_for("watched (their watcher ended with exit code -9)", 60), recorder.output
    assert recorder.process.poll() is None
    assert recorder.stop() == 0, recorder.output


def watcher_of(recorder: Recorder) -> int:
    """The process id of a recorder's watcher."""
    (found,) = (pid for pid, parent, arguments in processes()
                if parent == recorder.process.pid and "proxy_addon.watcher" in arguments)  # fmt: skip
    return found


def wait_until(holds: Callable[[], bool], seconds: float = 60) -> bool:
    """Whether something comes true within the time."""
    deadline = time.perf_counter() + seconds
    while not holds() and time.perf_counter() < deadline:
        time.sleep(0.1)
    return holds()
