"""How numbers look on a terminal: durations, sizes and counts as people read them. Nanoseconds end here."""

from __future__ import annotations

_UNITS = ((1, "ns"), (1_000, "µs"), (1_000_000, "ms"), (1_000_000_000, "s"))
_MINUTE_NS = 60_000_000_000
NOTHING = "–"
"""Stands where there is no value."""


def duration(ns: float | None, digits: int = 3) -> str:
    """Nanoseconds with three significant digits: `83.1 µs`, `412 ms`, `1.05 s`, `12.5 min`.

    >>> duration(1_204_000_000), duration(None)
    ('1.20 s', '–')
    """
    if ns is None:
        return NOTHING
    if ns < 0:
        return "-" + duration(-ns, digits)
    if ns == 0:
        return "0 ms"
    if ns >= 10 * _MINUTE_NS:
        return f"{_significant(ns / _MINUTE_NS, digits)} min"
    for factor, unit in _UNITS:
        if unit == "s" or float(f"{ns / factor:.{digits}g}") < 1000:
            return f"{ns:.0f} ns" if unit == "ns" else f"{_significant(ns / factor, digits)} {unit}"
    raise AssertionError(ns)


def limit(ns: int) -> str:
    """A duration that people wrote: `5 s`, `500 ms`, never with digits of its own."""
    factor, unit = next(((f, u) for f, u in reversed(_UNITS) if ns >= f), _UNITS[0])
    return f"{ns / factor:,.10g} {unit}"


def _significant(value: float, digits: int) -> str:
    rounded = float(f"{value:.{digits}g}")
    whole = len(str(int(rounded)))
    return f"{rounded:,.{max(0, digits - whole)}f}"


def size(count: float) -> str:
    """Bytes with the unit that suits them: `512 B`, `3.4 MB`."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def plural(count: int, noun: str, many: str = "") -> str:
    """`1 socket`, `7 sockets`; `many` where an s is not enough."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {many or noun + 's'}"
