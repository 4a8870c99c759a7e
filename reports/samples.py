"""The columns of a capture as numpy arrays, and the durations that follow from them.

Stamps and durations are float64 nanoseconds, NaN where there is none: whole numbers up to 2**53 (104 days) are exact
in them. Strings are codes into their distinct values. Nothing here judges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nestperf.capture import model
from nestperf.capture.marks import Named
from nestperf.capture.model import FAILED, Kind, Outcome
from nestperf.capture.reader import Capture
from reports.columns import Codes, Labels, Mask, Stamps, read_columns
from reports.pages import Pages, read_pages
from reports.queries import Queries, read_queries
from reports.thresholds import Selector, matches_any

ANSWERED = frozenset({Outcome.OK, Outcome.REFUSED})
"""The outcomes whose time is a latency: an error that came fast must not flatter, a 429 measures the limiter."""
COUNTED = FAILED | ANSWERED | {Outcome.LIMITED}
"""What a share is a share of: neither what the browser gave up, nor what was cut or never sent."""
TIMED = frozenset({Kind.CALL, Kind.PAGE, Kind.ASSET, Kind.PREFLIGHT, Kind.STREAM})
"""The kinds that have a latency: a poll lasts as long as nothing happens, an upgrade as long as its socket."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exchanges:
    """The table of exchanges, in order of id."""

    id: Codes
    session: Stamps
    client: Stamps
    kind: Labels
    server_call: Mask
    upstream: Codes
    method: Labels
    route: Labels
    status: Stamps
    outcome: Labels
    response_bytes: Stamps
    intended: Stamps
    sent: Stamps
    first_byte: Stamps
    done: Stamps
    connect: Stamps
    relay: Stamps

    def __len__(self) -> int:
        return len(self.id)

    def pick(self, rows: Mask) -> Exchanges:
        """Some rows of the table."""
        columns: dict[str, Any] = {column.name: getattr(self, column.name) for column in fields(self)}
        picked: dict[str, Any] = {n: c.pick(rows) if isinstance(c, Labels) else c[rows] for n, c in columns.items()}
        return Exchanges(**picked)


class Identities(NamedTuple):
    """Who is behind sessions and clients."""

    of_session: dict[int, str]
    of_client: dict[int, str]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Packets:
    """Socket.IO's own packets (events, acks, connects, disconnects), in order of id."""

    id: Codes
    socket: Codes
    from_server: Mask
    stamp: Stamps
    done: Stamps
    type: Labels
    namespace: Labels
    event: Labels
    content: Codes
    """A hash of the payload; 0 for what a client sent."""
    ack_id: Stamps
    answers: Stamps
    intended: Stamps

    def __len__(self) -> int:
        return len(self.id)


