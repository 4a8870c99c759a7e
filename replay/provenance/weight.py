"""How unlikely it is that equal values are equal by chance: bits, counted so that words and moments weigh nothing."""

from __future__ import annotations

import math
import re
from functools import lru_cache

from nestperf.capture.forms import HTML, IN_JSON, IN_URL, RAW

STRONG = 40.0
"""Bits from which equal values are the same value, wherever they stand."""
MEDIUM = 15.0
"""Bits from which they are where a name says so too."""

PLACEHOLDER = re.compile(rf"nps_[0-9a-f]{{6}}_\d+[{''.join((RAW, HTML, *IN_URL, *IN_JSON))}]")
_RUN = re.compile(r"[A-Za-z]+|\d+|[^A-Za-z\d]+")
_CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{5,}")
_HEX = re.compile(r"(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{8,}|(?=[0-9A-F]*\d)(?=[0-9A-F]*[A-F])[0-9A-F]{8,}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?"
    r"|(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? .*\d{4}.*"
    r"|\d\d?[:./]\d\d?[:./]\d{2,4}"
    r"|\d\d?:\d\d(?::\d\d)?"
)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_ASSET = re.compile(r"[^?#]*\.(?:m?js|css|map|woff2?|ttf|otf|wasm|webmanifest|ico)(?:[?#].*)?")
_WORD_BITS = 9.0
_VERSION = re.compile(r"v?\d+(?:\.\d+){1,3}(?:-[a-z0-9.]+)?|v\d+")


def is_placeholder(value: str) -> bool:
    """Whether a vault that is not there knows what this is: never chance, whatever its length."""
    return PLACEHOLDER.fullmatch(value) is not None


def is_uuid(value: str) -> bool:
    """Whether it is a UUID."""
    return _UUID.fullmatch(value) is not None


def is_number(value: str) -> bool:
    """Whether it is a decimal number."""
    return _NUMBER.fullmatch(value) is not None


def is_moment(value: str) -> bool:
    """Whether it is a date, a time of day, or a Unix time of these decades in seconds, ms, µs or ns."""
    if _MOMENT.fullmatch(value):
        return True
    if not value.isascii() or not value.isdigit():
        return False
    return len(value) in (10, 13, 16, 19) and 1_000_000_000 <= int(value[:10]) < 2_200_000_000


def is_asset(value: str) -> bool:
    """Whether it names a file of the page's build."""
    return _ASSET.fullmatch(value) is not None


@lru_cache(maxsize=65536)
def bits(value: str) -> float:
    """Bits of chance in a value; 0 for moments, words, versions and empty texts.

    >>> bits("dashboard"), bits("en-US"), round(bits("8f14e45fceea167a")), bits("2026-01-01T00:00:00Z")
    (0.0, 0.0, 64, 0.0)
    """
    if not value or is_moment(value) or _VERSION.fullmatch(value):
        return 0.0
    if is_placeholder(value):
        return 128.0
    if _UUID.fullmatch(value):
        return 122.0
    if _HEX.fullmatch(value):
        return 4.0 * len(value)
    if _NUMBER.fullmatch(value):
        return len(value) * math.log2(10)
    total, chance = 0.0, False
    for match in _RUN.finditer(value):
        run = match[0]
        if run.isdigit():
            total += len(run) * math.log2(10)
            chance = True
        elif run.isascii() and run.isalpha():
            weight = _letters(run)
            chance = chance or weight[1]
            total += weight[0]
        else:
            total += 1.0
    return total if chance else 0.0


def _letters(run: str) -> tuple[float, bool]:
    """(bits, whether they are chance) of a run of letters."""
    mixed = not (run.islower() or run.isupper())
    pieces = _CAMEL.findall(run)
    if len(run) <= 2:
        return len(run) * math.log2(52 if mixed else 26), len(run) == 2 and mixed and run[0].islower()
    if len(pieces) <= 1 + len(run) // 4 and all(_is_word(piece) for piece in pieces):
        return _WORD_BITS * len(pieces), False
    return len(run) * math.log2(52 if mixed else 26), True


def _is_word(piece: str) -> bool:
    """Whether letters look spoken: vowels among them, and no heap of consonants."""
    lower = piece.lower()
    if len(lower) <= 4:
        return True
    vowels = sum(lower.count(vowel) for vowel in "aeiouy")
    return 0.18 <= vowels / len(lower) <= 0.75 and not _CONSONANTS.search(lower) and len(lower) <= 18
