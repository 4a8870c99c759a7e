"""What watching costs a page: the same page in one Chromium, watched and not, taking turns.

`python benchmarks/vitals.py [--loads 40]` prints medians of the load event and of a script that changes the document
2,000 times.
"""

from __future__ import annotations

import asyncio
import statistics
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import click

from nestperf.pages.observer import Observer
from nestperf.pages.rules import built_in_rules
from proxy_addon.browser import find_browser_to_watch, sandbox_arguments

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext

PAGE = (
    b"""<!doctype html><title>page</title><body><main><ul id="wishes"></ul></main><script>
const begun = performance.now();
const list = document.querySelector("ul");
for (let n = 0; n < 2000; n++) {
  const item = document.createElement("li");
  item.textContent = "Request " + n;
  list.append(item);
  if (n % 20 === 0) list.firstChild.textContent = "Changed " + n;
}
window.changed = performance.now() - begun;
</script>"""
    + b"<p>Some text.</p>" * 500
)
TOLD = """() => { const [entry] = performance.getEntriesByType("navigation");
  return [entry.loadEventStart, window.changed]; }"""


class Served(BaseHTTPRequestHandler):
    """One page at every address."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        self.wfile.write(PAGE)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


async def load(context: BrowserContext, url: str) -> tuple[float, float]:
    """Milliseconds until the load event, and of the changes."""
    page = await context.new_page()
    await page.goto(url, wait_until="load")
    await page.wait_for_timeout(300)  # what the watcher does afterwards belongs to it
    loaded, changed = await page.evaluate(TOLD)
    await page.close()
    return float(loaded), float(changed)


async def measure(url: str, loads: int) -> dict[str, list[tuple[float, float]]]:
    """Both, taking turns."""
    from playwright.async_api import async_playwright

    told: list[dict[str, Any]] = []
    found: dict[str, list[tuple[float, float]]] = {"alone": [], "watched": []}
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=find_browser_to_watch(), args=list(sandbox_arguments())
        )
        contexts = {name: await browser.new_context() for name in found}
        await Observer(told.append, built_in_rules()).watch(contexts["watched"])
        for name, context in contexts.items():
            await load(context, url + "/requests")
            found[name].clear()
        for _ in range(loads):
            for name, context in contexts.items():
                found[name].append(await load(context, url + "/requests"))
        await browser.close()
    click.echo(f"{len(told) / (loads + 1):.1f} reports a load")
    return found


@click.command()
@click.option("--loads", default=40, show_default=True, help="Loads of each.")
def main(loads: int) -> None:
    """Print what watching costs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Served)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    found = asyncio.run(measure(f"http://127.0.0.1:{server.server_port}", loads))
    for place, what in enumerate(("load event", "2,000 changes of the document")):
        alone, watched = (statistics.median(each[place] for each in found[name]) for name in ("alone", "watched"))
        click.echo(f"{what}: {alone:.1f} ms alone, {watched:.1f} ms watched ({watched - alone:+.1f} ms)")
    server.shutdown()


if __name__ == "__main__":
    main()
