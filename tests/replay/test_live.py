"""What a user sends after what it was answered: cookies and values in place, all else as recorded."""

from __future__ import annotations

import json

import pytest

from replay.live import LiveState, fill, host_of
from replay.steps import Take, Use

HOST = "localhost:4000"


def cookie(live: LiveState, recorded: str, authority: str = HOST, uses: tuple[Use, ...] = ()) -> str:
    return dict(live.headers(authority, (("Host", authority), ("Cookie", recorded)), uses))["Cookie"]


def learn(live: LiveState, *set_cookies: str, authority: str = HOST) -> None:
    live.learn(authority, tuple(("Set-Cookie", value) for value in set_cookies), (), None)


def test_live_cookies_replace_recorded_ones_and_names_keep_their_order() -> None:
    live = LiveState(0)
    learn(live, "b=new; Path=/; HttpOnly", "other=1")
    assert cookie(live, "a=1; b=2; c=3") == "a=1; b=new; c=3"


def test_two_set_cookies_of_one_name_the_later_counts() -> None:
    live = LiveState(0)
    learn(live, "a=first", "a=second")
    assert cookie(live, "a=0") == "a=second"


def test_cookies_are_shared_by_the_ports_of_a_host_and_by_no_other_host() -> None:
    live = LiveState(0)
    learn(live, "a=live", authority="localhost:3000")
    assert cookie(live, "a=0", "localhost:4000") == "a=live"
    assert cookie(live, "a=0", "example.test") == "a=0"


def test_cookie_of_a_domain_goes_to_the_hosts_below_it() -> None:
    live = LiveState(0)
    learn(live, "a=live; Domain=.example.test", authority="www.example.test")
    assert cookie(live, "a=0", "api.example.test:8080") == "a=live"


@pytest.mark.parametrize("gone", ["a=; Max-Age=0", "a=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "a=; max-age=-1"])
def test_deleted_cookie_goes_out_as_recorded(gone: str) -> None:
    live = LiveState(0)
    learn(live, "a=live", gone)
    assert cookie(live, "a=recorded") == "a=recorded"


def test_separators_and_oddities_of_a_cookie_field_stay() -> None:
    live = LiveState(0)
    learn(live, "b=new")
    assert cookie(live, 'a="x=y";b=1;  flag; c=') == 'a="x=y";b=new;  flag; c='


def test_field_names_keep_their_letter_case_and_order() -> None:
    live = LiveState(1)
    live.values[0] = "LIVE"
    recorded = (("hOsT", HOST), ("X-b", "1"), ("AUTHORIZATION", "Bearer OLD"), ("x-B", "2"))
    sent = live.headers(HOST, recorded, (Use("header", 2, 7, 10, "plain", 0),))
    assert sent == (("hOsT", HOST), ("X-b", "1"), ("AUTHORIZATION", "Bearer LIVE"), ("x-B", "2"))


def test_cookie_that_was_linked_is_filled_where_no_live_cookie_has_the_name() -> None:
    live = LiveState(1)
    live.values[0] = "LIVE"
    assert cookie(live, "a=1; t=OLD; z=2", uses=(Use("header", 1, 7, 10, "plain", 0),)) == "a=1; t=LIVE; z=2"


def test_values_are_written_as_the_place_demands() -> None:
    values = ['a"b/ü&', None]
    assert fill('{"x": "OLD"}', [Use("body", -1, 7, 10, "json", 0)], values) == '{"x": "a\\"b/ü&"}'
    assert fill("/x?y=OLD&z", [Use("target", -1, 5, 8, "url", 0)], values) == "/x?y=a%22b%2F%C3%BC%26&z"
    assert fill("OLD", [Use("header", 0, 0, 3, "plain", 1)], values) == "OLD"


def test_learn_takes_json_header_and_cookie_and_says_what_is_missing() -> None:
    live = LiveState(4)
    takes = (
        Take("json", ("data", 0, "id"), 0),
        Take("header", ("x-token",), 1),
        Take("cookie", ("sid",), 2),
        Take("json", ("gone",), 3),
    )
    headers = (("X-Token", "from-header"), ("Set-Cookie", "sid=from-cookie; Path=/"))
    body = json.dumps({"data": [{"id": "from-body"}]}).encode()
    assert live.learn(HOST, headers, takes, body) == (takes[3],)
    assert live.values == ["from-body", "from-header", "from-cookie", None]


def test_value_that_is_missing_later_keeps_what_was_there_before() -> None:
    live = LiveState(1)
    take = Take("json", ("t",), 0)
    live.learn(HOST, (), (take,), b'{"t": "first"}')
    assert live.learn(HOST, (), (take,), b"<html>") == (take,)
    assert live.values == ["first"]


@pytest.mark.parametrize("body", [None, b"", b"{", b'{"a": 1}', b'{"a": {"b": []}}', b"[]", b"\xff\xfe"])
def test_json_value_that_is_not_there_is_missing(body: bytes | None) -> None:
    live = LiveState(1)
    take = Take("json", ("a", "b", 0), 0)
    assert live.learn(HOST, (), (take,), body) == (take,)
    assert live.values == [None]


@pytest.mark.parametrize(
    ("authority", "host"), [("LocalHost:4000", "localhost"), ("[::1]:80", "[::1]"), ("a.test", "a.test")]
)
def test_host_of_an_authority_has_no_port(authority: str, host: str) -> None:
    assert host_of(authority) == host
