"""What is counted of reads that were asked again, and when a run counts for nothing."""

from __future__ import annotations

from replay.database.reads import LeftOut, Reads, Reason
from replay.database.tally import Spent, Tally, describe_reads, summarize_asked
from tests.reports.conftest import query

READS = Reads(reads=(), left_out=(LeftOut(Reason.WRITES, 3, "delete from \x1b[31m t"),), statements=())


def tally_of(*outcomes: tuple[str, str | None]) -> Tally:
    tally = Tally()
    for number, (outcome, sqlstate) in enumerate(outcomes, 1):
        done = None if outcome == "unfinished" else 2
        tally.count(query(number, 0, done, outcome=outcome, sqlstate=sqlstate))
    return tally


def test_writes_that_the_server_refused_are_counted_apart_from_errors() -> None:
    tally = tally_of(("ok", None), ("error", "25006"), ("error", "57014"), ("unfinished", None))
    told = "\n".join(summarize_asked(tally, Spent(1_000_000_000, 0), 2))
    assert told.startswith("4 queries on 2 connections in 1.00 s (4 a second): 1 ok")
    assert "1 write refused by the server (SQLSTATE 25006)" in told
    assert "1 error SQLSTATE 57014 (took longer than --timeout)" in told
    assert "1 without an answer" in told
    assert "p50 2.00 ms" in told
    certificate = tally.certificate(Spent(1_000_000_000, 500_000_000), READS, 4)
    assert certificate["queries"]["errors"] == {"57014": 1}
    assert certificate["queries"]["left_out"] == {str(Reason.WRITES): 3}
    assert certificate["cpu_share"] == 0.5


def test_run_without_an_answer_or_cut_short_counts_for_nothing() -> None:
    assert tally_of(("ok", None)).invalid(1) == ()
    assert tally_of(("ok", None)).invalid(None) == ()
    assert "Only 1 of 5 reads were asked" in tally_of(("ok", None)).invalid(5)[0]
    assert "1 error SQLSTATE 42P01 (no such table)" in tally_of(("error", "42P01")).invalid(1)[0]
    assert Tally().invalid(3) == ("No read was answered: nothing was answered.",)


def test_generator_that_was_the_limit_says_so() -> None:
    told = "\n".join(summarize_asked(tally_of(("ok", None)), Spent(1_000_000_000, 990_000_000), 2))
    assert "The generator was the limit (99% of a core)" in told


def test_what_is_left_out_is_told_with_a_harmless_example() -> None:
    first, second = describe_reads(READS)
    assert first == "0 recorded reads of 0 texts"
    assert second.startswith("  not asked: 3 × is no read")
    assert "\x1b" not in second
