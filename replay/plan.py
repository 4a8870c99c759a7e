"""From a capture to sessions of steps: what is sent, what it waits for, what is not sent and why.

Pure but for reading the capture; the same capture always gives the same plan. What becomes of a session's moments is
in `replay.moments`, how connections are read in `replay.packets` and `replay.frames`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from nestperf.capture.kinds import SAFE_METHODS, field
from nestperf.capture.model import NESTPERF, Body, Exchange, Kind, Outcome, Packet, Session, Socket
from nestperf.capture.reader import Capture
from nestperf.capture.remarks import TRIMMED
from nestperf.capture.routes import route_of
from nestperf.capture.vault import Vault
from nestperf.console import plural
from nestperf.errors import CaptureEmpty, UsageError
from replay.frames import Message, cue_of_end, heard_of, messages_of, says_of
from replay.moments import Moment, people_in, plan_session
from replay.openings import Opening, closed_by_server, handshake_fields, opening_target, openings_of, polls_of
from replay.originals import Originals
from replay.packets import heard_in, replies_of, sent_as
from replay.provenance.answers import Answered, Heard
from replay.provenance.rules import Rules
from replay.provenance.supply import originals_of, supply, unneeded
from replay.shape import learn_shapes
from replay.steps import (
    Action,
    Close,
    Http,
    Open,
    Permission,
    Plan,
    SessionPlan,
    Skipped,
)

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NO_RULES = Rules()


def build_plan(
    capture: Capture,
    vault: Vault | None,
    permissions: Sequence[Permission] = (),
    rules: Rules = _NO_RULES,
    columns: Sequence[str] = (),
    *,
    check_bodies: bool = False,
) -> Plan:
    """Plan the replay of `capture`, secrets revealed through its `vault`; `permissions` by upstream, none: everything.

    What may not be sent is left out before it is asked what waits for what: the rest keeps its recorded distances.

    Raises:
        CaptureEmpty: nothing in it can be sent.
        UsageError: one of `columns`, the names under which identities bring values, is sent nowhere.
        CaptureError: it cannot be read.
    """
    builder = _Builder(capture, vault, permissions, rules, columns)
    sessions = tuple(builder.sessions())
    if not sessions:
        reasons = sorted({skipped.reason for skipped in builder.skipped})
        why = f" ({'; '.join(reasons[:3])})" if reasons else ""
        raise CaptureEmpty(
            f"There is nothing to replay in {capture.path}{why}: record a session with `nestperf record URL`."
        )
    for column in columns:
        if column not in builder.known_columns:
            raise UsageError(
                f"The column {column!r} of the identities names nothing that {capture.path} sends: name columns after "
                "its form fields, JSON keys, headers or cookies, or call what is for people alone `identity`."
            )
    if check_bodies:
        sessions = tuple(builder.shapes(sessions))
    return Plan(sessions=sessions, skipped=tuple(builder.skipped), notes=builder.notes())


_WITHOUT_BODIES = (
    "Its bodies were taken out: what had a body is not sent, and no value is followed out of an answer's body, so "
    "nobody signs in; --identities or --identity-command give users tokens of their own."
)


class _Builder:
    """One pass over a capture."""

    def __init__(
        self,
        capture: Capture,
        vault: Vault | None,
        permissions: Sequence[Permission],
        rules: Rules,
        columns: Sequence[str],
    ) -> None:
        self.capture = capture
        self.columns = columns
        self.known_columns: set[str] = set()
        self.rules = rules
        self.permissions = permissions
        self._originals = Originals(capture, vault)
        self.skipped: list[Skipped] = []
        self._taken_out = {entry["what"] for entry in capture.run.settings.get(TRIMMED, ())}
        self._by_client: dict[int | None, int] = {}
        self._end_ns = 0
        self._server_calls: Counter[int] = Counter()
        """By upstream."""

    def notes(self) -> tuple[str, ...]:
        """What is to be known of the plan as a whole, sentences in order of the alphabet."""
        without = {_WITHOUT_BODIES} if self._taken_out & {"bodies", "payloads"} else set()
        return tuple(sorted(self._originals.notes | without | set(self._by_servers())))

    def _by_servers(self) -> Iterator[str]:
        """Where the application called itself: through the recorder, which is gone."""
        for upstream, count in sorted(self._server_calls.items()):
            known = self.capture.run.upstreams[upstream : upstream + 1]
            if known and known[0].listen is not None:
                yield (
                    f"{plural(count, 'server-side call')} came through the recorder, at {known[0].listen}: the "
                    "application has to reach itself without it now"
                )

    def sessions(self) -> Iterator[SessionPlan]:
        """The sessions in which something is sent, in order of arrival."""
        known = self.capture.sessions()
        self._by_client = {session.client_id: session.id for session in known if session.vu is None}
        agents = {client.id: client.user_agent for client in self.capture.clients()}
        exchanges = list(self.capture.exchanges())
        sockets = list(self.capture.sockets())
        self._end_ns = max([e.done_ns or e.sent_ns for e in exchanges] + [self.capture.run.ended_ns or 0])
        moments: dict[int, list[Moment]] = defaultdict(list)
        secrets: dict[int | None, set[str]] = defaultdict(set)
        heard: dict[int, list[Heard]] = defaultdict(list)
        partial = {self._owner(exchange) for exchange in exchanges if _is_numbers_only(exchange)}
        self._server_calls.update(exchange.upstream for exchange in exchanges if exchange.server_call)
        for exchange in exchanges:
            owner = self._owner(exchange)
            if owner in partial:
                self._skip(exchange, "of its visit only the numbers were stored")
                continue
            moment = self._exchange(exchange, owner)
            secrets[owner] |= self._originals.claim()
            if moment is not None and owner is not None:
                moments[owner].append(moment)
        openings = openings_of(exchanges, sockets)
        packets = self._packets()
        for socket in sockets:
            owner = self._owner(socket)
            if owner is not None and owner not in partial:
                sent, hears = self._connection(socket, openings.get(socket.id), packets.get(socket.id, []))
                moments[owner] += sent
                heard[owner] += hears
                secrets[owner] |= self._originals.claim()
        for session in known:
            if moments.get(session.id):
                agent = agents.get(session.client_id or 0, "")
                told = tuple(sorted(secrets[session.id]))
                for person in people_in(session, moments[session.id], heard[session.id]):
                    planned = self._planned(person.session, agent, person.moments, person.heard)
                    if planned is not None:
                        yield replace(planned, secrets=told)

    def _planned(self, session: Session, agent: str, moments: list[Moment], heard: list[Heard]) -> SessionPlan | None:
        """A session as it is sent by users of their own identity; None where nothing of it is left."""
        planned = plan_session(session.id, session.label, agent, moments, heard, self.rules)
        if not self.columns:
            return planned
        originals = originals_of(planned, self.columns)
        self.known_columns.update(originals)
        dropped = unneeded(planned, originals)
        for index in dropped:
            action = planned.steps[index].action
            assert isinstance(action, Http)
            assert action.source is not None
            name = f"{action.method} {action.route}"
            self.skipped.append(Skipped("exchanges", action.source, name, "identities bring what it was sent for"))
        if dropped:
            left = [moment for index, moment in enumerate(moments) if index not in dropped]
            if not left:
                return None
            planned = plan_session(session.id, session.label, agent, left, heard, self.rules)
        return supply(planned, originals)

    def shapes(self, plans: Sequence[SessionPlan]) -> Iterator[SessionPlan]:
        """The sessions with the shapes of their answers, learnt from all of them."""
        shapes = learn_shapes(self._answers())
        for planned in plans:
            asked = {step.index: shapes.get(_request(step.action)) for step in planned.steps}
            yield replace(planned, shapes={index: shape for index, shape in asked.items() if shape is not None})

    def _answers(self) -> Iterator[tuple[str, str]]:
        for exchange in self.capture.exchanges():
            answer = None if exchange.server_call else self._answer(exchange)
            if answer is not None and answer.text is not None and "json" in answer.media_type:
                yield f"{exchange.method} {exchange.route} {exchange.status}", answer.text

    def _owner(self, row: Exchange | Socket) -> int | None:
        return row.session_id if row.session_id is not None else self._by_client.get(row.client_id)

    def _skip(self, exchange: Exchange, reason: str) -> None:
        self.skipped.append(Skipped("exchanges", exchange.id, f"{exchange.method} {exchange.route}", reason))

    def _refused(self, upstream: int, *, writes: bool) -> str | None:
        """Why nothing of that kind may be sent to an upstream; None where it may."""
        if upstream >= len(self.permissions):
            return None
        permission = self.permissions[upstream]
        if not permission.reads:
            return f"{permission.host} is not this machine: --allow-host {permission.host} allows it"
        if writes and not permission.writes:
            return f"a write to {permission.host}, which is not this machine: --allow-writes allows it"
        return None

    def _exchange(self, exchange: Exchange, session: int | None) -> Moment | None:
        writes = exchange.method.upper() not in SAFE_METHODS
        reason = _not_sent(exchange, session) or self._refused(exchange.upstream, writes=writes)
        body = self.capture.body(exchange.request_body)
        if reason is None and body is not None and body.state in ("cut", "omitted"):
            reason = "its body was not stored whole"
        if reason is not None:
            self._skip(exchange, reason)
            return None
        return Moment(self._http(exchange, body), exchange.sent_ns, _waited_until(exchange), self._answer(exchange))

    def _http(self, exchange: Exchange, body: Body | None) -> Http:
        headers = self._originals.head(exchange.request_headers)
        content = b"" if body is None else self._originals.reveal_bytes(body.content or b"")
        return Http(
            source=exchange.id,
            upstream=exchange.upstream,
            kind=exchange.kind,
            method=exchange.method,
            authority=exchange.authority,
            target=self._originals.reveal(exchange.target),
            route=exchange.route,
            version=exchange.http_version if exchange.http_version.startswith("HTTP/") else "HTTP/1.1",
            headers=headers,
            trailers=self._originals.head(exchange.request_trailers),
            body=content,
            coding=body.coding if body is not None and body.state == "whole" else "",
            media_type=field(headers, "content-type"),
            chunked=body.chunked if body is not None else "chunked" in field(headers, "transfer-encoding").lower(),
            connection=exchange.connection,
            status=exchange.status,
            hold_ns=self._hold_ns(exchange),
        )

    def _hold_ns(self, exchange: Exchange) -> int | None:
        if exchange.outcome is Outcome.UNFINISHED or exchange.done_ns is None:
            return max(0, self._end_ns - exchange.sent_ns)
        if exchange.outcome is Outcome.ABORTED:
            return exchange.done_ns - exchange.sent_ns
        return None

    def _answer(self, exchange: Exchange) -> Answered | None:
        if exchange.done_ns is None or exchange.status is None:
            return None
        text = None
        body = self.capture.body(exchange.response_body)
        media_type = "" if body is None else body.media_type.lower()
        if body is not None and body.state == "whole" and ("json" in media_type or "html" in media_type):
            text = self._originals.reveal_bytes(body.content or b"").decode("utf-8", "replace")
        known_ns = _known_ns(exchange)
        assert known_ns is not None
        return Answered(known_ns, self._originals.head(exchange.response_headers), text, media_type, exchange.status)

    def _packets(self) -> dict[int, list[Packet]]:
        by_socket: dict[int, list[Packet]] = defaultdict(list)
        for packet in self.capture.packets():
            if packet.type is not None:
                by_socket[packet.socket_id].append(packet)
        return by_socket

    def _connection(
        self, socket: Socket, opening: Opening | None, packets: list[Packet]
    ) -> tuple[list[Moment], list[Heard]]:
        """What the client did on a connection, and what it was told there."""
        reason = _socket_not_sent(socket, opening) or self._refused(socket.upstream, writes=False)
        if reason is None and "payloads" in self._taken_out:
            reason = "what was said on it was taken out of the capture"
        if reason is not None:
            self.skipped.append(Skipped("sockets", socket.id, route_of(socket.target), reason))
            return [], []
        assert opening is not None
        done_ns = socket.connected_ns or socket.closed_ns
        opened = Moment(self._open(socket, opening, packets), socket.opened_ns, done_ns)
        unwritten = self._refused(socket.upstream, writes=True)
        messages: list[Message] = []
        if socket.protocol == "websocket":
            messages = list(messages_of(self.capture.frames(socket.id), self._originals.reveal_bytes))
            heard = list(heard_of(socket.id, messages))
            moments = [opened, *self._said(socket, messages, unwritten)]
        else:
            heard = list(heard_in(packets, self._originals))
            moments = [opened, *self._packets_sent(packets, unwritten)]
        return [*moments, self._end(socket, messages)], heard

    def _end(self, socket: Socket, messages: Sequence[Message]) -> Moment:
        closed_ns = socket.closed_ns if socket.closed_ns is not None else max(self._end_ns, socket.opened_ns)
        close = Close(
            socket=socket.id,
            code=socket.close_code,
            reason=socket.close_reason or "",
            cut=socket.closed_by in ("cut", NESTPERF),
            by_server=closed_by_server(socket),
            cue=cue_of_end(messages, closed_ns) if socket.closed_by == "client" else None,
        )
        return Moment(close, closed_ns, closed_ns)

    def _packets_sent(self, packets: list[Packet], unwritten: str | None) -> Iterator[Moment]:
        for position, packet in enumerate(packets):
            if packet.sender != "client":
                continue
            if unwritten is not None and packet.type in ("event", "ack"):
                self.skipped.append(Skipped("packets", packet.id, packet.event or packet.type, unwritten))
            else:
                yield from sent_as(packet, packets[position + 1 :], self._originals)

    def _said(self, socket: Socket, messages: Sequence[Message], unwritten: str | None) -> Iterator[Moment]:
        for message, say in says_of(socket.id, messages):
            reason = "it was not stored whole" if say is None else unwritten if say.opcode != "ping" else None
            if say is None or reason is not None:
                self.skipped.append(Skipped("frames", message.id, route_of(socket.target), reason or ""))
            else:
                yield Moment(say, message.stamp_ns, message.stamp_ns)

    def _open(self, socket: Socket, opening: Opening, packets: list[Packet]) -> Open:
        target = opening_target(self._originals.reveal(socket.target))
        polls = polls_of(opening, self._originals.head) if socket.protocol == "socket.io" else None
        recorded = self._originals.head(opening.first.request_headers)
        by_server = closed_by_server(socket)
        return Open(
            socket=socket.id,
            source=opening.first.id,
            upstream=socket.upstream,
            authority=socket.authority,
            target=target,
            route=route_of(target),
            headers=handshake_fields(recorded) if polls is None else recorded,
            polls=polls,
            replies=() if self._refused(socket.upstream, writes=True) else tuple(replies_of(packets, self._originals)),
            closed_by_server=by_server,
            protocol="websocket" if socket.protocol == "websocket" else "socket.io",
            subprotocol=field(self._originals.head(opening.first.response_headers), "sec-websocket-protocol"),
            close_code=socket.close_code if by_server else None,
        )


def _request(action: Action) -> str:
    return f"{action.method} {action.route} {action.status}" if isinstance(action, Http) else ""


def _not_sent(exchange: Exchange, session: int | None) -> str | None:
    if exchange.server_call:
        return "a server-side call: the application makes it itself"
    if exchange.kind is Kind.POLL:
        return "a Socket.IO poll: the connection's own step does it"
    if exchange.kind is Kind.UPGRADE:
        return "an upgrade: the connection's own step does it"
    if exchange.outcome is Outcome.DROPPED:
        return "it was never sent"
    if exchange.request_headers is None or exchange.request_done_ns is None:
        return "its request was never complete"
    if exchange.method == "CONNECT":
        return "a tunnel"
    if session is None:
        return "nobody is known to have sent it"
    return None


def _is_numbers_only(exchange: Exchange) -> bool:
    """A replay stores heads and bodies of a sample; a visit outside of it cannot be repeated."""
    return exchange.request_headers is None and exchange.request_done_ns is not None


def _socket_not_sent(socket: Socket, opening: Opening | None) -> str | None:
    if socket.protocol not in ("socket.io", "websocket"):
        return "what it spoke was not understood"
    if socket.protocol == "socket.io" and socket.version not in (4, None):
        return f"Engine.IO protocol {socket.version}, of which only 4 is replayed"
    if opening is None:
        return "the request that opened it was not recorded"
    return None


def _waited_until(exchange: Exchange) -> int | None:
    if exchange.kind is Kind.STREAM or exchange.outcome in (Outcome.UNFINISHED, Outcome.ABORTED):
        return None
    return _known_ns(exchange)


def _known_ns(exchange: Exchange) -> int | None:
    """When the client had what it needed to go on: a redirect is followed at its head, whatever comes after that (where
    only the end of the connection ends the answer, the next request is on its way by then)."""
    if exchange.status in _REDIRECTS and exchange.first_byte_ns is not None:
        return exchange.first_byte_ns
    return exchange.done_ns
