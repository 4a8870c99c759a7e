"""Ties a page's clock to a run's by exchanges that both saw. Pure.

What the browser sent was at the relay later, and what the relay had of the answer was at the browser later. So every
exchange says that the page's zero lies, on the run's clock, not after (seen by the relay − sent by the browser) and not
before (answered at the relay − answered at the browser). The narrowest of these bounds hold; their middle is the zero
and half of what lies between them is how far off it may be.
"""

from __future__ import annotations

from nestperf.pages.snapshots import SeenResource

_MS = 1_000_000
_GRAIN_NS = 1_000_000
"""By so much bounds may contradict each other: browsers round their stamps."""
_FAR_NS = 3_600_000_000_000
"""The wall clock is believed this far before any exchange was seen."""


class Alignment:
    """Where a page's zero lies on a run's clock, in nanoseconds."""

    def __init__(self, guess_ns: int) -> None:
        """`guess_ns`: what the wall clock says."""
        self._guess_ns = guess_ns
        self._lowest_ns: int | None = None
        self._highest_ns: int | None = None

    @property
    def zero_ns(self) -> int:
        """The page clock's zero."""
        if self._lowest_ns is None or self._highest_ns is None:
            return self._guess_ns
        return (self._lowest_ns + self._highest_ns) // 2

    @property
    def error_ns(self) -> int | None:
        """How far off it may be; None before any exchange."""
        if self._lowest_ns is None or self._highest_ns is None:
            return None
        return abs(self._highest_ns - self._lowest_ns) // 2

    def stamp_ns(self, page_ms: float) -> int:
        """A stamp of the page on the run's clock."""
        return self.zero_ns + round(page_ms * _MS)

    def distance_ns(self, resource: SeenResource, sent_ns: int) -> int:
        """How far an exchange that was sent then is from what the browser saw."""
        return abs(sent_ns - self.stamp_ns(resource.start if resource.sent is None else resource.sent))

    def learn(self, resource: SeenResource, sent_ns: int, first_byte_ns: int | None, done_ns: int | None) -> bool:
        """Take the bounds of an exchange. False: it contradicts what is known, so it is another one."""
        lowest, highest = _bounds(resource, sent_ns, first_byte_ns, done_ns)
        if lowest is not None and lowest > highest + _GRAIN_NS:
            return False
        known_low, known_high = self._lowest_ns, self._highest_ns
        if known_low is None or known_high is None:
            if lowest is None or abs(highest - self._guess_ns) > _FAR_NS:
                return False
            self._lowest_ns, self._highest_ns = lowest, highest
            return True
        if highest < known_low - _GRAIN_NS or (lowest is not None and lowest > known_high + _GRAIN_NS):
            return False
        self._highest_ns = min(known_high, highest)
        self._lowest_ns = known_low if lowest is None else max(known_low, lowest)
        return True


def _bounds(
    resource: SeenResource, sent_ns: int, first_byte_ns: int | None, done_ns: int | None
) -> tuple[int | None, int]:
    highest = sent_ns - round((resource.start if resource.sent is None else resource.sent) * _MS)
    lows = [
        relay_ns - round(page_ms * _MS)
        for relay_ns, page_ms in ((first_byte_ns, resource.first_byte), (done_ns, resource.done))
        if relay_ns is not None and page_ms is not None
    ]
    return max(lows, default=None), highest
