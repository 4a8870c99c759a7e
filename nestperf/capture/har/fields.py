"""Picks values out of a HAR's objects, whatever stands there: the wrong type counts as nothing."""

from __future__ import annotations

import base64
import binascii
import math
import re
from datetime import UTC, datetime
from typing import Any

from nestperf.capture.foreign import LATEST_NS
from nestperf.capture.model import Pairs

Object = dict[str, Any]
"""A JSON object."""

MS = 1_000_000
_MOST_MS = 10**10
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,12})\d*)?\s*(?:[Zz]|([+-])(\d\d):?(\d\d))?\Z"
)


class Unreadable(Exception):
    """An entry that makes no sense, and why."""


def objects(holder: Object, name: str) -> list[Object]:
    """The objects of a list."""
    found = holder.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def object_of(holder: Object, name: str) -> Object:
    """An object; an empty one where there is none."""
    found = holder.get(name)
    return found if isinstance(found, dict) else {}


def text_of(holder: Object, name: str) -> str:
    """A string; empty where there is none. Halves of surrogate pairs are replaced: nobody can write them as UTF-8."""
    found = holder.get(name)
    if not isinstance(found, str):
        return ""
    return found if found.isascii() else found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def count_of(holder: Object, name: str) -> int | None:
    """A number that is not negative; None where there is none (HAR's −1)."""
    found = _number(holder.get(name))
    return None if found is None or found < 0 else int(found)


def duration_of(holder: Object, name: str) -> int | None:
    """Milliseconds as nanoseconds; None where there are none (HAR's −1)."""
    found = _number(holder.get(name))
    return None if found is None or found < 0 else round(min(found, _MOST_MS) * MS)


def moment_of(holder: Object, name: str) -> int | None:
    """Seconds since 1970 (or milliseconds: Playwright) as nanoseconds; None where there are none."""
    found = _number(holder.get(name))
    if found is None or found <= 0:
        return None
    # Such a float has a grain of some 200 ns by now: whole microseconds are what it can tell.
    moment_ns = (round(found * 1e3) if found > 1e11 else round(found * 1e6)) * 1000
    return moment_ns if moment_ns < LATEST_NS else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 2**62 and math.isfinite(value) else None


def parse_moment(text: str) -> int:
    """An ISO 8601 date and time as nanoseconds since 1970; without a zone it is UTC.

    >>> parse_moment("2026-11-29T14:32:38.726Z")
    1795962758726000000

    Raises:
        Unreadable: it is none.
    """
    match = _TIME.match(text)
    if match is None:
        raise Unreadable("a startedDateTime that is no date")
    *date, fraction, sign, hours, minutes = match.groups()
    try:
        whole = int(datetime(*map(int, date), tzinfo=UTC).timestamp())  # type: ignore[arg-type,misc]
    except ValueError:
        raise Unreadable("a startedDateTime that is no date") from None
    if sign:
        shift = int(hours) * 3600 + int(minutes) * 60
        whole += shift if sign == "-" else -shift
    if not 0 <= whole < LATEST_NS // 10**9:
        raise Unreadable("a startedDateTime of another century")
    return whole * 10**9 + int((fraction or "")[:9].ljust(9, "0"))


def pairs_of(holder: Object) -> Pairs:
    """`headers` as a head's fields, without HTTP/2's pseudo fields."""
    named = ((text_of(field, "name"), text_of(field, "value")) for field in objects(holder, "headers"))
    return tuple((_in_head(name), _in_head(value)) for name, value in named if name and not name.startswith(":"))


def _in_head(text: str) -> str:
    """As a head holds it: bytes read as latin-1, on one line."""
    text = text.replace("\r", " ").replace("\n", " ")
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("latin-1")
    return text


def bytes_of(text: str, encoding: str) -> bytes | None:
    """A body's text as bytes; None where it says that it is base64, and is not."""
    if encoding.lower() != "base64":
        return text.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(text, validate=False)
    except (binascii.Error, ValueError):
        return None
