"""What a watched page asked for and waited for until it was loaded. Durations are nanoseconds; nothing is judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from nestperf.capture import model
from nestperf.capture.reader import Capture

BROWSER = "the browser"
"""What a load waited for where it waited for nothing else: scripts, style, layout, or a timer."""
MOST_PARTS = 8
"""What the slowest load of a route waited for: so many stretches are told."""
_SLACK_NS = 1_000_000
_WORTH_TELLING = 0.02
"""Of a load."""


class Part(NamedTuple):
    """A stretch of a load: something it waited for, or what its own scripts, style and layout took."""

    what: str
    """Path of a resource; `the browser` for its own work."""
    initiator: str
    exchange_id: int | None
    begin_ns: int
    """Since the load began."""
    length_ns: int


class Bar(NamedTuple):
    """One thing that a page asked for; times since the load began."""

    url: str
    initiator: str
    exchange_id: int | None
    begin_ns: int
    first_byte_ns: int | None
    end_ns: int
    blocking: bool
    waited_for: bool
    """It is one of the parts."""


class Picture(NamedTuple):
    """A screenshot."""

    media_type: str
    content: bytes


_PICTURES = ("image/jpeg", "image/png")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageWaterfall:
    """The slowest load of a route; times since it began."""

    page_id: int
    kind: str
    url: str
    route: str
    profile: str
    first_byte_ns: int | None
    fcp_ns: int | None
    lcp_ns: int | None
    lcp_element: str | None
    dom_loaded_ns: int | None
    load_ns: int
    long_tasks_ns: int
    parts: tuple[Part, ...]
    """What it waited for, in order; they fill the time until it was loaded."""
    bars: tuple[Bar, ...]
    picture: Picture | None
    """How it looked when it was loaded."""


def waterfall_of(capture: Capture, page: model.Page) -> PageWaterfall:
    """What a page that was loaded asked and waited for."""
    assert page.load_ns is not None
    resources = sorted(capture.resources(page.id), key=lambda row: (row.started_ns, row.id))
    chain = list(_chain(page.load_ns, resources))

    def since(stamp_ns: int | None) -> int | None:
        return stamp_ns - page.started_ns if stamp_ns is not None else None

    waited = {row.id for row in chain}
    return PageWaterfall(
        page_id=page.id,
        kind=page.kind,
        url=page.url,
        route=page.route,
        profile=page.profile,
        first_byte_ns=since(page.first_byte_ns),
        fcp_ns=since(page.fcp_ns),
        lcp_ns=since(page.lcp_ns),
        lcp_element=page.lcp_element,
        dom_loaded_ns=since(page.dom_loaded_ns),
        load_ns=page.load_ns - page.started_ns,
        long_tasks_ns=page.long_tasks_ns,
        parts=tuple(_parts(page, page.load_ns, chain)),
        bars=tuple(
            Bar(
                url=row.url,
                initiator=row.initiator,
                exchange_id=row.exchange_id,
                begin_ns=row.started_ns - page.started_ns,
                first_byte_ns=since(row.first_byte_ns),
                end_ns=row.done_ns - page.started_ns,
                blocking=row.blocking,
                waited_for=row.id in waited,
            )
            for row in resources
        ),
        picture=_picture(capture, page.screenshot),
    )


def _picture(capture: Capture, body_id: int | None) -> Picture | None:
    body = capture.body(body_id)
    if body is None or body.state != "whole" or not body.content or body.media_type not in _PICTURES:
        return None
    return Picture(body.media_type, body.content)


def _chain(load_ns: int, resources: list[model.Resource]) -> Iterator[model.Resource]:
    """What a load waited for, the last first: whatever arrived last before it was loaded, what had arrived last before
    that was asked for, and so on. The browser tells no causes; this is the nearest that times can tell."""
    left = [row for row in resources if row.done_ns <= load_ns + _SLACK_NS]
    while left:
        last = max(left, key=lambda row: (row.done_ns, -row.started_ns))
        yield last
        left = [row for row in left if row.done_ns <= last.started_ns and row.started_ns < last.started_ns]


def _parts(page: model.Page, load_ns: int, chain: list[model.Resource]) -> Iterator[Part]:
    """The chain in order, and the browser's own time in its gaps; short stretches are passed over."""
    least_ns = round((load_ns - page.started_ns) * _WORTH_TELLING)
    end_ns = page.started_ns
    told = 0
    for row in reversed(chain):
        if row.done_ns - row.started_ns < least_ns or told >= MOST_PARTS:
            continue
        if row.started_ns - end_ns >= least_ns:
            yield Part(BROWSER, "", None, end_ns - page.started_ns, row.started_ns - end_ns)
        begin_ns = max(end_ns, row.started_ns)
        end_ns = min(row.done_ns, load_ns)
        told += 1
        path = "/" + row.url.partition("://")[2].partition("/")[2]
        yield Part(path, row.initiator, row.exchange_id, begin_ns - page.started_ns, end_ns - begin_ns)
    if load_ns - end_ns >= least_ns:
        yield Part(BROWSER, "", None, end_ns - page.started_ns, load_ns - end_ns)
