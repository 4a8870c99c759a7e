"""Which pages a recording opened, under which addresses, and what has to be sent to be signed in there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nestperf.capture.model import Kind, Upstream
from replay.browse.tour import Stop, sent_before, stops_of, within_pages
from replay.steps import Http, Plan, SessionPlan
from tests.replay.conftest import Recording

HTML = (("Content-Type", "text/html"),)
DOCUMENT = (("Accept", "text/html"), ("Sec-Fetch-Dest", "document"))
TOKEN = "7Yx0mPq4Lr8sVn2cKd6w"
UPSTREAMS = (Upstream("http://127.0.0.1:4000"),)


def page(recording: Recording, target: str, at: float, *more: tuple[str, str], status: int = 200) -> int:
    return recording.exchange(
        "GET", target, at, at + 5, headers=(*DOCUMENT, *more), status=status, answer=b"<p>", answer_headers=HTML
    )


def redirect(recording: Recording, target: str, to: str, at: float) -> int:
    return recording.exchange(
        "GET", target, at, at + 1, headers=DOCUMENT, status=302, answer_headers=(("Location", to), *HTML)
    )


def stops(plan: Plan) -> list[Stop]:
    return list(stops_of(plan.sessions[0], UPSTREAMS))


def sent(session: SessionPlan, found: tuple[int, ...]) -> list[str]:
    actions = [session.steps[index].action for index in found]
    return [f"{action.method} {action.target}" for action in actions if isinstance(action, Http)]


def test_pages_come_in_the_order_in_which_they_were_opened_and_nothing_else_does(recording: Recording) -> None:
    page(recording, "/signin", 0)
    recording.exchange("GET", "/api/titles", 10, 15, answer=b"{}")
    recording.exchange("GET", "/app.css", 20, 25, headers=(("Sec-Fetch-Dest", "style"),))
    page(recording, "/dashboard?tab=1", 30)
    found = stops(recording.plan())
    assert [(stop.url, stop.route) for stop in found] == [
        ("http://localhost:4000/signin", "/signin"),
        ("http://localhost:4000/dashboard?tab=1", "/dashboard"),
    ]


def test_addresses_that_a_page_went_to_by_itself_are_known_by_what_was_called_there(recording: Recording) -> None:
    page(recording, "/", 0)
    page(recording, "/help", 5)
    for at, referer in enumerate(
        ("http://localhost:4000/", "http://localhost:4000/films/17?from=menu", "http://localhost:4000/films/18",
         "http://localhost:4000/help", "http://elsewhere/films", "http://[", "http://localhost:4000/status"),
    ):  # fmt: skip
        recording.exchange("GET", "/api", 10 + at, 11 + at, headers=(("Referer", referer),), answer=b"{}")
    assert within_pages(recording.plan().sessions[0]) == ("/films/{id}", "/status")


def test_what_a_redirect_led_to_belongs_to_the_page_that_was_asked_for(recording: Recording) -> None:
    redirect(recording, "/", "/home", 0)
    redirect(recording, "/home", "/dashboard", 10)
    page(recording, "/dashboard", 20)
    page(recording, "/requests", 30)
    found = stops(recording.plan())
    assert [(stop.url.partition("4000")[2], stop.led_to) for stop in found] == [
        ("/", "/dashboard"),
        ("/requests", "/requests"),
    ]


def test_a_page_that_was_opened_again_is_one_and_with_a_cookie_another(recording: Recording) -> None:
    for at in (0, 10):
        page(recording, "/", at)
    for at in (20, 30):
        page(recording, "/", at, ("Cookie", "seen=1"))
    assert len(stops(recording.plan())) == 2


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((("Accept", "text/html"), ("Sec-Fetch-Dest", "iframe")), 200),
        ((*DOCUMENT, ("Sec-Purpose", "prefetch;prerender")), 200),
        (DOCUMENT, 404),
        (DOCUMENT, 503),
    ],
    ids=["a frame", "a prefetch", "a page that is not there", "an error"],
)
def test_what_nobody_navigated_to_is_no_page(
    recording: Recording, headers: tuple[tuple[str, str], ...], status: int
) -> None:
    recording.exchange("GET", "/part", 0, 5, headers=headers, status=status, answer=b"<p>", answer_headers=HTML)
    page(recording, "/whole", 10)
    assert [stop.route for stop in stops(recording.plan())] == ["/whole"]


def test_an_address_of_the_recorder_becomes_the_applications(recordings: Callable[..., Recording]) -> None:
    recording = recordings("https://app.test:4000")
    page(recording, "/there", 0, ("Host", "127.0.0.1:8400"))
    page(recording, "/here", 10, ("Host", "app.test:4000"))
    plan = recording.plan()
    urls = [stop.url for stop in stops_of(plan.sessions[0], (Upstream("https://app.test:4000"),))]
    assert urls == ["https://app.test:4000/there", "https://app.test:4000/here"]


def test_what_hands_out_the_cookie_of_a_page_is_sent_before_it_and_the_rest_is_not(recording: Recording) -> None:
    page(recording, "/signin", 0)
    recording.exchange("GET", "/api/titles", 10, 15, answer=b"{}")
    recording.exchange(
        "POST", "/login", 20, 25, answer=b"{}", answer_headers=(("Set-Cookie", f"session={TOKEN}; HttpOnly"),)
    )
    recording.exchange("POST", "/orders", 30, 35, body=b"{}", headers=(("Cookie", f"session={TOKEN}"),))
    page(recording, "/dashboard", 40, ("Cookie", f"session={TOKEN}"))
    session = recording.plan().sessions[0]
    assert sent(session, sent_before(session, stops_of(session, UPSTREAMS))) == ["POST /login"]


def test_a_password_is_sent_even_where_no_answer_hands_anything_out(recording: Recording) -> None:
    recording.exchange(
        "POST",
        "/login",
        0,
        5,
        headers=(("Content-Type", "application/x-www-form-urlencoded"), ("Cookie", "sid=1")),
        body=b"user=kim&password=correct+horse+battery",
    )
    page(recording, "/dashboard", 10, ("Cookie", "sid=1"))
    session = recording.plan().sessions[0]
    assert sent(session, sent_before(session, stops_of(session, UPSTREAMS))) == ["POST /login"]


def test_what_hands_out_a_stored_value_is_sent_where_it_is_named(recording: Recording) -> None:
    recording.exchange("POST", "/verify", 0, 5, answer=f'{{"token": "{TOKEN}"}}'.encode())
    page(recording, "/dashboard", 10)
    recording.exchange("GET", "/api/me", 20, 25, headers=(("Authorization", f"Bearer {TOKEN}"),), answer=b"{}")
    page(recording, "/later", 30)
    session = recording.plan().sessions[0]
    found = stops_of(session, UPSTREAMS)
    assert sent_before(session, found) == ()
    assert sent(session, sent_before(session, found, ["token"])) == ["POST /verify"]


def test_pages_are_of_their_kind(recording: Recording) -> None:
    page(recording, "/a", 0)
    (step,) = recording.plan().sessions[0].steps
    assert isinstance(step.action, Http)
    assert step.action.kind is Kind.PAGE
