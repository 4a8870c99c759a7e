"""How numbers and captured text look on a terminal, where captured text is hostile: none of it goes there as it is."""

from __future__ import annotations

_UNITS = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"))


def duration(nanoseconds: float | None) -> str:
    """A duration with the unit that suits it, three significant digits: `83.1 µs`, `12.0 ms`, `1.20 s`.

    >>> duration(1_204_000_000), duration(None)
    ('1.20 s', '-')
    """
    if nanoseconds is None:
        return "-"
    value, unit = float(nanoseconds), "ns"
    for nanoseconds_each, unit in _UNITS:  # noqa: B007 - the last one tried is the one used
        value = nanoseconds / nanoseconds_each
        if abs(value) >= 0.9995:
            break
    if abs(value) >= 999.5:
        return f"{value:,.0f} {unit}"
    decimals = 2 if abs(value) < 9.995 else 1 if abs(value) < 99.95 else 0
    return f"{value:.{decimals}f} {unit}"


def size(count: float) -> str:
    """Bytes with the unit that suits them: `512 B`, `3.4 MB`."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def plural(count: int, noun: str) -> str:
    """`1 socket`, `7 sockets`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def printable(text: str, width: int = 80) -> str:
    """Captured text for a terminal: control characters shown as escapes, cut to `width` with an ellipsis."""
    cut = text[: width + 1]
    shown = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in cut
    )
    return shown if len(shown) <= width and len(text) <= width else shown[: max(0, width - 1)] + "…"
