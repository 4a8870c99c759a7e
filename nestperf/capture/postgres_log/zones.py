"""The time stamps of PostgreSQL's log: date, time and the name of a zone (`log_timezone`), as nanoseconds since 1970.

Pure. A zone's abbreviation is not a zone: the common ones are known, any other is taken for UTC and said.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from nestperf.capture.foreign import LATEST_NS

_STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d) (\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))? ?(\S*)")
_EPOCH = re.compile(r"(\d{9,12})\.(\d{3})")
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)?")
_HOURS = {
    "": 0.0, "UTC": 0, "GMT": 0, "Z": 0, "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3,
    "MSK": 3, "SAST": 2, "IST": 5.5, "PKT": 5, "ICT": 7, "WIB": 7, "SGT": 8, "HKT": 8, "AWST": 8, "JST": 9, "KST": 9,
    "ACST": 9.5, "ACDT": 10.5, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13, "NST": -3.5, "NDT": -2.5, "ADT": -3,
    "BRT": -3, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "AKST": -9,
    "AKDT": -8, "HST": -10,
}  # fmt: skip
"""PostgreSQL's own reading of them where they are ambiguous, India's IST apart."""


def parse_stamp(text: str) -> tuple[int, str] | None:
    """Nanoseconds since 1970, and the zone's name where it is not known (empty where it is); None for no stamp.

    >>> parse_stamp("2026-11-29 15:32:38.726 CET")
    (1795962758726000000, '')
    """
    epoch = _EPOCH.fullmatch(text)
    if epoch is not None:
        return int(epoch[1]) * 10**9 + int(epoch[2]) * 10**6, ""
    match = _STAMP.match(text)
    if match is None:
        return None
    *date, fraction, zone = match.groups()
    try:
        whole = int(datetime(*map(int, date), tzinfo=UTC).timestamp())  # type: ignore[arg-type,misc]
    except ValueError:
        return None
    offset = _OFFSET.fullmatch(zone)
    unknown = ""
    if offset is not None:
        shift = int(offset[2]) * 3600 + int(offset[3] or 0) * 60
        whole -= shift if offset[1] == "+" else -shift
    elif zone in _HOURS:
        whole -= round(_HOURS[zone] * 3600)
    else:
        unknown = zone[:40]
    if not 0 <= whole < LATEST_NS // 10**9:
        return None
    return whole * 10**9 + int((fraction or "").ljust(9, "0")), unknown
