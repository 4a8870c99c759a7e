"""Prepared heads say what heads built field by field say, whatever is known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.model import Kind, Pairs
from replay.live import LiveState
from replay.steps import Http, Take, Use
from replay.template import Fields, Pieces, build_template, head_of
from replay.transport.answer import head_bytes

TARGETS = st.sampled_from(["/", "/a/RECORDED/b?x=RECORDED&y=1", "/RECORDED"])
FIELDS = st.lists(
    st.sampled_from([
        ("Host", "app.test:80"), ("Cookie", "a=RECORDED; b=RECORDED;c=1"), ("cookie", "a=1; a=2;  a =RECORDED; plain"),
        ("X-Token", "Bearer RECORDED"), ("X-Two", "RECORDED, RECORDED"), ("Ümlaut", "é"), ("Empty", ""),
    ]),
    max_size=5,
)  # fmt: skip
LIVE = st.sampled_from([None, "live", "a b&c", "é€", ""])
COOKIES = st.lists(
    st.sampled_from(["a=live", "a=other; Path=/a", "b=x; Domain=test", "a=; Max-Age=0", "c=1; Path=/nowhere"]),
    max_size=4,
)


def uses_in(text: str, place: str, field: int, values: list[int], coding: str) -> list[Use]:
    """Every other RECORDED is live."""
    uses: list[Use] = []
    at = text.find("RECORDED")
    while at >= 0:
        uses.append(Use(place, field, at, at + 8, coding, values[len(uses) % len(values)]))  # type: ignore[arg-type]
        at = text.find("RECORDED", at + 8)
    return uses[::2]


def request_for(target: str, headers: Pairs) -> Http:
    return Http(
        source=1, upstream=0, kind=Kind.CALL, method="GET", authority="app.test:80", target=target, route="/",
        version="HTTP/1.1", headers=headers, trailers=(), body=b"", coding="", media_type="", chunked=False,
        connection=None, status=200, hold_ns=None,
    )  # fmt: skip


@given(target=TARGETS, headers=FIELDS, known=st.lists(LIVE, min_size=1, max_size=3), cookies=COOKIES)
def test_prepared_head_is_the_head_built_field_by_field(
    target: str, headers: list[tuple[str, str]], known: list[str | None], cookies: list[str]
) -> None:
    numbers = list(range(len(known)))
    uses = uses_in(target, "target", -1, numbers, "url")
    for field, (_, value) in enumerate(headers):
        uses += uses_in(value, "header", field, numbers, "plain")
    recorded: Pairs = tuple(headers)
    live = LiveState(len(known))
    live.values[:] = known
    live.learn("app.test", tuple(("Set-Cookie", cookie) for cookie in cookies), (), None)
    action = request_for(target, recorded)
    built = head_bytes(
        "GET",
        live.text(target, [use for use in uses if use.place == "target"]),
        "HTTP/1.1",
        live.headers(action.authority, recorded, [use for use in uses if use.place == "header"], target),
    )
    template = build_template(action, recorded, uses, {})
    assert head_of(template, live) == built
    assert head_of(template, live) == built


def test_fields_are_put_together_once_until_what_is_live_changes() -> None:
    headers: Pairs = (("Host", "app.test"), ("Cookie", "a=RECORDED"), ("X-Token", "RECORDED"))
    use = Use("header", 2, 0, 8, "plain", 0)
    known: dict[Pieces, Fields] = {}
    first, second = (
        build_template(request_for(target, headers), headers, [use], known) for target in ("/a/1?x=2", "/b")
    )
    assert first.fields is second.fields
    live = LiveState(1)
    assert (
        head_of(first, live)
        == b"GET /a/1?x=2 HTTP/1.1\r\nHost: app.test\r\nCookie: a=RECORDED\r\nX-Token: RECORDED\r\n\r\n"
    )
    rendered = live.rendered[first.fields]
    assert head_of(second, live) == b"GET /b HTTP/1.1\r\n" + rendered
    assert live.rendered[first.fields] is rendered
    token = Take("header", ("x-token",), 0)
    live.learn("app.test", (("X-Token", "new"), ("Set-Cookie", "a=1; Path=/")), (token,), None)
    assert head_of(second, live).endswith(b"Cookie: a=1\r\nX-Token: new\r\n\r\n")
    live.learn("app.test", (("Set-Cookie", "a=2; Path=/b"),), (), None)
    assert b"Cookie: a=1\r\n" in head_of(first, live)
    assert b"Cookie: a=2\r\n" in head_of(second, live)
    assert b"Cookie: a=1\r\n" in head_of(first, live)


def test_no_user_keeps_many_heads_ready() -> None:
    live = LiveState(0)
    for number in range(100):
        headers: Pairs = (("X-Number", str(number)), ("Cookie", "a=1"))
        head_of(build_template(request_for("/", headers), headers, (), {}), live)
    assert len(live.rendered) < 10
