"""The networks that pages are opened over: numbers, and where they come from. "3G" is many things, so each has a name.

Pure. The first four are shaped packet by packet by our own relay; DevTools' two by Chromium, per request.
"""

from __future__ import annotations

from dataclasses import dataclass

from nestperf.errors import UsageError

MS = 1_000_000
WEBPAGETEST = "https://github.com/catchpoint/WebPageTest/blob/master/www/settings/connectivity.ini.sample"
LIGHTHOUSE = "https://github.com/GoogleChrome/lighthouse/blob/main/docs/throttling.md"
DEVTOOLS = "https://chromium.googlesource.com/devtools/devtools-frontend/+/main/front_end/core/sdk/NetworkManager.ts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One network."""

    key: str
    """As `--network` takes it."""
    name: str
    """As reports write it."""
    down_bps: int
    """Towards the browser, bits per second."""
    up_bps: int
    rtt_ns: int
    """A round trip; DevTools' add it to each request once."""
    per_request: bool = False
    """Chromium delays and paces each request by itself; else our relay shapes what all connections share."""
    source: str = ""

    @property
    def summary(self) -> str:
        """The numbers in a line."""
        each = " per request" if self.per_request else " round trip"
        return f"{_rate(self.down_bps)} down, {_rate(self.up_bps)} up, {self.rtt_ns / MS:,g} ms{each}"


_NUMBERS = (
    ("wpt-3g", "WebPageTest 3G", 1_600, 768, 300.0, WEBPAGETEST),
    ("wpt-3g-fast", "WebPageTest 3G Fast", 1_600, 768, 150.0, WEBPAGETEST),
    ("wpt-3g-slow", "WebPageTest 3G Slow", 780, 330, 200.0, WEBPAGETEST),
    ("lighthouse-3g", "Lighthouse regular 3G", 700, 700, 300.0, LIGHTHOUSE),
    ("devtools-3g", "DevTools 3G", 400, 400, 2_000.0, DEVTOOLS),
    ("devtools-slow-4g", "DevTools Slow 4G", 1_440, 675, 562.5, DEVTOOLS),
)
"""Key, name, kbit/s down and up, round trip in ms, and where they come from."""
PROFILES: dict[str, Profile] = {
    key: Profile(
        key=key,
        name=name,
        down_bps=down * 1_000,
        up_bps=up * 1_000,
        rtt_ns=round(rtt_ms * MS),
        per_request=source == DEVTOOLS,
        source=source,
    )
    for key, name, down, up, rtt_ms, source in _NUMBERS
}
NONE = "none"
"""`--network none`: as fast as this machine."""


def parse_network(text: str) -> Profile | None:
    """The profile of that name; None for `none`.

    Raises:
        UsageError: there is none of that name.
    """
    if text == NONE:
        return None
    if text not in PROFILES:
        raise UsageError(f"There is no network {text!r}: choose one of {', '.join(PROFILES)}, or {NONE}.")
    return PROFILES[text]


def _rate(bps: int) -> str:
    return f"{bps / 1_000_000:g} Mbit/s" if bps >= 1_000_000 else f"{bps / 1_000:g} kbit/s"
