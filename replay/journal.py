"""Turns what happened into rows and stores them, off the loop: the loop only appends, a thread redacts and writes.

Ids are given on the loop, so that rows can name each other before they are stored. Bodies of answers are kept where
somebody will ask for them; what is not kept is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from nestperf.capture.contents import Contents
from nestperf.capture.kinds import field
from nestperf.capture.model import Client, Exchange, Kind, Outcome, Packet, Pairs, Row, Run, Session, Socket
from nestperf.capture.redaction import Redactor
from nestperf.capture.routes import route_of
from nestperf.capture.vault import Vault
from nestperf.capture.writer import CaptureWriter
from nestperf.errors import UsageError
from nestperf.wire.observations import PacketSeen
from replay.transport.http import Answer

SAMPLE = 3
"""Answers to each recorded exchange whose bodies are kept, the first ones."""
FAILURES = 1000
"""Bodies of failures and mismatches that are kept in one run."""
_SLICE = 200
"""Records stored in one transaction: the thread holds the interpreter for short moments only."""
_EVERY_S = 0.2


class ExchangeRecord(NamedTuple):
    """An exchange that is over, as the loop knows it."""

    id: int
    session_id: int
    client_id: int
    kind: Kind
    authority: str
    target: str
    headers: Pairs
    trailers: Pairs
    body: bytes
    """Content-coded, as sent."""
    answer: Answer
    intended_ns: int
    unsent: bool
    """It was due and never went out."""
    outcome: Outcome
    detail: str | None
    source: int | None


class PacketRecord(NamedTuple):
    """A packet, sent or received."""

    id: int
    session_id: int
    socket_id: int
    seen: PacketSeen
    answers: int | None
    intended_ns: int | None
    source: int | None


class SessionRecord(NamedTuple):
    """A visit that begins or is over."""

    row: Session
    secrets: tuple[str, ...]
    """Originals out of the recording's vault that the visit may send."""
    over: bool


Record = ExchangeRecord | PacketRecord | SessionRecord | Socket | Client


