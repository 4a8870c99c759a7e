"""Rules of render times as they stand in a suite file."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from nestperf.errors import UsageError
from nestperf.pages.rules import SETTING, built_in_rules, load_rules, parse_rules, rules_as_settings, rules_of

RULE = """
[[render]]
name = "list"
selector = ["#list", "main"]
call = "/api/list*"
page = "/list"
ready = ".row"
item = "li"
at_least = 10
limit = "150 ms"
"""


def test_built_in_rules_are_the_dashboard_and_the_list_of_requests() -> None:
    assert [rule.name for rule in built_in_rules()] == ["dashboard", "request list"]
    assert built_in_rules()[1].at_least == 100


def test_rules_survive_the_way_through_a_runs_settings() -> None:
    rules = parse_rules(tomllib.loads(RULE), "a")
    assert rules_of({SETTING: rules_as_settings(rules)}) == rules
    assert rules_of({SETTING: rules_as_settings(built_in_rules())}) == built_in_rules()
    assert rules_of({}) == ()


def test_rules_of_a_suite_file_replace_the_built_in_ones(tmp_path: Path) -> None:
    assert load_rules(None, tmp_path) == built_in_rules()
    (tmp_path / "nestperf.toml").write_text("[[threshold]]\nexpression = 'p95 < 1s'\n")
    assert load_rules(None, tmp_path) == built_in_rules()
    (tmp_path / "nestperf.toml").write_text(RULE)
    (found,) = load_rules(None, tmp_path)
    assert found.selectors == ("#list", "main")
    (tmp_path / "other.toml").write_text(RULE.replace('"list"', '"other"'))
    assert [rule.name for rule in load_rules(tmp_path / "other.toml", tmp_path)] == ["other"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[render]\nname = 'x'", "double brackets"),
        ("[[render]]\nselector = '#x'\ncall = '/x'", "`name` has to be a text"),
        ("[[render]]\nname = 'x'\ncall = '/x'", "`selector`"),
        ("[[render]]\nname = 'x'\nselector = []\ncall = '/x'", "`selector`"),
        ("[[render]]\nname = 'x'\nselector = '#x'", "`call`"),
        ("[[render]]\nname = 'x'\nselector = 3\ncall = '/x'", "`selector`"),
        ("[[render]]\nname = 'x'\nselector = '#x'\ncall = '/x'\nlimit = 100", "`limit` has to be a text"),
        ("[[render]]\nname = 'x'\nselector = '#x'\ncall = '/x'\nlimit = 'soon'", '"100ms"'),
        ("[[render]]\nname = 'x'\nselector = '#x'\ncall = '/x'\nat_least = true", "`at_least`"),
        ("[[render]]\nname = 'x'\nselector = '#x'\ncall = '/x'\nselectors = 'y'", "no key 'selectors'"),
        (RULE + RULE, "two [[render]] are called 'list'"),
    ],
)
def test_rule_that_makes_no_sense_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse_rules(tomllib.loads(text), "suite.toml")
    assert said in str(refusal.value)
    assert str(refusal.value).startswith("suite.toml")
    assert "\n" not in str(refusal.value)


def test_rules_of_a_file_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Cannot read"):
        load_rules(tmp_path / "none.toml", tmp_path)
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="is not TOML"):
        load_rules(tmp_path / "bad.toml", tmp_path)
