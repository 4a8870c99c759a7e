"""Several runs judged together."""

from __future__ import annotations

import pytest

from nestperf.capture.model import Run
from nestperf.verdicts import Verdict
from reports.consistency import judge_together
from reports.grammar import parse_expression
from reports.render.sentences import reason
from reports.rules import Judged, Why
from reports.thresholds import Selector, Threshold
from reports.verdict import Judgement

THRESHOLD = Threshold(name="t", expression=parse_expression("p95(latency) < 1s"), selector=Selector())
P, F, U, N, A = (
    Verdict.PASS,
    Verdict.FAIL,
    Verdict.INCONCLUSIVE,
    Verdict.NOT_MEASURED,
    Verdict.NOT_APPLICABLE,
)


def judgement(verdict: Verdict, *, invalid: tuple[str, ...] = ()) -> Judgement:
    judged = Judged(threshold=THRESHOLD, verdict=verdict, why=Why.INTERVAL, required=verdict is not A, n=100)
    return Judgement(
        capture_name="r.db",
        run=Run("u", "replay", "client", "finished", "0", 1),
        latency_name="response_time",
        origin="here",
        judged=(judged,),
        unchecked=(),
        invalid=invalid,
    )


RUNS = [
    ("all pass", [P, P, P], P, 0),
    ("all fail", [F, F, F], F, 1),
    ("passes sometimes", [P, F, P], U, 4),
    ("passes or cannot be told", [P, P, U], U, 4),
    ("fails or cannot be told", [F, U, F], F, 1),
    ("not measured once", [P, N, P], U, 4),
    ("never measured", [N, N, N], N, 4),
    ("does not apply", [A, A], A, 0),
]


@pytest.mark.parametrize(("verdicts", "expected", "code"), [row[1:] for row in RUNS], ids=[row[0] for row in RUNS])
def test_verdicts_of_a_table_are_exact(verdicts: list[Verdict], expected: Verdict, code: int) -> None:
    together = judge_together([judgement(verdict) for verdict in verdicts])
    assert together.judged[0].verdict is expected
    assert together.judged[0].runs == tuple(verdicts)
    assert together.exit_code == code


def test_sometimes_says_how_often() -> None:
    together = judge_together([judgement(P), judgement(F), judgement(P)])
    assert together.judged[0].why is Why.SOMETIMES
    assert "held in 2 of 3 runs" in reason(together.judged[0])


def test_one_invalid_run_makes_all_of_them_invalid_and_is_named() -> None:
    together = judge_together([judgement(P), judgement(P, invalid=("The generator was the bottleneck.",))])
    assert together.invalid == ("Run 2 (r.db): The generator was the bottleneck.",)
    assert together.exit_code == 4
