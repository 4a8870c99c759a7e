"""What one virtual user has learnt from live answers, and how it changes what that user sends: cookies and values.

Nothing is made up: a cookie or value that no live answer has given goes out as recorded. Pure state, no sockets.
"""

from __future__ import annotations

import json
import re
import secrets
import string
import uuid
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from nestperf.capture.model import Pairs
from replay.provenance import html
from replay.provenance.codings import encode
from replay.provenance.parts import leaf_at, part_at
from replay.provenance.weight import is_uuid
from replay.steps import Listen, Supplied, Take, Use

_SEPARATOR = re.compile(r"(;\s*)")
_EXPIRED = re.compile(r";\s*max-age\s*=\s*(?:0|-\d+)\s*(?:;|$)|;\s*expires\s*=[^;]*\b(?:19\d\d|2000)\b", re.IGNORECASE)
"""Servers delete a cookie by Max-Age=0 or by a date long ago, most often 1970."""
_DOMAIN = re.compile(r";\s*domain\s*=\s*\.?([^;\s]+)", re.IGNORECASE)
_PATH = re.compile(r";\s*path\s*=\s*(/[^;\s]*)", re.IGNORECASE)
_UNREAD = object()


@lru_cache(256)
def host_of(authority: str) -> str:
    """The host of a Host field, lower case, no port: cookies are shared by all ports of a host (RFC 6265, 8.5)."""
    if authority.startswith("["):
        return authority.partition("]")[0].lower() + "]"
    return authority.partition(":")[0].lower()


class _Cookie(NamedTuple):
    path: str
    value: str
    number: int
    """In the order in which cookies came to be."""


class LiveState:
    """Cookies and live values of one visit."""

    __slots__ = ("_born", "_cookies", "_heard", "cookies_by_path", "rendered", "values")

    def __init__(self, values: int, fresh: Iterable[tuple[int, str]] = ()) -> None:
        """`fresh`: the values that the client makes up itself, (number, what was recorded)."""
        self.values: list[str | None] = [None] * values
        """The live values, by number; None until an answer gave one."""
        for number, recorded in fresh:
            self.values[number] = invent(recorded)
        self._cookies: dict[str, dict[str, list[_Cookie]]] = {}
        """By domain and name: the cookies of different paths, as they are sent (RFC 6265, 5.4)."""
        self.rendered: dict[object, bytes] = {}
        """What this user sends in the fields of some heads (`replay.template`), until a value or a cookie changes."""
        self.cookies_by_path = False
        """Cookies of one name were set for several paths: what is sent depends on where it goes."""
        self._born = 0
        self._heard: dict[tuple[int, tuple[str, str, str]], int] = {}
        """By socket and packet name: how many came."""

    def supply(self, supplied: Iterable[Supplied], identity: Mapping[str, str]) -> None:
        """Begin with what an identity brings along."""
        for one in supplied:
            value = identity.get(one.column)
            if value is None:
                continue
            self._set_value(one.value, value)
            for host, name in one.cookies:
                self._set_cookie(host, f"{name}={value}; Path=/")

    def learn(self, authority: str, headers: Pairs, takes: Sequence[Take], body: bytes | None) -> tuple[Take, ...]:
        """Take cookies and values from an answer; what was expected in it and is not there.

        `body` is the decoded body where one of `takes` needs it.
        """
        for name, value in headers:
            if len(name) == 10 and name.lower() == "set-cookie":
                self._set_cookie(host_of(authority), value)
        if not takes:
            return ()
        answer = _Answer(headers, body)
        return tuple(take for take in takes if not self._keep(take, answer.text(take)))

    def hear(self, listens: Sequence[Listen], kind: str, namespace: str, event: str, payload: str | None) -> bool:
        """Take values from a packet of the server; whether it had any of them."""
        name = (kind, namespace, event)
        here = [listen for listen in listens if listen.take.path[:3] == name]
        if not here:
            return False
        place = (here[0].socket, name)
        nth = self._heard.get(place, 0)
        self._heard[place] = nth + 1
        document = _parsed((payload or "").encode())
        wanted = (listen.take for listen in here if listen.nth in (None, nth))
        # Each of them is to be kept: `any` must not stop at the first.
        return sum(self._keep(take, leaf_at(document, take.path[3:])) for take in wanted) > 0

    def hear_ack(self, takes: Sequence[Take], payload: str | None) -> None:
        """Take values from the ack that a step was answered."""
        document = _parsed((payload or "").encode())
        for take in takes:
            if take.source == "packet":
                self._keep(take, leaf_at(document, take.path[3:]))

    def headers(self, authority: str, recorded: Pairs, uses: Sequence[Use], target: str = "/") -> Pairs:
        """The fields to send: names, order and letter case as recorded, live cookies and values in place."""
        sent = []
        host = host_of(authority)
        for number, (name, value) in enumerate(recorded):
            here = [use for use in uses if use.field == number]
            if len(name) == 6 and name.lower() == "cookie":
                sent.append((name, self._cookie_field(host, value, here, target.partition("?")[0])))
            else:
                sent.append((name, fill(value, here, self.values)) if here else (name, value))
        return tuple(sent)

    def text(self, recorded: str, uses: Sequence[Use]) -> str:
        """A target, body or payload with the live values in place."""
        return fill(recorded, uses, self.values) if uses else recorded

    def in_place_of(self, uses: Sequence[Use], values: frozenset[int]) -> tuple[str, ...]:
        """The live values of `uses` that stand where one of `values` (numbers) was recorded."""
        if not uses or not values:
            return ()
        live = (self.values[use.value] for use in uses if use.value in values)
        return tuple(value for value in live if value is not None)

    def cookie(self, host: str, name: str, nth: int = 0, path: str = "/") -> str | None:
        """The n-th live cookie of that name in a request for `path`, as set for the host or a domain above it."""
        while host:
            known = self._cookies.get(host, {}).get(name)
            if known is not None:
                if len(known) > 1:
                    known = [one for one in known if _matches(one.path, path)]
                return known[nth].value if nth < len(known) else None
            host = host.partition(".")[2]
        return None

    def _cookie_field(self, host: str, recorded: str, uses: Sequence[Use], path: str) -> str:
        pieces: list[str] = []
        at = 0
        seen: dict[str, int] = {}
        for piece in _SEPARATOR.split(recorded):
            name, mark, _ = piece.partition("=")
            bare = name.strip()
            live = self.cookie(host, bare, seen.get(bare, 0), path) if mark else None
            if mark:
                seen[bare] = seen.get(bare, 0) + 1
            if live is not None:
                pieces.append(f"{name}={live}")
            else:
                end = at + len(piece)
                here = [use._replace(start=use.start - at, end=use.end - at) for use in uses if at <= use.start < end]
                pieces.append(fill(piece, here, self.values))
            at += len(piece)
        return "".join(pieces)

    def _set_cookie(self, host: str, field: str) -> None:
        cookie, _, attributes = field.partition(";")
        name, mark, value = cookie.partition("=")
        if not mark:
            return
        domain, where, expired = _attributes(attributes)
        self.rendered.clear()
        jar = self._cookies.setdefault(domain or host, {})
        name = name.strip()
        known = jar.get(name, [])
        number = next((one.number for one in known if one.path == where), None)
        kept = [one for one in known if one.path != where]
        if not expired:
            self._born += 1
            kept.append(_Cookie(where, value.strip(), number or self._born))
            kept.sort(key=lambda one: (-len(one.path), one.number))
            self.cookies_by_path = self.cookies_by_path or len(kept) > 1
        if kept:
            jar[name] = kept
        else:
            jar.pop(name, None)

    def _keep(self, take: Take, text: str | None) -> bool:
        value = part_at(text, take.parts) if take.parts else text
        if not value:
            return False
        self._set_value(take.value, value)
        return True

    def _set_value(self, number: int, value: str) -> None:
        if value != self.values[number]:
            self.values[number] = value
            self.rendered.clear()


