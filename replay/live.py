"""What one virtual user has learnt from live answers, and how it changes what that user sends: cookies and values.

Nothing is made up: a cookie or value that no live answer has given goes out as recorded. Pure state, no sockets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from nestperf.capture.model import Pairs
from replay.steps import Take, Use

_SEPARATOR = re.compile(r"(;\s*)")
_EXPIRED = re.compile(r";\s*max-age\s*=\s*(?:0|-\d+)\s*(?:;|$)|;\s*expires\s*=[^;]*\b(?:19\d\d|2000)\b", re.IGNORECASE)
"""Servers delete a cookie by Max-Age=0 or by a date long ago, most often 1970."""


def host_of(authority: str) -> str:
    """The host of a Host field, lower case, no port: cookies are shared by all ports of a host (RFC 6265, 8.5)."""
    if authority.startswith("["):
        return authority.partition("]")[0].lower() + "]"
    return authority.partition(":")[0].lower()


class LiveState:
    """Cookies and live values of one visit."""

    __slots__ = ("_cookies", "values")

    def __init__(self, values: int) -> None:
        self.values: list[str | None] = [None] * values
        """The live values, by number; None until an answer gave one."""
        self._cookies: dict[str, dict[str, str]] = {}

    def learn(self, authority: str, headers: Pairs, takes: Sequence[Take], body: bytes | None) -> tuple[Take, ...]:
        """Take cookies and values from an answer; what was expected in it and is not there.

        `body` is the decoded body where one of `takes` needs it.
        """
        for name, value in headers:
            if len(name) == 10 and name.lower() == "set-cookie":
                self._set_cookie(host_of(authority), value)
        if not takes:
            return ()
        return tuple(take for take in takes if not self._take(take, headers, body))

    def headers(self, authority: str, recorded: Pairs, uses: Sequence[Use]) -> Pairs:
        """The fields to send: names, order and letter case as recorded, live cookies and values in place."""
        sent = []
        host = host_of(authority)
        for number, (name, value) in enumerate(recorded):
            here = [use for use in uses if use.field == number]
            if len(name) == 6 and name.lower() == "cookie":
                sent.append((name, self._cookie_field(host, value, here)))
            else:
                sent.append((name, fill(value, here, self.values)) if here else (name, value))
        return tuple(sent)

    def text(self, recorded: str, uses: Sequence[Use]) -> str:
        """A target, body or payload with the live values in place."""
        return fill(recorded, uses, self.values) if uses else recorded

    def cookie(self, host: str, name: str) -> str | None:
        """The live cookie of that name, as set for the host or a domain above it."""
        while host:
            value = self._cookies.get(host, {}).get(name)
            if value is not None:
                return value
            host = host.partition(".")[2]
        return None

    def _cookie_field(self, host: str, recorded: str, uses: Sequence[Use]) -> str:
        pieces: list[str] = []
        at = 0
        for piece in _SEPARATOR.split(recorded):
            name, mark, _ = piece.partition("=")
            live = self.cookie(host, name.strip()) if mark else None
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
        domain = re.search(r";\s*domain\s*=\s*\.?([^;\s]+)", f";{attributes}", re.IGNORECASE)
        jar = self._cookies.setdefault(domain[1].lower() if domain else host, {})
        if _EXPIRED.search(f";{attributes}"):
            jar.pop(name.strip(), None)
        else:
            jar[name.strip()] = value.strip()

    def _take(self, take: Take, headers: Pairs, body: bytes | None) -> bool:
        if take.source == "json":
            value = json_leaf(body, take.path)
        elif take.source == "header":
            value = next((value for name, value in headers if name.lower() == take.path[0]), None)
        else:
            value = _cookie_of(headers, str(take.path[0]))
        if value is None:
            return False
        self.values[take.value] = value
        return True


def fill(text: str, uses: Iterable[Use], values: Sequence[str | None]) -> str:
    """`text` with its spans replaced by the live values; a span whose value is not known stays as it is."""
    pieces: list[str] = []
    at = 0
    for use in uses:
        live = values[use.value]
        if live is None:
            continue
        pieces += text[at : use.start], _encode(live, use.coding)
        at = use.end
    return "".join(pieces) + text[at:] if pieces else text


def _encode(value: str, coding: str) -> str:
    if coding == "json":
        return json.dumps(value, ensure_ascii=False)[1:-1]
    return quote(value, safe="") if coding == "url" else value


def json_leaf(body: bytes | None, path: Sequence[str | int]) -> str | None:
    """The string at that path of a JSON body; None where there is none."""
    try:
        node = json.loads(body or b"")
    except (ValueError, RecursionError):
        return None
    for key in path:
        if isinstance(node, dict) and isinstance(key, str):
            node = node.get(key)
        elif isinstance(node, list) and isinstance(key, int) and key < len(node):
            node = node[key]
        else:
            return None
    return node if isinstance(node, str) else None


def _cookie_of(headers: Pairs, name: str) -> str | None:
    found = None
    for field, value in headers:
        if field.lower() == "set-cookie":
            cookie, mark, content = value.partition(";")[0].partition("=")
            if mark and cookie.strip() == name:
                found = content.strip().strip('"')
    return found
