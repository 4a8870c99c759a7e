"""One exchange, socket, packet, query or session with everything around it, for a terminal of 80 columns or more.

Every captured string passes `printable`. Nothing is measured or judged here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from nestperf.capture.model import Exchange, Query, Run, Session, Socket
from nestperf.capture.owners import How
from nestperf.console import duration, plural, size
from nestperf.printable import clip, printable
from reports.breakdown import Stretch, break_down
from reports.render.contents import first_lines, render_body, render_head
from reports.render.moments import moment, offset
from reports.render.outlines import outline
from reports.render.show_sockets import packet_rows, render_socket
from reports.render.table import INDENT, Row, facts, note, render_table
from reports.views import Counterpart, ExchangeView, QueryView, SessionView, SocketView, View

NARROWEST = 60
WIDEST = 140
_LABEL = 200
_BAR = 40
_MOST_ROWS = 60
_MOST_PACKETS = 12


def render_view(view: View, run: Run, file: str, width: int, *, lines: int, colour: bool) -> str:
    """All of it, ending with a newline."""
    width = max(NARROWEST, min(width, WIDEST))
    match view:
        case ExchangeView():
            sections = _exchange(view, run, file, width, lines)
        case SocketView():
            sections = render_socket(view, run, file, width, lines)
        case SessionView():
            sections = _session(view, run, file, width)
        case QueryView():
            sections = _query(view, run, file, width, lines)
    parts = []
    for title, body in sections:
        if body:
            shown = printable(title, width)
            parts.append("\n".join([click.style(shown, bold=True) if colour else shown, *body]))
    return "\n\n".join(parts) + "\n"


def _exchange(view: ExchangeView, run: Run, file: str, width: int, most: int) -> Iterator[tuple[str, list[str]]]:
    e = view.exchange
    at_client = run.vantage == "client"
    stretches = break_down(e, at_client=at_client)
    yield f"Exchange {e.id} of {file}", facts([*_facts_of(view, run)], width)
    yield "Time", _bars(stretches, e.relay_ns, width)
    start = f"{e.method} {e.target} {e.http_version}"
    head = view.request_headers or (("Host", e.authority),)
    body = render_body(view.request_body, width, most)
    yield f"Request, {size(e.request_bytes)}", [*render_head(start, head, width), *body]
    yield _answer_title(e), _answer(view, width, most)
    yield "Meanwhile, by a server", _exchange_rows(view.inside, e, width)
    yield "Most likely made for", _exchange_rows([view.cause] if view.cause else [], e, width)
    yield "Its queries", _query_rows(view, width)
    yield "Meanwhile, on the user's sockets", packet_rows(view.packets[:_MOST_PACKETS], e.sent_ns, width)
    around = [*view.before, e, *view.after]
    yield "Before and after, by the same user", _exchange_rows(around, e, width) if len(around) > 1 else []
    yield "Next", [INDENT + command for command in _next(view, file)]


def _facts_of(view: ExchangeView, run: Run) -> Iterator[tuple[str, str]]:
    e = view.exchange
    status = "no answer" if e.status is None else f"{e.status} {e.reason or ''}".strip()
    yield "what", printable(f"{e.method} {e.route}", _LABEL)
    yield "came to", printable(f"{e.outcome.replace('_', ' ')}, {status}", _LABEL)
    if e.detail:
        yield "because", printable(e.detail, _LABEL)
    yield "kind", f"{e.kind}{' by a server, not a browser' if e.server_call else ''}"
    yield "at", moment(e.sent_ns, run)
    if view.names:
        yield "under", printable("; ".join(view.names), _LABEL)
    if e.done_ns is not None and e.intended_ns is not None:
        yield "response time", duration(e.done_ns - e.intended_ns)
    if e.done_ns is not None:
        yield "service time", duration(e.done_ns - e.sent_ns)
    yield from _recorded(view.counterpart)
    if view.session is not None or view.client is not None:
        yield "user", _user(view.session, view)
    upstream = run.upstreams[e.upstream].url if e.upstream < len(run.upstreams) else ""
    connection = "" if e.connection is None else f", connection {e.connection}"
    yield "sent to", printable(f"{upstream}{connection}{'' if e.connect_ns is None else ', a new one'}", _LABEL)


def _recorded(counterpart: Counterpart | None) -> Iterator[tuple[str, str]]:
    if counterpart is None:
        return
    where = f"exchange {counterpart.ref} of {printable(counterpart.file, 80)}"
    e = counterpart.exchange
    if e is None:
        yield "recorded as", f"{where} (not beside this one: --source FILE)"
        return
    took = "" if e.done_ns is None else f" in {duration(e.done_ns - e.sent_ns)} (service time)"
    yield "recorded as", f"{where}: {e.status or e.outcome.replace('_', ' ')}{took}"


def _user(session: Session | None, view: ExchangeView) -> str:
    parts = []
    if session is not None:
        parts.append(f"session:{session.id}")
        parts += [printable(name, 60) for name in (session.identity, session.label) if name]
    if view.client is not None:
        agent = "" if session else printable(view.client.user_agent, 60)
        parts += [printable(view.client.address, 60), *([agent] if agent else [])]
    return ", ".join(dict.fromkeys(parts))


def _bars(stretches: tuple[Stretch, ...], added_ns: int | None, width: int) -> list[str]:
    """Each part as a bar at its place in the whole."""
    whole = sum(stretch.length_ns for stretch in stretches)
    if not whole:
        return []
    begin = stretches[0].begin_ns
    room = min(_BAR, width - 30)
    lines = []
    for part, begin_ns, length_ns in stretches:
        left = round((begin_ns - begin) / whole * room)
        filled = max(1, round((begin_ns - begin + length_ns) / whole * room) - left)
        bar = (" " * min(left, room - 1) + "█" * filled)[:room]
        lines.append(f"{INDENT}{part:<14}  {bar:<{room}}  {duration(length_ns):>8}")
    return lines + ([] if added_ns is None else note(f"nestperf added {duration(added_ns)} of it.", width))


def _answer_title(e: Exchange) -> str:
    return "No answer" if e.status is None else f"Answer, {size(e.response_bytes)}"


def _answer(view: ExchangeView, width: int, most: int) -> list[str]:
    e = view.exchange
    if e.status is None:
        return [f"{INDENT}{printable(e.detail or e.outcome.replace('_', ' '), width - 2)}"]
    lines = render_head(f"{e.http_version} {e.status} {e.reason or ''}".rstrip(), view.response_headers, width)
    lines += render_body(view.response_body, width, most)
    if view.response_body is None and e.source_exchange is not None:
        what = "its body, if it had one," if view.response_headers else "head and body"
        lines.append(f"{INDENT}({what} not stored: replays keep those of failures and of the slowest)")
    return lines


def _exchange_rows(exchanges: Iterable[Exchange], chosen: Exchange, width: int) -> list[str]:
    rows = [
        Row(
            label=printable(f"{e.method} {e.target.partition('?')[0]}", _LABEL),
            lead=f"{'›' if e.id == chosen.id else ' '} {e.id}",
            cells=(
                "" if e.status is None else str(e.status),
                e.outcome.replace("_", " "),
                "" if e.done_ns is None else duration(e.done_ns - e.sent_ns),
                offset(e.sent_ns - chosen.sent_ns),
            ),
        )
        for e in exchanges
    ]
    return render_table(("status", "outcome", "took", "sent"), rows, width) if rows else []


def _query_rows(view: ExchangeView, width: int) -> list[str]:
    rows = [
        Row(
            label=clip(printable(outline(" ".join(inside.statement.split()))), _LABEL),
            lead=f"query:{inside.query.id}",
            cells=(
                str(inside.query.rows),
                "" if inside.query.done_ns is None else duration(inside.query.done_ns - inside.query.started_ns),
                offset(inside.query.sent_ns - view.exchange.sent_ns),
                "perhaps" if inside.how is How.AMBIGUOUS else "",
            ),
        )
        for inside in view.queries[:_MOST_ROWS]
    ]
    if not rows:
        return []
    lines = render_table(("rows", "took", "sent", "its own"), rows, width, cut=clip)
    left = len(view.queries) - len(rows)
    return lines + (note(f"{left:,} more queries.", width) if left > 0 else [])


def _next(view: ExchangeView, file: str) -> Iterator[str]:
    show = f"nestperf show {printable(file, _LABEL)}"
    if view.counterpart is not None and view.counterpart.exchange is not None:
        yield f"nestperf show {printable(view.counterpart.file, _LABEL)} {view.counterpart.ref}   as it was recorded"
    if view.session is not None:
        yield f"{show} session:{view.session.id}   all that this user did"
    if view.opened is not None:
        yield f"{show} socket:{view.opened.id}   the connection that this opened"


def _session(view: SessionView, run: Run, file: str, width: int) -> Iterator[tuple[str, list[str]]]:
    s = view.session
    begin_ns = s.intended_ns if s.intended_ns is not None else s.started_ns or 0
    pairs = [("who", printable(", ".join(filter(None, (s.identity, s.label))), _LABEL)), ("state", s.state)]
    if s.started_ns is not None:
        pairs.append(("began", moment(s.started_ns, run)))
        pairs += [] if s.ended_ns is None else [("lasted", duration(s.ended_ns - s.started_ns))]
    if s.source_session is not None:
        pairs.append(("plays", f"session:{s.source_session} of {printable(run.source_path or 'the recording', 80)}"))
    yield f"Session {s.id} of {file}", facts(pairs, width)
    end_ns = max([e.done_ns or e.sent_ns for e in view.exchanges] + [begin_ns + 1])
    lines = _waterfall(view, begin_ns, end_ns, width)
    if view.ambiguous:
        which = plural(view.ambiguous, "query", "queries")
        lines += note(f"{which} more may be this visit's or another's.", width)
    left = len(view.exchanges) - _MOST_ROWS
    yield f"What it sent ({len(view.exchanges):,})", lines + (note(f"{left:,} more.", width) if left > 0 else [])
    sockets = [
        f"{INDENT}socket:{socket.id}  {printable(socket.target.partition('?')[0], 40)}  {_lasted(socket)}"
        for socket in view.sockets
    ]
    yield "Its sockets", sockets


def _lasted(s: Socket) -> str:
    return "open to the end" if s.closed_ns is None else f"open for {duration(s.closed_ns - s.opened_ns)}"


def _waterfall(view: SessionView, begin_ns: int, end_ns: int, width: int) -> list[str]:
    """One line an exchange: its number, what it was, and a bar at its place in the session; below it, one line for all
    queries that it asked."""
    room = max(12, min(_BAR, width - 56))
    rows = []
    for e in view.exchanges[:_MOST_ROWS]:
        bar = _at([(e.sent_ns, e.done_ns or e.sent_ns)], (begin_ns, end_ns), room, "█")
        status = e.outcome.replace("_", " ") if e.status is None else str(e.status)
        took = "" if e.done_ns is None else duration(e.done_ns - e.sent_ns)
        label = printable(f"{e.method} {e.target.partition('?')[0]}", _LABEL)
        rows.append(Row(label=label, lead=str(e.id), cells=(status, took, bar)))
        if (asked := view.queries.get(e.id)) is not None:
            rows.append(_queries_row(asked, (begin_ns, end_ns), room))
    return render_table(("status", "took", "when"), rows, width) if rows else []


def _queries_row(asked: tuple[Query, ...], span: tuple[int, int], room: int) -> Row:
    took_ns = sum(q.done_ns - q.started_ns for q in asked if q.done_ns is not None)
    bar = _at([(q.sent_ns, q.done_ns or q.sent_ns) for q in asked], span, room, "▄")
    texts = plural(len({q.statement_id for q in asked}), "statement")
    return Row(
        label=f"  {plural(len(asked), 'query', 'queries')}, {texts}", lead="", cells=("SQL", duration(took_ns), bar)
    )


def _at(stretches: Iterable[tuple[int, int]], span: tuple[int, int], room: int, mark: str) -> str:
    """Stretches of time at their places in a span."""
    bar = ["·"] * room
    begin_ns, end_ns = span
    for from_ns, to_ns in stretches:
        left = min(max(round((from_ns - begin_ns) / (end_ns - begin_ns) * room), 0), room - 1)
        right = min(round((to_ns - begin_ns) / (end_ns - begin_ns) * room), room)
        for place in range(left, max(right, left + 1)):
            bar[place] = mark
    return "".join(bar)


def _query(view: QueryView, run: Run, file: str, width: int, most: int) -> Iterator[tuple[str, list[str]]]:
    q = view.query
    pairs = [("came to", " ".join(filter(None, (q.outcome, q.sqlstate)))), ("at", moment(q.sent_ns, run))]
    if q.done_ns is not None:
        pairs.append(("took", duration(q.done_ns - q.started_ns)))
    if q.started_ns > q.sent_ns:
        pairs.append(("waited", f"{duration(q.started_ns - q.sent_ns)} behind the query before it on its connection"))
    if q.first_row_ns is not None:
        pairs.append(("first row", f"after {duration(q.first_row_ns - q.started_ns)}"))
    names = ", ".join(printable(name, 40) for name in (q.database, q.application) if name)
    pairs += [("rows", f"{q.rows:,}"), ("database", names), ("protocol", q.protocol)]
    if q.transaction_state:
        pairs.append(("transaction", f"{q.transaction_state} after it"))
    pairs.append(("asked by", _owner(view)))
    yield f"Query {q.id} of {file}", facts(pairs, width)
    yield "Statement", first_lines(view.statement, width, most) if view.statement else []
    yield "Parameters", first_lines(q.parameters, width, most) if q.parameters else []
    if view.owner is not None:
        yield "Next", [f"{INDENT}nestperf show {printable(file, _LABEL)} {view.owner.id}   the exchange that asked"]


def _owner(view: QueryView) -> str:
    if view.owner is not None:
        sure = "named by its trace" if view.how is How.TRACE else "the only one under way then"
        return printable(f"exchange {view.owner.id}, {view.owner.method} {view.owner.route} ({sure})", _LABEL)
    return "one of several exchanges" if view.how is How.AMBIGUOUS else "no exchange: background work"
