"""Rules that overrule what is found: this place takes that value, that place never does, here something new is made up.

[[link]]                                # the signature always comes from the key that was fetched last
place = "header x-signature"            # as `nestperf plan` prints it; * stands for anything
of = "POST /api/orders"                 # sent where; every request without it
from = "json data.signature"            # handed out where, as `nestperf plan` prints it
by = "GET /api/key"                     # by which request's answer; any without it

[[never]]
place = "query since"

[[fresh]]
place = "json clientRef"
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, NamedTuple

from nestperf.errors import UsageError
from replay.steps import Emit, Http, Join, Open, Say, Step

_KINDS = ("link", "never", "fresh")
_KEYS = {"link": ("place", "of", "from", "by"), "never": ("place", "of"), "fresh": ("place", "of")}


class Rule(NamedTuple):
    """What is to be done at places."""

    kind: Literal["link", "never", "fresh"]
    place: str
    of: str
    origin: str
    by: str


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules of a file; the first that fits a place counts."""

    rules: tuple[Rule, ...] = ()

    def at(self, step: Step, place: str) -> Rule | None:
        """The rule for a place of what a step sends."""
        for rule in self.rules:
            if fnmatchcase(place, rule.place) and (rule.of == "*" or fnmatchcase(title_of(step), rule.of)):
                return rule
        return None

    @property
    def links(self) -> bool:
        """Whether any of them links."""
        return any(rule.kind == "link" for rule in self.rules)


def title_of(step: Step) -> str:
    """What a rule calls a step: `POST /api/orders/{id}`, `emit order:watch`, `join /media`."""
    match step.action:
        case Http():
            return f"{step.action.method} {step.action.route}"
        case Open():
            return f"open {step.action.route}"
        case Emit():
            return f"emit {step.action.event}"
        case Join():
            return f"join {step.action.namespace}"
        case Say():
            return f"say {step.action.kind}"
        case _:
            return ""


def parse_rules(text: str, name: str) -> Rules:
    """Read a file of rules.

    Raises:
        UsageError: it is no TOML, or a rule says something that no rule can say.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name} is no TOML ({error}): mend it, or leave --rules away.") from error
    for kind, tables in document.items():
        if kind not in _KINDS or not isinstance(tables, list):
            raise UsageError(f"{name}: [[{kind}]] is no rule: write [[link]], [[never]] or [[fresh]].")
    return Rules(tuple(_rule(kind, table, name) for kind in _KINDS for table in document.get(kind, [])))


def _rule(kind: Any, table: dict[str, Any], name: str) -> Rule:
    for key, value in table.items():
        if key not in _KEYS[kind] or not isinstance(value, str):
            raise UsageError(f"{name}: {key} in [[{kind}]] means nothing: write {', '.join(_KEYS[kind])}, as texts.")
    needed = ("place", "from") if kind == "link" else ("place",)
    for key in needed:
        if key not in table:
            raise UsageError(f"{name}: a [[{kind}]] has no {key}: copy it from `nestperf plan FILE`.")
    return Rule(kind, table["place"], table.get("of", "*"), table.get("from", ""), table.get("by", "*"))
