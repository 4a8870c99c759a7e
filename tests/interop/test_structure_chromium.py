"""A page of many images in a real Chromium, and its replay: as many at once, all of them released by the page."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from nestperf.capture.model import Exchange, Kind
from nestperf.capture.reader import Capture
from nestperf.capture.vault import Vault
from nestperf.cli import run as nestperf
from nestperf.errors import CaptureError
from replay.plan import build_plan
from replay.steps import Http
from replay.structure import AT_ONCE_NS
from tests.conftest import Recorder

IMAGES = 16
SERVER = f"""
import asyncio
from aiohttp import web

async def page(request):
    images = "".join(f'<img src="/image-{{n}}.png">' for n in range({IMAGES}))
    return web.Response(text="<html><body>" + images, content_type="text/html")

async def image(request):
    await asyncio.sleep(0.15)
    return web.Response(body=b"none", content_type="image/png", headers={{"Cache-Control": "no-store"}})

async def main():
    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/{{name}}", image)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def gallery() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    process.terminate()
    process.communicate(timeout=10)


def images(path: Path) -> list[Exchange]:
    """The image exchanges that ended."""
    try:
        with Capture.open(path) as capture:
            found = [e for e in capture.exchanges() if e.target.startswith("/image-") and e.done_ns is not None]
    except CaptureError:
        return []  # it is only beginning
    return found


def most_at_once(exchanges: list[Exchange]) -> int:
    changes = sorted([(e.sent_ns, 1) for e in exchanges] + [(e.done_ns or 0, -1) for e in exchanges])
    level = most = 0
    for _, change in changes:
        level += change
        most = max(most, level)
    return most


def longest_pause(exchanges: list[Exchange]) -> int:
    """How long a connection was free at most before the browser used it again, nanoseconds."""
    by_connection: dict[int | None, list[Exchange]] = defaultdict(list)
    for exchange in sorted(exchanges, key=lambda one: one.sent_ns):
        by_connection[exchange.connection].append(exchange)
    pairs = (pair for group in by_connection.values() for pair in pairwise(group))
    return max((later.sent_ns - (earlier.done_ns or 0) for earlier, later in pairs), default=0)


def visit(url: str, record: Callable[..., Recorder]) -> Recorder:
    """A recording of the page, opened once in a browser."""
    arguments = ("--headless=new", "--disable-gpu")
    recorder = record(url, "--browser", *(word for a in arguments for word in ("--browser-argument", a)))
    deadline = time.perf_counter() + 40
    while time.perf_counter() < deadline and len(images(recorder.capture)) < IMAGES:
        time.sleep(0.3)
    assert recorder.stop() == 0, recorder.output
    return recorder


@pytest.mark.peer("chromium")
def test_images_of_a_page_are_parallel_as_in_the_browser(
    gallery: str, record: Callable[..., Recorder], tmp_path: Path
) -> None:
    for _ in range(10):
        recorder = visit(gallery, record)
        recorded = images(recorder.capture)
        assert len(recorded) == IMAGES
        if longest_pause(recorded) <= AT_ONCE_NS:
            break  # else the machine was too busy for the browser to use what had become free
    assert most_at_once(recorded) == 6
    with Capture.open(recorder.capture) as capture:
        page = next(e for e in capture.exchanges() if e.kind is Kind.PAGE)
        (session,) = build_plan(capture, Vault.open(recorder.capture)).sessions
    by_source = {step.action.source: step for step in session.steps if isinstance(step.action, Http)}
    # Every image was asked for because of the page, also those that the browser held back for want of a connection.
    for image in recorded:
        assert by_source[image.id].after == (by_source[page.id].index,)
    assert session.connections == {0: 6}
    output = tmp_path / "replay.db"
    limits = tmp_path / "limits.toml"
    limits.write_text('[[threshold]]\nexpression = "count(users) >= 1"\n')
    nestperf(["replay", str(recorder.capture), "-o", str(output), "--thresholds", str(limits)])
    replayed = images(output)
    assert len(replayed) == IMAGES
    assert most_at_once(replayed) == 6
    assert len({image.connection for image in replayed}) == 6
