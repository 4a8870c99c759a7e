"""The language of thresholds: one line of text to one `Expression`, or a refusal with a caret under the place.

It knows what can be written, never what was measured. The grammar, spaces between words being free:

    expression = measure comparison limit [ "per" duration ]
    measure    = times "(" duration-of ")" | "rate" "(" share ")" | "count" "(" counted ")" | "reach" "(" event ")"
    times      = "p" NUMBER | "max" | "min" | "avg"            ; p95, p99.9: nearest rank
    duration-of = "latency" | "service_time" | "response_time" | "ttfb" | "send_lag" | "session_time"
               | "connect_time" | "query_time" | "delivery" "(" event ")" | "gap" "(" event ")"
    share      = "failed" | "refused" | "limited" | "aborted" | "lost"      ; lost: of sockets, the others of exchanges
    counted    = "exchanges" | "users" | "sessions" | "sockets" | "events" | share
    event      = NAME | STRING                                 ; a Socket.IO event, `*` and `?` as in file names
    comparison = "<" | "<=" | ">" | ">=" | "=="                ; "==" not after a duration
    limit      = duration | NUMBER "%" | NUMBER                ; of a time, of a share, of a count
    duration   = NUMBER ( "ns" | "us" | "µs" | "ms" | "s" | "m" )          ; m: minutes
"""

from __future__ import annotations

import enum
import json
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from nestperf.errors import UsageError


class Statistic(enum.StrEnum):
    """What is taken of the samples."""

    PERCENTILE = "percentile"
    MAX = "max"
    MIN = "min"
    AVG = "avg"
    RATE = "rate"
    COUNT = "count"
    REACH = "reach"


class Dimension(enum.StrEnum):
    """What a measured value and its limit are numbers of."""

    TIME = "time"
    """Nanoseconds."""
    SHARE = "share"
    """0 to 1."""
    NUMBER = "number"


class Comparison(enum.StrEnum):
    """How the measured value must stand to the limit."""

    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    EQUAL = "=="

    def holds(self, value: Fraction | int | float, limit: Fraction) -> bool:
        """Whether `value` keeps the limit."""
        return bool(_OPERATORS[self](value, limit))

    @property
    def is_upper(self) -> bool:
        """Whether smaller is better."""
        return self in (Comparison.LESS, Comparison.AT_MOST)


_OPERATORS: dict[Comparison, Callable[[Any, Any], bool]] = {
    Comparison.LESS: operator.lt,
    Comparison.AT_MOST: operator.le,
    Comparison.MORE: operator.gt,
    Comparison.AT_LEAST: operator.ge,
    Comparison.EQUAL: operator.eq,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """One parsed threshold. Numbers are exact: 1 failure in 100 is not less than `1%`."""

    text: str
    statistic: Statistic
    percentile: Fraction | None = None
    """0 to 1, of a percentile."""
    quantity: str
    """`latency`, `failed`, `exchanges`, ...; empty for reach."""
    event: str | None = None
    """The event of reach, delivery and gap."""
    comparison: Comparison
    limit: Fraction
    """Nanoseconds, 0 to 1, or a plain number: see `dimension`."""
    per_ns: int | None = None
    """The window of a count, nanoseconds."""

    @property
    def dimension(self) -> Dimension:
        """What `limit` is a number of."""
        return _DIMENSIONS[self.statistic]


_DIMENSIONS = {
    Statistic.PERCENTILE: Dimension.TIME,
    Statistic.MAX: Dimension.TIME,
    Statistic.MIN: Dimension.TIME,
    Statistic.AVG: Dimension.TIME,
    Statistic.RATE: Dimension.SHARE,
    Statistic.REACH: Dimension.SHARE,
    Statistic.COUNT: Dimension.NUMBER,
}

DURATIONS = ("latency", "service_time", "response_time", "ttfb", "send_lag", "session_time", "connect_time",
             "query_time", "delivery", "gap")  # fmt: skip
SHARES = ("failed", "refused", "limited", "aborted", "lost")
COUNTED = ("exchanges", "users", "sessions", "sockets", "events", *SHARES)
_OF_AN_EVENT = frozenset({"delivery", "gap"})
_PER_WINDOW = frozenset({"exchanges", "sessions", "sockets", "events"})

UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # the micro sign
    "μs": 1_000,  # the Greek letter that looks the same
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
}


class ExpressionRefused(UsageError):
    """A threshold that is not of the grammar; says where and what was expected."""

    def __init__(self, sentence: str, text: str, column: int, where: str = "") -> None:
        self.sentence = sentence
        self.text = text
        self.column = column
        """Counted from 0: the character that the caret stands under."""
        self.where = where
        """File and threshold, empty where unknown."""
        shown = "".join(c if c.isprintable() else " " for c in text)
        prefix = f"{where}: " if where else ""
        super().__init__(f"{prefix}{sentence}\n    {shown}\n    {' ' * column}^")


_TOKEN = re.compile(
    r"""\s*(?:
      (?P<percentile>p[0-9]+(?:\.[0-9]+)?\b)
    | (?P<number>[0-9]+(?:\.[0-9]+)?)
    | (?P<word>[^\W\d]\w*)
    | (?P<comparison><=|>=|==|<|>)
    | (?P<mark>[()%])
    )""",
    re.VERBOSE,
)
_MAX_DIGITS = 18
_EVENT = re.compile(r'\s*(?P<quoted>"(?:[^"\\]|\\.)*")|\s*(?P<bare>[^\s()"][^()"]*?)(?=\s*(?:\)|$))')


def parse_expression(text: str) -> Expression:
    """Read one threshold.

    Raises:
        ExpressionRefused: it is not of the grammar; the caret stands under the first place that is wrong.
    """
    return _Parser(text).expression()


