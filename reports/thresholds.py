"""Thresholds as they stand in TOML: reads a file of them into data, or says which key of which threshold is wrong.

A file holds `[[threshold]]` tables and, for promises that no capture can show, `[[unchecked]]` ones. Nothing here
looks at a capture. Keys of a threshold:

    expression    what must hold, in the language of `reports.grammar`
    name          what people call it; the expression where there is none
    source        where it was promised
    note          what the number leaves out
    kind, route, method, status, mark, identity, upstream, event, namespace
    profile, cache
                  what it is judged on: a value or a list; texts as file names are matched (`/api/v1/auth/*`), a
                  status as 404 or "4xx". Preflights only where `kind` names them
    applies       the runs it makes sense for: any of "record", "replay", "check", "browse" (by default all, "browse"
                  only for what it measures: pages), "measure"
    required      whether the exit code hangs on it: true (the default), false, or a list of runs as in `applies`
    required_if   any of "pages", "sockets", "broadcasts", "queries", "baseline": only where there are such; "samples":
                  only where the capture has what the other keys select; "load": only where that much load was put on
    users         judged only on runs with at least so many users
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from nestperf.capture.model import Kind
from nestperf.errors import UsageError
from nestperf.pages.rules import parse_rules
from nestperf.printable import printable
from nestperf.text_files import read_toml_text
from nestperf.toml_tables import parse_document, place_of, refuse_twins, tables_of
from reports.expressions import OF_PAGES, Expression, Statistic
from reports.grammar import ExpressionRefused, meant, parse_expression
from reports.toml_table import Table

T = TypeVar("T")

PURPOSES = ("record", "replay", "check", "browse")
MEASURE = "measure"
"""A run that is what a program measured itself (`reports.monitor`): promises about it name it."""
_RUNS = (*PURPOSES, MEASURE)
CONDITIONS = ("samples", "pages", "sockets", "broadcasts", "queries", "baseline", "load")
_OF_EXCHANGES = ("kind", "route", "method", "status", "mark", "identity", "upstream")
_OF_PAGES = ("route", "profile", "cache", "identity", "upstream")
_OF_EVENTS = ("event", "namespace", "identity", "upstream")
SELECTING = tuple(dict.fromkeys((*_OF_EXCHANGES, *_OF_EVENTS, *_OF_PAGES)))
_KEYS = ("expression", "name", "source", "note", *SELECTING, "applies", "required", "required_if", "users")
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
    mark: tuple[str, ...] = ()
    identity: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()
    """`http://localhost:4000`, or `localhost:4000`."""
    event: tuple[str, ...] = ()
    namespace: tuple[str, ...] = ()
    profile: tuple[str, ...] = ()
    """The network of a watched page; empty text for the one that was there."""
    cache: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it selects everything."""
        return not any(getattr(self, key) for key in SELECTING)

    @property
    def is_of_events(self) -> bool:
        """Whether a latency is that of acks."""
        return bool(self.event or self.namespace)


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
    required: tuple[str, ...] = _RUNS
    """The runs it is required on; empty where it is optional."""
    required_if: tuple[str, ...] = ()
    """It is required only where all of these are so."""
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
        thresholds = parse_thresholds(read_toml_text(path, "--thresholds"), str(path))
        if not thresholds.thresholds:
            raise UsageError(f"{path} holds no threshold: begin one with a line [[threshold]].")
        return thresholds
    working_file = working_folder / WORKING_FILE
    if working_file.is_file():
        thresholds = parse_thresholds(read_toml_text(working_file, "--thresholds"), str(working_file))
        if thresholds.thresholds:
            return thresholds
    text = resources.files("reports").joinpath(BUILT_IN).read_text(encoding="utf-8")
    return parse_thresholds(text, f"built-in MediaNest promises (reports/{BUILT_IN})")


def parse_thresholds(text: str, origin: str) -> Thresholds:
    """Read a TOML file's text.

    Raises:
        UsageError: as `load_thresholds`.
    """
    document = parse_document(text, origin)
    for key in document:
        if key not in _TABLES and (near := meant(key, _TABLES)):
            raise UsageError(f"{origin}: there is no [[{printable(key, 40)}]]{near}")
    thresholds = [*_each(document, "threshold", origin, read_threshold), *_limits_of_renders(document, origin)]
    refuse_twins(map(_own_name, thresholds), "threshold", origin)
    return Thresholds(
        origin=origin,
        thresholds=tuple(thresholds),
        unchecked=tuple(_each(document, "unchecked", origin, _unchecked)),
    )


_TABLES = ("threshold", "unchecked", "render")


