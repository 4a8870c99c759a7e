"""Thresholds as they stand in TOML: reads a file of them into data, or says which key of which threshold is wrong.

A file holds `[[threshold]]` tables and, for promises that no capture can show, `[[unchecked]]` ones. Nothing here
looks at a capture. Keys of a threshold:

    expression    what must hold, in the language of `reports.grammar`
    name          what people call it; the expression where there is none
    source        where it was promised
    note          what the number leaves out
    kind, route, method, status, event, identity
                  what it is judged on: a value or a list; routes, events and identities as file names are matched
                  (`/api/v1/auth/*`), a status as 404 or "4xx". Preflights only where `kind` names them
    applies       the runs it makes sense for: any of "record", "replay", "check"; all by default
    required      whether the exit code hangs on it: true (the default), false, or a list of runs as in `applies`
    required_if   "pages", "sockets", "broadcasts", "queries": only where the capture has any; "load": only where the
                  run put that much load on
    users         judged only on runs with at least so many users
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from nestperf.capture.model import Kind
from nestperf.errors import UsageError
from reports.grammar import Expression, ExpressionRefused, Statistic, parse_expression

T = TypeVar("T")

PURPOSES = ("record", "replay", "check")
CONDITIONS = ("pages", "sockets", "broadcasts", "queries", "load")
SELECTING = ("kind", "route", "method", "status", "event", "identity")
_NOT_OF_EXCHANGES = frozenset({"users", "sessions", "sockets", "lost", "session_time", "query_time"})
WORKING_FILE = "nestperf.toml"
BUILT_IN = "medianest.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """What a threshold is judged on. An empty tuple lets everything through."""

    kind: tuple[Kind, ...] = ()
    route: tuple[str, ...] = ()
    method: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    """`404`, `4xx`."""
    event: tuple[str, ...] = ()
    identity: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it selects everything."""
        return not any((self.kind, self.route, self.method, self.status, self.event, self.identity))


def matches_any(text: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of the patterns matches as file names are matched; `{id}` and the like stand for themselves."""
    return any(text == pattern or fnmatchcase(text, pattern) for pattern in patterns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """One promise."""

    name: str
    expression: Expression
    selector: Selector
    source: str = ""
    note: str = ""
    applies: tuple[str, ...] = PURPOSES
    required: tuple[str, ...] = PURPOSES
    """The runs it is required on; empty where it is optional."""
    required_if: str | None = None
    users: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchecked:
    """A promise that no capture can show; listed so that nobody takes it for checked."""

    name: str
    source: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """One file of thresholds."""

    origin: str
    """Where they come from, for the report's second line."""
    thresholds: tuple[Threshold, ...]
    unchecked: tuple[Unchecked, ...] = ()


def load_thresholds(path: Path | None, working_folder: Path) -> Thresholds:
    """The thresholds of `path`, else of `nestperf.toml` in the working folder, else the built-in MediaNest file.

    Raises:
        UsageError: the file cannot be read, is not TOML, or holds a threshold that makes no sense.
    """
    if path is not None:
        thresholds = parse_thresholds(_read(path), str(path))
        if not thresholds.thresholds:
            raise UsageError(f"{path} holds no threshold: begin one with a line [[threshold]].")
        return thresholds
    working_file = working_folder / WORKING_FILE
    if working_file.is_file():
        thresholds = parse_thresholds(_read(working_file), str(working_file))
        if thresholds.thresholds:
            return thresholds
    text = resources.files("reports").joinpath(BUILT_IN).read_text(encoding="utf-8")
    return parse_thresholds(text, f"built-in MediaNest promises (reports/{BUILT_IN})")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: name a TOML file with --thresholds.") from error
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}. Name another file with --thresholds.") from error


