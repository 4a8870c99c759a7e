"""Both directions of a PostgreSQL connection: queries, their stamps and outcomes, in any pieces."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.wire.observations import DatabaseOpened, Opaque, QuerySeen, Sender, ServerSaid
from nestperf.wire.postgres import PostgresDecoder, PostgresObservation
from nestperf.wire.postgres_opening import TLS
from tests.wire import postgres_bytes as pg

SAMPLE = Path(__file__).parents[1] / "samples" / "medianest-postgres.jsonl"
Turn = tuple[Sender, bytes]
LOGIN: list[Turn] = [
    ("client", pg.startup(user="nest", database="media", application_name="api")),
    ("server", pg.AUTH_OK + pg.message("S", "client_encoding", "UTF8") + pg.message("K", b"\0" * 8) + pg.ready()),
]


def client(*messages: bytes) -> Turn:
    return ("client", b"".join(messages))


def server(*messages: bytes) -> Turn:
    return ("server", b"".join(messages))


def facts(seen: list[PostgresObservation]) -> list[tuple[Any, ...]]:
    """What must be the same however the bytes were cut."""
    stamps = {"stamp_ns", "sent_ns", "started_ns", "first_row_ns", "done_ns"}
    return [
        (type(one).__name__, *(value for name, value in one._asdict().items() if name not in stamps | {"data"}))
        for one in seen
    ]


def told(*turns: Turn, login: bool = True, **options: Any) -> list[PostgresObservation]:
    """The observations of a conversation whose turn n came whole at n ms, the login at 0; and of its end.

    Checks on the way that single bytes and random pieces tell the same.
    """
    conversation = [*(LOGIN if login else []), *turns]
    whole = _observe(conversation, size=None, **options)
    assert facts(_observe(conversation, size=1, **options)) == facts(whole)
    assert facts(_observe(conversation, size=7, **options)) == facts(whole)
    first = 2 if login else 0
    decoder = PostgresDecoder(**options)
    seen: list[PostgresObservation] = []
    for number, (sender, data) in enumerate(conversation):
        seen += decoder.receive(sender, data, max(0, number - first + 1) * 1_000_000)
    seen += decoder.end(len(conversation) * 1_000_000)
    return [one for one in seen if not isinstance(one, DatabaseOpened)] if login else seen


def _observe(conversation: list[Turn], size: int | None, **options: Any) -> list[PostgresObservation]:
    decoder = PostgresDecoder(**options)
    seen: list[PostgresObservation] = []
    for sender, data in conversation:
        step = size or len(data) or 1
        for start in range(0, len(data), step):
            seen += decoder.receive(sender, data[start : start + step], 1)
    return seen + decoder.end(2)


def queries(*turns: Turn, **options: Any) -> list[QuerySeen]:
    seen = told(*turns, **options)
    assert all(isinstance(one, QuerySeen) for one in seen), seen
    return [one for one in seen if isinstance(one, QuerySeen)]


def test_startup_names_the_database_and_keeps_no_credentials() -> None:
    seen = told(*LOGIN, client(pg.message("p", b"a password")), login=False)
    assert seen == [DatabaseOpened(1_000_000, "media", "nest", "api")]


def test_simple_query_has_its_stamps_rows_and_bytes() -> None:
    asked, answer = pg.query("select a from t"), (pg.columns("a"), pg.row(b"1"), pg.row(b"2"))
    rest = (pg.done("SELECT 2"), pg.ready("T"))
    (one,) = queries(client(asked), server(*answer), server(*rest))
    assert one == QuerySeen(
        number=1,
        sent_ns=1_000_000,
        started_ns=1_000_000,
        first_row_ns=2_000_000,
        done_ns=3_000_000,
        protocol="simple",
        statement="",
        text="select a from t",
        part=0,
        cut=False,
        parameters=None,
        types=(),
        rows=2,
        request_bytes=len(asked),
        response_bytes=len(b"".join(answer) + rest[0]),
        outcome="ok",
        sqlstate=None,
        transaction="open",
    )


def test_simple_query_of_several_statements_gives_one_each() -> None:
    both = queries(
        client(pg.query("insert into t values (1); select 1")),
        server(pg.done("INSERT 0 3")),
        server(pg.columns("a"), pg.row(b"1"), pg.done("SELECT 1"), pg.ready()),
    )
    assert [(one.part, one.rows, one.done_ns, one.transaction) for one in both] == [
        (0, 3, 2_000_000, None),
        (1, 1, 3_000_000, "idle"),
    ]


def test_extended_query_is_done_when_the_server_is_ready_because_the_commit_is_in_it() -> None:
    (one,) = queries(
        client(pg.parse("update t set a = $1"), pg.bind(b"7"), pg.describe(), pg.execute(), pg.SYNC),
        server(pg.PARSED, pg.BOUND, pg.NO_DATA, pg.done("UPDATE 4")),
        server(pg.ready()),
    )
    assert (one.protocol, one.text, one.rows, one.done_ns) == ("extended", "update t set a = $1", 4, 3_000_000)
    assert one.parameters is None


def test_statement_that_was_prepared_before_is_known_by_its_name() -> None:
    prepared, ran, again = queries(
        client(pg.parse("select $1", name="s1"), pg.describe("S", "s1"), pg.SYNC),
        server(pg.PARSED, pg.message("t", 0), pg.columns("a"), pg.ready()),
        client(pg.bind(b"1", name="s1"), pg.execute(), pg.SYNC),
        server(pg.BOUND, pg.row(b"1"), pg.done("SELECT 1"), pg.ready()),
        client(pg.bind(b"2", name="s1"), pg.execute(), pg.SYNC),
        server(pg.BOUND, pg.row(b"2"), pg.done("SELECT 1"), pg.ready()),
    )
    assert (prepared.protocol, prepared.text, prepared.rows) == ("prepare", "select $1", 0)
    assert {(one.protocol, one.text, one.statement, one.rows) for one in (ran, again)} == {
        ("prepared", "select $1", "s1", 1)
    }


def test_preparation_that_is_only_flushed_is_a_round_trip_of_its_own() -> None:
    prepared, ran = queries(
        client(pg.parse("select 1"), pg.describe("S"), pg.FLUSH),
        server(pg.PARSED, pg.message("t", 0), pg.columns("a")),
        client(pg.bind(), pg.execute(), pg.SYNC),
        server(pg.BOUND, pg.row(b"1"), pg.done("SELECT 1"), pg.ready()),
    )
    assert (prepared.protocol, prepared.sent_ns, prepared.done_ns) == ("prepare", 1_000_000, 2_000_000)
    assert (ran.protocol, ran.text, ran.sent_ns, ran.done_ns) == ("prepared", "select 1", 3_000_000, 4_000_000)


def test_pipelined_queries_wait_for_the_ones_ahead() -> None:
    unit = pg.parse("select 1") + pg.bind() + pg.execute()
    first, second = queries(
        client(unit, unit, pg.SYNC),
        server(pg.PARSED, pg.BOUND, pg.done("SELECT 0")),
        server(pg.PARSED, pg.BOUND, pg.done("SELECT 0"), pg.ready()),
    )
    assert (first.started_ns, first.done_ns) == (1_000_000, 2_000_000)
    assert (second.sent_ns, second.started_ns, second.done_ns) == (1_000_000, 2_000_000, 3_000_000)


def test_error_in_a_pipeline_names_the_failing_query_and_skips_the_rest() -> None:
    def unit(text: str) -> bytes:
        return pg.parse(text) + pg.bind() + pg.execute()

    seen = queries(
        client(unit("good"), unit("bad"), unit("never"), pg.SYNC, unit("later"), pg.SYNC),
        server(pg.PARSED, pg.BOUND, pg.done("SELECT 0"), pg.error("42P01"), pg.ready("I")),
        server(pg.PARSED, pg.BOUND, pg.done("SELECT 0"), pg.ready("I")),
    )
    assert [(one.text, one.outcome, one.sqlstate) for one in seen] == [
        ("good", "ok", None),
        ("bad", "error", "42P01"),
        ("never", "skipped", None),
        ("later", "ok", None),
    ]


def test_error_at_execute_is_the_bound_statements() -> None:
    (one,) = queries(
        client(pg.parse("select 1/$1"), pg.bind(b"0"), pg.execute(), pg.SYNC),
        server(pg.PARSED, pg.BOUND, pg.error("22012"), pg.ready()),
    )
    assert (one.text, one.outcome, one.sqlstate, one.protocol) == ("select 1/$1", "error", "22012", "extended")


def test_statement_whose_parse_failed_does_not_replace_the_old_one() -> None:
    seen = queries(
        client(pg.parse("old", name="s"), pg.SYNC),
        server(pg.PARSED, pg.ready()),
        client(pg.parse("new", name="s"), pg.SYNC),
        server(pg.error("42P05"), pg.ready()),
        client(pg.bind(name="s"), pg.execute(), pg.SYNC),
        server(pg.BOUND, pg.done("SELECT 0"), pg.ready()),
    )
    assert [(one.protocol, one.text, one.outcome) for one in seen] == [
        ("prepare", "old", "ok"),
        ("prepare", "new", "error"),
        ("prepared", "old", "ok"),
    ]


def test_deferred_constraint_fails_the_query_whose_commit_it_was() -> None:
    (one,) = queries(
        client(pg.parse("insert"), pg.bind(), pg.execute(), pg.SYNC),
        server(pg.PARSED, pg.BOUND, pg.done("INSERT 0 1"), pg.error("23503"), pg.ready()),
    )
    assert (one.outcome, one.sqlstate) == ("error", "23503")


def test_error_in_a_simple_query_ends_its_text() -> None:
    good, bad = queries(
        client(pg.query("select 1; select x; select 2")),
        server(pg.columns("a"), pg.row(b"1"), pg.done("SELECT 1"), pg.error("42703"), pg.ready()),
    )
    assert (good.part, good.outcome, bad.part, bad.outcome, bad.sqlstate) == (0, "ok", 1, "error", "42703")


def test_portal_that_is_suspended_is_one_query_an_execute() -> None:
    first, second = queries(
        client(pg.parse("select"), pg.bind(portal="p"), pg.execute("p", 2), pg.FLUSH),
        server(pg.PARSED, pg.BOUND, pg.row(b"1"), pg.row(b"2"), pg.SUSPENDED),
        client(pg.execute("p", 2), pg.SYNC),
        server(pg.row(b"3"), pg.done("SELECT 1"), pg.ready()),
    )
    assert [(one.text, one.rows, one.outcome) for one in (first, second)] == [("select", 2, "ok"), ("select", 1, "ok")]


@pytest.mark.parametrize("early_sync", [b"", pg.SYNC], ids=["libpq", "sync behind execute"])
def test_copy_in_counts_its_rows_although_an_early_sync_is_ignored(early_sync: bytes) -> None:
    data = pg.message("d", b"1\n")
    copied, after = queries(
        client(pg.parse("copy t from stdin"), pg.bind(), pg.execute(), early_sync),
        server(pg.PARSED, pg.BOUND, pg.message("G", b"\0\0\0")),
        client(data, data, pg.message("c"), pg.SYNC),
        server(pg.done("COPY 2"), pg.ready()),
        client(pg.query("select 1")),
        server(pg.done("SELECT 1"), pg.ready()),
    )
    assert (copied.text, copied.rows, copied.outcome) == ("copy t from stdin", 2, "ok")
    assert copied.request_bytes >= 2 * len(data)
    assert (after.text, after.done_ns) == ("select 1", 6_000_000)


def test_copy_out_has_a_first_row_and_failed_copy_in_is_an_error() -> None:
    out, failed = queries(
        client(pg.query("copy t to stdout")),
        server(pg.message("H", b"\0\0\0"), pg.message("d", b"1\n"), pg.message("d", b"2\n")),
        server(pg.message("c"), pg.done("COPY 2"), pg.ready()),
        client(pg.query("copy t from stdin")),
        server(pg.message("G", b"\0\0\0")),
        client(pg.message("f", "no more")),
        server(pg.error("57014"), pg.ready()),
    )
    assert (out.rows, out.first_row_ns, out.done_ns) == (2, 2_000_000, 3_000_000)
    assert (failed.outcome, failed.sqlstate) == ("error", "57014")


def test_empty_query_and_function_call_are_queries() -> None:
    empty, function = queries(
        client(pg.query("")),
        server(pg.EMPTY, pg.ready()),
        client(pg.message("F", b"\0\0\0\1")),
        server(pg.message("V", b"\xff\xff\xff\xff"), pg.ready()),
    )
    assert (empty.protocol, empty.rows, empty.outcome) == ("simple", 0, "ok")
    assert (function.protocol, function.text, function.outcome) == ("function", None, "ok")


def test_notices_and_notifications_answer_nothing() -> None:
    seen = told(
        client(pg.query("listen c")),
        server(pg.notice(), pg.notification("c", "a secret payload"), pg.done("LISTEN"), pg.ready()),
        server(pg.notification("c", "later")),
    )
    assert [one.kind for one in seen if isinstance(one, ServerSaid)] == ["notice", "notification", "notification"]
    assert sum(isinstance(one, QuerySeen) for one in seen) == 1
    assert "secret" not in repr(seen)


def test_error_texts_are_never_kept() -> None:
    assert "4711" not in repr(told(client(pg.query("x")), server(pg.error("42601"), pg.ready())))


def test_connection_that_is_refused_or_ended_by_the_server_says_so() -> None:
    seen = told(LOGIN[0], server(pg.error("28P01", "FATAL")), login=False)
    assert seen[1:] == [ServerSaid(2_000_000, "error", "FATAL", "28P01", None)]


def test_encryption_that_is_refused_leaves_a_connection_that_is_read() -> None:
    seen = told(client(pg.GSS_REQUEST), server(b"N"), client(pg.SSL_REQUEST), server(b"N"), *LOGIN, login=False)
    assert [type(one) for one in seen] == [DatabaseOpened]


@pytest.mark.parametrize("answer", ["ssl", "direct"])
def test_encrypted_connection_is_opaque_and_keeps_no_bytes(answer: str) -> None:
    hello = b"\x16\x03\x01\x02\x00 the rest of a client hello"
    turns = [client(pg.SSL_REQUEST), server(b"S"), client(hello)] if answer == "ssl" else [client(hello)]
    seen = told(*turns, login=False)
    assert [(type(one), getattr(one, "reason", ""), getattr(one, "data", None)) for one in seen] == [(Opaque, TLS, b"")]


def test_cancel_request_is_said_without_its_key() -> None:
    assert told(client(pg.CANCEL), login=False) == [ServerSaid(1_000_000, "cancel", None, None, None)]


def test_query_without_an_answer_is_unfinished() -> None:
    (one,) = queries(client(pg.parse("select pg_sleep(9)"), pg.bind(), pg.execute(), pg.SYNC))
    assert (one.text, one.outcome, one.done_ns) == ("select pg_sleep(9)", "unfinished", None)


def test_parameters_are_kept_only_where_they_are_asked_for() -> None:
    turns = [
        client(pg.parse("$1"), pg.bind(b"text", None, b"\0\1", formats=(0, 0, 1)), pg.execute(), pg.SYNC),
        server(pg.PARSED, pg.BOUND, pg.done("SELECT 0"), pg.ready()),
    ]
    assert queries(*turns)[0].parameters is None
    assert queries(*turns, parameters=True)[0].parameters == ((0, b"text"), (0, None), (1, b"\0\1"))


def test_long_statement_is_cut_and_followed() -> None:
    cut, after = queries(
        client(pg.query("select '" + "x" * 5000 + "'"), pg.query("select 2")),
        server(pg.done("SELECT 1"), pg.ready(), pg.done("SELECT 1"), pg.ready()),
        max_statement=100,
    )
    assert (cut.cut, len(cut.text or ""), after.cut, after.text) == (True, 100, False, "select 2")


def test_hundred_thousand_rows_are_counted() -> None:
    answer = b"".join((pg.columns("a"), pg.row(b"0123456789") * 100_000, pg.done("SELECT 100000"), pg.ready()))
    decoder = PostgresDecoder()
    seen: list[PostgresObservation] = []
    for sender, data in (*LOGIN, client(pg.query("select"))):
        seen += decoder.receive(sender, data, 1)
    for start in range(0, len(answer), 65_536):
        seen += decoder.receive("server", answer[start : start + 65_536], start)
    (one,) = [one for one in seen if isinstance(one, QuerySeen)]
    assert (one.rows, one.response_bytes, one.first_row_ns) == (100_000, len(answer) - len(pg.ready()), 0)


@given(st.lists(st.tuples(st.sampled_from(["client", "server"]), st.binary(max_size=60)), max_size=12), st.booleans())
def test_any_bytes_give_observations_and_no_exception(turns: list[Turn], login: bool) -> None:
    decoder = PostgresDecoder(parameters=True, max_statement=20)
    opaque = 0
    for sender, data in [*(LOGIN if login else []), *turns]:
        opaque += sum(isinstance(one, Opaque) for one in decoder.receive(sender, data, 1))
    opaque += sum(isinstance(one, Opaque) for one in decoder.end(2))
    assert opaque <= 1


@given(st.binary(max_size=40), st.integers(1, 9))
def test_what_came_before_a_fault_is_told_in_any_pieces(garbage: bytes, size: int) -> None:
    answer = pg.columns("a") + pg.row(b"1") + pg.row(b"2") + pg.done("SELECT 2") + pg.ready() + garbage
    turns = [*LOGIN, client(pg.query("select 1"), pg.query("select 2"), garbage), server(answer)]
    assert facts(_observe(turns, size=size)) == facts(_observe(turns, size=None))


_MESSAGES = [
    pg.query("select 1"),
    pg.parse("a", "s"),
    pg.bind(b"1", name="s"),
    pg.describe(),
    pg.describe("S", "s"),
    pg.execute(),
    pg.message("C", b"S", "s"),
    pg.message("F", b"\0\0\0\1"),
    pg.SYNC,
    pg.FLUSH,
    pg.message("d", b"x"),
    pg.message("c"),
    pg.message("f", "x"),
    pg.message("X"),
]
_ANSWERS = [
    *(pg.PARSED, pg.BOUND, pg.CLOSED, pg.NO_DATA, pg.EMPTY, pg.SUSPENDED, pg.ready(), pg.ready("E"), pg.row(b"1")),
    *(pg.done("SELECT 1"), pg.error("42601"), pg.columns("a"), pg.message("G", b"\0\0\0"), pg.message("H", b"\0\0\0")),
    *(pg.notice(), pg.message("V", b"\0\0\0\0"), pg.message("d", b"x"), pg.message("c")),
]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("client"), st.sampled_from(_MESSAGES)),
            st.tuples(st.just("server"), st.sampled_from(_ANSWERS)),
        ),
        max_size=40,
    ),
    st.integers(1, 9),
)
def test_messages_in_any_order_are_followed_alike_in_any_pieces(turns: list[Turn], size: int) -> None:
    whole = _observe([*LOGIN, *turns], size=None)
    assert facts(_observe([*LOGIN, *turns], size=size)) == facts(whole)
    assert not any(isinstance(one, Opaque) for one in whole)
    for one in whole:
        if isinstance(one, QuerySeen) and one.done_ns is not None:
            assert one.sent_ns <= one.started_ns <= one.done_ns


@pytest.mark.parametrize("size", [None, 1, 13])
def test_a_real_applications_connections_are_read(size: int | None) -> None:
    """What the file itself says: 11 start-ups, 10 simple queries, 66 Execute messages, each answered."""
    decoders: dict[int, PostgresDecoder] = {}
    seen: list[PostgresObservation] = []
    with SAMPLE.open() as lines:
        for line in map(json.loads, lines):
            decoder = decoders.setdefault(line["c"], PostgresDecoder())
            if line["d"].endswith("end"):
                continue
            data = line["b"].encode("latin-1")
            step = size or len(data)
            for start in range(0, len(data), step):
                piece = data[start : start + step]
                seen += decoder.receive("client" if line["d"] == ">" else "server", piece, round(line["t"] * 1e6))
    for decoder in decoders.values():
        seen += decoder.end(10**12)
    assert Counter(type(one).__name__ for one in seen) == {"DatabaseOpened": 11, "QuerySeen": 76}
    found = [one for one in seen if isinstance(one, QuerySeen)]
    assert Counter((one.protocol, one.outcome) for one in found) == {("extended", "ok"): 66, ("simple", "ok"): 10}
    assert all(one.text and one.done_ns and one.done_ns >= one.started_ns for one in found)
    updates = [one for one in found if one.text and one.text.startswith("UPDATE")]
    assert updates
    assert {one.rows for one in updates} == {1}


def test_pieces_of_any_size_tell_the_same_of_the_sample() -> None:
    cuts = random.Random(1)
    decoder, whole = PostgresDecoder(), PostgresDecoder()
    left: list[PostgresObservation] = []
    right: list[PostgresObservation] = []
    with SAMPLE.open() as lines:
        for line in map(json.loads, lines):
            if line["c"] != 4 or line["d"].endswith("end"):
                continue
            sender: Sender = "client" if line["d"] == ">" else "server"
            data = line["b"].encode("latin-1")
            right += whole.receive(sender, data, 1)
            while data:
                cut = cuts.randint(1, 40)
                left += decoder.receive(sender, data[:cut], 1)
                data = data[cut:]
    assert facts(left) == facts(right)
    assert right
