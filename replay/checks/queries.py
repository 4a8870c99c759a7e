"""The queries: so many recorded reads are sent to the database at the same moment, again and again, and each round of
them must be answered within a time.

They are asked without the application, on connections of their own, each inside a read-only transaction
(`replay.database`); who opens the transaction and prepares the statement does so before, and is not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from nestperf.capture.model import Query
from nestperf.console import duration, limit, plural
from nestperf.durations import SECOND_NS
from nestperf.verdicts import Verdict
from replay.checks.contract import Asks, Finding, Kind, NothingSuch, Number, Rows, Source, Traffic
from replay.checks.director import Director, once
from replay.checks.findings import nothing_came, slowest_of, time_numbers, verdict_of
from replay.checks.table import Table
from replay.database.tally import READ_ONLY
from replay.drivers import House
from replay.pacing import Load
from replay.steps import Plan

NAME = "queries"
_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Queries:
    """So many reads at once, all answered within a time, in every round."""

    users: int
    """Connections."""
    rounds: int
    within_ns: int

    rank = 20

    def prepare(self, source: Source) -> Traffic:
        """As many of the recorded reads as the rounds have room for, the whole recording over."""
        if source.reads is None or not source.reads.reads:
            raise NothingSuch("the capture has no query that can be asked again (docs/database.md says why not)")
        if not source.asks_database:
            raise NothingSuch("the database to ask is not known: name it with --database URL")
        recorded = source.reads.reads
        turns = self.users * self.rounds
        # All over a long recording; a short one again and again.
        step = max(1, len(recorded) // turns)
        reads = tuple(recorded[turn * step % len(recorded)] for turn in range(turns))
        texts = plural(len({read.text for read in reads}), "text")
        return Traffic(
            plan=Plan(sessions=(), skipped=()),
            load=once(self.users, source.seed),
            direct=_direct,
            asks=Asks(reads=replace(source.reads, reads=reads), concurrency=self.users),
            chosen=(f"{plural(len(recorded), 'recorded read')}, {texts} asked",),
            takes_ns=SECOND_NS,
        )

    def judge(self, traffic: Traffic, rows: Rows) -> Finding:
        """Hold what came of the rounds against the promise."""
        return judge_rounds(rows.queries, self.users, self.rounds, self.within_ns)


def _direct(house: House, load: Load) -> Director:
    raise AssertionError("a database is asked without users")


def judge_rounds(queries: Sequence[Query], users: int, rounds: int, within_ns: int) -> Finding:
    """The last answer of every round came within the time from the round's first byte, and all were answers."""
    promised = f"{users} at once within {limit(within_ns)}"
    found = [one for one in _rounds(queries) if len(one) == users]
    if not found:
        return nothing_came(promised, "No round of queries was asked whole.")
    failed = [query for query in queries if query.outcome != "ok" and query.sqlstate != READ_ONLY]
    refused = sum(query.sqlstate == READ_ONLY for query in queries)
    times_ns = sorted(_took_ns(one) for one in found if all(query.done_ns is not None for query in one))
    late = [ns for ns in times_ns if ns > within_ns]
    sentences = [*_failures(failed, len(queries))]
    if late:
        sentences.append(f"{len(late)} of {len(found)} rounds took longer than {limit(within_ns)}.")
    if refused:
        sentences.append(f"{plural(refused, 'write')} refused by the server, as it should be: no part of the promise.")
    missing = len(found) < rounds or refused == len(queries)
    verdict = verdict_of(broken=bool(failed or late), missing=missing)
    if verdict is Verdict.INCONCLUSIVE:
        sentences.append(f"Only {len(found)} of {rounds} rounds came about, {len(queries) - refused:,} reads in all.")
    return Finding(
        verdict=verdict,
        measured=f"{users} at once in {duration(slowest_of(times_ns))}",
        limit=promised,
        n=len(found),
        numbers=(
            Number("rounds", len(found), "", rounds),
            *time_numbers(times_ns, within_ns, slowest="slowest round", median="median round"),
            Number("queries", len(queries)),
        ),
        sentences=tuple(sentences),
    )


def _rounds(queries: Sequence[Query]) -> list[list[Query]]:
    """The n-th query of every connection is one of the n-th round."""
    turns: dict[int | None, int] = {}
    rounds: list[list[Query]] = []
    for query in sorted(queries, key=lambda query: (query.sent_ns, query.id)):
        turn = turns[query.connection] = turns.get(query.connection, -1) + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(query)
    return rounds


def _took_ns(queries: Sequence[Query]) -> int:
    return max(query.done_ns or 0 for query in queries) - min(query.sent_ns for query in queries)


def _failures(failed: Sequence[Query], asked: int) -> list[str]:
    kinds = Counter(f"SQLSTATE {query.sqlstate}" if query.sqlstate else query.outcome for query in failed)
    return [
        f"{count:,} of {asked:,} reads that went well when recorded failed: {how}."
        for how, count in kinds.most_common(_SHOWN)
    ]


def _read(table: Table) -> Queries:
    table.knows("queries", "rounds", "within")
    return Queries(
        users=table.count("queries", 10),
        rounds=table.count("rounds", 20),
        within_ns=table.need_duration("within", "500ms"),
    )


def _suggest(source: Source) -> Sequence[Sequence[str]]:
    if source.reads is None or not source.reads.reads:
        return []
    return [
        [
            'name = "10 database queries at once"',
            f'kind = "{NAME}"  # {plural(len(source.reads.reads), "recorded read")}; needs --database URL',
            "queries = 10",
            "rounds = 20",
            'within = "500ms"  # from a round\'s first query to its last answer',
        ]
    ]


KIND = Kind(NAME, _read, _suggest)
