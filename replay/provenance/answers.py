"""What a server handed out: every value of an answer or packet that may be sent later, with the way back to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from nestperf.capture.model import Pairs
from replay.provenance import html
from replay.provenance.names import entity, path_entity
from replay.provenance.parts import Part, is_url, parts_of
from replay.steps import Source

NEVER_TAKEN = frozenset({
    "accept-ranges", "age", "allow", "alt-svc", "cache-control", "connection", "content-disposition",
    "content-encoding", "content-language", "content-length", "content-range", "content-security-policy",
    "content-type", "cross-origin-embedder-policy", "cross-origin-opener-policy", "cross-origin-resource-policy",
    "date", "etag", "expires", "keep-alive", "last-modified", "origin-agent-cluster", "permissions-policy", "pragma",
    "referrer-policy", "report-to", "retry-after", "server", "server-timing", "set-cookie",
    "strict-transport-security", "traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade", "vary", "via",
    "x-correlation-id", "x-powered-by", "x-request-id", "x-response-time", "x-runtime", "x-trace-id",
})  # fmt: skip
"""Response fields that say something about the answer and hand nothing on; Set-Cookie is read as cookies."""
_NEVER_BEGINNINGS = ("access-control-", "ratelimit-", "x-ratelimit-", "sec-", "cf-", "x-cache")


class Heard(NamedTuple):
    """A packet that the server sent."""

    id: int
    stamp_ns: int
    """When its last byte came, on the run's clock."""
    socket: int
    type: str
    """`connect`, `event`, `ack`."""
    namespace: str
    event: str
    payload: str
    """JSON."""
    answers: int | None = None
    """An ack: the packet it answers, where the recording says so."""


class Answered(NamedTuple):
    """What a step was answered in the recording."""

    done_ns: int
    """On the run's clock."""
    headers: Pairs
    text: str | None
    """The body, decoded and revealed, where it is JSON or HTML."""
    media_type: str = "application/json"
    status: int = 200


class Origin(NamedTuple):
    """A place where a live value will stand."""

    source: Source
    path: tuple[str | int, ...]
    """Keys and indexes into JSON; a header's name in lower case or a cookie's; `html.Found.path`; a packet's (type,
    namespace, event, *keys)."""
    parts: tuple[Part, ...]
    """From the text there to the value."""


class Offer(NamedTuple):
    """A value and where it stood."""

    value: str
    origin: Origin
    name: str
    entity: str
    """Of what it is the id, where that can be told."""
    listed: bool
    """It stood in a list: the n-th of a list may be another one next time."""
    whole: bool
    """It was all that stood there."""


def offers(answer: Answered, target: str) -> Iterator[Offer]:
    """What an answer to a request for `target` hands out."""
    around = tuple(segment for segment in target.partition("?")[0].split("/") if segment)
    for name, value in answer.headers:
        lower = name.lower()
        if lower == "set-cookie":
            cookie, _, content = value.partition(";")[0].partition("=")
            yield from _taken_apart(content.strip().strip('"'), "cookie", (cookie.strip(),), cookie.strip(), around)
        elif lower not in NEVER_TAKEN and not lower.startswith(_NEVER_BEGINNINGS):
            yield from _taken_apart(value, "header", (lower,), "" if lower == "location" else lower, around)
    if answer.text is not None:
        yield from _of_body(answer.text, "html" in answer.media_type, around)


@lru_cache(32)
def _of_body(text: str, is_html: bool, around: tuple[str, ...]) -> tuple[Offer, ...]:
    """Of a body. A page that is polled is answered the same again and again."""
    if is_html:
        return tuple(
            offer
            for found in html.values_of(text)
            for offer in _taken_apart(found.value, "html", found.path, found.name, around)
        )
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    return tuple(_leaves(document, "json", (), around))


def offers_of_packet(heard: Heard) -> Iterator[Offer]:
    """What a packet hands out."""
    try:
        document = json.loads(heard.payload)
    except (ValueError, RecursionError):
        return
    prefix = (heard.type, heard.namespace, heard.event)
    yield from _leaves(document, "packet", prefix, (heard.namespace.strip("/"), heard.event))


def _leaves(
    document: object, source: Source, prefix: tuple[str | int, ...], around: tuple[str, ...]
) -> Iterator[Offer]:
    arguments = source == "packet" and isinstance(document, list)
    for path, leaf in html.leaves(document):
        keys = [key for key in path if isinstance(key, str)]
        # An event's arguments are a list of fixed length.
        listed = any(isinstance(key, int) for key in path[1 if arguments else 0 :])
        name = keys[-1] if path and isinstance(path[-1], str) else ""
        containers = (*around, *(keys[:-1] if name else keys))
        for offer in _taken_apart(leaf, source, (*prefix, *path), name, containers):
            yield offer._replace(listed=listed)


def _taken_apart(
    text: str, source: Source, path: tuple[str | int, ...], name: str, around: tuple[str, ...]
) -> Iterator[Offer]:
    for piece in parts_of(text):
        if piece.value:
            origin = Origin(source, path, piece.parts)
            inner = piece.name or name
            told = _entity_of(piece.parts, piece.name, name, text, around)
            yield Offer(piece.value, origin, inner, told, False, not piece.parts)


def _entity_of(parts: tuple[Part, ...], inner: str, name: str, text: str, around: tuple[str, ...]) -> str:
    if parts and parts[-1].kind == "segment" and is_url(text):
        return path_entity(text.partition("?")[0].split("/")[: parts[-1].nth])
    return entity(inner or name, around)
