"""A throw-away browser in which exactly the recorded addresses lead to the recorder; everything else stays as it is.

Chromium's own switch does it (`--host-resolver-rules`): the page still asks for `localhost:4000`, sends that as Host
and sees that as its origin, while the connection goes to the recorder. The profile is new and is removed afterwards.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from nestperf.errors import UsageError
from nestperf.pages.observer import need_playwright
from proxy_addon.listen import Listener, free_port, is_loopback

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge",
          "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
          "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge")  # fmt: skip
QUIET = (
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-features=HttpsUpgrades",
)
"""Nothing but what the tester asks for shall be sent, and plain http stays plain http."""


def find_browser() -> str:
    """The path of a Chromium, Chrome or Edge.

    Raises:
        UsageError: there is none.
    """
    for name in (os.environ.get("NESTPERF_BROWSER", ""), *_NAMES):
        found = shutil.which(name) if name else None
        if found is not None:
            return found
    raise UsageError(
        "No Chromium, Chrome or Edge was found: install one (Debian: apt-get install chromium), name it in "
        "NESTPERF_BROWSER, or leave --browser out and open the recorder's address yourself."
    )


def find_browser_to_watch() -> str:
    """As `find_browser`, or the Chromium that Playwright brought along.

    Raises:
        UsageError: there is none, or no Playwright.
    """
    need_playwright()
    try:
        return find_browser()
    except UsageError as error:
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            path = playwright.chromium.executable_path
        if not Path(path).exists():
            raise UsageError(f"{error} `playwright install chromium` gets one too.") from None
        return path


def resolver_rules(listeners: Sequence[Listener]) -> str:
    """Chromium's rules that lead the applications' addresses to their listeners; a loopback host by all its names."""
    rules = []
    for listener in listeners:
        parts = urlsplit(listener.url)
        host = parts.hostname or ""
        names = ("localhost", "127.0.0.1", "[::1]") if is_loopback(host) else (host,)
        rules += [f"MAP {name}:{parts.port} {listener.authority}" for name in names]
    return ",".join(rules)


def sandbox_arguments() -> tuple[str, ...]:
    """Chromium's sandbox does not start for root."""
    return ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()


def ask_browser(port: int, path: str, *, method: str = "GET") -> bytes:
    """What a browser's debugging port answers.

    Raises:
        OSError: nothing.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy leads to this machine
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    with opener.open(request, timeout=10) as answer:
        return bytes(answer.read())


class Browser:
    """A running browser with a profile of its own."""

    def __init__(
        self,
        program: str,
        listeners: Sequence[Listener],
        arguments: Sequence[str],
        *,
        spki: str | None,
        watch: list[dict[str, Any]] | None = None,
    ) -> None:
        """
        Args:
            program: its path.
            listeners: the recorder's; the first one's application is opened.
            arguments: for the browser, beside ours.
            spki: of the authority whose certificates it shall take for trusted, beside all that it trusts anyway.
            watch: the render rules by which its pages are watched; it then waits for the watcher with an empty page.
                None: they are not.
        """
        self.url = listeners[0].url
        """The first page."""
        self.watch = watch
        # A port that the browser chooses itself makes it tell pages that it is driven (navigator.webdriver).
        self.debugging_port = free_port() if watch is not None else 0
        """Where its watcher reaches it; 0: it cannot be reached."""
        self._profile = tempfile.TemporaryDirectory(prefix="nestperf-browser-", ignore_cleanup_errors=True)
        trusted = (f"--ignore-certificate-errors-spki-list={spki}",) if spki is not None else ()
        self._process = subprocess.Popen(  # noqa: S603 - the browser the tester has
            [
                program,
                f"--user-data-dir={self._profile.name}",
                f"--host-resolver-rules={resolver_rules(listeners)}",
                *trusted,
                *QUIET,
                *sandbox_arguments(),
                *arguments,
                *((self.url,) if watch is None else (f"--remote-debugging-port={self.debugging_port}", "about:blank")),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for nestperf, which closes the browser itself
        )

    def open(self) -> None:
        """Open the first page in a browser that waits for its watcher in vain."""
        # Where it fails, the tester sees an empty page and can enter the address.
        with contextlib.suppress(OSError):
            ask_browser(self.debugging_port, f"/json/new?{quote(self.url, safe='')}", method="PUT")

    @property
    def closed(self) -> bool:
        """The tester has closed it."""
        return self._process.poll() is not None

    def interrupt(self, number: int) -> bool:
        """A signal came for nestperf: it ends the recording, and that the browser."""
        return False

    def close(self) -> None:
        """Close it and remove its profile."""
        if not self.closed:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._profile.cleanup()
