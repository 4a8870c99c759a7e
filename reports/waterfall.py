"""Single visits as waterfalls: page loads, requests, queries, and sockets with what they carried, on one axis of time.

All times are nanoseconds since the visit began. Reads a capture's rows; measures and judges nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from nestperf.capture import model
from nestperf.capture.model import FAILED, Kind, Outcome
from nestperf.capture.reader import Capture
from nestperf.errors import CaptureError, CaptureForeign
from reports.breakdown import Stretch, break_down
from reports.queries import owners_of_queries
from reports.samples import Samples
from reports.traffic import end_of
from reports.visits import choose_visits

MOST_BARS = 300
MOST_TICKS = 400
"""Of one socket."""
MOST_LOADS = 40
_SHOWN_BY_SOCKETS = (Kind.POLL, Kind.UPGRADE)


class QueryBar(NamedTuple):
    """One query that an exchange asked for."""

    ref: str
    begin_ns: int
    length_ns: int
    statement: str


class Bar(NamedTuple):
    """One exchange."""

    ref: str
    step: int
    """The recorded exchange that it is, or repeats; 0 where none is known."""
    method: str
    target: str
    kind: str
    outcome: str
    status: int | None
    failed: bool
    begin_ns: int
    end_ns: int
    stretches: tuple[Stretch, ...]
    queries: tuple[QueryBar, ...] = ()


class Tick(NamedTuple):
    """One packet of a socket, or one frame where it is no Socket.IO."""

    at_ns: int
    from_server: bool
    what: str


class Lane(NamedTuple):
    """One socket."""

    ref: str
    title: str
    begin_ns: int
    end_ns: int
    end: str
    ticks: tuple[Tick, ...]
    more: int
    """Ticks that are not here."""


class Load(NamedTuple):
    """One page load, or navigation within a page, as the browser saw it."""

    ref: str
    """`page N`."""
    route: str
    kind: str
    begin_ns: int
    end_ns: int
    """Loaded; of one that never was, left or closed."""
    paints: tuple[tuple[str, int], ...]
    """First and largest contentful paint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One user's visit, or its beginning."""

    ref: str
    who: str
    why: str
    """Why this visit: `the slowest`, ..."""
    state: str
    span_ns: int
    bars: tuple[Bar, ...]
    lanes: tuple[Lane, ...]
    loads: tuple[Load, ...] = ()
    bars_left_out: int = 0
    ambiguous: int = 0
    """Queries meanwhile that may be this visit's or another's."""


class Pair(NamedTuple):
    """A visit, and the recorded one that it repeats."""

    visit: Visit
    recorded: Visit | None


def waterfalls(capture: Capture, samples: Samples, source: Capture | None = None) -> tuple[Pair, ...]:
    """The visits worth a look: the slowest, one that failed, a typical one; of a recording, those that did most.

    `source` is the recording that a replay plays.
    """
    own = _Owners(capture, samples)
    known = {session.id: session for session in capture.sessions()}
    chosen = list(choose_visits(known, samples))
    theirs = None if source is None or not chosen else _Owners(source, Samples.read(source, everything=True))
    recorded = {} if source is None else {session.id: session for session in source.sessions()}
    pairs = []
    for why, session in chosen:
        old = recorded.get(session.source_session or 0)
        before = None if theirs is None or old is None else _visit(theirs, old, "as recorded")
        pairs.append(Pair(_visit(own, session, why), before))
    return tuple(pairs)


def open_source(capture: Capture, path: Path | None) -> Capture | None:
    """The recording that a replay plays: `path`, else beside it under the name that it remembers; None where there is
    none.

    Raises:
        CaptureError: `path` is no capture, or not the one that was replayed.
    """
    run = capture.run
    if run.source_uid is None or (path is None and not run.source_path):
        return None
    try:
        source = Capture.open(path or capture.path.with_name(Path(run.source_path or "").name))
    except CaptureError:
        if path is not None:
            raise
        return None
    if source.run.uid == run.source_uid:
        return source
    source.close()
    if path is not None:
        raise CaptureForeign(f"{path} is not the recording that {capture.path} replayed.")
    return None


class _Owners:
    """A capture, whose queries are given to their exchanges when the first visit asks."""

    def __init__(self, capture: Capture, samples: Samples) -> None:
        self.capture = capture
        self.samples = samples
        self._queries: dict[int, list[int]] | None = None
        self._loose: list[int] = []

    def queries_of(self, exchange_id: int) -> Iterator[QueryBar]:
        """The queries that an exchange asked for sure, in order; stamps since the run began."""
        q = self.samples.queries
        for row in self._by_exchange().get(exchange_id, ()):
            done = q.done[row]
            end = float(done) if np.isfinite(done) else float(q.sent[row])
            statement = q.statement.names[q.statement.codes[row]]
            yield QueryBar(f"query:{q.id[row]}", int(q.sent[row]), int(end - q.sent[row]), statement)

    def ambiguous(self, begin_ns: int, end_ns: int) -> int:
        """Queries meanwhile of which several exchanges may be the owner."""
        self._by_exchange()
        sent = self.samples.queries.sent[self._loose]
        return int(((sent >= begin_ns) & (sent <= end_ns)).sum())

    def _by_exchange(self) -> dict[int, list[int]]:
        if self._queries is None:
            self._queries = {}
            q = self.samples.queries
            row_of = dict(zip(q.id.tolist(), range(len(q)), strict=True))
            for owner in owners_of_queries(self.capture, q) if len(q) else ():
                row = row_of[owner.query_id]
                if owner.exchange_id is not None:
                    self._queries.setdefault(owner.exchange_id, []).append(row)
                elif owner.how == "ambiguous":
                    self._loose.append(row)
        return self._queries


