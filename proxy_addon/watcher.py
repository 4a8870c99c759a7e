"""The watcher process of `record --browser --vitals`: attaches to the browser that was opened, through Playwright, and
writes what its pages tell to standard output, a JSON object a line. The recorder relays on when it fails.

It leaves the browser as it is: no window size, no colour scheme, no focus, no download folder and no dialog is changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from http.client import HTTPException
from typing import Any

from nestperf.pages.observer import Observer
from nestperf.pages.rules import SETTING, rules_of
from proxy_addon.browser import ask_browser

READY = "ready"
"""The one key of the line that says: the first page has been sent for."""
_PATIENCE_S = 60.0
_LOOK_EVERY_S = 0.05


async def watch(port: int, url: str, settings: dict[str, Any]) -> None:
    """Watch the browser that can be reached at a port until it is closed, and open `url` in it.

    Raises:
        TimeoutError, playwright.async_api.Error: it cannot be reached.
    """
    from playwright.async_api import async_playwright

    endpoint = await _endpoint(port)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.connect_over_cdp(endpoint, no_defaults=True, timeout=_PATIENCE_S * 1e3)
        gone = asyncio.Event()
        browser.on("disconnected", lambda _: gone.set())
        context = browser.contexts[0]
        # Without a listener Playwright answers dialogs by itself; they are the tester's to answer.
        context.on("dialog", lambda _: None)
        await Observer(_say, rules_of(settings)).watch(context)
        empty = list(context.pages)
        # In a tab of its own, as a tester would: with the focus, and nothing to go back to.
        session = await browser.new_browser_cdp_session()
        async with context.expect_page():
            await session.send("Target.createTarget", {"url": url})
            _say({READY: True})
        for page in empty:
            await page.close()
        await gone.wait()


async def _endpoint(port: int) -> str:
    """The address of the browser's debugging protocol, once it listens."""
    deadline = time.perf_counter() + _PATIENCE_S
    while time.perf_counter() < deadline:
        with contextlib.suppress(OSError, HTTPException, ValueError, KeyError):
            return await asyncio.to_thread(_ask, port)
        await asyncio.sleep(_LOOK_EVERY_S)
    raise TimeoutError("the browser does not answer")


def _ask(port: int) -> str:
    return str(json.loads(ask_browser(port, "/json/version"))["webSocketDebuggerUrl"])


def _say(told: dict[str, Any]) -> None:
    try:
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise SystemExit(1) from None  # nobody records any more


def command(port: int, url: str, rules: list[dict[str, Any]]) -> list[str]:
    """The command line of the process."""
    return [sys.executable, "-m", "proxy_addon.watcher", str(port), url, json.dumps({SETTING: rules})]


def main() -> None:
    """Entry point of the process: `python -m proxy_addon.watcher PORT URL SETTINGS_JSON`."""
    try:
        asyncio.run(watch(int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])))
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        print(reason, file=sys.stderr)  # noqa: T201 - the parent says it
        sys.exit(1)


if __name__ == "__main__":
    main()
