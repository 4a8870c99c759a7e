"""Puts the watching script into every page of a browser that Playwright drives, and hands on what it tells.

The browser itself injects it and carries its words (CDP), so no byte on the wire changes and no Content-Security-Policy
keeps it out. What it tells are dicts of JSON values that `nestperf.pages.snapshots` reads.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from itertools import count
from typing import TYPE_CHECKING, Any

from nestperf.errors import UsageError
from nestperf.pages.rules import RenderRule

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page

BINDING = "__nestperf"
QUIET_MS = 250
"""An element, or a page after a navigation within it (twice that), that did not change for so long has come to rest."""
WAIT_MS = 5_000
"""How long after a response its data may begin to show."""
RESTLESS_MS = 10_000
"""What still changes after so long never comes to rest."""
HOW_TO_GET_IT = "pip install 'nestperf[browser]'"


def script_of(rules: Sequence[RenderRule]) -> str:
    """The script as it is injected: reports go to the function `BINDING`, as one JSON text each."""
    configuration = {
        "binding": BINDING,
        "rules": [
            {"name": rule.name, "selectors": rule.selectors, "paths": rule.calls, "pages": rule.pages,
             "ready": rule.ready, "item": rule.item}
            for rule in rules
        ],
        "quietMs": QUIET_MS,
        "waitMs": WAIT_MS,
        "restlessMs": RESTLESS_MS,
    }  # fmt: skip
    text = resources.files("nestperf.pages").joinpath("observer.js").read_text(encoding="utf-8")
    return text.replace("= CONFIGURATION;", f"= {json.dumps(configuration)};", 1)


def need_playwright() -> None:
    """Playwright is there.

    Raises:
        UsageError: it is not.
    """
    try:
        import playwright.async_api  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"Watching pages needs Playwright: {HOW_TO_GET_IT} (it drives the browser you have)."
        ) from error


class Observer:
    """Watches the pages of one browser context."""

    def __init__(
        self,
        tell: Callable[[dict[str, Any]], None],
        rules: Sequence[RenderRule],
    ) -> None:
        """`tell` takes every report, on the event loop; `rules` are those of render times."""
        self.about: dict[str, Any] = {}
        """What is known of its pages beside what they tell: `profile`, `cpu_factor`, `round`, `cache` (see
        `model.Page`). To be set between two pages."""
        self._tell = tell
        self._rules = rules
        self._tabs: dict[Page, int] = {}
        self._numbers = count(1)

    async def watch(self, context: BrowserContext) -> None:
        """Watch everything that the context opens from now on."""
        await context.expose_binding(BINDING, self._told)
        await context.add_init_script(script_of(self._rules))
        context.on("page", self._opened)
        for page in context.pages:
            self._number(page)

    def show(self, page: Page, picture: bytes, media_type: str) -> None:
        """Tell what a page looks like."""
        written = base64.b64encode(picture).decode()
        self._tell({"tab": self._number(page), "screenshot": written, "media_type": media_type})

    def _opened(self, page: Page) -> None:
        self._number(page)

    def _number(self, page: Page) -> int:
        known = self._tabs.get(page)
        if known is None:
            known = self._tabs[page] = next(self._numbers)
            page.on("close", self._closed)
            page.on("crash", self._closed)
        return known

    def _told(self, source: Mapping[str, Any], text: str) -> None:
        page: Page = source["page"]
        self._tell({"tab": self._number(page), "about": self.about, "said": json.loads(text)})

    def _closed(self, page: Page) -> None:
        """A page that is closed before it could say so."""
        number = self._tabs.pop(page, None)
        if number is not None:
            self._tell({"tab": number, "closed": True})
