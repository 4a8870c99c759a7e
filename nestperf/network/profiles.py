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


PROFILES: dict[str, Profile] = {
    profile.key: profile
    for profile in (
        Profile(
            key="wpt-3g", name="WebPageTest 3G", down_bps=1_600_000, up_bps=768_000, rtt_ns=300 * MS, source=WEBPAGETEST
        ),
        Profile(
            key="wpt-3g-fast",
            name="WebPageTest 3G Fast",
            down_bps=1_600_000,
            up_bps=768_000,
            rtt_ns=150 * MS,
            source=WEBPAGETEST,
        ),
        Profile(
            key="wpt-3g-slow",
            name="WebPageTest 3G Slow",
            down_bps=780_000,
            up_bps=330_000,
            rtt_ns=200 * MS,
            source=WEBPAGETEST,
        ),
        Profile(
            key="lighthouse-3g",
            name="Lighthouse regular 3G",
            down_bps=700_000,
            up_bps=700_000,
            rtt_ns=300 * MS,
            source=LIGHTHOUSE,
        ),
        Profile(
            key="devtools-3g",
            name="DevTools 3G",
            down_bps=400_000,
            up_bps=400_000,
            rtt_ns=2_000 * MS,
            per_request=True,
            source=DEVTOOLS,
        ),
        Profile(
            key="devtools-slow-4g",
            name="DevTools Slow 4G",
            down_bps=1_440_000,
            up_bps=675_000,
            rtt_ns=562_500_000,
            per_request=True,
            source=DEVTOOLS,
        ),
    )
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