class Journal:
    """The capture that a replay writes. `note` on the loop; `keep_storing` is a task beside it."""

    def __init__(self, writer: CaptureWriter, vault: Vault) -> None:
        self.writer = writer
        self.failure: str | None = None
        """Why the last attempt to store failed."""
        self.losses: Counter[str] = Counter()
        """What could not be stored, by kind of record."""
        self._vault = vault
        self._redactors: dict[int | None, Redactor] = {}
        """By session: what one user was given is looked for in that user's traffic. One for all would have to look
        for every token of thousands of visits in every field of every answer."""
        self._contents = Contents(Redactor(vault), writer.add)
        self._ended = asyncio.Event()
        self._pending: list[Record] = []
        self._kept: Counter[int] = Counter()
        self._failures_kept = 0
        self._exchanges = itertools.count(1)
        self._packets = itertools.count(1)
        self._sockets = itertools.count(1)
        self._sessions = itertools.count(1)

    def exchange_id(self) -> int:
        """The next exchange's id."""
        return next(self._exchanges)

    def packet_id(self) -> int:
        """The next packet's id."""
        return next(self._packets)

    def socket_id(self) -> int:
        """The next socket's id."""
        return next(self._sockets)

    def session_id(self) -> int:
        """The next session's id."""
        return next(self._sessions)

    def wants_sample(self, source: int) -> bool:
        """Whether the body of this answer belongs to the sample; counts it."""
        if self._kept[source] >= SAMPLE:
            return False
        self._kept[source] += 1
        return True

    def wants_failure(self) -> bool:
        """Whether the body of one more failure is kept; counts it."""
        self._failures_kept += 1
        return self._failures_kept <= FAILURES

    def note(self, record: Record) -> None:
        """Something is over, or began; it is stored soon."""
        self._pending.append(record)

    async def keep_storing(self) -> None:
        """Store what was noted, again and again, until `end_storing`; one thread at a time."""
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _EVERY_S)
            if self._pending:
                await asyncio.to_thread(self.store)

    def end_storing(self) -> None:
        """Let `keep_storing` come to its end."""
        self._ended.set()

    def store(self) -> None:
        """Store what was noted so far, in small slices. Not on the loop while it runs."""
        records, self._pending = self._pending, []
        for at in range(0, len(records), _SLICE):
            for record in records[at : at + _SLICE]:
                self._add(record)
            self._commit()

    def _add(self, record: Record) -> None:
        try:
            for row in self._rows(record):
                self.writer.add(row)
        except Exception as error:
            # A fault of ours costs one row, which is counted; it never ends the run.
            self.losses[type(record).__name__] += 1
            self.failure = f"{type(error).__name__}: {error}"

    def _commit(self) -> None:
        try:
            self.writer.commit()
            self.failure = None
        except Exception as error:
            # The disk is full, the file is locked, ...: the run goes on, the rows stay collected, the next slice
            # tries again.
            self.failure = str(error)

    def finish(self, run: Run) -> None:
        """Store the rest and the run's row, and close the file; what could not be stored is counted in the row.

        Raises:
            UsageError: not even that could be stored.
        """
        self.store()
        if self.writer.pending:
            self.losses.update(self.writer.discard_pending())
        try:
            self.writer.set_run(run._replace(losses=dict(self.losses)))
            self.writer.close()
        except Exception as error:
            raise UsageError(
                f"Cannot finish {self.writer.path}: {error}. It holds what was stored before; make room and run again."
            ) from error

    def _rows(self, record: Record) -> Iterable[Row]:
        if isinstance(record, ExchangeRecord):
            self._contents.redactor = self._redactor(record.session_id)
            return (self._exchange(record),)
        if isinstance(record, PacketRecord):
            self._contents.redactor = self._redactor(record.session_id)
            return (self._packet(record),)
        if isinstance(record, SessionRecord):
            return (self._session(record),)
        if isinstance(record, Socket):
            return (record._replace(target=self._redactor(record.session_id).target(record.target)),)
        return (record,)

    def _redactor(self, session_id: int | None) -> Redactor:
        redactor = self._redactors.get(session_id)
        if redactor is None:
            redactor = self._redactors[session_id] = Redactor(self._vault)
        return redactor

    def _session(self, record: SessionRecord) -> Session:
        if record.over:
            self._redactors.pop(record.row.id, None)
        elif record.secrets:
            # Every string of a CONNECT's auth is a secret: so these are known before anything is sent.
            self._redactor(record.row.id).payload("connect", json.dumps(record.secrets, ensure_ascii=False))
        return record.row

    def _exchange(self, record: ExchangeRecord) -> Exchange:
        answer = record.answer
        request = answer.request
        target = self._contents.redactor.target(record.target)
        body_id = self._contents.body(
            record.body,
            media_type=field(record.headers, "content-type"),
            coding=field(record.headers, "content-encoding"),
            chunked=request.chunked,
            request=True,
        )
        head_id = self._contents.headers(record.headers)
        trailers_id = self._contents.headers(record.trailers) if record.trailers else None
        response_body = self._response_body(answer)
        interim = [[early.status, self._contents.headers(early.headers), early.stamp_ns] for early in answer.interim]
        return Exchange(
            id=record.id,
            session_id=record.session_id,
            client_id=record.client_id,
            connection=answer.connection,
            upstream=answer.upstream,
            kind=record.kind,
            server_call=False,
            method=request.method,
            authority=record.authority,
            target=target,
            route=route_of(target),
            http_version="HTTP/1.1",
            request_headers=head_id,
            request_trailers=trailers_id,
            request_body=body_id,
            request_bytes=answer.request_bytes,
            status=answer.status,
            reason=answer.reason or None,
            response_headers=self._contents.headers(answer.headers) if answer.status is not None else None,
            response_trailers=self._contents.headers(answer.trailers) if answer.trailers else None,
            response_body=response_body,
            response_bytes=answer.response_bytes,
            interim=json.dumps(interim) if interim else None,
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

    def _response_body(self, answer: Answer) -> int | None:
        if not answer.body:
            return None
        collector = self._contents.collect(field(answer.headers, "content-encoding"), request=False)
        for piece in answer.body:
            self._contents.grow(collector, piece)
        media_type = field(answer.headers, "content-type")
        chunked = "chunked" in field(answer.headers, "transfer-encoding").lower()
        return self._contents.store(collector, media_type=media_type, chunked=chunked, whole=answer.whole)

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
            exchange_id=None,
            sender=seen.sender,
            stamp_ns=seen.stamp_ns,
            done_ns=seen.done_ns,
            engine_type=seen.engine_type,
            type=seen.type,
            namespace=seen.namespace,
            event=seen.event,
            ack_id=seen.ack_id,
            payload=payload,
            attachments=json.dumps(attachments) if attachments else None,
            size=seen.size,
            answers=record.answers,
            intended_ns=record.intended_ns,
            source_packet=record.source,
        )
