"""The watcher process of `record --browser --vitals`: attaches to the browser that was opened, through Playwright, and
writes what its pages tell to standard output, a JSON object a line. The recorder relays on when it fails.

It leaves the browser as it is: no window size, no colour scheme, no focus, no download folder and no dialog is changed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from nestperf.pages.observer import Observer
from nestperf.pages.rules import SETTING, rules_of

READY = "ready"
"""The one key of the line that says: the first page has been sent for."""
_PATIENCE_S = 60.0
_LOOK_EVERY_S = 0.05


async def watch(profile: Path, url: str, settings: dict[str, Any]) -> None:
    """Watch the browser with that profile until it is closed, and open `url` in it.

    Raises:
        TimeoutError: it does not say where it can be reached.
        playwright.async_api.Error: it cannot be reached.
    """
    from playwright.async_api import async_playwright

    endpoint = await _endpoint(profile)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(endpoint, no_defaults=True, timeout=_PATIENCE_S * 1e3)
        gone = asyncio.Event()
        browser.on("disconnected", lambda _: gone.set())
        context = browser.contexts[0]
        # Without a listener Playwright answers dialogs by itself; they are the tester's to answer.
        context.on("dialog", lambda _: None)
        await Observer(_say, rules_of(settings)).watch(context)
        page = context.pages[0] if context.pages else await context.new_page()
        opening = asyncio.create_task(page.goto(url, wait_until="commit", timeout=0))
        opening.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # the page shows what is wrong
        _say({READY: True})
        await gone.wait()
        opening.cancel()


async def _endpoint(profile: Path) -> str:
    """Where the browser can be reached: it writes that into its profile."""
    deadline = time.perf_counter() + _PATIENCE_S
    while time.perf_counter() < deadline:
        lines = _read(profile / "DevToolsActivePort").split()
        if len(lines) == 2:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        await asyncio.sleep(_LOOK_EVERY_S)
    raise TimeoutError("the browser does not say where it can be reached")


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _say(told: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def command(profile: Path, url: str, rules: list[dict[str, Any]]) -> list[str]:
    """The command line of the process."""
    return [sys.executable, "-m", "proxy_addon.watcher", str(profile), url, json.dumps({SETTING: rules})]


def main() -> None:
    """Entry point of the process: `python -m proxy_addon.watcher PROFILE URL SETTINGS_JSON`."""
    try:
        asyncio.run(watch(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])))
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        print(reason, file=sys.stderr)  # noqa: T201 - the parent says it
        sys.exit(1)


if __name__ == "__main__":
    main()
