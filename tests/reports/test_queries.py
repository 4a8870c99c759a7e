"""Queries of a capture: times, statements, findings, and what they are judged by."""

from __future__ import annotations

import numpy as np
import pytest

from nestperf.capture.model import Client, HeaderSet, Row, Statement
from reports.browsing import read_sent
from reports.queries import Links, QueryFacts, read_queries, summarize_queries
from reports.render.queries import render_queries
from reports.repeats import pages_of, repeated_routes
from reports.samples import Samples
from reports.thresholds import Selector
from tests.reports.conftest import MS, Write, exchange, query

ONE, MANY = Statement(1, "select ? from users", "a" * 16), Statement(2, "select ? from titles where id = ?", "b" * 16)
TRACE = "0af7651916cd43dd8448eb211c80319c"


def facts_of(written: Write, rows: list[Row]) -> QueryFacts:
    capture = written([ONE, MANY, *rows])
    facts = summarize_queries(capture, read_queries(capture))
    assert facts is not None
    return facts


def test_statements_are_ranked_by_the_time_they_took_in_all(written: Write) -> None:
    rows: list[Row] = [query(n, n * 10, n) for n in range(1, 11)]
    rows += [query(n, n * 10, 100, statement_id=2, rows=3, outcome="error") for n in (11, 12)]
    first, second = facts_of(written, rows).statements
    assert (first.statement, first.n, first.total_ns, first.rows, first.errors) == (MANY.text, 2, 200 * MS, 6, 2)
    assert (second.n, second.p50_ns, second.p95_ns, second.max_ns) == (10, 5 * MS, 10 * MS, 10 * MS)
    assert second.share == pytest.approx(55 / 255)


def test_preparations_skipped_and_unanswered_queries_have_no_time(written: Write) -> None:
    rows: list[Row] = [
        query(1, 0, 5),
        query(2, 10, 500, protocol="prepare"),
        query(3, 20, 500, outcome="skipped"),
        query(4, 30, None, outcome="unfinished"),
    ]
    samples = Samples.read(written([ONE, *rows]))
    assert samples.query_times(Selector()).ordered.tolist() == [5 * MS]


def test_query_time_leaves_out_the_wait_behind_the_query_ahead(written: Write) -> None:
    samples = Samples.read(written([ONE, query(1, 0, 90, started_ns=80 * MS)]))
    assert samples.query_times(Selector()).ordered.tolist() == [10 * MS]


def test_query_times_can_be_of_one_upstream(written: Write) -> None:
    upstreams = ("http://localhost:4000", "postgres://127.0.0.1:5432")
    from nestperf.capture.model import Upstream

    capture = written([ONE, query(1, 0, 7), query(2, 0, 9, upstream=0)], upstreams=tuple(map(Upstream, upstreams)))
    times = Samples.read(capture).query_times(Selector(upstream=("127.0.0.1:5432",)))
    assert times.ordered.tolist() == [7 * MS]


def test_one_statement_many_times_in_one_exchange_is_found_by_route(written: Write) -> None:
    rows: list[Row] = [exchange(1, 100, sent_ns=0, route="/api/v1/media/requests")]
    rows += [query(n, 1 + n, 0.5, statement_id=2) for n in range(1, 8)]
    rows += [query(n, 1 + n, 0.5) for n in range(20, 24)]
    (found,) = facts_of(written, rows).repeated
    assert (found.route, found.statement, found.most, found.exchanges, found.exchange_id) == (
        "/api/v1/media/requests",
        MANY.text,
        7,
        1,
        1,
    )
    assert found.total_ns == 7 * MS // 2


def test_statements_that_touch_no_rows_are_no_n_plus_one(written: Write) -> None:
    rows: list[Row] = [
        exchange(1, 100, sent_ns=0),
        Statement(3, "BEGIN", "c" * 16),
        Statement(4, "select now()", "d" * 16),
    ]
    rows += [query(n, n, 0.5, statement_id=3 + n % 2) for n in range(1, 20)]
    assert facts_of(written, rows).repeated == ()


def test_transaction_that_waits_for_its_client_is_found(written: Write) -> None:
    rows: list[Row] = [
        query(1, 0, 1, transaction_state="open"),
        query(2, 301, 1),
        query(3, 900, 1),
        query(4, 303, 1, connection=2, transaction_state="open"),
        query(5, 310, 1, connection=2),
    ]
    (held,) = facts_of(written, rows).held_open
    assert (held.connection, held.idle_ns, held.after, held.query_id) == (1, 300 * MS, ONE.text, 1)
    assert held.answered_id is None


