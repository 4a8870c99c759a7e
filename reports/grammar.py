"""The language of thresholds: one line of text to one `Expression`, or a refusal with a caret under the place.

It knows what can be written, never what was measured. The grammar, spaces between words being free:

    expression = times order ( duration | relative ) | scores order ( NUMBER | relative )
               | shares order ( NUMBER "%" | relative ) | shares "==" ( "0%" | "100%" )
               | "count" "(" counted ")" ( order ( NUMBER | relative ) | "==" NUMBER )
               | "count" "(" windowed ")" ( order ( NUMBER | relative ) | "==" NUMBER ) "per" WINDOW
    times      = statistic [ "(" time ")" ]                ; alone: of latency, so p95 means p95(latency)
    statistic  = PERCENTILE | "max" | "min" | "avg"        ; p50, p95, p99.9: nearest rank
    time       = "latency" | "service_time" | "response_time" | "ttfb" | "send_lag" | "connect_time"
               | "session_time" | "query_time" | "delivery" "(" event ")" | "gap" "(" event ")"
               | "load" | "navigation" | "fcp" | "lcp" | "inp" | "render" "(" name ")" | "measure" "(" name ")"
    scores     = statistic "(" "cls" ")"
    shares     = "rate" "(" share ")" | "reach" "(" event ")"
    share      = "failed" | "refused" | "limited" | "aborted" | "lost"
    counted    = windowed | "users" | share
    windowed   = "exchanges" | "sessions" | "sockets" | "events"
    event      = NAME | STRING                             ; a Socket.IO event; * and ? as in file names
    name       = NAME | STRING                             ; of a rule, of a performance.measure; * and ? too
    order      = "<" | "<=" | ">" | ">="
    relative   = [ NUMBER "*" ] "baseline"                 ; the same measure of the runs given as baseline
    duration   = NUMBER unit
    unit       = "ns" | "us" | "µs" | "ms" | "s" | "m"     ; m: minutes. WINDOW: a duration from 1ms on
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable
from fractions import Fraction

from nestperf.errors import UsageError
from reports.expressions import (
    COUNTED,
    DIMENSIONS,
    DURATIONS,
    OF_A_NAME,
    OF_AN_EVENT,
    PER_WINDOW,
    SCORE,
    SCORES,
    SHARES,
    UNITS_NS,
    Comparison,
    Dimension,
    Expression,
    Statistic,
)


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
    | (?P<mark>[()%*×])
    )""",
    re.VERBOSE,
)
_PERCENTILE = re.compile(r"p[0-9]+(?:\.[0-9]+)?")
_MAX_DIGITS = 18
_STATISTICS = ("max", "min", "avg", "rate", "count", "reach")
_SYNONYMS = {"median": "p50", "med": "p50", "mean": "avg", "average": "avg", "mismatch": "failed", "errors": "failed",
             "requests": "exchanges", "duration": "service_time"}  # fmt: skip
_AN_EVENT = "the name of an event, such as service:status"
_EVENT = re.compile(r'\s*(?P<quoted>"(?:[^"\\]|\\.)*")|\s*(?P<bare>[^\s()"][^()"]*?)(?=\s*(?:\)|$))')


def parse_expression(text: str) -> Expression:
    """Read one threshold.

    Raises:
        ExpressionRefused: it is not of the grammar; the caret stands under the first place that is wrong.
    """
    return _Parser(text).expression()


