"""Reads everything around one exchange, socket, packet, query or session of a capture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

from nestperf.capture import model
from nestperf.capture.owners import ASKING, Asked, How, Span, owners_of
from nestperf.capture.reader import Capture
from nestperf.errors import CaptureError, CaptureForeign, CaptureTruncated, UsageError
from reports.views import Counterpart, ExchangeView, InsideQuery, QueryView, Ref, SessionView, SocketView, View

T = TypeVar("T")

NEIGHBOURS = 3
PACKETS_AROUND = 6
MOST_INSIDE = 200
"""Queries, calls and packets of one exchange that are read at most: a poll of an hour contains everything."""

MOST_OF_SESSION = 20_000
"""Queries that are looked through for those of one session."""
LONGEST_NS = 600_000_000_000
"""No exchange that asks for something is taken to last longer than ten minutes."""
LATEST_NS = 2**62


def look_up(capture: Capture, ref: Ref, source: Path | None) -> View:
    """Read what a reference names. `source`: the recording of a replay, where it is not beside it.

    Raises:
        UsageError: the capture has no such thing.
        CaptureError: `source` is no capture, or not the one that was replayed.
    """
    match ref.kind:
        case "socket":
            return _socket(capture, _found(capture.one(model.Socket, ref.id), capture, ref))
        case "packet":
            return _packet(capture, _found(capture.one(model.Packet, ref.id), capture, ref))
        case "session":
            known = {session.id: session for session in capture.sessions()}
            return _session(capture, _found(known.get(ref.id), capture, ref))
        case "query":
            return _query(capture, _found(capture.one(model.Query, ref.id), capture, ref))
    return _exchange(capture, _found(capture.exchange(ref.id), capture, ref), source)


def _found(row: T | None, capture: Capture, ref: Ref) -> T:
    if row is not None:
        return row
    ids = sorted(number for number in _ids(capture, ref.kind))
    known = f"they go from {ids[0]} to {ids[-1]}" if ids else "it holds none"
    raise UsageError(f"{capture.path} has no {ref.kind} {ref.id}: {known}.")


def _ids(capture: Capture, kind: str) -> Iterable[int]:
    if kind == "session":
        return [session.id for session in capture.sessions()]
    row_type = {"socket": model.Socket, "packet": model.Packet, "query": model.Query}.get(kind, model.Exchange)
    return [row_id for (row_id,) in capture.columns(row_type, "id")]


def _user(row: model.Exchange | model.Socket) -> dict[str, int]:
    """The columns that all rows of one user share; empty where nobody is known."""
    if row.session_id is not None:
        return {"session_id": row.session_id}
    return {} if row.client_id is None else {"client_id": row.client_id}


def _session_of(capture: Capture, row: model.Exchange | model.Socket) -> model.Session | None:
    return None if row.session_id is None else capture.one(model.Session, row.session_id)


def _exchange(capture: Capture, exchange: model.Exchange, source: Path | None) -> ExchangeView:
    e, same = exchange, _user(exchange)
    end_ns = max(e.sent_ns, e.done_ns or e.first_byte_ns or e.sent_ns)
    near = {
        later: tuple(capture.nearest(model.Exchange, "sent_ns", e.sent_ns, e.id, NEIGHBOURS, later=later, **same))
        for later in ((False, True) if same else ())
    }
    sockets = {s.id: s for s in capture.sockets() if same and _user(s) == same}
    during = capture.during(model.Packet, "stamp_ns", e.sent_ns, end_ns) if sockets else iter(())
    return ExchangeView(
        exchange=e,
        session=_session_of(capture, e),
        client=None if e.client_id is None else capture.one(model.Client, e.client_id),
        request_headers=capture.headers(e.request_headers),
        response_headers=capture.headers(e.response_headers),
        request_body=capture.body(e.request_body),
        response_body=capture.body(e.response_body),
        before=near.get(False, ()),
        after=near.get(True, ()),
        inside=() if e.server_call else tuple(_calls_inside(capture, e, end_ns)),
        cause=_cause(capture, e, end_ns) if e.server_call else None,
        queries=tuple(_queries_inside(capture, e, end_ns)),
        packets=tuple(islice((p for p in during if p.socket_id in sockets), MOST_INSIDE)),
        opened=next((s for s in sockets.values() if s.exchange_id == e.id), None),
        counterpart=_counterpart(capture, e, source),
        names=tuple(named.text for named in capture.named() if e.id in named.exchanges),
    )


def _calls_inside(capture: Capture, e: model.Exchange, end_ns: int) -> Iterator[model.Exchange]:
    """Server-side calls to other upstreams that began and ended within it."""
    during = capture.during(model.Exchange, "sent_ns", e.sent_ns, end_ns, server_call=1)
    calls = (c for c in during if c.upstream != e.upstream and (c.done_ns or c.sent_ns) <= end_ns)
    return islice(calls, MOST_INSIDE)


def _cause(capture: Capture, call: model.Exchange, end_ns: int) -> model.Exchange | None:
    """The last exchange of a browser that was under way all the while."""
    begun = capture.during(model.Exchange, "sent_ns", call.sent_ns - LONGEST_NS, call.sent_ns, server_call=0)
    around = [e for e in begun if e.kind in ASKING and e.upstream != call.upstream and (e.done_ns or 0) >= end_ns]
    return max(around, key=lambda e: e.sent_ns, default=None)


def _queries_inside(capture: Capture, e: model.Exchange, end_ns: int) -> Iterator[InsideQuery]:
    """The queries asked while it was under way, that are its own or may be."""
    if e.kind not in ASKING:
        return
    queries = {q.id: q for q in islice(capture.during(model.Query, "sent_ns", e.sent_ns, end_ns), MOST_INSIDE)}
    if not queries:
        return
    texts = {statement.id: statement.text for statement in capture.statements()}
    for query_id, owner, how in _owners(capture, list(queries.values())):
        if owner == e.id or how is How.AMBIGUOUS:
            query = queries[query_id]
            yield InsideQuery(query, texts.get(query.statement_id or 0, ""), how)


def _owners(capture: Capture, queries: list[model.Query]) -> Iterator[tuple[int, int | None, How]]:
    """Which exchange each query belongs to, as the report has it."""
    first_ns, last_ns = min(q.sent_ns for q in queries), max(q.sent_ns for q in queries)
    traces = capture.traces()
    spans = [
        Span(x.id, x.sent_ns, x.done_ns, x.upstream, x.server_call, traces.get(x.request_headers or 0))
        for x in capture.during(model.Exchange, "sent_ns", first_ns - LONGEST_NS, last_ns)
        if x.kind in ASKING
    ]
    named = {q.id: q.exchange_id for q in queries if q.exchange_id is not None}
    yield from ((query_id, exchange_id, How.TRACE) for query_id, exchange_id in named.items())
    asked = (Asked(q.id, q.sent_ns, q.done_ns, (q.trace or "")[:32] or None) for q in queries if q.id not in named)
    yield from owners_of(asked, spans)


def _counterpart(capture: Capture, e: model.Exchange, source: Path | None) -> Counterpart | None:
    run = capture.run
    if e.source_exchange is None or run.source_uid is None:
        return None
    path = source or capture.path.with_name(Path(run.source_path or "").name)
    ref = str(e.source_exchange)
    try:
        with Capture.open(path) as recording:
            if recording.run.uid == run.source_uid:
                return Counterpart(ref, str(path), recording.exchange(e.source_exchange))
            refusal = CaptureForeign(f"{path} is not the recording that {capture.path} replayed.")
    except CaptureError:
        if source is not None:
            raise
        return Counterpart(ref, run.source_path or "", None)
    if source is not None:
        raise refusal
    return Counterpart(ref, run.source_path or "", None)


def _socket(capture: Capture, socket: model.Socket) -> SocketView:
    packets = tuple(capture.packets(socket.id))
    shown, skipped = packets, 0
    if len(packets) > 4 * PACKETS_AROUND:
        shown = packets[: 2 * PACKETS_AROUND] + packets[-2 * PACKETS_AROUND :]
        skipped = len(packets) - len(shown)
    return SocketView(
        socket=socket,
        session=_session_of(capture, socket),
        packets=shown,
        skipped=skipped,
        skipped_at=2 * PACKETS_AROUND,
        total=len(packets),
        frames=sum(1 for _ in capture.frames(socket.id)),
    )


def _packet(capture: Capture, packet: model.Packet) -> SocketView:
    socket = capture.one(model.Socket, packet.socket_id)
    if socket is None:
        raise CaptureTruncated(f"{capture.path} has lost the socket of packet {packet.id}: copy it again.")
    packets = tuple(capture.packets(socket.id))
    place = next(place for place, other in enumerate(packets) if other.id == packet.id)
    answers = (p for p in packets if packet.id == p.answers or p.id == packet.answers)
    return SocketView(
        socket=socket,
        session=_session_of(capture, socket),
        packets=packets[max(0, place - PACKETS_AROUND) : place + PACKETS_AROUND + 1],
        skipped=0,
        skipped_at=0,
        total=len(packets),
        frames=sum(1 for _ in capture.frames(socket.id)),
        chosen=packet,
        answer=next(answers, None),
    )


def _session(capture: Capture, session: model.Session) -> SessionView:
    stored = capture.one(model.Session, session.id) is not None
    same = {"session_id" if stored else "client_id": session.id}
    exchanges = capture.during(model.Exchange, "sent_ns", -LONGEST_NS, LATEST_NS, **same)
    sockets = (s for s in capture.sockets() if (s.session_id if stored else s.client_id) == session.id)
    sent = tuple(sorted((e for e in exchanges if not e.server_call), key=lambda e: e.sent_ns))
    own, ambiguous = _queries_of(capture, sent)
    return SessionView(
        session=session,
        exchanges=sent,
        sockets=tuple(sorted(sockets, key=lambda s: s.opened_ns)),
        queries=own,
        ambiguous=ambiguous,
    )


def _queries_of(
    capture: Capture, exchanges: tuple[model.Exchange, ...]
) -> tuple[dict[int, tuple[model.Query, ...]], int]:
    """The queries that each exchange asked for sure, and how many may be theirs or another's."""
    spans = [(e.sent_ns, max(e.sent_ns, e.done_ns or e.sent_ns)) for e in exchanges if e.kind in ASKING]
    if not spans:
        return {}, 0
    first_ns, last_ns = min(begin for begin, _ in spans), max(end for _, end in spans)
    during = capture.during(model.Query, "sent_ns", first_ns, last_ns)
    queries = {query.id: query for query in islice(during, MOST_OF_SESSION)}
    if not queries:
        return {}, 0
    ids = {e.id for e in exchanges}
    found: dict[int, list[model.Query]] = {}
    ambiguous = 0
    for query_id, owner, how in _owners(capture, list(queries.values())):
        query = queries[query_id]
        if owner in ids:
            found.setdefault(owner, []).append(query)
        elif how is How.AMBIGUOUS and any(begin <= query.sent_ns <= end for begin, end in spans):
            ambiguous += 1
    return {owner: tuple(sorted(asked, key=lambda q: q.sent_ns)) for owner, asked in found.items()}, ambiguous


def _query(capture: Capture, query: model.Query) -> QueryView:
    statement = None if query.statement_id is None else capture.one(model.Statement, query.statement_id)
    (_, owner, how), *_ = _owners(capture, [query])
    return QueryView(
        query=query,
        statement="" if statement is None else statement.text,
        owner=None if owner is None else capture.exchange(owner),
        how=how,
    )
