"""Every way to write a value can be read back, and writes again what stood there."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.forms import (
    ALL,
    BASE64,
    COMPONENT,
    FORM,
    HEX,
    HTML,
    IN_JSON,
    IN_URL,
    JSON,
    LOWER_URL,
    RAW,
    SLASHED,
    URL,
    as_bytes,
    as_text,
    decode_form,
    encode_form,
    written_forms,
)


@pytest.mark.parametrize(
    ("form", "written"),
    [
        (RAW, "a/b ü'\""),
        (URL, "a%2Fb%20%C3%BC%27%22"),
        (LOWER_URL, "a%2fb%20%c3%bc%27%22"),
        (COMPONENT, "a%2Fb%20%C3%BC'%22"),
        (FORM, "a%2Fb+%C3%BC%27%22"),
        (JSON, "a/b ü'\\\""),
        (SLASHED, "a\\/b ü'\\\""),
        (HTML, "a/b ü&#x27;&quot;"),
        (HEX, "612f6220c3bc2722"),
    ],
)
def test_encode_form_table(form: str, written: str) -> None:
    assert encode_form("a/b ü'\"", form) == written


@given(st.text(), st.sampled_from([IN_URL, IN_JSON, (HTML,)]))
def test_decode_form_writes_again_what_stood_there(raw: str, candidates: tuple[str, ...]) -> None:
    value, form = decode_form(raw, candidates)
    assert encode_form(value, form) == raw


@given(st.text(min_size=1), st.sampled_from([*IN_URL, *IN_JSON, HTML]))
def test_decode_form_finds_the_value(value: str, form: str) -> None:
    raw = encode_form(value, form)
    decoded, found = decode_form(raw, (form,))
    assert (decoded == value) if raw != value else (decoded, found) == (raw, RAW)


@given(st.text(min_size=8), st.binary(max_size=5), st.binary(max_size=5))
def test_base64_form_stands_in_every_text_that_contains_the_value(value: str, before: bytes, after: bytes) -> None:
    text = base64.b64encode(before + value.encode() + after).decode()
    assert encode_form(value, BASE64[len(before) % 3]) in text


@given(st.text())
def test_written_forms_names_each_text_once(value: str) -> None:
    texts = [text for text, _ in written_forms(value)]
    assert len(texts) == len(set(texts))
    for wanted in (value, quote(value, safe=""), json.dumps(value)[1:-1], value.encode().hex()):
        assert wanted in texts


@given(st.binary())
def test_as_text_restores_any_bytes(content: bytes) -> None:
    assert as_bytes(as_text(content)) == content


def test_forms_are_one_character_each_and_differ() -> None:
    assert len(set(ALL)) == len(ALL) == sum(map(len, ALL))