def test_only_the_longest_wait_of_a_transaction_is_told_and_think_time_is_called_so(written: Write) -> None:
    rows: list[Row] = [
        exchange(1, 10, sent_ns=0),
        query(1, 1, 1, transaction_state="open"),
        query(2, 200, 1, transaction_state="open"),
        query(3, 900, 1, transaction_state="idle"),
        exchange(2, 1000, sent_ns=2000 * MS),
        query(4, 2001, 1, transaction_state="open"),
        query(5, 2301, 1),
    ]
    first, second = facts_of(written, rows).held_open
    assert (first.query_id, first.idle_ns, first.answered_id) == (2, 699 * MS, None)
    # The exchange that asked it was still under way: it worked on something else, nobody was thinking.
    assert (second.query_id, second.answered_id) == (4, None)
    rows[2] = query(2, 900, 1, transaction_state="open")
    (held, _) = facts_of(lambda given: written(given, name="across.db"), rows).held_open
    assert (held.query_id, held.answered_id) == (1, 1)


def test_call_of_a_replay_whose_head_was_not_kept_has_the_referer_of_one_that_repeats_the_same(written: Write) -> None:
    head = HeaderSet(1, '[["Host", "localhost:4000"], ["Referer", "http://localhost:4000/titles"]]')
    rows: list[Row] = [Client(1, "127.0.0.1", "a browser"), head]
    for visit in range(2):
        first = visit * 10 + 1
        rows.append(exchange(first, kind="page", target="/", route="/", client_id=1, source_exchange=1))
        rows += [
            exchange(first + n, client_id=1, source_exchange=1 + n, request_headers=head.id if not visit else None)
            for n in range(1, 7)
        ]
    sent = read_sent(written(rows))
    (found,) = repeated_routes(sent, pages_of(sent))
    assert (found.page, found.pages, found.most) == ("/titles", 2, 6)


def test_statement_that_a_page_asks_in_call_after_call_is_found_in_the_whole_report(written: Write) -> None:
    rows: list[Row] = [exchange(1, 15, sent_ns=0, kind="page", target="/media", route="/media", client_id=1)]
    for number in range(2, 14):
        rows.append(exchange(number, 5, sent_ns=number * 10 * MS, client_id=1, route="/api/x/{id}"))
        rows.append(query(number, number * 10 + 1, 1))
    capture = written([ONE, Client(1, "127.0.0.1", "a browser"), *rows])
    sent = read_sent(capture)
    facts = summarize_queries(capture, read_queries(capture), sent)
    assert facts is not None
    (found,) = facts.repeated_by_pages
    assert (found.page, found.most, found.exchanges, found.page_id) == ("/media", 12, 12, 1)
    (route,) = repeated_routes(sent, pages_of(sent))
    assert (route.page, route.route, route.most) == ("/media", "/api/x/{id}", 12)
    text = " ".join("\n".join(render_queries(facts, 100)).split())
    assert "N+1: the page /media asked 12 times for one statement, in 12 exchanges, 12.0 ms in all" in text


def test_links_are_counted_and_a_trace_decides_between_two(written: Write) -> None:
    rows: list[Row] = [
        HeaderSet(1, f'[["Host", "x"], ["traceparent", "00-{TRACE}-b7ad6b7169203331-01"]]'),
        exchange(1, 100, sent_ns=0),
        exchange(2, 100, sent_ns=0, request_headers=1),
        exchange(3, 100, sent_ns=500 * MS),
        query(1, 10, trace=f"{TRACE}-00f067aa0ba902b7"),
        query(2, 20),
        query(3, 510),
        query(4, 900),
        query(5, 950, exchange_id=3, source="log"),
    ]
    assert facts_of(written, rows).links == Links(total=5, linked=3, ambiguous=1, background=1)


def test_capture_without_queries_has_no_facts_and_no_section(written: Write) -> None:
    capture = written([exchange(1)])
    assert summarize_queries(capture, read_queries(capture)) is None
    assert render_queries(None, 80) == []


@pytest.mark.parametrize("width", [80, 120])
def test_section_fits_the_width_and_says_what_was_found(written: Write, width: int) -> None:
    hostile = Statement(3, "select \x1b[31m from " + "x" * 300, "c" * 16)
    rows: list[Row] = [exchange(1, 100, sent_ns=0)]
    rows += [query(n, n, 0.5, statement_id=2) for n in range(1, 8)]
    rows += [query(8, 20, 1, transaction_state="open"), query(9, 60, 2, statement_id=3, outcome="error")]
    rows += [query(10, 900, 1)]
    capture = written([ONE, MANY, hostile, *rows])
    lines = render_queries(summarize_queries(capture, read_queries(capture)), width)
    text = "\n".join(lines)
    assert all(len(line) <= width for line in lines)
    assert "\x1b" not in text
    assert "N+1" in text
    assert "7 times" in text
    assert "stayed open for" in text or "fit none" in text


def test_times_that_answers_tell_count_where_nothing_else_was_seen(written: Write) -> None:
    told = [query(n, n * 10, 300, source="server-timing", connection=None, upstream=None) for n in (1, 2)]
    assert np.nanmax(read_queries(written(told, "told.db")).times) == 300 * MS
    both = read_queries(written([*told, query(3, 40, 5)], "both.db"))
    assert both.times[np.isfinite(both.times)].tolist() == [5 * MS]
    links = facts_of(written, [exchange(1, 100), *(row._replace(exchange_id=1) for row in told), query(3, 40, 5)]).links
    assert links == Links(total=1, linked=1, ambiguous=0, background=0)
