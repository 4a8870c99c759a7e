"""Opens the pages of a tour in a real browser, again and again: cold, then warm, each over the network that was asked
for. It owns the browser and what shapes the line; what is seen is for others to keep.

*Cold* is a browser profile of its own with the person's cookies in it, *warm* the same page once more in that profile,
over new connections: what came before is in the browser's cache, and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from nestperf.errors import UsageError
from nestperf.network.profiles import Profile
from nestperf.pages.observer import Observer
from nestperf.pages.rules import RenderRule
from replay.browse.sign_in import Person
from replay.browse.tour import Stop
from replay.transport.shaper import Shaper

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Page

_QUIET_MS = 5_000
"""How long a page that is loaded may take to come to rest before it is left: its calls may still be under way."""
_LAST_WORDS_S = 0.4
"""Pages tell what is new every 250 ms."""
CACHES = ("cold", "warm")
_STORE = """([items, hosts]) => {
  if (!hosts.includes(location.host)) return;
  for (const [area, key, value] of items) {
    if (globalThis[area].getItem(key) === null) globalThis[area].setItem(key, value);
  }
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How the pages are to be opened."""

    program: str
    """Path of the browser."""
    arguments: tuple[str, ...]
    headed: bool
    profile: Profile | None
    cpu_factor: float | None
    runs: int
    caches: tuple[str, ...]
    timeout_s: float
    width: int = 1280
    height: int = 800
    """Of the window, in CSS pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visited:
    """One page that was opened once."""

    stop: Stop
    person: Person
    round: int
    """Counted from 1."""
    cache: str
    url: str
    """Where the browser was in the end."""
    load_ms: float | None
    """From the navigation's start to its load event, as the browser tells it; None where it never came."""
    trouble: str
    """Half a sentence; empty where there was none."""

    @property
    def led_elsewhere(self) -> bool:
        """The browser ended at another page than in the recording."""
        return not self.trouble and urlsplit(self.url).path != self.stop.led_to


_MEANINGS = {
    "ERR_EMPTY_RESPONSE": "the connection was closed without an answer",
    "ERR_CONNECTION_RESET": "the connection was reset",
    "ERR_CONNECTION_REFUSED": "the connection was refused",
    "ERR_CERT_": "its certificate is not trusted",
    "ERR_ABORTED": "it was given up (a download is no page)",
    "ERR_TOO_MANY_REDIRECTS": "it redirects without end",
    "Target page, context or browser has been closed": "the browser was closed",
}
"""Chromium's words (net_error_list.h) and Playwright's, in ours."""


def explain(error: Exception) -> str:
    """What Playwright says, in half a sentence: its first line, without the log and without addresses' queries."""
    text = str(getattr(error, "message", "") or error).strip().splitlines()[0]
    for code, meaning in _MEANINGS.items():
        if code in text:
            return meaning
    return text.removeprefix("Page.goto: ").partition(" at http")[0].rstrip(".")


class TourRun:
    """The browser's way through all pages. `run` is called once."""

    def __init__(
        self,
        asked: Asked,
        people: Sequence[tuple[Person, tuple[Stop, ...]]],
        said: Callable[[Visited], None],
        hosts: Sequence[str],
        rules: Sequence[RenderRule],
    ) -> None:
        """
        Args:
            asked: how.
            people: who opens which pages.
            said: takes each visit when it is over.
            hosts: `host:port` of the applications' addresses, to whose pages stored values are given.
            rules: of render times.
        """
        self._asked = asked
        self._people = people
        self._said = said
        self._hosts = list(hosts)
        self._rules = rules
        self._loaded = False
        """A page has been."""
        self.trouble = ""
        """Why it ended before all pages were opened; half a sentence."""
        self.shaper: Shaper | None = None
        self.tell: Callable[[dict[str, Any]], None] = lambda _: None
        """Takes what pages tell of themselves (`nestperf.pages.observer`)."""

    async def run(self) -> None:
        """Open everything.

        Raises:
            UsageError: the browser does not start.
        """
        from playwright.async_api import Error, async_playwright

        async with async_playwright() as playwright:
            try:
                browser = await playwright.chromium.launch(
                    executable_path=self._asked.program,
                    args=list(self._asked.arguments),
                    headless=not self._asked.headed,
                    handle_sigint=False,
                    handle_sigterm=False,
                    handle_sighup=False,
                )
            except Error as error:
                raise UsageError(f"The browser does not start: {explain(error)}.") from error
            try:
                await self._open_all(browser)
            except Error as error:
                if browser.is_connected():
                    raise
                self.trouble = f"The browser ended before all pages were opened ({explain(error)})"
            finally:
                for person, _ in self._people:
                    person.close()
                with contextlib.suppress(Error):
                    await browser.close()

    async def _open_all(self, browser: Browser) -> None:
        for number in range(1, self._asked.runs + 1):
            for person, stops in self._people:
                for stop in stops:
                    await self._open(browser, person, stop, number)
            if not self._loaded:  # nor will they the next time
                break

    async def _open(self, browser: Browser, person: Person, stop: Stop, number: int) -> None:
        from playwright.async_api import Error

        await person.reach(stop)
        agent = person.session.user_agent
        context = await browser.new_context(
            viewport={"width": self._asked.width, "height": self._asked.height},
            # Applications tie what they hand out to it, and it was handed out to this one.
            user_agent=agent if agent.startswith("Mozilla/") else None,
        )
        try:
            await self._sign_in(context, person, stop)
            observer = Observer(self.tell, self._rules)
            await observer.watch(context)
            for cache in self._asked.caches:
                if self.shaper is not None:
                    self.shaper.hang_up()
                observer.about = self._about(number, cache)
                visited = await self._visit(context, observer, person, stop, number, cache)
                self._loaded = self._loaded or not visited.trouble
                self._said(visited)
        finally:
            with contextlib.suppress(Error):
                await context.close()

    async def _sign_in(self, context: BrowserContext, person: Person, stop: Stop) -> None:
        cookies: Any = [
            {"url": cookie.url, "name": cookie.name, "value": cookie.value, "secure": cookie.url.startswith("https:")}
            for cookie in person.cookies(stop)
        ]
        if cookies:
            await context.add_cookies(cookies)
        stored = [[one.area, one.key, value] for one, value in person.stored()]
        if stored:
            await context.add_init_script(f"({_STORE})({_json([stored, self._hosts])})")

    def _about(self, number: int, cache: str) -> dict[str, Any]:
        """What is known of a page beside what it tells."""
        profile = self._asked.profile
        return {
            "profile": profile.key if profile is not None else "",
            "cpu_factor": self._asked.cpu_factor,
            "round": number,
            "cache": cache,
        }

    async def _visit(
        self, context: BrowserContext, observer: Observer, person: Person, stop: Stop, number: int, cache: str
    ) -> Visited:
        from playwright.async_api import Error
        from playwright.async_api import TimeoutError as TooLate

        page = await context.new_page()
        load_ms, trouble = None, ""
        try:
            await self._throttle(context, page)
            await page.goto(stop.url, wait_until="load", timeout=self._asked.timeout_s * 1_000)
            load_ms = float(await page.evaluate("performance.getEntriesByType('navigation')[0].loadEventStart"))
            with contextlib.suppress(Error):
                await page.wait_for_load_state("networkidle", timeout=_QUIET_MS)
            observer.show(page, await page.screenshot(type="jpeg", quality=60), "image/jpeg")
            await asyncio.sleep(_LAST_WORDS_S)
        except TooLate:
            trouble = f"did not load within {self._asked.timeout_s:g} s"
        except Error as error:
            trouble = explain(error)
        visited = Visited(
            stop=stop,
            person=person,
            round=number,
            cache=cache,
            url=page.url,
            load_ms=load_ms,
            trouble=trouble,
        )
        with contextlib.suppress(Error):
            await page.close()
        return visited

    async def _throttle(self, context: BrowserContext, page: Page) -> None:
        profile, factor = self._asked.profile, self._asked.cpu_factor
        per_request = profile is not None and profile.per_request
        if not per_request and factor is None:
            return
        session = await context.new_cdp_session(page)
        if profile is not None and per_request:
            await session.send("Network.enable")
            await session.send(
                "Network.emulateNetworkConditions",
                {
                    "offline": False,
                    "latency": profile.rtt_ns / 1e6,
                    "downloadThroughput": profile.down_bps / 8,
                    "uploadThroughput": profile.up_bps / 8,
                },
            )
        if factor is not None:
            await session.send("Emulation.setCPUThrottlingRate", {"rate": factor})


def _json(value: object) -> str:
    import json

    return json.dumps(value)
