"""Builds what an HTTP step sends: the recorded bytes with live cookies and values in place, and nothing else changed.

What no live value touches is built once for all users. Content-Length follows the body where its length changed.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import NamedTuple

import brotli
import zstandard

from nestperf.capture.inflate import codings_of
from nestperf.capture.model import Pairs
from replay.live import LiveState, fill
from replay.steps import Http, SessionPlan, Step, Use
from replay.template import Fields, Pieces, Template, build_template, head_of
from replay.transport.answer import Request, head_bytes, head_pairs, trailer_bytes

_DEFLATERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda content: gzip.compress(content, 6, mtime=0),
    "x-gzip": lambda content: gzip.compress(content, 6, mtime=0),
    "deflate": zlib.compress,
    "br": lambda content: brotli.compress(content, quality=5),
    "zstd": lambda content: zstandard.ZstdCompressor().compress(content),
}


class Sent(NamedTuple):
    """A request and its target."""

    request: Request
    target: str


def encode_body(content: bytes, coding: str) -> bytes:
    """Apply a Content-Encoding."""
    for name in codings_of(coding):
        content = _DEFLATERS[name](content)
    return content


class _Prepared(NamedTuple):
    """A request that differs from user to user."""

    template: Template
    body: bytes | None
    """None where it is live."""
    trailers: bytes
    expects_continue: bool
    target_uses: list[Use]


class Requests:
    """The requests of one planned session, for all users who repeat it."""

    def __init__(self, plan: SessionPlan) -> None:
        self._fixed: dict[int, Sent] = {}
        self._prepared: dict[int, _Prepared] = {}
        self._known: dict[Pieces, Fields] = {}
        self._changing = frozenset(
            step.index for step in plan.steps if isinstance(step.action, Http) and _changes(step)
        )

    def fixed(self, step: Step) -> Request | None:
        """The request of an HTTP step whoever sends it; None where that depends on the user."""
        if step.index in self._changing or not isinstance(step.action, Http):
            return None
        fixed = self._fixed.get(step.index)
        if fixed is None:
            fixed = self._fixed[step.index] = self._build(step, LiveState(0), None)
        return fixed.request

    def build(self, step: Step, live: LiveState, forwarded: str | None) -> Sent:
        """The request of an HTTP step for a user in that state; `forwarded` is its X-Forwarded-For, if any."""
        if forwarded is None and step.index not in self._changing:
            fixed = self._fixed.get(step.index)
            if fixed is None:
                fixed = self._fixed[step.index] = self._build(step, live, None)
            return fixed
        return self._build(step, live, forwarded)

    def _build(self, step: Step, live: LiveState, forwarded: str | None) -> Sent:
        action = step.action
        assert isinstance(action, Http)
        prepared = self._prepared.get(step.index)
        if prepared is None:
            prepared = self._prepared[step.index] = self._prepare(step, action)
        template, body, trailers, expects_continue, target_uses = prepared
        if body is None:
            body = encode_body(fill(action.body.decode(), uses_at(step, "body"), live.values).encode(), action.coding)
            template = build_template(action, _fields(action, len(body)), step.uses, {})
        head = head_of(template, live)
        if forwarded is not None:
            head = _forwarded(head, forwarded)
        request = Request(
            method=action.method,
            head=head,
            body=body,
            chunked=action.chunked,
            trailers=trailers,
            expects_continue=expects_continue,
        )
        return Sent(request, live.text(action.target, target_uses) if target_uses else action.target)

    def _prepare(self, step: Step, action: Http) -> _Prepared:
        expects = any(name.lower() == "expect" and value.lower() == "100-continue" for name, value in action.headers)
        body = None
        if not uses_at(step, "body"):
            body = encode_body(action.body, action.coding) if action.coding else action.body
        template = build_template(action, _fields(action, len(body or b"")), step.uses, self._known)
        return _Prepared(template, body, trailer_bytes(action.trailers), expects, uses_at(step, "target"))


def _fields(action: Http, length: int) -> Pairs:
    return action.headers if action.chunked else _with_length(action.headers, length)


def _forwarded(head: bytes, address: str) -> bytes:
    first, _, _ = head.partition(b"\r\n")
    method, target, version = first.decode("latin-1").split(" ", 2)
    return head_bytes(method, target, version, with_forwarded(head_pairs(head), address))


def _changes(step: Step) -> bool:
    if not isinstance(step.action, Http):
        return False
    return bool(step.uses) or any(name.lower() == "cookie" for name, _ in step.action.headers)


def _with_length(headers: Pairs, length: int) -> Pairs:
    """Content-Length as long as the body is, where there is such a field; else the fields as they are."""
    said = str(length)
    if all(value == said for name, value in headers if len(name) == 14 and name.lower() == "content-length"):
        return headers
    return tuple((name, said if name.lower() == "content-length" else value) for name, value in headers)


def with_forwarded(headers: Pairs, address: str) -> Pairs:
    """The fields with X-Forwarded-For, which takes the place of a recorded one."""
    kept = tuple(pair for pair in headers if pair[0].lower() != "x-forwarded-for")
    return (*kept, ("X-Forwarded-For", address))


def uses_at(step: Step, place: str) -> list[Use]:
    """The spans of one place."""
    return [use for use in step.uses if use.place == place]
