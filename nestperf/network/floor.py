"""What a network allows at best: round trips and bytes, added up. Pure; a page that keeps it may still be slower.

A request that opens its connection takes a round trip for TCP and one (TLS 1.3) for TLS; every request takes one until
its answer begins; its bytes take the line. What a page asks for comes after its document has begun to come, so its
fastest answer has the document's round trips before its own. Slow start and everything the application takes come on
top and are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from nestperf.network.lane import transmission_ns
from nestperf.network.profiles import Profile


class Asked(NamedTuple):
    """One answer of a page load."""

    name: str
    """As people read it: `/app.js`."""
    size: int
    """Bytes on the wire."""
    tls: bool
    is_document: bool


class Floor(NamedTuple):
    """The fastest that something can be."""

    name: str
    size: int
    least_ns: int


def least_ns(asked: Asked, profile: Profile) -> int:
    """The fastest that one answer can be complete, counted from the moment the page was asked for."""
    line_ns = transmission_ns(asked.size, profile.down_bps)
    if profile.per_request:  # Chromium adds the latency to each request, and nothing for a connection
        return profile.rtt_ns * (1 if asked.is_document else 2) + line_ns
    trips = 2 + asked.tls + (0 if asked.is_document else 1)
    return trips * profile.rtt_ns + line_ns


def least_of_page_ns(answers: Sequence[Asked], profile: Profile) -> int:
    """The fastest that all of a page can be there: all its bytes over one line, or its slowest single answer."""
    together = Asked("", sum(asked.size for asked in answers), any(asked.tls for asked in answers), True)
    return max([least_ns(together, profile), *(least_ns(asked, profile) for asked in answers)])


def impossible(answers: Iterable[Asked], profile: Profile, limit_ns: int) -> list[Floor]:
    """The answers that cannot keep a limit, each by itself, on such a network; the worst first."""
    floors = [Floor(asked.name, asked.size, least_ns(asked, profile)) for asked in answers]
    return sorted((floor for floor in floors if floor.least_ns > limit_ns), key=lambda floor: -floor.least_ns)
