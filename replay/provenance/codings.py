"""How a value is written inside another text: URL-, JSON- and base64-coding, with a map back to every raw character.

Decoding gives the text and, for each of its characters, where that character began, so that a value found deep inside
is a span of the text as it was sent. Encoding is chosen so that the recorded value gives the recorded characters again.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias
from urllib.parse import quote, quote_plus

_PERCENT = re.compile(r"((?:%[0-9a-fA-F]{2})+)|(.)", re.DOTALL)
_ESCAPE = re.compile(
    r'(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\["\\/bfnrt])|(.)', re.DOTALL
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{8,}={0,2}|[A-Za-z0-9_-]{8,}={0,2}")
_COMPONENT = "!'()*~"
"""What `encodeURIComponent` leaves alone beside letters, digits and `-_.`."""


Coding: TypeAlias = Literal["plain", "json", "ascii", "url", "component", "form", "base64", "base64url"]
"""How a value is written: as a JSON string (`ascii`: in ASCII), percent-coded (all but letters, digits and `-_.~`; as
`encodeURIComponent` does; as a form does), base64."""


class Decoded(NamedTuple):
    """A text with the way back: `at[i]` is where character i began, `at[len]` where the last one ended."""

    text: str
    at: Sequence[int]


def encode(value: str, coding: Coding) -> str:
    """`value` as it is written under that coding."""
    if coding == "json":
        return json.dumps(value, ensure_ascii=False)[1:-1]
    if coding == "ascii":
        return json.dumps(value)[1:-1]
    if coding == "url":
        return quote(value, safe="")
    if coding == "component":
        return quote(value, safe=_COMPONENT)
    if coding == "form":
        return quote_plus(value)
    if coding == "base64":
        return base64.b64encode(value.encode()).decode()
    if coding == "base64url":
        return base64.urlsafe_b64encode(value.encode()).decode().rstrip("=")
    return value


def url_coding(raw: str, value: str, *, form: bool) -> Coding:
    """The coding under which `value` is written as `raw`; `plain` where any would do."""
    if raw == value:
        # A live value may hold what the recorded one did not; only a query or a form cannot bear it as it is.
        return "component" if form else "url"
    codings: tuple[Coding, ...] = ("form", "component", "url") if form else ("component", "url", "form")
    return next((coding for coding in codings if encode(value, coding) == raw), codings[0])


def decode_url(raw: str, *, form: bool) -> Decoded:
    """Percent-decoding (RFC 3986, 2.1); `form` reads `+` as a blank."""
    text: list[str] = []
    at: list[int] = []
    for match in _PERCENT.finditer(raw):
        start = match.start()
        if match[2] is not None:
            text.append(" " if form and match[2] == "+" else match[2])
            at.append(start)
            continue
        for char in bytes.fromhex(match[1].replace("%", "")).decode("utf-8", "surrogateescape"):
            text.append(char)
            at.append(start)
            start += 3 * len(char.encode("utf-8", "surrogateescape"))
    return Decoded("".join(text), (*at, len(raw)))


def decode_json(raw: str) -> Decoded:
    """The content of a JSON string, as it stands between the quotes."""
    text: list[str] = []
    at: list[int] = []
    for match in _ESCAPE.finditer(raw):
        text.append(json.loads(f'"{match[1]}"') if match[1] else match[2])
        at.append(match.start())
    return Decoded("".join(text), (*at, len(raw)))


def json_coding(raw: str, value: str) -> Coding:
    """`json` or `ascii`, whichever wrote `value` as `raw`."""
    return "ascii" if raw != encode(value, "json") and raw == encode(value, "ascii") else "json"


def decode_base64(raw: str) -> tuple[str, Coding] | None:
    """(text, coding) of base64 that holds readable text; None for everything else."""
    if not _BASE64.fullmatch(raw):
        return None
    urlsafe = "-" in raw or "_" in raw or len(raw) % 4 != 0
    padded = raw + "=" * (-len(raw) % 4)
    try:
        content = base64.urlsafe_b64decode(padded) if urlsafe else base64.b64decode(padded, validate=True)
        text = content.decode()
    except (binascii.Error, ValueError):
        return None
    if not text.isprintable():
        return None
    return text, "base64url" if urlsafe else "base64"
