"""Suites as they stand in TOML: what is read, in which order it runs, and the sentences about what makes no sense."""

from __future__ import annotations

from pathlib import Path

import pytest

from nestperf.errors import UsageError
from replay.checks.burst import Burst
from replay.checks.contract import Source
from replay.checks.init import write_suite
from replay.checks.limit import RateLimit
from replay.checks.registry import KINDS
from replay.checks.suite import load_suite, parse_suite
from replay.steps import Plan
from tests.replay.checks.conftest import SECOND, call, session


def test_built_in_suite_holds_every_kind_and_begins_with_the_limit() -> None:
    suite = load_suite(None, Path("/"))
    assert {entry.kind for entry in suite.entries} <= set(KINDS)
    assert isinstance(suite.entries[0].contract, RateLimit)
    ranks = [entry.contract.rank for entry in suite.entries]
    assert ranks == sorted(ranks)
    assert suite.origin == "built-in MediaNest suite (replay/checks/medianest.toml)"


def test_keys_of_a_contract_are_read() -> None:
    keys = 'name = "ten"\nusers = 10\nwithin = "1m30s"\nrequired = false\nsource = "plan"\n'
    (entry,) = parse_suite(f'[[contract]]\nkind = "burst"\n{keys}', "x.toml").entries
    assert entry.contract == Burst(call="", signed_in=False, users=10, within_ns=90 * SECOND)
    assert (entry.name, entry.kind, entry.source, entry.required) == ("ten", "burst", "plan", False)


def test_only_takes_names_and_kinds() -> None:
    a, b = (f'[[contract]]\nkind = "burst"\nname = "{name}"\n' for name in "ab")
    text = f'{a}{b}[[contract]]\nkind = "limit"\n'
    suite = parse_suite(text, "x.toml")
    assert [entry.name for entry in suite.only(["b"]).entries] == ["b"]
    assert [entry.name for entry in suite.only(["burst"]).entries] == ["a", "b"]
    with pytest.raises(UsageError, match=r"No contract is called 'c': x.toml has 'limit', 'a', 'b'\."):
        suite.only(["c"])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "x.toml holds no contract"),
        ("[[contract]\n", "x.toml is not TOML"),
        ('[[contracts]]\nkind = "burst"\n', "there is no `contracts`"),
        ("contract = 1\n", r"write \[\[contract\]\] in double brackets"),
        ("[[contract]]\nusers = 3\n", "contract 1: `kind` is missing"),
        ('[[contract]]\nkind = "brst"\n', "`kind` is 'brst', expected one or more of .*did you mean"),
        ('[[contract]]\nkind = "burst"\nuser = 3\n', r"contract 1 \('burst'\): there is no key `user`"),
        ('[[contract]]\nkind = "burst"\nusers = 0\n', "`users` is 0, expected a whole number, at least 1"),
        ('[[contract]]\nkind = "burst"\nusers = true\n', "`users` is True"),
        ('[[contract]]\nkind = "burst"\nwithin = 5\n', '`within` is 5, expected a duration such as "5s"'),
        ('[[contract]]\nkind = "load"\nrate = "fast"\n', "`rate` is 'fast', expected requests in a unit of time"),
        ('[[contract]]\nkind = "load"\n[[contract.promise]]\nexpression = "p95(latenzy) < 1s"\n', "promise 1"),
        ('[[contract]]\nkind = "limit"\n[[contract]]\nkind = "limit"\n', "contracts 1 and 2 are both called 'limit'"),
    ],
)
def test_what_makes_no_sense_is_said(text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        parse_suite(text, "x.toml")


def test_suite_that_init_writes_is_a_suite() -> None:
    bearer = (("Authorization", "Bearer x"),)
    visit = session(call(1, "GET /health"), call(2, "GET /api/figures", headers=bearer))
    text = write_suite(Source(plan=Plan(sessions=(visit,), skipped=())), "qa.db")
    suite = parse_suite(text, "suite.toml")
    assert [entry.kind for entry in suite.entries] == ["limit", "burst", "burst", "load"]
    assert "# connections: the capture has nothing for it." in text
    assert 'call = "GET /health"  # its path says that it is a health check (exchange 1)' in text
