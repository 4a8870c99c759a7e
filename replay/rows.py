"""Makes rows of what the loop told the journal, secrets taken out. In the storing thread: redacting takes its time."""

from __future__ import annotations

import json
from collections.abc import Callable

from nestperf.capture.contents import Contents
from nestperf.capture.kinds import field
from nestperf.capture.model import Exchange, Frame, Outcome, Packet, Pairs, Row, Session, Socket
from nestperf.capture.redaction import Redactor
from nestperf.capture.routes import route_of
from nestperf.capture.secret_names import SecretNames
from nestperf.capture.vault import Vault
from replay.records import ExchangeRecord, FrameRecord, PacketRecord, Record, SessionRecord
from replay.steps import Http
from replay.transport.answer import Answer, Request, head_pairs


class Rows:
    """Makes the rows of one capture. Knows what each visit under way may send."""

    def __init__(self, vault: Vault, names: SecretNames, add: Callable[[Row], None]) -> None:
        """`add` takes the rows of heads and bodies, which others refer to."""
        self._vault = vault
        self._names = names
        self._contents = Contents(self._new_redactor(), add)
        self._sources: dict[int | None, tuple[int | None, tuple[str, ...]]] = {}
        """By session under way: the recorded session, and the secrets of it that a redactor must know."""
        self._shared: dict[int, Redactor] = {}
        """By recorded session."""
        self._redactors: dict[int | None, Redactor] = {}
        """By session that has packets: what one user was given is looked for in that user's packets. One for all would
        have to look for every token of thousands of visits."""

    def row_of(self, record: Record) -> Row:
        """The row of one record; the heads, bodies and attachments that it refers to are added on the way."""
        if isinstance(record, ExchangeRecord):
            self._contents.redactor = self._redactor(record.session_id, shared=True)
            return self._exchange(record)
        if isinstance(record, PacketRecord):
            self._contents.redactor = self._redactor(record.session_id)
            return self._packet(record)
        if isinstance(record, FrameRecord):
            self._contents.redactor = self._redactor(record.session_id)
            return self._frame(record)
        if isinstance(record, SessionRecord):
            return self._session(record)
        if isinstance(record, Socket):
            return record._replace(target=self._redactor(record.session_id).target(record.target))
        return record

    def pattern(self, action: Http, request: Request | None, secrets: tuple[str, ...]) -> Exchange:
        """What all exchanges of a step have in common.

        `request` where it is always the same, else None: then heads and bodies are those of nobody. `secrets`: the
        originals that may stand in it.
        """
        redactor = self._contents.redactor = self._new_redactor()
        _make_known(redactor, secrets)
        target = redactor.target(action.target)
        row = _NO_EXCHANGE._replace(
            upstream=action.upstream,
            kind=action.kind,
            method=action.method,
            authority=action.authority,
            target=target,
            route=route_of(target),
            status=action.status,
            source_exchange=action.source,
        )
        if request is not None:
            row = self._with_request(row, request, action.trailers)
        return row

    def _new_redactor(self) -> Redactor:
        return Redactor(self._vault, names=self._names)

    def _redactor(self, session_id: int | None, *, shared: bool = False) -> Redactor:
        """What looks for a session's secrets. Exchanges outside of the sample are few and from many sessions: those
        share one for each recorded session, because one that is new to that many secrets takes long to make."""
        own = self._redactors.get(session_id)
        if own is not None:
            return own
        source, secrets = self._sources.get(session_id, (None, ()))
        if shared and source is not None:
            redactor = self._shared.get(source)
            if redactor is None:
                redactor = self._shared[source] = self._knowing(secrets)
            return redactor
        redactor = self._redactors[session_id] = self._knowing(secrets)
        return redactor

    def _knowing(self, secrets: tuple[str, ...]) -> Redactor:
        redactor = self._new_redactor()
        _make_known(redactor, secrets)
        return redactor

    def _session(self, record: SessionRecord) -> Session:
        if record.over:
            self._redactors.pop(record.row.id, None)
            self._sources.pop(record.row.id, None)
        else:
            self._sources[record.row.id] = (record.row.source_session, record.secrets)
        return record.row

    def _exchange(self, record: ExchangeRecord) -> Exchange:
        answer = record.answer
        redactor = self._contents.redactor
        _make_known(redactor, record.secrets)
        target = redactor.target(record.target)
        row = Exchange(
            id=record.id,
            session_id=record.session_id,
            client_id=record.client_id,
            connection=answer.connection,
            upstream=answer.upstream,
            kind=record.kind,
            server_call=False,
            method=answer.request.method,
            authority=record.authority,
            target=target,
            route=route_of(target),
            http_version="HTTP/1.1",
            request_headers=None,
            request_trailers=None,
            request_body=None,
            request_bytes=answer.request_bytes,
            status=answer.status,
            reason=self._contents.redactor.text(answer.reason) or None,
            response_headers=None,
            response_trailers=None,
            response_body=None,
            response_bytes=answer.response_bytes,
            interim=None,
            intended_ns=record.intended_ns,
            sent_ns=answer.sent_ns if answer.sent_ns is not None else record.intended_ns,
            request_done_ns=answer.request_done_ns,
            first_byte_ns=answer.first_byte_ns,
            done_ns=None if record.unsent else answer.done_ns,
            connect_ns=answer.connect_ns,
            relay_ns=None,
            outcome=record.outcome,
            detail=record.detail,
            source_exchange=record.source,
        )
        if not record.kept:
            return row
        return self._with_answer(self._with_request(row, answer.request, record.trailers), answer)

    def _with_request(self, row: Exchange, request: Request, trailers: Pairs) -> Exchange:
        headers = head_pairs(request.head)
        return row._replace(
            request_body=self._contents.body(
                request.body,
                media_type=field(headers, "content-type"),
                coding=field(headers, "content-encoding"),
                chunked=request.chunked,
                request=True,
            ),
            request_headers=self._contents.headers(headers),
            request_trailers=self._contents.headers(trailers) if trailers else None,
        )

    def _with_answer(self, row: Exchange, answer: Answer) -> Exchange:
        body = self._response_body(answer)
        interim = [[early.status, self._contents.headers(early.headers), early.stamp_ns] for early in answer.interim]
        return row._replace(
            response_body=body,
            response_headers=self._contents.headers(answer.headers) if answer.status is not None else None,
            response_trailers=self._contents.headers(answer.trailers) if answer.trailers else None,
            interim=json.dumps(interim) if interim else None,
        )

    def _response_body(self, answer: Answer) -> int | None:
        if not answer.body:
            return None
        collector = self._contents.collect(field(answer.headers, "content-encoding"), request=False)
        for piece in answer.body:
            collector.add(piece)
        media_type = field(answer.headers, "content-type")
        chunked = "chunked" in field(answer.headers, "transfer-encoding").lower()
        whole = answer.whole and answer.body_complete
        return self._contents.store(collector, media_type=media_type, chunked=chunked, whole=whole)

    def _packet(self, record: PacketRecord) -> Packet:
        seen = record.seen
        payload = seen.payload
        if payload is not None:
            payload = self._contents.redactor.payload(seen.type, payload)
        attachments = [self._contents.attachment(content) for content in seen.attachments]
        return Packet(
            id=record.id,
            socket_id=record.socket_id,
            frame_id=None,
            exchange_id=record.exchange_id,
            sender=seen.sender,
            stamp_ns=seen.stamp_ns,
            done_ns=seen.done_ns,
            engine_type=seen.engine_type,
            type=seen.type,
            namespace=seen.namespace,
            event=seen.event and self._contents.redactor.text(seen.event),
            ack_id=seen.ack_id,
            payload=payload,
            attachments=json.dumps(attachments) if attachments else None,
            size=seen.size,
            answers=record.answers,
            intended_ns=record.intended_ns,
            source_packet=record.source,
        )

    def _frame(self, record: FrameRecord) -> Frame:
        seen, content = record.seen, record.content
        if content is not None and seen.opcode == "binary":
            content = self._contents.redactor.body(content, "application/octet-stream")
        elif content is not None:
            text = content.decode("utf-8", "surrogateescape")
            content = self._contents.redactor.payload(None, text).encode("utf-8", "surrogateescape")
        return Frame(
            id=record.id,
            socket_id=record.socket_id,
            sender=record.sender,
            stamp_ns=seen.stamp_ns,
            done_ns=seen.done_ns,
            opcode=seen.opcode,
            fin=seen.fin,
            compressed=seen.compressed,
            wire_size=seen.wire_size,
            size=seen.size,
            content=content,
        )


_NO_EXCHANGE = Exchange._make([None] * len(Exchange._fields))._replace(
    server_call=False, http_version="HTTP/1.1", outcome=Outcome.OK
)


def _make_known(redactor: Redactor, secrets: tuple[str, ...]) -> None:
    if secrets:
        # Every string of a CONNECT's auth is a secret: so these are known before anything is stored.
        redactor.payload("connect", json.dumps(secrets, ensure_ascii=False))
