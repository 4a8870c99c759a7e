"""Turns what pages tell and what the relay saw into rows: `pages`, `resources`, `timings`. Pure; the caller's clock.

Both come in any order and late. A page's rows are stored again (same ids) whenever more of it is known; pages of
addresses that nobody recorded are nobody's business and are not stored.
"""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from nestperf.capture.contents import Contents
from nestperf.capture.model import Row, Upstream
from nestperf.pages.alignment import Alignment
from nestperf.pages.rows import PageRows
from nestperf.pages.snapshots import SeenResource, SeenTiming, Snapshot, read_snapshot

_REMEMBERED = 200
"""Exchanges of one URL that are held for pages which tell of them late."""
_MOST_URLS = 5_000
_NEAR_NS = 5_000_000_000
"""An exchange further from what a browser saw is another one."""
_MOVED_NS = 20_000
"""A clock that is known better by less moves no rows."""
_FORGOTTEN_NS = 60_000_000_000
"""A page that was left so long ago changes no more."""
_PORTS = {"http": 80, "https": 443}


class SeenExchange(NamedTuple):
    """One exchange as a relay saw it, with its URL in clear; stamps of the run's clock."""

    id: int
    client_id: int | None
    upstream: int
    authority: str
    target: str
    sent_ns: int
    first_byte_ns: int | None
    done_ns: int | None
    session_id: int | None = None


@dataclass(slots=True)
class _Asked:
    """A resource and the exchange that it was."""

    row_id: int
    seen: SeenResource
    exchange_id: int | None = None
    stored: bool = False


@dataclass(slots=True)
class _Named:
    row_id: int
    seen: SeenTiming
    stored: bool = False


@dataclass(slots=True)
class _Part:
    """A load, or a navigation within it."""

    state: Snapshot
    about: Mapping[str, Any]
    row_id: int | None = None
    asked: list[_Asked] = field(default_factory=list)
    named: list[_Named] = field(default_factory=list)
    document: _Asked | None = None
    taken: set[int] = field(default_factory=set)
    """Exchanges that are known to be one of `asked`."""
    screenshot: int | None = None
    closed_ns: int | None = None
    changed: bool = True


@dataclass(slots=True)
class _Document:
    """One document and its clock."""

    alignment: Alignment
    authority: str
    parts: dict[int, _Part] = field(default_factory=dict)
    exchange: SeenExchange | None = None
    zero_ns: int | None = None
    """With which its rows were stored."""
    told_ns: int = 0