def _limits_of_renders(document: Mapping[str, Any], origin: str) -> list[Threshold]:
    """A rule of render times that has a limit is a promise."""
    return [
        Threshold(
            name=f"{rule.name} drawn within {rule.limit}",
            expression=parse_expression(f"p95(render({json.dumps(rule.name)})) < {rule.limit}"),
            selector=Selector(),
            required_if=("pages",),
        )
        for rule in parse_rules(document, origin)
        if rule.limit
    ]


def _own_name(threshold: Threshold) -> str:
    """Empty where it is its expression: what it selects tells it apart."""
    return threshold.name if threshold.name != threshold.expression.text else ""


def _each(document: Mapping[str, Any], key: str, origin: str, read: Callable[[Table], T]) -> list[T]:
    return [
        read(Table(place_of(origin, key, number, values.get("name") or values.get("expression")), values))
        for number, values in enumerate(tables_of(document, key, origin), 1)
    ]


def read_threshold(table: Table) -> Threshold:
    """One threshold's table.

    Raises:
        UsageError: it makes no sense.
    """
    table.only(*_KEYS)
    expression = _expression(table)
    selector = Selector(
        kind=tuple(Kind(kind) for kind in table.choices("kind", tuple(Kind))),
        route=table.texts("route"),
        method=tuple(method.upper() for method in table.texts("method")),
        status=_statuses(table),
        mark=table.texts("mark"),
        identity=table.texts("identity"),
        upstream=table.texts("upstream"),
        event=table.texts("event"),
        namespace=table.texts("namespace"),
        profile=table.texts("profile"),
        cache=table.choices("cache", ("cold", "warm")),
    )
    _check_selected(table, expression)
    return Threshold(
        name=table.text("name") or expression.text,
        expression=expression,
        selector=selector,
        source=table.text("source"),
        note=table.text("note"),
        applies=_applies(table, expression),
        required=_required(table),
        required_if=table.choices("required_if", CONDITIONS),
        users=_users(table),
    )


def _unchecked(table: Table) -> Unchecked:
    table.only("name", "source", "reason")
    return Unchecked(name=table.need("name"), source=table.text("source"), reason=table.need("reason"))


def _selecting(expression: Expression, *, of_events: bool) -> tuple[str, ...]:
    """The keys that select among what an expression is about."""
    if expression.event is not None:  # which event it is, the expression says
        return ("namespace", "identity", "upstream") if expression.quantity == "gap" else ("namespace",)
    if expression.quantity in OF_PAGES:
        return _OF_PAGES
    match expression.quantity:
        case "events" if expression.statistic is Statistic.COUNT:
            return _OF_EVENTS
        case "latency" if of_events:  # of acks, which have nothing of the rest
            return _OF_EVENTS
        case "latency":
            return (*_OF_EXCHANGES, "event", "namespace")
        case "sockets" | "lost":
            return ("identity", "upstream")
        case "users" | "sessions" | "session_time":
            return ("identity",)
        case "query_time":
            return ("upstream",)
    return _OF_EXCHANGES


def _expression(table: Table) -> Expression:
    text = table.need("expression")
    try:
        return parse_expression(text)
    except ExpressionRefused as error:
        raise ExpressionRefused(error.sentence, error.text, error.column, table.where) from error


def _check_selected(table: Table, expression: Expression) -> None:
    """Refuse a selecting key that the expression would pass over in silence."""
    possible = _selecting(expression, of_events="event" in table.values or "namespace" in table.values)
    for key in SELECTING:
        if key in table.values and key not in possible:
            rest = f"can be selected by {', '.join(possible)}" if possible else "cannot be selected"
            raise UsageError(f"{table.where}: what {expression.text} is about {rest}, not by `{key}`.")


def _statuses(table: Table) -> tuple[str, ...]:
    value = table.values.get("status", [])
    values = [str(item).lower() for item in (value if isinstance(value, list) else [value])]
    if not all(re.fullmatch(r"[1-5](?:[0-9]{2}|xx)", item) for item in values):
        raise table.refuse("status", 'a status such as 404, or "4xx"')
    return tuple(values)


def _applies(table: Table, expression: Expression) -> tuple[str, ...]:
    if table.values.get("applies") == []:
        raise table.refuse("applies", "one or more of " + ", ".join(_RUNS))
    # A browse's times are those of the network that it was made over: they say nothing of an API's promises.
    fitting = PURPOSES if expression.quantity in OF_PAGES else tuple(p for p in PURPOSES if p != "browse")
    return table.choices("applies", _RUNS) or fitting


def _required(table: Table) -> tuple[str, ...]:
    value = table.values.get("required", True)
    if isinstance(value, bool):
        return _RUNS if value else ()
    return table.choices("required", _RUNS)


def _users(table: Table) -> int | None:
    value = table.values.get("users")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise table.refuse("users", "a number of users, at least 1")
    return value
