"""Answers keep their structure and what clients sent themselves; every other word is gone."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.slimming import Slimmer

SENT = ("/films/603/notes?query=space%20ship", '{"id":"7737fd0d-188c-46cd-ac98-b3fb053b3a85"}', "request:41:status")


@pytest.fixture
def slimmer() -> Slimmer:
    return Slimmer(SENT)


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("Anna Müller", "xxxx xxxxxx"),
        ("space ship", "space ship"),
        ("Space Ship", "xxxxx xxxx"),
        ("/films/603/notes", "/films/603/notes"),
        ("https://host.test/films/604", "xxxxx://xxxx.xxxx/films/xxx"),
        ("7737fd0d-188c-46cd-ac98-b3fb053b3a85", "7737fd0d-188c-46cd-ac98-b3fb053b3a85"),
        ("0000fd0d-188c-46cd-ac98-b3fb053b3a85", "xxxxxxxx-188c-46cd-ac98-b3fb053b3a85"),
        ("Bearer nps_1f9c2e_5_ for Anna", "xxxxxx nps_1f9c2e_5_ xxx xxxx"),
        ("nps_1f9c2e_4_|nps_1f9c2e_5b", "nps_1f9c2e_4_|nps_1f9c2e_5b"),
        (603, 603),
        (604, 0),
        (-41, -41),
        (812345000001, 812345000001),
        (3.25, 0.5),
        (True, True),
        (None, None),
        ([], []),
        ({"name": ["Anna", 41]}, {"name": ["xxxx", 41]}),
        ('{"inner":"Anna 603"}', '{"xxxxx":"xxxx 603"}'),
    ],
)
def test_values_that_nobody_sent_are_gone(slimmer: Slimmer, value: Any, left: Any) -> None:
    slim = slimmer.json(json.dumps({"data": value}))
    assert slim is not None
    assert json.loads(slim) == {"data": left}


@pytest.mark.parametrize(
    ("content", "media_type", "left"),
    [
        (b"{broken", "application/json", None),
        (b"body { color: red }", "text/css", None),
        (b"\x89PNG", "image/png", None),
        (b'[1,"a"]', "application/problem+json; charset=utf-8", b'[0,"x"]'),
    ],
)
def test_bodies_of_other_kinds_are_dropped(
    slimmer: Slimmer, content: bytes, media_type: str, left: bytes | None
) -> None:
    assert slimmer.body(content, media_type) == left


PAGE = """<!doctype html><html lang="en"><head><title>Anna's films</title>
<meta name="csrf-token" content="nps_1f9c2e_2_"><script src="/films/603/notes"></script></head>
<body data-user="Anna" class='big'><h1>Hello Anna</h1>
<form action="/films/603"><input type="hidden" name="id" value="603"><input name="title" value="Anna > Bob"></form>
<script>var greeting = "Hello Anna"; window.token = 'nps_1f9c2e_3_'; run()</script>
<script type="application/json">{"id": 603, "name": "Anna"}</script></body></html>"""


def test_pages_keep_tags_names_and_what_was_sent(slimmer: Slimmer) -> None:
    slim = slimmer.html(PAGE)
    assert "Anna" not in slim
    assert "Hello" not in slim
    assert "Bob" not in slim
    for kept in (
        '<meta name="csrf-token" content="nps_1f9c2e_2_">',
        '<script src="/films/603/notes"></script>',
        '<form action="/films/603">',
        '<input type="hidden" name="id" value="603">',
        '<input name="title" value="xxxx > xxx">',
        "token='nps_1f9c2e_3_'",
        '{"id":603,"name":"xxxx"}',
    ):
        assert kept in slim
    assert len(re.findall(r"<(input|form|script|meta)\b", slim)) == len(
        re.findall(r"<(input|form|script|meta)\b", PAGE)
    )


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(_JSON, st.lists(st.text(), max_size=3))
def test_structure_stays_and_no_word_of_an_answer_that_was_not_sent(document: Any, sent: list[str]) -> None:
    slim = Slimmer(sent).json(json.dumps(document))
    assert slim is not None
    left = json.loads(slim)
    words = {word for text in sent for one in (text, unquote(text)) for word in re.findall(r"\w+", one)}

    def check(before: Any, after: Any) -> None:
        assert type(before) is type(after) or {type(before), type(after)} <= {int, float}
        if isinstance(before, dict):
            assert list(before) == list(after)
            for key in before:
                check(before[key], after[key])
        elif isinstance(before, list):
            assert len(before) == len(after)
            for one, other in zip(before, after, strict=True):
                check(one, other)
        elif isinstance(before, str):
            assert len(before) == len(after)
            for word in re.findall(r"\w+", after):
                assert set(word) == {"x"} or word in words or re.fullmatch(r"nps_[0-9a-f]{6}_\d+\w?", word)

    check(document, left)


@pytest.mark.parametrize("hostile", ["<a" * 200_000, "<script>" * 200_000, "<a b='" * 100_000, "<" * 400_000])
def test_hostile_pages_take_no_longer_than_others(slimmer: Slimmer, hostile: str) -> None:
    assert "Anna" not in slimmer.html(hostile + "Anna")


@given(st.text())
def test_any_page_gives_a_page(page: str) -> None:
    assert isinstance(Slimmer(["a"]).html(page), str)
