"""A throw-away browser in which exactly the recorded addresses lead to the recorder; everything else stays as it is.

Chromium's own switch does it (`--host-resolver-rules`): the page still asks for `localhost:4000`, sends that as Host
and sees that as its origin, while the connection goes to the recorder. The profile is new and is removed afterwards.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from urllib.parse import urlsplit

from nestperf.errors import UsageError
from proxy_addon.listen import Listener, is_loopback

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge",
          "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
          "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge")  # fmt: skip
_QUIET = (
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


def resolver_rules(listeners: Sequence[Listener]) -> str:
    """Chromium's rules that lead the applications' addresses to their listeners; a loopback host by all its names."""
    rules = []
    for listener in listeners:
        parts = urlsplit(listener.url)
        host = parts.hostname or ""
        names = ("localhost", "127.0.0.1", "[::1]") if is_loopback(host) else (host,)
        rules += [f"MAP {name}:{parts.port} {listener.authority}" for name in names]
    return ",".join(rules)


class Browser:
    """A running browser with a profile of its own."""

    def __init__(
        self, program: str, listeners: Sequence[Listener], arguments: Sequence[str], *, spki: str | None
    ) -> None:
        """`spki`: of the authority whose certificates it shall take for trusted, beside all that it trusts anyway."""
        self._profile = tempfile.TemporaryDirectory(prefix="nestperf-browser-", ignore_cleanup_errors=True)
        trusted = (f"--ignore-certificate-errors-spki-list={spki}",) if spki is not None else ()
        sandbox = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
        self._process = subprocess.Popen(  # noqa: S603 - the browser the tester has
            [
                program,
                f"--user-data-dir={self._profile.name}",
                f"--host-resolver-rules={resolver_rules(listeners)}",
                *trusted,
                *_QUIET,
                *sandbox,
                *arguments,
                listeners[0].url,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for nestperf, which closes the browser itself
        )

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
