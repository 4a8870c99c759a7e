"""What happens between contracts: waits, identities in turn, results of several runs, names of captures, exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from nestperf.capture.clock import Clock
from nestperf.errors import ExitCode
from nestperf.verdicts import Verdict
from replay.checks.burst import Burst
from replay.checks.contract import Finding
from replay.checks.performance import Performed, interrupted, path_of, rotated
from replay.checks.rounds import Spent
from replay.checks.suite import Entry
from replay.checks.text import headline, render_contracts
from replay.checks.together import exit_code, judge_together
from replay.identities import Identity
from tests.replay.checks.conftest import SECOND


def performed(verdict: Verdict, *, required: bool = True, invalid: tuple[str, ...] = ()) -> Performed:
    entry = Entry(
        name="a contract",
        kind="burst",
        source="plan",
        required=required,
        contract=Burst(call="", signed_in=False, users=2, within_ns=SECOND),
    )
    finding = Finding(verdict=verdict, measured="2 of 2", limit="2 within 1 s", n=2, sentences=(f"It is {verdict}.",))
    return Performed(entry=entry, finding=finding, invalid=invalid)


def test_nothing_waits_before_the_first_contract_or_without_need() -> None:
    spent = Spent(Clock.start())
    assert spent.wait_ns(60 * SECOND) == 0
    spent.count(20)
    assert spent.identities == 20
    assert spent.wait_ns(0) == 0
    assert 3599 * SECOND < spent.wait_ns(3600 * SECOND) <= 3600 * SECOND


def test_identities_take_turns_from_contract_to_contract() -> None:
    people = tuple(Identity(label=name, values={}) for name in "abc")
    assert [one.label for one in rotated(people, 4)] == ["b", "c", "a"]
    assert rotated((), 4) == ()


def test_captures_are_named_after_their_contracts() -> None:
    assert path_of(Path("x/check.db"), "20 health checks, at once!", 1) == Path("x/check-20-health-checks-at-once.db")
    assert path_of(Path("check.db"), "…", 2) == Path("check-contract-2.db")


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        ([Verdict.PASS, Verdict.PASS], Verdict.PASS),
        ([Verdict.PASS, Verdict.FAIL], Verdict.INCONCLUSIVE),
        ([Verdict.FAIL, Verdict.INCONCLUSIVE], Verdict.FAIL),
        ([Verdict.PASS, Verdict.NOT_MEASURED], Verdict.INCONCLUSIVE),
        ([Verdict.NOT_MEASURED, Verdict.NOT_MEASURED], Verdict.NOT_MEASURED),
    ],
)
def test_what_passes_sometimes_is_inconclusive(verdicts: list[Verdict], verdict: Verdict) -> None:
    (one,) = judge_together([[performed(each)] for each in verdicts])
    assert one.finding.verdict is verdict
    assert one.runs == tuple(verdicts)


@pytest.mark.parametrize(
    ("results", "code", "word"),
    [
        ([performed(Verdict.PASS)], ExitCode.OK, "PASS"),
        ([performed(Verdict.PASS), performed(Verdict.FAIL, required=False)], ExitCode.OK, "PASS"),
        ([performed(Verdict.FAIL), performed(Verdict.INCONCLUSIVE)], ExitCode.FAILED, "FAIL"),
        ([performed(Verdict.NOT_MEASURED)], ExitCode.INVALID, "CAN'T TELL"),
        ([performed(Verdict.FAIL), performed(Verdict.PASS, invalid=("late.",))], ExitCode.INVALID, "INVALID"),
        ([performed(Verdict.FAIL, required=False)], ExitCode.OK, "NOTHING JUDGED"),
    ],
)
def test_exit_code_and_headline_say_the_same(results: list[Performed], code: ExitCode, word: str) -> None:
    assert exit_code(results) is code
    assert headline(results).startswith(word)


def test_interrupted_contract_keeps_only_a_broken_promise() -> None:
    verdicts = {verdict: interrupted(performed(verdict).finding).verdict for verdict in (Verdict.PASS, Verdict.FAIL)}
    assert verdicts == {Verdict.PASS: Verdict.INCONCLUSIVE, Verdict.FAIL: Verdict.FAIL}


def test_table_has_every_contract_with_its_promise() -> None:
    text = render_contracts([performed(Verdict.PASS), performed(Verdict.FAIL, required=False)], "suite.toml", 80)
    assert "Contracts: suite.toml" in text
    assert text.count("plan · 2 within 1 s") == 2
    assert "a contract: It is fail." in text
    assert max(map(len, text.splitlines())) <= 80
