"""Rules of render times: which element shows which call's data. Reads the `[[render]]` tables of a suite file.

name        what thresholds call it: `render(name)`
selector    CSS selectors of the element, the first that finds one counts
call        path of the call whose data it shows; * and ? stand for characters
page        paths of the pages it is on; everywhere by default
ready       a selector: the element holds its data only when this is found in it
item        a selector of the things that are counted in it; its children by default
at_least    thresholds judge only pictures of so many things
limit       a duration, such as "100ms": short for a threshold p95(render(name)) < limit
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from nestperf.errors import UsageError
from nestperf.printable import printable
from nestperf.toml_tables import tables_of

WORKING_FILE = "nestperf.toml"
"""The suite file that is taken from the working folder where none is named."""
SETTING = "render_rules"
"""Setting of a run: the rules that its pages were watched by."""
_KEYS = ("name", "selector", "call", "page", "ready", "item", "at_least", "limit")
_LIMIT = re.compile(r"[0-9]+(?:\.[0-9]+)?\s*(?:ms|s)")


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderRule:
    """One of them."""

    name: str
    selectors: tuple[str, ...]
    calls: tuple[str, ...]
    pages: tuple[str, ...] = ()
    ready: str = ""
    item: str = ""
    at_least: int = 0
    limit: str = ""


def built_in_rules() -> tuple[RenderRule, ...]:
    """The rules for MediaNest."""
    text = resources.files("nestperf.pages").joinpath("rules.toml").read_text(encoding="utf-8")
    return parse_rules(tomllib.loads(text), "nestperf/pages/rules.toml")


def load_rules(path: Path | None, working_folder: Path) -> tuple[RenderRule, ...]:
    """The rules of `path`, else of `nestperf.toml` in the working folder; the built-in ones where there are none.

    Raises:
        UsageError: the file cannot be read, or holds a rule that makes no sense.
    """
    file = path if path is not None else working_folder / WORKING_FILE
    if path is None and not file.is_file():
        return built_in_rules()
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"Cannot read {file}: {error.strerror}. Name another file with --thresholds.") from error
    except ValueError as error:  # no TOML, or no UTF-8
        raise UsageError(f"{file} is not TOML: {error}.") from error
    return parse_rules(document, str(file)) or built_in_rules()


def parse_rules(document: Mapping[str, Any], origin: str) -> tuple[RenderRule, ...]:
    """The rules of a suite file; none where it has none.

    Raises:
        UsageError: one of them makes no sense.
    """
    tables = tables_of(document, "render", origin)
    rules = tuple(_rule(table, f"{origin}, render {number}") for number, table in enumerate(tables, 1))
    names = [rule.name for rule in rules]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{origin}: two [[render]] are called {printable(name, 60)!r}: give each a name.")
    return rules


def rules_as_settings(rules: Sequence[RenderRule]) -> list[dict[str, Any]]:
    """The rules for a run's row; `rules_of` reads them."""
    return [
        {"name": rule.name, "selector": list(rule.selectors), "call": list(rule.calls), "page": list(rule.pages)}
        | {key: value for key in ("ready", "item", "at_least", "limit") if (value := getattr(rule, key))}
        for rule in rules
    ]


def rules_of(settings: Mapping[str, Any]) -> tuple[RenderRule, ...]:
    """The rules that a run was watched by."""
    found = settings.get(SETTING)
    return parse_rules({"render": found}, "the capture") if found else ()


def _rule(table: Mapping[str, Any], where: str) -> RenderRule:
    for key in table:
        if key not in _KEYS:
            raise UsageError(f"{where}: there is no key {printable(key, 40)!r}; a rule has {', '.join(_KEYS)}.")
    name = _text(table, "name", where, needed=True)
    where = f"{where} ({printable(name, 40)!r})"
    at_least, limit = table.get("at_least", 0), _text(table, "limit", where)
    if isinstance(at_least, bool) or not isinstance(at_least, int) or at_least < 0:
        raise UsageError(f"{where}: `at_least` is a number of things, such as 100.")
    if limit and not _LIMIT.fullmatch(limit):
        raise UsageError(f'{where}: `limit` is a time, such as "100ms" or "1s".')
    return RenderRule(
        name=name,
        selectors=_texts(table, "selector", where, needed=True),
        calls=_texts(table, "call", where, needed=True),
        pages=_texts(table, "page", where),
        ready=_text(table, "ready", where),
        item=_text(table, "item", where),
        at_least=at_least,
        limit=limit,
    )


def _text(table: Mapping[str, Any], key: str, where: str, *, needed: bool = False) -> str:
    value = table.get(key, "")
    if not isinstance(value, str) or (needed and not value.strip()):
        raise UsageError(f"{where}: `{key}` has to be a text.")
    return value.strip()


def _texts(table: Mapping[str, Any], key: str, where: str, *, needed: bool = False) -> tuple[str, ...]:
    value = table.get(key, [])
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) and one.strip() for one in values) or (needed and not values):
        raise UsageError(f"{where}: `{key}` has to be a text, or a list of texts.")
    return tuple(one.strip() for one in values)
