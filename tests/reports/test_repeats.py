"""What one page asks for many times: which page a call belongs to, and what counts together."""

from __future__ import annotations

from typing import Any

import pytest

from reports.repeats import (
    Asking,
    PageRoute,
    PageStatement,
    Sent,
    pages_of,
    repeated_routes,
    repeated_statements,
)
from tests.reports.conftest import MS, S

HOST = "localhost:4000"


def page(number: int, at_ms: float, target: str = "/media", **changes: Any) -> Sent:
    return Sent(number, ("client", 1), True, False, "GET", target, target, HOST, "", round(at_ms * MS), None)._replace(
        **changes
    )


def call(number: int, at_ms: float, referer: str = f"http://{HOST}/media", **changes: Any) -> Sent:
    sent_ns = round(at_ms * MS)
    row = Sent(
        number, ("client", 1), False, True, "GET", "/api/items/{id}", f"/api/items/{number}", HOST, referer, sent_ns,
        sent_ns + 2 * MS,
    )  # fmt: skip
    return row._replace(**changes)


def routes(*sent: Sent) -> tuple[PageRoute, ...]:
    return repeated_routes(sent, pages_of(sent))


def test_call_belongs_to_the_page_its_referer_names_also_when_another_was_opened_meanwhile() -> None:
    sent = [page(1, 0), page(2, 10, "/home"), call(3, 20), call(4, 21, f"http://{HOST}/home")]
    assert {number: one.id for number, one in pages_of(sent).items()} == {1: 1, 2: 2, 3: 1, 4: 2}


@pytest.mark.parametrize("referer", ["", f"http://{HOST}/", "http://elsewhere/x", "::", "http://[::1/x"])
def test_call_whose_referer_names_no_page_belongs_to_the_last_one_of_its_user(referer: str) -> None:
    sent = [page(1, 0), page(2, 5, "/other", user=("client", 2)), call(3, 20, referer)]
    assert pages_of(sent)[3].id == 1
    assert 4 not in pages_of([call(4, 0, referer), page(1, 5)])


def test_call_to_another_origin_belongs_to_the_page_that_was_last_there_not_to_the_one_at_its_root() -> None:
    api = {"authority": "localhost:4001", "referer": f"http://{HOST}/"}
    sent = [page(1, 0, "/"), page(2, 10, "/dashboard"), page(3, 15, "/", authority="localhost:5000")]
    assert pages_of([*sent, call(4, 20, **api)])[4].id == 2
    assert pages_of([*sent, call(4, 20, f"http://{HOST}/")])[4].id == 1, "the page's own origin: the whole address"


def test_calls_of_a_page_whose_address_changed_count_for_the_new_address() -> None:
    moved = f"http://{HOST}/titles/17?from=menu"
    api = {"authority": "localhost:4001", "referer": f"http://{HOST}/"}
    sent = [page(1, 0, "/"), *(call(n, n, f"http://{HOST}/") for n in range(2, 7))]
    sent += [call(n, n, moved) for n in range(7, 13)] + [
        call(n, n, target="/x", route="/x", **api) for n in range(13, 18)
    ]
    assert [(row.page, row.route, row.most, row.page_id) for row in routes(*sent)] == [
        ("/titles/{id}", "/api/items/{id}", 6, 1),
        ("/", "/api/items/{id}", 5, 1),
        ("/titles/{id}", "/x", 5, 1),
    ]


def test_one_route_many_times_on_one_page_is_found_once_for_all_loads() -> None:
    sent = [page(1, 0), *(call(n, n) for n in range(2, 9)), page(20, 9000), *(call(n, 9000 + n) for n in range(21, 26))]
    assert routes(*sent) == (PageRoute("/media", "GET", "/api/items/{id}", 2, 7, 7, 14 * MS, 1, 2),)


def test_one_address_many_times_counts_as_well_and_says_so() -> None:
    (found,) = routes(page(1, 0), *(call(n, n, target="/api/me") for n in range(2, 7)))
    assert (found.most, found.targets) == (5, 1)


@pytest.mark.parametrize("apart_ms", [751, 10_000])
def test_page_that_asks_now_and_then_repeats_nothing(apart_ms: float) -> None:
    assert routes(page(1, 0), *(call(n, n * apart_ms) for n in range(2, 40))) == ()
    assert len(routes(page(1, 0), *(call(n, n * 750) for n in range(2, 40)))) == 1


def test_other_methods_other_users_and_server_calls_are_counted_apart() -> None:
    mixed = [call(n, n, method="GET" if n % 2 else "DELETE") for n in range(2, 10)]
    assert routes(page(1, 0), *mixed) == ()
    theirs = [call(n, n, user=("client", 2)) for n in range(10, 16)]
    assert routes(page(1, 0), *theirs) == ()


def asks(exchange_id: int, at_ms: float, statement: str = "select ? from users") -> Asking:
    return Asking(exchange_id, statement, round(at_ms * MS), MS)


def test_one_statement_in_many_calls_of_one_page_is_found() -> None:
    sent = [page(1, 0), *(call(n, n, route=f"/api/{n}") for n in range(2, 12))]
    found = repeated_statements([asks(n, n) for n in range(1, 12)], pages_of(sent))
    assert found == (PageStatement("/media", "select ? from users", 1, 11, 11, 11 * MS, 1),)


def test_statement_that_one_exchange_repeats_by_itself_is_not_told_twice() -> None:
    sent = [page(1, 0), call(2, 1), call(3, 2)]
    queries = [asks(2, 2 + n / 100) for n in range(12)] + [asks(3, 3)]
    assert repeated_statements(queries, pages_of(sent)) == ()
    assert repeated_statements([asks(2, n / 100) for n in range(12)], pages_of(sent)) == ()


def test_queries_of_exchanges_without_a_page_or_far_apart_are_left_out() -> None:
    sent = [page(1, 0), *(call(n, n) for n in range(2, 30))]
    assert repeated_statements([asks(n + 100, n) for n in range(2, 30)], pages_of(sent)) == ()
    assert repeated_statements([asks(n, n * S / MS) for n in range(2, 30)], pages_of(sent)) == ()