def _visit(owners: _Owners, session: model.Session, why: str) -> Visit:
    capture = owners.capture
    key = "session_id" if capture.count(model.Session) else "client_id"
    exchanges = [
        e
        for e in capture.during(model.Exchange, "sent_ns", -(2**62), 2**62, **{key: session.id})
        if e.kind not in _SHOWN_BY_SOCKETS and not e.server_call and e.outcome is not Outcome.DROPPED
    ]
    exchanges.sort(key=lambda e: e.sent_ns if e.intended_ns is None else min(e.intended_ns, e.sent_ns))
    sockets = sorted((s for s in capture.sockets() if getattr(s, key) == session.id), key=lambda s: s.opened_ns)
    begin_ns = min([*map(_begin, exchanges[:1]), *(s.opened_ns for s in sockets[:1])], default=session.started_ns or 0)
    is_replay = capture.run.purpose not in ("record", "import", "browse")
    at_client = capture.run.vantage == "client"
    bars = tuple(_bar(owners, e, begin_ns, is_replay, at_client) for e in exchanges[:MOST_BARS])
    lanes = tuple(_lane(capture, s, begin_ns) for s in sockets)
    pages = sorted((p for p in capture.pages() if getattr(p, key) == session.id), key=lambda p: p.started_ns)
    loads = tuple(_load(page, begin_ns) for page in pages[:MOST_LOADS])
    ends = [*(bar.end_ns for bar in bars), *(lane.end_ns for lane in lanes), *(load.end_ns for load in loads)]
    span_ns = max(ends, default=0)
    return Visit(
        ref=f"session:{session.id}",
        who=session.label or session.identity or f"session {session.id}",
        why=why,
        state=session.state,
        span_ns=span_ns,
        bars=bars,
        lanes=lanes,
        loads=loads,
        bars_left_out=max(0, len(exchanges) - MOST_BARS),
        ambiguous=owners.ambiguous(begin_ns, begin_ns + span_ns),
    )


def _load(page: model.Page, begin_ns: int) -> Load:
    ends = [ns for ns in (page.load_ns, page.ended_ns) if ns is not None]
    paints = (("first paint", page.fcp_ns), ("largest paint", page.lcp_ns))
    return Load(
        ref=f"page {page.id}",
        route=page.route,
        kind=page.kind,
        begin_ns=page.started_ns - begin_ns,
        end_ns=(ends[0] if ends else page.started_ns) - begin_ns,
        paints=tuple((name, ns - begin_ns) for name, ns in paints if ns is not None),
    )


def _begin(e: model.Exchange) -> int:
    return e.sent_ns if e.intended_ns is None else min(e.intended_ns, e.sent_ns)


def _bar(owners: _Owners, e: model.Exchange, begin_ns: int, is_replay: bool, at_client: bool) -> Bar:
    ends = [ns for ns in (e.sent_ns, e.first_byte_ns, e.done_ns) if ns is not None]
    return Bar(
        ref=str(e.id),
        step=(e.source_exchange or 0) if is_replay else e.id,
        method=e.method,
        target=e.target,
        kind=e.kind,
        outcome=e.outcome,
        status=e.status,
        failed=e.outcome in FAILED,
        begin_ns=_begin(e) - begin_ns,
        end_ns=max(ends) - begin_ns,
        stretches=tuple(
            s._replace(begin_ns=s.begin_ns - begin_ns) for s in break_down(e, at_client=at_client)
        ),
        queries=tuple(q._replace(begin_ns=q.begin_ns - begin_ns) for q in owners.queries_of(e.id)),
    )  # fmt: skip


def _lane(capture: Capture, s: model.Socket, begin_ns: int) -> Lane:
    ticks = list(_ticks(capture, s, begin_ns))
    last_ns = max((t.at_ns for t in ticks), default=(s.connected_ns or s.opened_ns) - begin_ns)
    return Lane(
        ref=f"socket:{s.id}",
        title=f"{s.protocol} {s.target.partition('?')[0]}",
        begin_ns=s.opened_ns - begin_ns,
        end_ns=last_ns if s.closed_ns is None else s.closed_ns - begin_ns,
        end=end_of(s),
        ticks=tuple(ticks[:MOST_TICKS]),
        more=max(0, len(ticks) - MOST_TICKS),
    )


def _ticks(capture: Capture, s: model.Socket, begin_ns: int) -> Iterator[Tick]:
    packets: Iterable[model.Packet] = capture.packets(s.id)
    seen = False
    for p in packets:
        seen = True
        what = f"{p.type} {p.event or ''} {p.namespace or ''}" if p.type else p.engine_type
        yield Tick(p.stamp_ns - begin_ns, p.sender == "server", " ".join(what.split(" ")).strip())
    if not seen:
        for f in capture.frames(s.id):
            yield Tick(f.stamp_ns - begin_ns, f.sender == "server", f"{f.opcode} frame, {f.size:,} bytes")
