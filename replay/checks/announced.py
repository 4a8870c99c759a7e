"""What an answer says of the rate limit that it was counted against, in the fields that servers use for it. Pure.

`RateLimit-Policy: 100;w=60` and `RateLimit-Limit` (the drafts of draft-ietf-httpapi-ratelimit-headers), and the
`X-RateLimit-*` that were there before them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from nestperf.capture.kinds import field
from nestperf.capture.model import Pairs
from nestperf.durations import SECOND_NS

_WINDOW = re.compile(r";\s*w=(\d+)")
_PREFIXES = ("ratelimit-", "x-ratelimit-")


class Announced(NamedTuple):
    """A limit as an answer tells of it."""

    requests: int
    used: int | None
    """Before this request; None where it does not say what is left."""
    window_ns: int | None
    """None where it does not say."""


def announced(headers: Pairs) -> Announced | None:
    """The limit in an answer's fields; None where there is none."""
    window = _WINDOW.search(field(headers, "ratelimit-policy"))
    for prefix in _PREFIXES:
        most, left = field(headers, f"{prefix}limit"), field(headers, f"{prefix}remaining")
        if most.isdigit() and int(most) > 0:
            used = max(0, int(most) - int(left) - 1) if left.isdigit() else None
            return Announced(int(most), used, int(window[1]) * SECOND_NS if window and int(window[1]) else None)
    return None