def parse_thresholds(text: str, origin: str) -> Thresholds:
    """Read a TOML file's text.

    Raises:
        UsageError: as `load_thresholds`.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{origin} is not TOML: {error}.") from error
    return Thresholds(
        origin=origin,
        thresholds=tuple(_each(document, "threshold", origin, _threshold)),
        unchecked=tuple(_each(document, "unchecked", origin, _unchecked)),
    )


def _each(document: Mapping[str, Any], key: str, origin: str, read: Callable[[_Table], T]) -> list[T]:
    tables = document.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(f"{origin}: write [[{key}]] in double brackets, once for each.")
    result = []
    for number, values in enumerate(tables, 1):
        title = values.get("name") or values.get("expression") or ""
        where = f"{origin}, {key} {number}" + (f" ({title!r})" if isinstance(title, str) and title else "")
        result.append(read(_Table(where, values)))
    return result


def _threshold(table: _Table) -> Threshold:
    table.only("expression", "name", "source", "note", "kind", "route", "method", "status", "event", "identity",
               "applies", "required", "required_if", "users")  # fmt: skip
    expression = table.expression()
    applies = table.choices("applies", PURPOSES) or PURPOSES
    selector = Selector(
        kind=tuple(Kind(kind) for kind in table.choices("kind", tuple(Kind))),
        route=table.texts("route"),
        method=tuple(method.upper() for method in table.texts("method")),
        status=table.statuses(),
        event=table.texts("event"),
        identity=table.texts("identity"),
    )
    table.check_selected(expression)
    return Threshold(
        name=table.text("name") or expression.text,
        expression=expression,
        selector=selector,
        source=table.text("source"),
        note=table.text("note"),
        applies=applies,
        required=table.required(),
        required_if=table.condition(),
        users=table.users(),
    )


def _unchecked(table: _Table) -> Unchecked:
    table.only("name", "source", "reason")
    return Unchecked(name=table.need("name"), source=table.text("source"), reason=table.need("reason"))


def _selecting(expression: Expression) -> tuple[str, ...]:
    """The keys that select among what an expression is about."""
    if expression.statistic is Statistic.COUNT and expression.quantity == "events":
        return ("event",)
    if expression.quantity in _NOT_OF_EXCHANGES or expression.event is not None:
        return ()
    return ("kind", "route", "method", "status", "identity", *(("event",) if expression.quantity == "latency" else ()))


class _Table:
    """One TOML table with its place in the file; every getter says what is wrong with a value."""

    def __init__(self, where: str, values: Mapping[str, Any]) -> None:
        self.where = where
        self.values = values

    def refuse(self, key: str, expected: str) -> UsageError:
        return UsageError(f"{self.where}: `{key}` is {self.values[key]!r}, expected {expected}.")

    def only(self, *known: str) -> None:
        for key in self.values:
            if key not in known:
                raise UsageError(f"{self.where}: there is no key `{key}`; the keys are {', '.join(known)}.")

    def text(self, key: str) -> str:
        value = self.values.get(key, "")
        if not isinstance(value, str):
            raise self.refuse(key, "a text")
        return value

    def need(self, key: str) -> str:
        value = self.text(key)
        if not value:
            raise UsageError(f"{self.where}: `{key}` is missing.")
        return value

    def expression(self) -> Expression:
        text = self.need("expression")
        try:
            return parse_expression(text)
        except ExpressionRefused as error:
            raise ExpressionRefused(error.sentence, error.text, error.column, self.where) from error

    def check_selected(self, expression: Expression) -> None:
        """Refuse a selecting key that the expression would pass over in silence."""
        possible = _selecting(expression)
        if expression.quantity == "latency" and "event" in self.values:
            possible = ("event",)  # the latency of acks, which have none of the rest
        for key in SELECTING:
            if key in self.values and key not in possible:
                rest = f"can be selected by {', '.join(possible)}" if possible else "cannot be selected"
                raise UsageError(f"{self.where}: what {expression.text} is about {rest}, not by `{key}`.")

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key, [])
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str) and item for item in values):
            raise self.refuse(key, "a text or a list of texts")
        return tuple(values)

    def choices(self, key: str, known: tuple[str, ...]) -> tuple[str, ...]:
        values = self.texts(key)
        if not set(values) <= set(known):
            raise self.refuse(key, "one or more of " + ", ".join(known))
        return values

    def statuses(self) -> tuple[str, ...]:
        value = self.values.get("status", [])
        values = [str(item).lower() for item in (value if isinstance(value, list) else [value])]
        if not all(re.fullmatch(r"[1-5](?:[0-9]{2}|xx)", item) for item in values):
            raise self.refuse("status", 'a status such as 404, or "4xx"')
        return tuple(values)

    def required(self) -> tuple[str, ...]:
        value = self.values.get("required", True)
        if isinstance(value, bool):
            return PURPOSES if value else ()
        return self.choices("required", PURPOSES)

    def condition(self) -> str | None:
        value = self.text("required_if")
        if value and value not in CONDITIONS:
            raise self.refuse("required_if", "one of " + ", ".join(CONDITIONS))
        return value or None

    def users(self) -> int | None:
        value = self.values.get("users")
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise self.refuse("users", "a number of users, at least 1")
        return value
