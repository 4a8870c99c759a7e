"""How much of a body is stored: parses `--max-body`."""

from __future__ import annotations

import re
from typing import NamedTuple

from nestperf.capture.contents import MAX_REQUEST, MAX_RESPONSE
from nestperf.errors import UsageError

_SIZE = re.compile(r"(\d{1,12})\s*([KMGT]?)(i?)B?", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


class BodyLimits(NamedTuple):
    """Bytes, decoded."""

    requests: int = MAX_REQUEST
    responses: int = MAX_RESPONSE


def parse_body_limits(text: str) -> BodyLimits:
    """`[requests=SIZE][,][responses=SIZE]`, or one SIZE for responses alone, such as `16MiB`, `500kB`, `0`.

    >>> parse_body_limits("requests=1GiB,responses=0")
    BodyLimits(requests=1073741824, responses=0)

    Raises:
        UsageError: anything else.
    """
    limits = BodyLimits()
    for part in text.split(","):
        name, mark, size = part.strip().rpartition("=")
        name = name.strip().lower() if mark else "responses"
        if name not in BodyLimits._fields:
            raise UsageError(f"--max-body {text!r}: {name!r} is neither requests nor responses.")
        limits = limits._replace(**{name: _parse_size(size.strip(), text)})
    return limits


def _parse_size(size: str, text: str) -> int:
    match = _SIZE.fullmatch(size)
    if match is None:
        raise UsageError(
            f"--max-body {text!r}: {size!r} is no size; write e.g. 16MiB, or requests=64MiB,responses=4MiB."
        )
    return int(match[1]) * int((1024 if match[3] else 1000) ** _POWERS[match[2].upper()])