class _Answer:
    """An answer in which values are looked for; its body is parsed once."""

    def __init__(self, headers: Pairs, body: bytes | None) -> None:
        self._headers = headers
        self._body = body
        self._document: object = _UNREAD

    def text(self, take: Take) -> str | None:
        """What stands at a place."""
        if take.source == "json":
            if self._document is _UNREAD:
                self._document = _parsed(self._body)
            return leaf_at(self._document, take.path)
        if take.source == "html":
            return html.value_at((self._body or b"").decode("utf-8", "replace"), take.path)
        if take.source == "header":
            return next((value for name, value in self._headers if name.lower() == take.path[0]), None)
        return _cookie_of(self._headers, str(take.path[0]))


@lru_cache(1024)
def _attributes(text: str) -> tuple[str | None, str, bool]:
    """Domain (None: the host alone), path and whether it is expired, of what follows a cookie's value."""
    text = f";{text}"
    domain, path = _DOMAIN.search(text), _PATH.search(text)
    return domain[1].lower() if domain else None, path[1] if path else "/", _EXPIRED.search(text) is not None


def _matches(cookie: str, request: str) -> bool:
    """RFC 6265, 5.1.4."""
    return request == cookie or (request.startswith(cookie) and (cookie[-1] == "/" or request[len(cookie)] == "/"))


def invent(recorded: str) -> str:
    """A value of the same make that nobody else has: a UUID, or letters and digits where there were such."""
    return str(uuid.uuid4()) if is_uuid(recorded) else "".join(map(_like, recorded))


def _like(char: str) -> str:
    for alphabet in (string.digits, string.ascii_lowercase, string.ascii_uppercase):
        if char in alphabet:
            return secrets.choice(alphabet)
    return char


def fill(text: str, uses: Iterable[Use], values: Sequence[str | None]) -> str:
    """`text` with its spans replaced by the live values; a span whose value is not known stays as it is."""
    pieces: list[str] = []
    at = 0
    for use in uses:
        live = values[use.value]
        if live is None:
            continue
        pieces += text[at : use.start], encoded(live, use)
        at = use.end
    return "".join(pieces) + text[at:] if pieces else text


def encoded(value: str, use: Use) -> str:
    """A live value as it is written at that place."""
    text = encode(value, use.coding)
    for wrap in use.wrap:
        text = encode(wrap.before + text + wrap.after, wrap.coding)
    return text


def _parsed(body: bytes | None) -> object:
    try:
        # json.loads guesses the encoding of bytes, which takes as long as reading a short document.
        return json.loads(body.decode() if body else "")
    except UnicodeDecodeError:
        return _parsed_as_guessed(body or b"")
    except (ValueError, RecursionError):
        return None


def _parsed_as_guessed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _cookie_of(headers: Pairs, name: str) -> str | None:
    found = None
    for field, value in headers:
        if field.lower() == "set-cookie":
            cookie, mark, content = value.partition(";")[0].partition("=")
            if mark and cookie.strip() == name:
                found = content.strip().strip('"')
    return found
