"""One person of the tour: sends what has to be sent before a page, and knows the cookies and values to open it with.

The requests go straight to the application, not over the slow network, and nothing of them is stored: they are no part
of what is measured. What no live answer gives goes out as recorded.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit

from nestperf.capture.clock import Clock
from nestperf.capture.kinds import field as header
from nestperf.capture.model import Kind, Outcome, Upstream
from nestperf.errors import UsageError
from replay.browse.tour import Stop, header_uses, sent_before, url_of
from replay.identities import Identity
from replay.live import LiveState
from replay.provenance.expiry import expiry_of
from replay.provenance.supply import originals_of, same_name
from replay.request import Requests
from replay.stage import JSON_LIMIT
from replay.steps import Http, SessionPlan, Step
from replay.transport.answer import Answer, decoded
from replay.transport.dial import Target
from replay.transport.pool import Connections

_TIMEOUT_S = 30.0
"""For each answer; a page's own time is `--timeout`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """`[session:|local:]KEY=NAME`: a value that the page's scripts look for in the browser's storage."""

    area: str
    """`sessionStorage` or `localStorage`."""
    key: str
    name: str
    """As identities name values: a form field, JSON key, header or cookie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cookie:
    """A cookie for one address."""

    url: str
    name: str
    value: str = field(repr=False)


def parse_storage(text: str) -> Storage:
    """One `--storage`.

    Raises:
        UsageError: it is none.
    """
    place, mark, name = text.rpartition("=")
    area, colon, key = place.partition(":")
    areas = {"session": "sessionStorage", "local": "localStorage"}
    if not colon:
        area, key = "local", place
    if not mark or not name or not key or area not in areas:
        raise UsageError(
            f"--storage {text!r} is none: write [session:|local:]KEY=NAME, such as session:token=token, where NAME is "
            "what the recording sends the value under."
        )
    return Storage(area=areas[area], key=key, name=name)


class Person:
    """Somebody who is signed in as far as the recording was, step by step."""

    def __init__(
        self,
        session: SessionPlan,
        stops: Sequence[Stop],
        targets: tuple[Target, ...],
        upstreams: Sequence[Upstream],
        *,
        identity: Identity | None = None,
        storage: Sequence[Storage] = (),
    ) -> None:
        self.session = session
        self.identity = identity
        self.troubles: list[str] = []
        """Sentences: what the application answered otherwise than recorded."""
        self._upstreams = upstreams
        self._requests = Requests(session)
        self._live = LiveState(len(session.values), [(number, session.values[number]) for number in session.fresh])
        self._supply()
        self._storage = storage
        self._originals = originals_of(session, [one.name for one in storage])
        self._left = list(sent_before(session, stops, [one.name for one in storage]))
        numbers = itertools.count(1)
        self._clock = Clock.start()
        self._reached: set[Stop] = set()
        self._connections = Connections(
            targets,
            source=None,
            limits={},
            clock=self._clock,
            timeout_s=_TIMEOUT_S,
            numbers=lambda: next(numbers),
        )

    def _supply(self) -> None:
        if self.identity is not None:
            self._live.supply(self.session.supplied, self.identity.values)

    async def reach(self, stop: Stop) -> None:
        """Send what the recording sent before a page, as far as it matters."""
        while self._left and self._left[0] < stop.step:
            await self._send(self.session.steps[self._left.pop(0)])
        if stop not in self._reached:
            self._reached.add(stop)
            self.troubles += self.expired(stop, self._clock.unix_ns / 1e9)

    def expired(self, stop: Stop, now_s: float) -> Iterator[str]:
        """Sentences about the cookies of a page that are good no more (a JWT's `exp`); `now_s` since 1970."""
        for cookie in self.cookies(stop):
            expires_s = expiry_of(cookie.value)
            if expires_s is not None and expires_s < now_s:
                moment = datetime.fromtimestamp(expires_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
                yield f"the cookie {cookie.name} of {stop.route} expired at {moment}, and no live answer gave another"

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def cookies(self, stop: Stop) -> list[Cookie]:
        """What a page is opened with: its own cookies, and for other hosts those of the first request afterwards."""
        found: dict[str, list[Cookie]] = {}
        for step in self.session.steps[stop.step :]:
            action = step.action
            if not isinstance(action, Http):
                continue
            if step.index > stop.step and action.method == "GET" and action.kind is Kind.PAGE:
                break
            url = url_of(action, self._upstreams)
            host = urlsplit(url).hostname or ""
            if host not in found and (cookies := list(self._cookies_of(step, action, url))):
                found[host] = cookies
            elif step.index == stop.step:
                found[host] = []
        return [cookie for cookies in found.values() for cookie in cookies]

    def stored(self) -> list[tuple[Storage, str]]:
        """What the page's scripts find in the browser's storage."""
        return [(one, value) for one in self._storage if (value := self._value(one.name)) is not None]

    def _value(self, name: str) -> str | None:
        brought = self.identity.values if self.identity is not None else {}
        if own := [value for column, value in brought.items() if same_name(column, name)]:
            return own[0]
        original = self._originals.get(name)
        if original is None:
            return None
        number = self.session.values.index(original) if original in self.session.values else None
        live = self._live.values[number] if number is not None else None
        return live if live is not None else original

    def _cookies_of(self, step: Step, action: Http, url: str) -> Iterator[Cookie]:
        sent = self._live.headers(action.authority, action.headers, header_uses(step), action.target)
        origin = "{0.scheme}://{0.netloc}/".format(urlsplit(url))
        for pair in header(sent, "cookie").split(";"):
            name, mark, value = pair.strip().partition("=")
            if mark and name:
                yield Cookie(url=origin, name=name, value=value)

    async def _send(self, step: Step) -> None:
        action = step.action
        assert isinstance(action, Http)
        sent = self._requests.build(step, self._live, None)
        over: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        answer = Answer(sent.request, action.upstream, action.connection, partial(_settle, over))
        answer.keep = JSON_LIMIT
        self._connections.exchange(answer)
        try:
            await over
        except asyncio.CancelledError:
            self._connections.cancel(answer, Outcome.UNFINISHED)
            raise
        said = answer.status if answer.status is not None else answer.detail or "nothing"
        if answer.status is None or (action.status is not None and answer.status // 100 != action.status // 100):
            self.troubles.append(
                f"{action.method} {action.route} was answered with {said}, in the recording with {action.status}"
            )
        if answer.status is None:
            return
        body = decoded(answer, JSON_LIMIT) if any(take.reads_body for take in step.takes) else None
        self._live.learn(action.authority, answer.headers, step.takes, body)
        self._supply()  # whatever an answer says, a person stays who they are


def _settle(over: asyncio.Future[Answer], answer: Answer) -> None:
    if not over.done():
        over.set_result(answer)
