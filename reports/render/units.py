"""Numbers as people read them: durations with a sensible unit, shares, counts. Nanoseconds end here."""

from __future__ import annotations

from fractions import Fraction

from nestperf.console import NOTHING, duration
from reports.expressions import SCORE, Dimension

_UNITS = ((1, "ns"), (1_000, "µs"), (1_000_000, "ms"), (1_000_000_000, "s"))


def format_limit(value: Fraction | int, dimension: Dimension = Dimension.TIME) -> str:
    """A limit as people write it: `1 s`, `500 ms`, `1 %`, `1,000`."""
    if dimension is Dimension.NUMBER:
        return format_count(float(value))
    if dimension is Dimension.SHARE:
        return f"{float(value * 100):g} %"
    if dimension is Dimension.SCORE:
        return f"{float(value) / SCORE:g}"
    factor, unit = next(((f, u) for f, u in reversed(_UNITS) if value >= f), _UNITS[0])
    return f"{float(value / factor):,.10g} {unit}"


def format_share(share: float | None, digits: int = 3) -> str:
    """0 to 1 as a percentage: `0.12 %`, `99.8 %`, `100 %`; never 0 % or 100 % where it is not quite that."""
    if share is None:
        return NOTHING
    percent = share * 100
    if percent in (0, 100):
        return f"{percent:.0f} %"
    for places in range(max(0, digits - len(str(int(percent)))), 14):
        text = f"{percent:.{places}f}"
        if 0 < float(text) < 100:
            return (text.rstrip("0").rstrip(".") if "." in text else text) + " %"
    return f"{percent:g} %"


def format_count(count: float | None) -> str:
    """A whole number with thousands set off."""
    return NOTHING if count is None else f"{count:,.0f}"


def format_rate(per_minute: float | None) -> str:
    """So many a minute: whole from 10 on."""
    if per_minute is None:
        return NOTHING
    return f"{per_minute:,.0f}" if per_minute >= 10 or per_minute == 0 else f"{per_minute:.1f}"


def format_score(score: float | None, digits: int = 3) -> str:
    """A score, such as layout shift, of billionths: `0.083`."""
    return NOTHING if score is None else f"{score / SCORE:.{digits}f}"


_FORMATS = {Dimension.TIME: duration, Dimension.SHARE: format_share, Dimension.SCORE: format_score}


def format_value(value: float | None, dimension: Dimension) -> str:
    """A measured value."""
    return format_count(value) if dimension is Dimension.NUMBER else _FORMATS[dimension](value)


def format_measured(value: float | None, limit: Fraction, dimension: Dimension) -> str:
    """A measured value with so many digits that it does not look like the limit unless it is the limit."""
    if value is None or dimension is Dimension.NUMBER or value == limit:
        return format_value(value, dimension)
    text = ""
    for digits in range(3, 13):
        text = _FORMATS[dimension](value, digits)
        if text != _FORMATS[dimension](float(limit), digits):
            break
    return text
