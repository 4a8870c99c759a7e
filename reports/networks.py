"""Pages opened over slow networks: their loads, and the least that the network allows. Measures, never judges.

Bounds are of cold loads alone: a cache may hold anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from nestperf.capture.model import Page
from nestperf.capture.reader import Capture
from nestperf.network.floor import Asked, Floor, impossible, least_of_page_ns
from nestperf.network.profiles import PROFILES, Profile


@dataclass(slots=True, kw_only=True)
class Opened:
    """One page, opened several times over one network with the cache in one state."""

    route: str
    profile: str
    """Key of the network; empty for the one that was there."""
    cache: str
    loads_ns: list[int] = field(default_factory=list)
    """Sorted."""
    unloaded: int = 0
    """Times that it did not load."""
    least_ns: int | None = None
    """The fastest that the network allows, of the smallest load; None where nothing bounds it."""
    too_large: tuple[Floor, ...] = ()
    """Answers that break `PROMISE_NS` by themselves."""


PROMISE_NS = 2_000_000_000
"""PRD 3.1: a page within 2 s on 3G."""


def read_opened(capture: Capture) -> list[Opened]:
    """By page, network and cache, in the order opened."""
    opened_on_purpose = [page for page in capture.pages() if page.kind == "load" and page.cache is not None]
    answers = _answers(capture) if opened_on_purpose else {}
    found: dict[tuple[str, str, str], Opened] = {}
    for page in opened_on_purpose:
        key = page.route, page.profile, page.cache or ""
        opened = found.setdefault(key, Opened(route=key[0], profile=key[1], cache=key[2]))
        _add(opened, page)
        profile = PROFILES.get(page.profile)
        if profile is not None and page.cache == "cold" and page.load_ns is not None:
            asked = [one for one, done_ns in answers.get(page.id, ()) if done_ns <= page.load_ns]
            _bound(opened, asked, profile)
    for opened in found.values():
        opened.loads_ns.sort()
    return list(found.values())


def _answers(capture: Capture) -> dict[int, list[tuple[Asked, int]]]:
    """By page: what it asked for of the application, and when that was there."""
    exchanges = {exchange.id: exchange for exchange in capture.exchanges()}
    tls = {place for place, upstream in enumerate(capture.run.upstreams) if upstream.url.startswith("https:")}
    found: dict[int, list[tuple[Asked, int]]] = defaultdict(list)
    for resource in capture.resources():
        exchange = exchanges.get(resource.exchange_id or 0)
        if exchange is not None:
            asked = Asked(
                name=exchange.target.partition("?")[0],
                size=exchange.response_bytes,
                tls=exchange.upstream in tls,
                is_document=resource.initiator == "navigation",
            )
            found[resource.page_id].append((asked, resource.done_ns))
    return found


def _add(opened: Opened, page: Page) -> None:
    if page.load_ns is None:
        opened.unloaded += 1
        return
    opened.loads_ns.append(page.load_ns - page.started_ns)


def _bound(opened: Opened, asked: Sequence[Asked], profile: Profile) -> None:
    if not asked:
        return
    least_ns = least_of_page_ns(asked, profile)
    opened.least_ns = least_ns if opened.least_ns is None else min(opened.least_ns, least_ns)
    opened.too_large = tuple(impossible(asked, profile, PROMISE_NS)) or opened.too_large