class Times(NamedTuple):
    """Durations to be judged."""

    ordered: NDArray[np.int64]
    """Nanoseconds, ascending."""
    failed: int
    """What should have had a duration and has none, because it failed: slower than any limit."""
    in_order: Stamps | None = None
    """The same durations in order of time, where neighbours may depend on each other."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """One capture as columns."""

    run: model.Run
    exchanges: Exchanges
    packets: Packets
    sockets: tuple[model.Socket, ...]
    sessions: tuple[model.Session, ...]
    """As a replay stored them; empty for a recording. One that began in a phase that is left out has its name as its
    state."""
    identities: Identities
    queries: Queries
    pages: Pages = field(default_factory=Pages)
    """As a watched browser saw them."""
    named: tuple[Named, ...] = ()
    """Which exchanges go by which mark's or test's name."""
    left_out: int = 0
    """Exchanges that were due in ramp or warm-up, and are not here."""
    left_out_spans: tuple[tuple[str, float, float], ...] = ()
    """Name, beginning and end of the phases that are left out."""

    @classmethod
    def read(cls, capture: Capture, *, everything: bool = False) -> Samples:
        """Read what reports need of a capture; `everything`: also what was due in a replay's ramp and warm-up.

        Raises:
            CaptureTruncated: the file is damaged.
        """
        spans = () if everything else _spans_left_out(capture.run)
        exchanges = _read_exchanges(capture)
        counted = _outside(spans, np.where(np.isfinite(exchanges.intended), exchanges.intended, exchanges.sent))
        sessions = tuple(map(model.Session._make, capture.columns(model.Session, *model.Session._fields)))
        sessions = tuple(_with_phase(session, spans) for session in sessions)
        clients = capture.columns(model.Client, "id", "identity")
        return cls(
            run=capture.run,
            exchanges=exchanges if counted.all() else exchanges.pick(counted),
            packets=_read_packets(capture),
            sockets=tuple(capture.sockets()),
            sessions=sessions,
            queries=read_queries(capture),
            pages=read_pages(capture),
            identities=Identities(
                {s.id: s.identity or "" for s in sessions}, {client: name or "" for client, name in clients}
            ),
            named=capture.named(),
            left_out=int((~counted).sum()),
            left_out_spans=spans,
        )

    def counts(self, stamps: Stamps) -> Mask:
        """Which of these moments lie in no phase that is left out."""
        return _outside(self.left_out_spans, stamps)

    @property
    def is_empty(self) -> bool:
        """Whether nothing happened."""
        return not (len(self.exchanges) or self.sockets or len(self.queries) or len(self.pages) or self.left_out)

    @property
    def has_intended(self) -> bool:
        """Whether there are intended times, so that latency means response time."""
        return bool(np.isfinite(self.exchanges.intended).any())

    @property
    def latency_name(self) -> str:
        """What latency means here: `response_time` or `service_time`."""
        return "response_time" if self.has_intended else "service_time"

    @property
    def span_ns(self) -> tuple[int, int] | None:
        """From the first to the last thing that happened; None where nothing did."""
        moments = [self.exchanges.intended, self.exchanges.sent, self.exchanges.done, self.packets.stamp,
                   self.queries.sent, self.queries.done,
                   np.array([s.opened_ns for s in self.sockets], dtype=float)]  # fmt: skip
        stamps = np.concatenate(moments)
        stamps = stamps[np.isfinite(stamps)]
        return (int(stamps.min()), int(stamps.max())) if len(stamps) else None

    def select(self, selector: Selector, *, preflights: bool = False) -> Mask:
        """The exchanges that a threshold is about; preflights only where it names them, or where they are to count."""
        x = self.exchanges
        mask = np.ones(len(x), dtype=bool)
        if selector.kind:
            mask &= x.kind.among(*selector.kind)
        elif not preflights:
            mask &= ~x.kind.among(Kind.PREFLIGHT)
        if selector.route:
            mask &= x.route.where(lambda route: matches_any(route, selector.route))
        if selector.method:
            mask &= x.method.where(lambda method: method.upper() in selector.method)
        if selector.status:
            mask &= _has_status(x.status, selector.status)
        if selector.mark:
            ids = [one.exchanges for one in self.named if matches_any(one.text, selector.mark)]
            mask &= np.isin(x.id, np.concatenate(ids) if ids else [])
        if selector.identity:
            sessions, clients = self._of_identity(selector.identity)
            mask &= np.isin(x.session, list(sessions)) | np.isin(x.client, list(clients))
        if selector.upstream:
            mask &= np.isin(x.upstream, list(self._upstreams(selector.upstream)))
        return mask

    def select_sockets(self, selector: Selector) -> tuple[model.Socket, ...]:
        """The sockets of the selected identities and upstreams."""
        chosen = self.sockets
        if selector.identity:
            sessions, clients = self._of_identity(selector.identity)
            chosen = tuple(s for s in chosen if s.session_id in sessions or s.client_id in clients)
        if selector.upstream:
            upstreams = self._upstreams(selector.upstream)
            chosen = tuple(s for s in chosen if s.upstream in upstreams)
        return chosen

    def select_page(self, selector: Selector) -> Callable[[model.Page], bool]:
        """Whether a threshold is about a watched page."""
        sessions, clients = self._of_identity(selector.identity) if selector.identity else (None, None)
        upstreams = self._upstreams(selector.upstream) if selector.upstream else None

        def chosen(page: model.Page) -> bool:
            return (
                (not selector.route or matches_any(page.route, selector.route))
                and (not selector.profile or matches_any(page.profile, selector.profile))
                and (not selector.cache or page.cache in selector.cache)
                and (upstreams is None or page.upstream in upstreams)
                and (sessions is None or page.session_id in sessions or page.client_id in (clients or ()))
            )

        return chosen

    def select_packets(self, selector: Selector) -> Mask:
        """The packets of the selected events and namespaces on the selected sockets."""
        p = self.packets
        mask = np.ones(len(p), dtype=bool)
        if selector.event:
            mask &= p.event.where(lambda event: matches_any(event, selector.event))
        if selector.namespace:
            mask &= p.namespace.where(lambda namespace: matches_any(namespace or "/", selector.namespace))
        if selector.identity or selector.upstream:
            mask &= np.isin(p.socket, [s.id for s in self.select_sockets(selector)])
        return mask

    def select_sessions(self, selector: Selector) -> frozenset[int]:
        """The ids of the sessions of the selected identities."""
        chosen = self._of_identity(selector.identity)[0] if selector.identity else self.identities.of_session
        return frozenset(chosen)

    @property
    def upstream_names(self) -> list[tuple[str, ...]]:
        """What each upstream can be called: its URL, and host and port alone."""
        return [(upstream.url, upstream.url.partition("://")[2]) for upstream in self.run.upstreams]

    def _upstreams(self, patterns: tuple[str, ...]) -> frozenset[int]:
        return frozenset(
            place
            for place, names in enumerate(self.upstream_names)
            if any(matches_any(name, patterns) for name in names)
        )

    def _of_identity(self, patterns: tuple[str, ...]) -> tuple[frozenset[int], frozenset[int]]:
        """Sessions and clients of the identities that match."""
        of_session, of_client = (
            frozenset(i for i, name in names.items() if matches_any(name, patterns)) for names in self.identities
        )
        return of_session, of_client

    def durations(self, quantity: str) -> Stamps:
        """One duration an exchange, NaN where it has none: `latency`, `service_time`, `ttfb`, `send_lag`, ...

        A stream's latency and times end with its first byte. Only answers that came as they should have one; see
        `ANSWERED`.
        """
        x = self.exchanges
        if quantity == "send_lag":
            unsent = x.outcome.among(Outcome.DROPPED, Outcome.CONNECT_ERROR)
            return np.where(unsent, np.nan, x.sent - x.intended)
        if quantity == "connect_time":
            return x.connect
        if quantity == "relay_time":
            return x.relay
        begin = x.intended if quantity == "response_time" or (quantity == "latency" and self.has_intended) else x.sent
        end = x.first_byte if quantity == "ttfb" else np.where(x.kind.among(Kind.STREAM), x.first_byte, x.done)
        counted = x.kind.among(*TIMED) & x.outcome.among(*ANSWERED) & ~self.backwards
        return np.where(counted, end - begin, np.nan)

    @property
    def backwards(self) -> Mask:
        """The exchanges that end before they begin: a clock stepped under whoever took the stamps."""
        x = self.exchanges
        with np.errstate(invalid="ignore"):
            return (x.done < x.sent) | (x.first_byte < x.sent) | (x.done < x.first_byte)

    def query_times(self, selector: Selector) -> Times:
        """The times of the selected upstreams' queries, sorted."""
        return Times(ordered_ns(self.queries.times[self.select_queries(selector)]), 0)

    def select_queries(self, selector: Selector) -> Mask:
        """The queries to the selected upstreams."""
        if not selector.upstream:
            return np.ones(len(self.queries), dtype=bool)
        return self.queries.at_upstreams(self._upstreams(selector.upstream))

    def times(self, quantity: str, selector: Selector) -> Times:
        """The durations of the selected exchanges, sorted, with the count of those that failed."""
        x, mask = self.exchanges, self.select(selector)
        failed = 0
        if quantity in {"latency", "service_time", "response_time", "ttfb"}:
            failed = int((mask & x.kind.among(*TIMED) & x.outcome.among(*FAILED)).sum())
            if quantity == "response_time" and not self.has_intended:
                failed = 0
        chosen = np.flatnonzero(mask)
        chosen = chosen[np.argsort(x.sent[chosen], kind="stable")]
        durations = self.durations(quantity)[chosen]
        in_order = durations[np.isfinite(durations)]
        return Times(ordered_ns(in_order), failed, in_order)


