"""Which pages a recorded session opened, and what has to be sent before to be signed in there as the person was. Pure.

A page is a document that the browser navigated to; what a redirect led to belongs to the page that was asked for, and a
page that was opened again in the same state is one page.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from nestperf.capture.kinds import field
from nestperf.capture.model import Kind, Upstream
from nestperf.capture.routes import route_of
from replay.provenance.sendings import slots
from replay.provenance.supply import originals_of
from replay.steps import Http, SessionPlan, Step, Use

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One page of a session."""

    step: int
    """In the session's plan."""
    upstream: int
    url: str
    """What a person would type."""
    route: str
    led_to: str
    """The path of the document that came in the end: its own, unless it redirected."""


def stops_of(session: SessionPlan, upstreams: Sequence[Upstream]) -> tuple[Stop, ...]:
    """The pages of a session, in the order in which they were opened."""
    found: dict[tuple[str, str, bool], Stop] = {}
    for chain in _chains(session):
        step, asked = chain[0]
        stop = Stop(
            step=step.index,
            upstream=asked.upstream,
            url=url_of(asked, upstreams),
            route=asked.route,
            led_to=urlsplit(chain[-1][1].target).path,
        )
        found.setdefault((stop.url, stop.led_to, bool(field(asked.headers, "cookie"))), stop)
    return tuple(found.values())


def within_pages(session: SessionPlan) -> tuple[str, ...]:
    """Routes of addresses that a page went to by the History API, without a document: what it then called at its own
    origin names them as the Referer."""
    requests = [step.action for step in session.steps if isinstance(step.action, Http)]
    opened = {action.route for action in requests if action.kind is Kind.PAGE}
    named: dict[str, None] = {}
    for action in requests:
        authority, _, rest = field(action.headers, "referer").partition("://")[2].partition("/")
        if action.kind is Kind.CALL and rest and authority.lower() == action.authority.lower():
            named.setdefault(route_of(f"/{rest}"))
    return tuple(route for route in named if route not in opened)


def _chains(session: SessionPlan) -> Iterator[list[tuple[Step, Http]]]:
    """The documents of a session, each with those that its redirects led to."""
    chain: list[tuple[Step, Http]] = []
    for step in session.steps:
        action = step.action
        if isinstance(action, Http) and _is_page(action):
            chain.append((step, action))
            if action.status not in _REDIRECTS:
                yield chain
                chain = []
    if chain:
        yield chain


def _is_page(action: Http) -> bool:
    if action.kind is not Kind.PAGE or action.method != "GET" or action.status is None or action.status >= 400:
        return False
    purpose = field(action.headers, "sec-purpose") or field(action.headers, "purpose")
    return field(action.headers, "sec-fetch-dest") in ("", "document") and "prefetch" not in purpose


def url_of(action: Http, upstreams: Sequence[Upstream]) -> str:
    """The address of a request, as the application knows itself: what it was recorded under, unless that was the
    recorder's own address."""
    upstream = urlsplit(upstreams[action.upstream].url)
    asked = urlsplit(f"//{action.authority}")
    if asked.port == upstream.port and asked.hostname and _same_host(action.authority, upstream.netloc):
        return f"{upstream.scheme}://{action.authority}{action.target}"
    return f"{upstream.scheme}://{upstream.netloc}{action.target}"


def _same_host(one: str, other: str) -> bool:
    """By name, or because both are this machine."""
    hosts = {text.rpartition(":")[0].lower() for text in (one, other)}
    return len(hosts) == 1 or hosts <= LOOPBACK_NAMES


def sent_before(session: SessionPlan, stops: Sequence[Stop], names: Sequence[str] = ()) -> tuple[int, ...]:
    """The steps whose answers hand out what pages are asked for with, and the values under `names`, what led to those,
    and the steps that send a secret which nobody had handed out: a password. In order. What an identity brings along
    is not asked for."""
    last = max((stop.step for stop in stops), default=-1)
    supplied = {session.values[one.value] for one in session.supplied}
    cookies = {name for one in session.supplied for _, name in one.cookies}
    sources: dict[int, set[int]] = {}
    for link in session.links:
        own = link.value in supplied or (link.by_jar and link.place.partition(" ")[2] in cookies)
        if link.source is not None and not own:
            sources.setdefault(link.step, set()).add(link.source)
    originals = set(originals_of(session, names).values()) - supplied
    wanted = [stop.step for stop in stops]
    wanted += [step.index for step in session.steps if _takes(session, step, originals)]
    wanted += [step.index for step in session.steps if step.index < last and _signs_in(session, step)]
    needed: set[int] = set()
    while wanted:
        index = wanted.pop()
        if index not in needed:
            needed.add(index)
            wanted += sources.get(index, ())
    pages = {stop.step for stop in stops} - {source for found in sources.values() for source in found}
    return tuple(
        index for index in sorted(needed - pages) if index < last and isinstance(session.steps[index].action, Http)
    )


def _takes(session: SessionPlan, step: Step, originals: set[str]) -> bool:
    return any(session.values[take.value] in originals for take in step.takes)


def _signs_in(session: SessionPlan, step: Step) -> bool:
    action = step.action
    if not isinstance(action, Http) or action.method != "POST":
        return False
    supplied = {one.value for one in session.supplied}
    if any(use.place == "body" and use.value in supplied for use in step.uses):
        return True
    own = frozenset(session.secrets) - frozenset(session.values)
    return any(slot.place == "body" and slot.value in own for slot in slots(step))


def header_uses(step: Step) -> list[Use]:
    """The live values in a step's fields."""
    return [use for use in step.uses if use.place == "header"]
