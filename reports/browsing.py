"""Reads what browsers sent: documents and calls, each with the page that its Referer names."""

from __future__ import annotations

from collections.abc import Iterator

from nestperf.capture import model
from nestperf.capture.model import Kind
from nestperf.capture.reader import Capture
from reports.repeats import Sent

MOST = 10_000
"""So many are looked at, from the beginning: what a page does it does again, and a load run repeats its visits."""


def read_sent(capture: Capture) -> tuple[Sent, ...]:
    """The first documents and calls of a capture, by id."""
    found = []
    for one in _rows(capture):
        found.append(one)
        if len(found) >= MOST:
            break
    return tuple(found)


def _known(referers: dict[int, str], source: int | None, head: str | None) -> str:
    """A replay keeps the heads of its first visits only; what repeats the same exchange says the same."""
    if source is None:
        return head or ""
    if head is not None:
        referers.setdefault(source, head)
    return referers.get(source, "") if head is None else head


def _rows(capture: Capture) -> Iterator[Sent]:
    batches = capture.column_batches(
        model.Exchange, "id", "session_id", "client_id", "kind", "server_call", "method", "route", "target",
        "authority", "request_headers", "sent_ns", "done_ns", "source_exchange",
    )  # fmt: skip
    referers: dict[int, str] = {}
    for rows in batches:
        for (
            number,
            session,
            client,
            kind,
            by_server,
            method,
            route,
            target,
            authority,
            headers,
            *stamps,
            source,
        ) in rows:
            sent, done = stamps
            user = ("session", session) if session is not None else ("client", client)
            if by_server or user[1] is None or kind not in (Kind.PAGE, Kind.CALL):
                continue
            is_page = kind == Kind.PAGE
            head = None if is_page or headers is None else _referer(capture.headers(headers))
            referer = _known(referers, source, head)
            yield Sent(number, user, is_page, not is_page, method, route, target, authority, referer, sent, done)


def _referer(head: model.Pairs) -> str:
    return next((value for name, value in head if name.lower() == "referer"), "")