def ordered_ns(durations: Stamps) -> NDArray[np.int64]:
    """The durations there are, as whole nanoseconds, ascending."""
    return np.sort(durations[np.isfinite(durations)]).astype(np.int64)


def _has_status(status: Stamps, wanted: tuple[str, ...]) -> Mask:
    mask = np.zeros(len(status), dtype=bool)
    for item in wanted:
        mask |= (status // 100 == int(item[0])) if item.endswith("xx") else (status == int(item))
    return mask


_EXCHANGE_COLUMNS = ("id", "session_id", "client_id", "kind", "server_call", "upstream", "method", "route", "status",
                     "outcome", "response_bytes", "intended_ns", "sent_ns", "first_byte_ns", "done_ns", "connect_ns",
                     "relay_ns")  # fmt: skip
_EXCHANGE_TEXTS = frozenset({3, 6, 7, 9})


def _spans_left_out(run: model.Run) -> tuple[tuple[str, float, float], ...]:
    """The phases of a replay that reach its load or keep it up before it counts."""
    phases = run.settings.get("phases", [])
    return tuple((name, first, np.inf if last is None else last) for name, first, last in phases if name != "load")


def _outside(spans: tuple[tuple[str, float, float], ...], stamps: Stamps) -> Mask:
    outside = np.ones(len(stamps), dtype=bool)
    for _, first, last in spans:
        outside &= ~((stamps >= first) & (stamps < last))
    return outside


def _with_phase(session: model.Session, spans: tuple[tuple[str, float, float], ...]) -> model.Session:
    began_ns = session.intended_ns
    for name, first, last in spans:
        if began_ns is not None and first <= began_ns < last:
            return session._replace(state=name)
    return session


def _read_exchanges(capture: Capture) -> Exchanges:
    batches = capture.column_batches(model.Exchange, *_EXCHANGE_COLUMNS)
    columns = read_columns(batches, _EXCHANGE_TEXTS, len(_EXCHANGE_COLUMNS))
    ids, session, client, kind, server_call, upstream, method, route, status, outcome, size, *stamps = columns
    intended, sent, first_byte, done, connect, relay = stamps
    return Exchanges(
        id=ids.astype(np.int64),
        session=session,
        client=client,
        kind=kind,
        server_call=server_call == 1,
        upstream=upstream.astype(np.int64),
        method=method,
        route=route,
        status=status,
        outcome=outcome,
        response_bytes=size,
        intended=intended,
        sent=sent,
        first_byte=first_byte,
        done=done,
        connect=connect,
        relay=relay,
    )


_PACKET_COLUMNS = ("id", "socket_id", "sender", "stamp_ns", "done_ns", "type", "namespace", "event", "payload",
                   "ack_id", "answers", "intended_ns")  # fmt: skip
_PACKET_TEXTS = frozenset({2, 5, 6, 7})


def _read_packets(capture: Capture) -> Packets:
    batches = map(_without_payloads, capture.column_batches(model.Packet, *_PACKET_COLUMNS, size=10_000))
    columns = read_columns((rows for rows in batches if rows), _PACKET_TEXTS, len(_PACKET_COLUMNS))
    ids, socket, sender, stamp, done, type_, namespace, event, content, ack_id, answers, intended = columns
    return Packets(
        id=ids.astype(np.int64),
        socket=socket.astype(np.int64),
        from_server=sender.among("server"),
        stamp=stamp,
        done=done,
        type=type_,
        namespace=namespace,
        event=event,
        content=content.astype(np.int64),
        ack_id=ack_id,
        answers=answers,
        intended=intended,
    )


def _without_payloads(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Drop bare Engine.IO packets, and keep of an event from the server only a hash (53 bits survive a float64)."""
    return [
        (*row[:8], hash(row[8]) & 0x1FFFFFFFFFFFFF if row[2] == "server" and row[5] == "event" else 0, *row[9:])
        for row in rows
        if row[5] is not None
    ]
