from __future__ import annotations

import re
from typing import Any

from nestperf.demo.app import DemoApp
from nestperf.demo.pages import read_parts

LINK = re.compile(r'(?:src|href)="(/(?:_next|posters)[^"]+)"')


def test_parts_are_cut_at_their_marks() -> None:
    source = "<!-- about -->\n<!-- part: a -->\none\n\n<!-- part: b.js -->\ntwo\nthree\n"
    assert read_parts(source) == {"a": "one\n", "b.js": "two\nthree\n"}


async def test_stranger_is_led_to_the_door(stranger: Any) -> None:
    assert (await stranger.get("/")).headers["Location"] == "/dashboard"
    reply = await stranger.get("/dashboard")
    assert (reply.status, reply.headers["Location"]) == (302, "/signin")
    assert b"Sign in with Plex" in (await stranger.get("/signin")).raw


async def test_dashboard_is_rendered_for_its_friend(friend: Any) -> None:
    await friend.ask_for()
    reply = await friend.get("/dashboard")
    html = reply.raw.decode()
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f"Good to see you, {friend.user['username']}" in html
    assert '<b id="stat-total">1</b>' in html
    assert "You asked for Star Harbour." in html
    assert html.count('class="media"') == 14
    assert "$" not in html


async def test_everything_a_page_refers_to_is_there_and_may_be_kept(friend: Any) -> None:
    links = set(LINK.findall((await friend.get("/dashboard")).raw.decode()))
    kinds = set()
    for link in links:
        reply = await friend.get(link)
        assert reply.status == 200
        assert "immutable" in reply.headers["Cache-Control"]
        kinds.add(reply.headers["Content-Type"].partition(";")[0])
    assert kinds == {"text/javascript", "text/css", "image/svg+xml"}
    assert any(re.fullmatch(r"/_next/static/[0-9a-f]{16}/app\.js", link) for link in links)


async def test_pages_name_nothing_elsewhere(app: DemoApp, friend: Any) -> None:
    for path in ("/signin", "/dashboard", *LINK.findall((await friend.get("/dashboard")).raw.decode())):
        text = (await friend.get(path)).raw.decode()
        elsewhere = re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+", text.replace("http://www.w3.org/2000/svg", ""))
        assert elsewhere == [], path


async def test_asset_or_poster_that_is_none_is_a_404(friend: Any) -> None:
    for path in ("/_next/static/0000000000000000/app.js", "/posters/1", "/posters/x"):
        assert (await friend.get(path)).status == 404


async def test_favicon_leads_to_the_icon(stranger: Any) -> None:
    reply = await stranger.get("/favicon.ico")
    assert (await stranger.get(reply.headers["Location"])).headers["Content-Type"].startswith("image/svg+xml")
