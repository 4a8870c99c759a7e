"""Suites of contracts as they stand in TOML: reads a file into contracts, or says which key of which one is wrong.

A file holds `[[contract]]` tables. Keys that all have; the others are those of their kind (docs/check.md):

    kind        which contract: `burst`, `load`, ...
    name        what people call it; its kind where there is none
    source      where it was promised
    required    whether the exit code hangs on it; true by default
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from nestperf.errors import UsageError
from nestperf.printable import printable
from nestperf.text_files import read_toml_text
from nestperf.toml_tables import parse_document, place_of, refuse_twins, tables_of
from replay.checks.contract import Contract
from replay.checks.registry import KINDS
from replay.checks.table import Table

BUILT_IN = "medianest.toml"
WORKING_FILE = "nestperf-suite.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One contract of a suite."""

    name: str
    kind: str
    source: str
    required: bool
    contract: Contract


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One file of contracts, in the order in which they run."""

    origin: str
    """Where it comes from, for the first line."""
    entries: tuple[Entry, ...]
    built_in: bool = False

    def only(self, names: Sequence[str]) -> Suite:
        """The suite with these contracts only, by name or kind; all where none are named.

        Raises:
            UsageError: there is none of that name.
        """
        if not names:
            return self
        for name in names:
            if not any(name in (entry.name, entry.kind) for entry in self.entries):
                known = ", ".join(repr(entry.name) for entry in self.entries)
                raise UsageError(f"No contract is called {name!r}: {self.origin} has {known}.")
        kept = tuple(entry for entry in self.entries if entry.name in names or entry.kind in names)
        return replace(self, entries=kept)


def load_suite(path: Path | None, working_folder: Path) -> Suite:
    """The suite of `path`, else of `nestperf-suite.toml` in the working folder, else the built-in MediaNest suite.

    Raises:
        UsageError: the file cannot be read, is not TOML, or holds a contract that makes no sense.
    """
    if path is None and (working_folder / WORKING_FILE).is_file():
        path = working_folder / WORKING_FILE
    if path is not None:
        return parse_suite(read_toml_text(path, "--suite"), str(path))
    text = resources.files("replay").joinpath("checks", BUILT_IN).read_text(encoding="utf-8")
    return replace(parse_suite(text, f"built-in MediaNest suite (replay/checks/{BUILT_IN})"), built_in=True)


def parse_suite(text: str, origin: str) -> Suite:
    """Read a TOML file's text. Contracts that exhaust something run after those that do not.

    Raises:
        UsageError: as `load_suite`.
    """
    document = parse_document(text, origin)
    for key in document:
        if key != "contract":
            raise UsageError(f"{origin}: there is no `{printable(key, 40)}`; a suite is made of [[contract]] tables.")
    tables = tables_of(document, "contract", origin)
    if not tables:
        raise UsageError(f"{origin} holds no contract: begin one with a line [[contract]].")
    entries = [_entry(values, number, origin) for number, values in enumerate(tables, 1)]
    refuse_twins((entry.name for entry in entries), "contract", origin)
    return Suite(origin=origin, entries=tuple(sorted(entries, key=lambda entry: entry.contract.rank)))


def _entry(values: Mapping[str, Any], number: int, origin: str) -> Entry:
    table = Table(place_of(origin, "contract", number, values.get("name") or values.get("kind")), values)
    kind = table.need("kind")
    table.choices("kind", tuple(KINDS))
    return Entry(
        name=table.text("name") or kind,
        kind=kind,
        source=table.text("source"),
        required=table.flag("required", True),
        contract=KINDS[kind].read(table),
    )