class _Parser:
    """Reads tokens from the left; `column` is where the next one begins."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.end = 0

    @property
    def column(self) -> int:
        rest = self.text[self.end :]
        return self.end + len(rest) - len(rest.lstrip())

    def refuse(self, sentence: str, column: int | None = None) -> ExpressionRefused:
        return ExpressionRefused(sentence, self.text, self.column if column is None else column)

    def take(self, *kinds: str) -> str | None:
        """The next token if it is of one of these kinds, else None and nothing is taken."""
        match = _TOKEN.match(self.text, self.end)
        if match is None or match.lastgroup not in kinds:
            return None
        self.end = match.end()
        return match[match.lastgroup]

    def need_mark(self, mark: str, after: str) -> None:
        column = self.column
        if self.take("mark") != mark:
            raise self.refuse(f"expected `{mark}` after `{after}`", column)

    def number(self, digits: str | None, column: int, expected: str = "a number") -> Fraction:
        if digits is None:
            raise self.refuse(f"expected {expected}", column)
        if len(digits) > _MAX_DIGITS:
            raise self.refuse(f"a number has at most {_MAX_DIGITS} digits", column)
        return Fraction(digits)

    def expression(self) -> Expression:
        begin = self.column
        statistic, percentile = self.statistic()
        self.need_mark("(", self.text[begin : self.end])
        quantity, event = self.measured(statistic)
        self.need_mark(")", self.text[begin : self.end])
        comparison = self.comparison(_DIMENSIONS[statistic])
        limit = self.limit(_DIMENSIONS[statistic], comparison)
        per_ns = self.window(quantity)
        if self.column < len(self.text):
            raise self.refuse("expected nothing more")
        return Expression(
            text=self.text.strip(),
            statistic=statistic,
            percentile=percentile,
            quantity=quantity,
            event=event,
            comparison=comparison,
            limit=limit,
            per_ns=per_ns,
        )

    def statistic(self) -> tuple[Statistic, Fraction | None]:
        column = self.column
        word = self.take("percentile", "word")
        if word is not None and word[0] == "p" and word[1:2].isdigit():
            percent = self.number(word[1:], column)
            if not 0 < percent < 100:
                raise self.refuse("a percentile lies between p0 and p100, both excluded; use min or max", column)
            return Statistic.PERCENTILE, percent / 100
        if word not in {"max", "min", "avg", "rate", "count", "reach"}:
            raise self.refuse("expected p95 (or another percentile), max, min, avg, rate, count or reach", column)
        return Statistic(word), None

    def measured(self, statistic: Statistic) -> tuple[str, str | None]:
        """What stands inside the parentheses: the quantity and the event, where it has one."""
        if statistic is Statistic.REACH:
            return "", self.event()
        known = {Statistic.RATE: SHARES, Statistic.COUNT: COUNTED}.get(statistic, DURATIONS)
        column = self.column
        word = self.take("word")
        if word not in known:
            raise self.refuse(f"expected one of {', '.join(known)}", column)
        if word not in _OF_AN_EVENT:
            return word, None
        self.need_mark("(", word)
        event = self.event()
        self.need_mark(")", event)
        return word, event

    def event(self) -> str:
        match = _EVENT.match(self.text, self.end)
        if match is None:
            raise self.refuse("expected the name of an event, such as service:status")
        if match["quoted"] is None:
            self.end = match.end()
            return str(match["bare"])
        column = self.column
        try:
            event = json.loads(match["quoted"])
        except ValueError as error:
            raise self.refuse("this string is not closed as JSON closes one", column) from error
        self.end = match.end()
        return str(event)

    def comparison(self, dimension: Dimension) -> Comparison:
        column = self.column
        sign = self.take("comparison")
        if sign is None:
            raise self.refuse("expected <, <=, >, >= or ==", column)
        if sign == "==" and dimension is Dimension.TIME:
            raise self.refuse("two durations are never equal: use <, <=, > or >=", column)
        return Comparison(sign)

    def limit(self, dimension: Dimension, comparison: Comparison) -> Fraction:
        column = self.column
        if dimension is Dimension.TIME:
            return self.duration()
        number = self.number(self.take("number"), column)
        percent = self.take("mark") == "%"
        if dimension is Dimension.NUMBER:
            if percent:
                raise self.refuse("a count is compared with a plain number", self.end - 1)
            return number
        if not percent:
            raise self.refuse("a share is compared with a percentage, such as 1%", column)
        if number > 100:
            raise self.refuse("a share is at most 100%", column)
        if comparison is Comparison.EQUAL and number not in (0, 100):
            raise self.refuse("a share can only be required to equal 0% or 100%", column)
        return number / 100

    def duration(self) -> Fraction:
        column = self.column
        number = self.number(self.take("number"), column, "a time, such as 1s or 500ms")
        unit_column = self.column
        unit = self.take("word")
        if unit not in UNITS_NS:
            raise self.refuse("expected a unit of time: ns, us, µs, ms, s or m (minutes)", unit_column)
        return number * UNITS_NS[unit]

    def window(self, quantity: str) -> int | None:
        column = self.column
        word = self.take("word")
        if word is None:
            return None
        if word != "per":
            raise self.refuse("expected nothing more, or `per 1m`", column)
        if quantity not in _PER_WINDOW:
            raise self.refuse(f"only a count of {', '.join(sorted(_PER_WINDOW))} can be per time", column)
        duration_column = self.column
        window = self.duration()
        if window < 1_000_000:
            raise self.refuse("a window of time is at least 1ms", duration_column)
        return int(window)