class PageTracks:
    """The pages of one run. `told` takes what pages say, `saw` what the relay saw; `settle` stores."""

    def __init__(
        self,
        contents: Contents,
        add: Callable[[Row], None],
        unix_ns: int,
        next_id: Callable[[str], int],
        upstreams: Sequence[Upstream],
    ) -> None:
        """
        Args:
            contents: what screenshots become; its redactor takes secrets out.
            add: takes the rows.
            unix_ns: the wall clock when the run began.
            next_id: the next free row id of a table.
            upstreams: what is recorded.
        """
        self._contents = contents
        self._rows = PageRows(contents.redactor)
        self._add = add
        self._unix_ns = unix_ns
        self._next_id = next_id
        self._authorities = {
            known: index for index, upstream in enumerate(upstreams) for known in _names_of(upstream.url)
        }
        self._seen: defaultdict[tuple[str, str], deque[SeenExchange]] = defaultdict(lambda: deque(maxlen=_REMEMBERED))
        self._documents: dict[tuple[int, float], _Document] = {}
        self._tabs: dict[int, _Document] = {}
        self._news = False
        self.stored = 0
        """Loads and navigations that have been stored so far."""

    def saw(self, exchange: SeenExchange) -> None:
        """An exchange of a browser is over."""
        if len(self._seen) > _MOST_URLS:
            self._seen.clear()
        self._seen[exchange.authority.lower(), exchange.target].append(exchange)
        self._news = bool(self._documents)

    def told(self, report: Mapping[str, Any], now_ns: int) -> None:
        """A report of `nestperf.pages.observer`; what makes no sense is passed over."""
        tab = report.get("tab")
        if not isinstance(tab, int):
            return
        self._news = True
        said = report.get("said")
        if isinstance(said, dict):
            snapshot = read_snapshot(said)
            if snapshot is not None:
                about = report.get("about")
                self._see(tab, snapshot, about if isinstance(about, dict) else {}, now_ns)
        document = self._tabs.get(tab)
        if document is None or not document.parts:
            return
        if isinstance(report.get("screenshot"), str):
            first = document.parts[min(document.parts)]
            first.screenshot, first.changed = self._screenshot(report), True
        if report.get("closed"):
            self._leave(document, now_ns)
            del self._tabs[tab]

    def settle(self, now_ns: int) -> None:
        """Store what has become known since the last time."""
        if not self._news:
            return
        self._news = False
        for key, document in list(self._documents.items()):
            try:
                self._match(document)
                if document.authority in self._authorities:
                    self._store(document)
            except Exception:
                # One that nothing can be made of must not keep out the others.
                del self._documents[key]
                self._news = True
                raise
            if now_ns - document.told_ns > _FORGOTTEN_NS and document is not self._tabs.get(key[0]):
                del self._documents[key]

    def _leave(self, document: _Document, now_ns: int) -> None:
        """It is no longer there, and may not have had the time to say so."""
        last = document.parts[max(document.parts)]
        if last.state.ended is None and last.closed_ns is None:
            last.closed_ns, last.changed = now_ns, True

    def _see(self, tab: int, snapshot: Snapshot, about: Mapping[str, Any], now_ns: int) -> None:
        key = (tab, snapshot.origin_ms)
        document = self._documents.get(key)
        if document is None:
            guess_ns = round(snapshot.origin_ms * 1e6) - self._unix_ns
            document = _Document(Alignment(guess_ns), _key_of(snapshot.url)[0])
            self._documents[key] = document
        before = self._tabs.get(tab)
        if before is not None and before is not document:
            self._leave(before, document.alignment.stamp_ns(snapshot.start))
        self._tabs[tab] = document
        document.told_ns = now_ns
        part = document.parts.get(snapshot.number)
        if part is None:
            part = document.parts[snapshot.number] = _Part(snapshot, dict(about))
            if snapshot.kind == "navigation":
                _take_over(document, part)
        part.state = replace(snapshot, resources=(), timings=())
        part.changed = True
        if snapshot.document is not None:
            if part.document is None:
                part.document = _Asked(self._next_id("resources"), snapshot.document)
                part.asked.append(part.document)
            elif part.document.seen != snapshot.document:
                part.document.seen, part.document.stored = snapshot.document, False
        part.asked += [_Asked(self._next_id("resources"), seen) for seen in snapshot.resources]
        part.named += [_Named(self._next_id("timings"), seen) for seen in snapshot.timings]

    def _match(self, document: _Document) -> None:
        """Find the exchanges that a document's resources were."""
        for part in document.parts.values():
            for asked in part.asked:
                if asked.exchange_id is None and asked.seen.bytes != 0:
                    self._find(document, part, asked)

    def _find(self, document: _Document, part: _Part, asked: _Asked) -> None:
        alignment, seen = document.alignment, asked.seen
        found = self._seen.get(_key_of(seen.url))
        if not found:
            return
        near = sorted((alignment.distance_ns(seen, one.sent_ns), one) for one in found if one.id not in part.taken)
        for distance_ns, one in near:
            if distance_ns > _NEAR_NS:
                return
            if alignment.learn(seen, one.sent_ns, one.first_byte_ns, one.done_ns):
                asked.exchange_id, asked.stored, part.changed = one.id, False, True
                part.taken.add(one.id)
                self._authorities.setdefault(document.authority, one.upstream)
                if asked is part.document:
                    document.exchange = one
                return

    def _store(self, document: _Document) -> None:
        zero_ns = document.alignment.zero_ns
        moved = document.zero_ns is None or abs(document.zero_ns - zero_ns) > _MOVED_NS
        if moved:
            document.zero_ns = zero_ns
        for part in document.parts.values():
            if part.changed or moved:
                self._store_part(document, part, everything=moved)

    def _store_part(self, document: _Document, part: _Part, *, everything: bool) -> None:
        part.changed = False
        if part.row_id is None:
            part.row_id = self._next_id("pages")
            self.stored += 1
        exchange = document.exchange
        self._add(
            self._rows.page(
                part.row_id,
                part.state,
                document.alignment,
                part.about,
                client_id=exchange.client_id if exchange is not None else None,
                session_id=exchange.session_id if exchange is not None else None,
                exchange_id=exchange.id if exchange is not None else None,
                upstream=self._authorities.get(document.authority),
                closed_ns=part.closed_ns,
                screenshot=part.screenshot,
            )
        )
        for asked in part.asked:
            if everything or not asked.stored:
                asked.stored = True
                row_id, exchange_id = asked.row_id, asked.exchange_id
                self._add(self._rows.resource(row_id, part.row_id, asked.seen, document.alignment, exchange_id))
        asked_by_all = (one for each in document.parts.values() for one in each.asked)
        calls = {(one.seen.url, one.seen.start): one.exchange_id for one in asked_by_all}
        for named in part.named:
            call = calls.get(named.seen.call) if named.seen.call is not None else None
            if everything or not named.stored:
                # A render is stored again until its call is known.
                named.stored = named.seen.call is None or call is not None
                self._add(self._rows.timing(named.row_id, part.row_id, named.seen, document.alignment, call))

    def _screenshot(self, report: Mapping[str, Any]) -> int | None:
        try:
            content = base64.b64decode(report["screenshot"], validate=True)
        except (binascii.Error, ValueError):
            return None
        told = report.get("media_type")
        media_type = told if isinstance(told, str) else "image/png"
        return self._contents.body(content, media_type=media_type, coding="", chunked=False, request=True)


def _take_over(document: _Document, part: _Part) -> None:
    """A navigation begins with the click that led to it, and is known of when the address changes: what was asked for
    in between was told of the part before, and is its own."""
    for other in document.parts.values():
        if other is part:
            continue
        for asked in [one for one in other.asked if one is not other.document and one.seen.start > part.state.start]:
            other.asked.remove(asked)
            asked.stored = False
            part.asked.append(asked)
            if asked.exchange_id is not None:
                other.taken.discard(asked.exchange_id)
                part.taken.add(asked.exchange_id)


def _key_of(url: str) -> tuple[str, str]:
    """Authority and target as they stand in a request."""
    try:
        parts = urlsplit(url)
    except ValueError:  # a page may ask for anything
        return "", url
    target = parts.path or "/"
    return parts.netloc.lower(), f"{target}?{parts.query}" if parts.query else target


def _names_of(url: str) -> tuple[str, ...]:
    """The authorities under which a browser may know an upstream."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    hosts = ("localhost", "127.0.0.1", "[::1]") if host in ("localhost", "127.0.0.1", "::1") else (host,)
    return tuple(one if port == _PORTS.get(parts.scheme) else f"{one}:{port}" for one in hosts)
