"""Takes `docs/report-*.png`, the README's pictures of the page that `nestperf report --html` writes.

`python docs/page_picture.py demo-run/report.html`; needs Chromium and `pip install 'nestperf[browser]'`.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WIDTH, HEIGHT = 1180, 760
_HERE = Path(__file__).parent


def take(browser: Browser, page_path: Path, scheme: str, section: str, name: str) -> None:
    """What a reader sees of one section."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(page_path.resolve().as_uri())
    page.wait_for_selector("html[data-ready=true]", state="attached")
    page.evaluate("id => document.getElementById(id).scrollIntoView()", section)
    page.wait_for_timeout(300)
    page.screenshot(path=str(_HERE / name))
    context.close()


def main(page_path: Path) -> None:
    """Take all of them."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        take(browser, page_path, "light", "verdict", "report-light.png")
        take(browser, page_path, "dark", "visits", "report-dark.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
