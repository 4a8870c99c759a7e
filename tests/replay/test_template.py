"""Prepared heads say what heads built field by field say, whatever is known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.model import Kind, Pairs
from replay.live import LiveState
from replay.steps import Http, Use
from replay.template import build_template, render
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
    action = Http(
        source=1, upstream=0, kind=Kind.CALL, method="GET", authority="app.test:80", target=target, route="/",
        version="HTTP/1.1", headers=recorded, trailers=(), body=b"", coding="", media_type="", chunked=False,
        connection=None, status=200, hold_ns=None,
    )  # fmt: skip
    built = head_bytes(
        "GET",
        live.text(target, [use for use in uses if use.place == "target"]),
        "HTTP/1.1",
        live.headers(action.authority, recorded, [use for use in uses if use.place == "header"], target),
    )
    assert b"".join(render(build_template(action, recorded, uses), live)) == built