def meant(word: object, known: Iterable[str]) -> str:
    """`: did you mean latency?` where one of the known words is near enough; else nothing."""
    if not isinstance(word, str):
        return ""
    known = tuple(known)
    near = difflib.get_close_matches(_SYNONYMS.get(word.lower(), word), known, 1) or difflib.get_close_matches(
        word.lower(), known, 1
    )
    return f": did you mean {near[0]}?" if near else ""


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

    def take_mark(self, mark: str) -> bool:
        """Whether this mark came next; if not, nothing is taken."""
        before = self.end
        if self.take("mark") == mark:
            return True
        self.end = before
        return False

    def need_mark(self, mark: str, after: str) -> None:
        if not self.take_mark(mark):
            raise self.refuse(f"expected `{mark}` after `{after}`")

    def number(self, digits: str | None, column: int, expected: str = "a number") -> Fraction:
        if digits is None:
            raise self.refuse(f"expected {expected}", column)
        if len(digits) > _MAX_DIGITS:
            raise self.refuse(f"a number has at most {_MAX_DIGITS} digits", column)
        return Fraction(digits)

    def expression(self) -> Expression:
        begin = self.column
        statistic, percentile = self.statistic()
        quantity, named = "latency", None
        dimension = DIMENSIONS[statistic]
        if self.take_mark("("):
            quantity, named = self.measured(statistic)
            self.need_mark(")", self.text[begin : self.end])
            dimension = Dimension.SCORE if quantity in SCORES else dimension
        elif dimension is not Dimension.TIME:
            raise self.refuse(f"expected `(` after `{self.text[begin : self.end]}`")
        comparison = self.comparison(dimension)
        limit, of_baseline = self.limit(dimension, comparison)
        per_ns = self.window(quantity)
        if self.column < len(self.text):
            raise self.refuse("expected nothing more")
        return Expression(
            text=self.text.strip(),
            statistic=statistic,
            percentile=percentile,
            quantity=quantity,
            event=None if quantity in OF_A_NAME else named,
            name=named if quantity in OF_A_NAME else None,
            comparison=comparison,
            limit=limit,
            of_baseline=of_baseline,
            per_ns=per_ns,
        )

    def statistic(self) -> tuple[Statistic, Fraction | None]:
        column = self.column
        word = self.take("percentile", "word")
        if word is not None and _PERCENTILE.fullmatch(word):
            percent = self.number(word[1:], column)
            if not 0 < percent < 100:
                raise self.refuse("a percentile lies between p0 and p100, both excluded; use min or max", column)
            return Statistic.PERCENTILE, percent / 100
        if word not in _STATISTICS:
            expected = "expected p95 (or another percentile), max, min, avg, rate, count or reach"
            raise self.refuse(expected + meant(word, (*_STATISTICS, "p50", "p95", "p99")), column)
        return Statistic(word), None

    def measured(self, statistic: Statistic) -> tuple[str, str | None]:
        """What stands inside the parentheses: the quantity and the event or name, where it has one."""
        if statistic is Statistic.REACH:
            return "", self.event()
        known = {Statistic.RATE: SHARES, Statistic.COUNT: COUNTED}.get(statistic, (*DURATIONS, *sorted(SCORES)))
        column = self.column
        word = self.take("word")
        if word not in known:
            raise self.refuse(f"expected one of {', '.join(known)}{meant(word, known)}", column)
        if word not in OF_AN_EVENT | OF_A_NAME:
            return word, None
        self.need_mark("(", word)
        event = self.event("the name of a [[render]] rule or a performance.measure" if word in OF_A_NAME else _AN_EVENT)
        self.need_mark(")", event)
        return word, event

    def event(self, expected: str = _AN_EVENT) -> str:
        match = _EVENT.match(self.text, self.end)
        if match is None:
            raise self.refuse(f"expected {expected}")
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
        if sign == "==" and dimension is Dimension.SCORE:
            raise self.refuse("two scores are never equal: use <, <=, > or >=", column)
        return Comparison(sign)

    def limit(self, dimension: Dimension, comparison: Comparison) -> tuple[Fraction, bool]:
        """The limit, and whether it is a factor of the baseline's."""
        column = self.column
        if (factor := self.factor()) is not None:
            if comparison is Comparison.EQUAL:
                raise self.refuse("nothing equals its baseline: use <, <=, > or >=", column)
            return factor, True
        if dimension is Dimension.TIME:
            return self.duration(), False
        number = self.number(self.take("number"), column, "a number, or `1.2 * baseline`")
        percent = self.take_mark("%")
        if dimension in (Dimension.NUMBER, Dimension.SCORE):
            if percent:
                what = "a count" if dimension is Dimension.NUMBER else "a score"
                raise self.refuse(f"{what} is compared with a plain number", self.end - 1)
            return number * (SCORE if dimension is Dimension.SCORE else 1), False
        if not percent:
            raise self.refuse("a share is compared with a percentage, such as 1%", column)
        if number > 100:
            raise self.refuse("a share is at most 100%", column)
        if comparison is Comparison.EQUAL and number not in (0, 100):
            raise self.refuse("a share can only be required to equal 0% or 100%", column)
        return number / 100, False

    def factor(self) -> Fraction | None:
        """The number before `* baseline`, 1 where there is none; None where the limit is no baseline's."""
        before, column = self.end, self.column
        digits = self.take("number")
        if digits is None or self.take_mark("*") or self.take_mark("×"):
            word_column = self.column
            word = self.take("word")
            if word == "baseline":
                factor = self.number(digits or "1", column)
                if factor <= 0:
                    raise self.refuse("a factor of the baseline is more than 0", column)
                return factor
            if digits is not None:
                raise self.refuse("expected `baseline`", word_column)
        self.end = before
        return None

    def duration(self) -> Fraction:
        column = self.column
        number = self.number(self.take("number"), column, "a time, such as 1s or 500ms, or `1.2 * baseline`")
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
        if quantity not in PER_WINDOW:
            raise self.refuse(f"only a count of {', '.join(sorted(PER_WINDOW))} can be per time", column)
        duration_column = self.column
        window = self.duration()
        if window < 1_000_000:
            raise self.refuse("a window of time is at least 1ms", duration_column)
        return int(window)
