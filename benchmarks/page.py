"""How long a page of 100,000 exchanges takes to open in Chromium, and what it costs to make.

`python benchmarks/page.py [--exchanges 100000] [--rounds 5]`. Opened: from the navigation's start until the verdict is
painted, until the latencies over time are drawn, and until every picture is; the median of the rounds, each in a new
context of one browser. Needs Chromium and `pip install 'nestperf[browser]'`.
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from tabulate import tabulate

from benchmarks.report import exchanges
from nestperf.capture.model import Kind, Outcome, Packet, Row, Run, Session, Socket, Upstream
from nestperf.capture.writer import CaptureWriter
from nestperf.cli import run as nestperf

USERS = 50
ROUTES = 60
MS = 1_000_000


def rows(count: int) -> Iterator[Row]:
    """A replay's: exchanges of three kinds, a few failures and outliers, sessions, a socket a user with its events."""
    chance = random.Random(2)
    for place, exchange in enumerate(exchanges(count)):
        kind = (Kind.CALL, Kind.CALL, Kind.ASSET, Kind.PAGE)[place % 4]
        yield exchange._replace(
            kind=kind,
            route=f"/api/route/{place % ROUTES}",
            outcome=Outcome.RESET if chance.random() < 0.002 else Outcome.OK,
            session_id=place % USERS + 1,
        )
    for user in range(1, USERS + 1):
        yield Session(user, None, f"user {user}", vu=user, iteration=0, started_ns=0, ended_ns=count * MS)
        yield Socket(
            id=user, session_id=user, client_id=None, exchange_id=None, connection=None, upstream=0,
            protocol="socket.io",
            version=4, authority="x", target="/socket.io/", sid=None, transports="websocket", intended_ns=None,
            opened_ns=0, connected_ns=MS, closed_ns=count * MS, closed_by="client", close_code=None, close_reason=None,
            outcome=Outcome.OK, detail=None, source_socket=None,
        )  # fmt: skip
    for number in range(count // 5):
        stamp = number * 5 * MS
        yield Packet(
            id=number + 1, socket_id=number % USERS + 1, frame_id=None, exchange_id=None, sender="server",
            stamp_ns=stamp, done_ns=stamp, engine_type="message", type="event", namespace="/",
            event=f"event:{number % 12}", ack_id=None, payload="[]", attachments=None, size=10, answers=None,
            intended_ns=None, source_packet=None,
        )  # fmt: skip


def write(path: Path, count: int) -> None:
    run = Run("a1", "replay", "client", "finished", "0", 0, upstreams=(Upstream("http://localhost:4000"),))
    writer = CaptureWriter.create(path, run)
    batch: list[Row] = []
    for row in rows(count):
        batch.append(row)
        if len(batch) == 10_000:
            writer.extend(batch)
            batch = []
    writer.extend(batch)
    writer.close()


OPENED = """() => ({
  painted: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? NaN,
  loaded: performance.timing.loadEventEnd - performance.timing.navigationStart,
  first: window.performance.getEntriesByName("nestperf-first")[0]?.startTime ?? NaN,
  all: window.performance.getEntriesByName("nestperf-all")[0]?.startTime ?? NaN,
})"""


def measure(page_path: Path, rounds: int) -> dict[str, float]:
    """Milliseconds, each the median of the rounds."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        found = []
        for _ in range(rounds):
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            page = context.new_page()
            chrome = context.new_cdp_session(page)
            chrome.send("Performance.enable", {"timeDomain": "threadTicks"})
            page.goto(page_path.as_uri(), timeout=120_000)
            page.wait_for_selector("html[data-ready=true]", state="attached", timeout=120_000)
            used = {one["name"]: one["value"] for one in chrome.send("Performance.getMetrics")["metrics"]}
            found.append(page.evaluate(OPENED) | {"cpu": used["TaskDuration"] * 1000})
            context.close()
        browser.close()
    return {name: median(round_[name] for round_ in found) for name in found[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exchanges", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        capture, page = Path(folder) / "run.db", Path(folder) / "run.html"
        write(capture, options.exchanges)
        begun = time.process_time()
        nestperf(["report", str(capture), "--format", "html", "-o", str(page)])
        made = time.process_time() - begun
        times = measure(page, options.rounds)
        table = [
            ("verdict painted", f"{times['painted'] / 1000:.2f} s"),
            ("page loaded", f"{times['loaded'] / 1000:.2f} s"),
            ("latencies over time drawn", f"{times['first'] / 1000:.2f} s"),
            ("every picture drawn", f"{times['all'] / 1000:.2f} s"),
            ("the page's thread until then (CPU)", f"{times['cpu'] / 1000:.2f} s"),
            ("made in (CPU)", f"{made:.2f} s"),
            ("size", f"{page.stat().st_size / 1e6:.2f} MB"),
        ]
        print(f"{options.exchanges:,} exchanges, median of {options.rounds} rounds")
        print(tabulate(table, tablefmt="plain"))


if __name__ == "__main__":
    main()
