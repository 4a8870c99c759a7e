from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from reports.render.html.markup import drawn, element, island, joined, path, shown


def test_text_in_an_element_is_escaped() -> None:
    assert element("p", "<script>1 & 2</script>") == "<p>&lt;script&gt;1 &amp; 2&lt;/script&gt;</p>"


def test_text_in_an_attribute_cannot_leave_it() -> None:
    assert element("p", title="\"'><b>") == '<p title="&#34;&#39;&gt;&lt;b&gt;"></p>'


def test_markup_stays_markup() -> None:
    assert element("p", element("b", "x"), [element("i", "y"), None, "<"]) == "<p><b>x</b><i>y</i>&lt;</p>"


def test_bare_attributes_and_none() -> None:
    assert (
        element("details", open=True, id=None, hidden=False, data_value=0) == '<details open data-value="0"></details>'
    )
    assert element("input", class_="a", for_="b") == '<input class="a" for="b">'


def test_pieces_are_joined_with_escaped_texts() -> None:
    assert joined(("<", Markup("<br>"), None, 5), " ") == "&lt; <br> 5"


@given(st.text())
def test_data_cannot_end_its_script(text: str) -> None:
    written = island("x", {"text": text, "list": [text]})
    inside = written.removeprefix('<script type="application/json" id="x">').removesuffix("</script>")
    assert not set("<>&") & set(inside)
    assert json.loads(inside) == {"text": text, "list": [text]}


def test_text_for_plotly_holds_no_markup() -> None:
    assert drawn("<a href='javascript:1'>&lt;") == "&lt;a href='javascript:1'&gt;&amp;lt;"


def test_a_megabyte_is_shortened_before_it_is_written() -> None:
    assert len(shown("x" * 1_000_000)) <= 300
    assert len(drawn("<" * 1_000_000)) < 1_000


def test_controls_and_directions_are_written_out() -> None:
    assert shown("a\x1b[2J\u202eb\x00") == "a\\e[2J\\u202eb\\x00"


def test_paths_can_break_after_their_slashes() -> None:
    assert path("/api/<b>") == "/<wbr>api/<wbr>&lt;b&gt;"
