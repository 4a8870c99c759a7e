"""Every key of the JSON report is documented, and every documented key is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reports.render.json import SCHEMA, render_json
from reports.spread import Percentiles
from tests.reports.render.conftest import Report

DOCS = (Path(__file__).parents[3] / "docs" / "report-json.md").read_text()


def documented() -> set[str]:
    """The keys of the table, each whole; `x.*` for objects whose keys are not fixed."""
    keys: set[str] = set()
    for line in re.findall(r"^\| (`.*?) \| (.*?) \|$", DOCS, re.MULTILINE):
        names, meaning = line
        stem = ""
        for name in re.findall(r"`([^`]+)`", names):
            whole = f"{stem}{name}" if name.startswith(".") else name
            stem = whole.rpartition(".")[0]
            keys |= {f"{whole}.{part}" for part in Percentiles._fields} if meaning == "*percentiles*" else {whole}
    return keys


def keys_of(value: Any, at: str = "") -> Iterator[str]:
    """Every path of a document; lists as `[]`, empty objects and lists by themselves."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from keys_of(inner, f"{at}.{key}" if at else key)
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for item in value:
            yield from keys_of(item, f"{at}[]")
    else:
        yield at


def is_documented(key: str, known: set[str]) -> bool:
    stems = (key[:place] for place, char in enumerate(key) if char == ".")
    begins = any(item.startswith((f"{key}[]", f"{key}.")) for item in known)  # empty or null here
    return key in known or begins or any(f"{stem}.*" in known for stem in stems)


@pytest.fixture
def keys(recording: Report, replay: Report, broken: Report, compared: Report, followed: Report) -> set[str]:
    return {
        key
        for report in (recording, replay, broken, compared, followed)
        for key in keys_of(json.loads(render_json(*report)))
    }


def test_every_key_of_the_json_report_is_documented(keys: set[str]) -> None:
    known = documented()
    assert not [key for key in sorted(keys) if not is_documented(key, known)]


def test_every_documented_key_is_in_a_report(keys: set[str]) -> None:
    fixed = {key for key in documented() if not key.endswith("*")}
    assert sorted(fixed - keys) == []


def test_the_documented_schema_is_the_one_printed() -> None:
    assert f"`schema` is {SCHEMA}" in DOCS
