"""Places of what is sent: whatever a step sends, writing a place's own value there again changes nothing."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.model import Kind
from replay.live import fill
from replay.provenance.answers import Answered, Heard, offers, offers_of_packet
from replay.provenance.codings import decode_base64, decode_json, decode_url, encode
from replay.provenance.html import values_of
from replay.provenance.parts import part_at, parts_of
from replay.provenance.sendings import Slot, slots
from replay.steps import Emit, Http, Step, Use

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def step(action: Http | Emit) -> Step:
    return Step(index=0, action=action, sent_ns=0, waited=True, after=(), think_ns=0, behind=None)


def http(target: str = "/", headers: tuple[tuple[str, str], ...] = (), body: bytes = b"") -> Http:
    return Http(
        source=1, upstream=0, kind=Kind.CALL, method="POST", authority="h", target=target, route=target,
        version="HTTP/1.1", headers=headers, trailers=(), body=body, coding="", media_type="", chunked=False,
        connection=1, status=200, hold_ns=None,
    )  # fmt: skip


def emit(payload: str) -> Emit:
    return Emit(
        socket=1, source=1, namespace="/", event="e", payload=payload, ack_id=None, acknowledged=False, attachments=()
    )


def found(action: Http | Emit) -> list[Slot]:
    return list(slots(step(action)))


def text_of(action: Http | Emit, slot: Slot) -> str:
    if isinstance(action, Emit):
        return action.payload
    return {"target": action.target, "body": action.body.decode()}.get(slot.place) or action.headers[slot.field][1]


def refilled(action: Http | Emit, slot: Slot) -> str:
    use = Use(slot.place, slot.field, slot.start, slot.end, slot.coding, 0, slot.wrap)
    return fill(text_of(action, slot), [use], [slot.value])


@given(DOCUMENTS, st.booleans(), st.booleans())
def test_json_with_its_own_values_written_again_is_the_same(document: object, in_ascii: bool, indented: bool) -> None:
    action = emit(json.dumps([document], ensure_ascii=in_ascii, indent=2 if indented else None))
    places = found(action)
    assert [refilled(action, slot) for slot in places] == [action.payload] * len(places)


@given(st.lists(TEXTS.filter(bool), max_size=3), st.dictionaries(st.sampled_from("abc"), TEXTS, max_size=3))
def test_target_with_its_own_values_written_again_is_the_same(path: list[str], query: dict[str, str]) -> None:
    pairs = "&".join(f"{name}={quote_plus(value)}" for name, value in query.items())
    action = http("/" + "/".join(quote(part, safe="") for part in path) + (f"?{pairs}" if pairs else ""))
    top = [slot for slot in found(action) if not slot.wrap]
    assert [refilled(action, slot) for slot in top] == [action.target] * len(top)
    assert {slot.value for slot in top if slot.kind == "query"} >= set(query.values())


@given(st.binary(max_size=80))
def test_whatever_a_body_is_its_places_are_inside_it(content: bytes) -> None:
    for media in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        for slot in found(http(headers=(("Content-Type", media),), body=content)):
            assert 0 <= slot.start <= slot.end <= len(content)


@given(st.text(max_size=80))
def test_whatever_an_answer_is_it_can_be_read(text: str) -> None:
    for media in ("application/json", "text/html"):
        headers = (("Set-Cookie", text), ("Location", text), ("X-A", text))
        list(offers(Answered(0, headers, text, media), text))
    list(offers_of_packet(Heard(1, 0, 1, "event", "/", "e", text)))


@given(st.text(max_size=60))
def test_every_part_of_a_text_is_found_again_the_same_way(text: str) -> None:
    for piece in parts_of(text):
        if piece.value:
            assert part_at(text, piece.parts) is not None


NESTED = [
    ("a bearer", http(headers=(("Authorization", "Bearer TOKEN-1234"),)), "TOKEN-1234"),
    ("a pair in base64", http(headers=(("X", "Basic " + base64.b64encode(b"kim:TOKEN-123").decode()),)), "TOKEN-123"),
    ("JSON in a query", http("/a?input=" + quote('{"id":"TOKEN-1234"}', safe="")), "TOKEN-1234"),
    ("JSON in JSON", emit(json.dumps([json.dumps({"id": 'TOKEN "12"'})])), 'TOKEN "12"'),
    (
        "JSON in base64 in a query",
        http("/a?c=" + quote(base64.b64encode(b'{"id":"TOKEN-1234"}'), safe="")),
        "TOKEN-1234",
    ),
    ("a pair in a header", http(headers=(("X-Auth", 'ticket="TOKEN-1234", realm=app'),)), "TOKEN-1234"),
    ("a query in the Referer", http(headers=(("Referer", "http://h/a?id=TOKEN-1234"),)), "TOKEN-1234"),
    (
        "a field of a multipart form",
        http(
            headers=(("Content-Type", "multipart/form-data; boundary=XX"),),
            body=b'--XX\r\nContent-Disposition: form-data; name="t"\r\n\r\nTOKEN-1234\r\n--XX--\r\n',
        ),
        "TOKEN-1234",
    ),
]


@pytest.mark.parametrize(("action", "value"), [case[1:] for case in NESTED], ids=[case[0] for case in NESTED])
def test_value_within_other_texts_is_a_place_and_can_be_replaced(action: Http | Emit, value: str) -> None:
    (slot,) = [slot for slot in found(action) if slot.value == value]
    assert refilled(action, slot) == text_of(action, slot)
    use = Use(slot.place, slot.field, slot.start, slot.end, slot.coding, 0, slot.wrap)
    live = fill(text_of(action, slot), [use], ['new"value"9'])
    again = (
        emit(live)
        if isinstance(action, Emit)
        else http(
            live if slot.place == "target" else action.target,
            ((action.headers[0][0], live),) if slot.place == "header" else action.headers,
            live.encode() if slot.place == "body" else action.body,
        )
    )
    if slot.place != "header" or slot.wrap:
        assert [one for one in found(again) if one.value == 'new"value"9']
    else:
        assert 'new"value"9' in live or quote('new"value"9', safe="!'()*") in live


PAGE = """
<html data-user="u-1"><head><meta name="csrf-token" content="META"><meta property="og:title" content="a &amp; b">
<script id="d" type="application/json">{"a": {"b": ["X", 7]}}</script><script>var token = 'SCRIPT'; let n = 1;</script>
</head><body><a href='/one/1'>1</a><form action="/two"><input value="V" name=field><input name="empty"></form></body>
"""


def test_values_of_a_page_are_named_by_what_surrounds_them() -> None:
    assert {found.path: found.value for found in values_of(PAGE)} == {
        ("data", "data-user", 0): "u-1",
        ("meta", "csrf-token", 0): "META",
        ("meta", "og:title", 0): "a & b",
        ("json", 0, "a", "b", 0): "X",
        ("json", 0, "a", "b", 1): "7",
        ("script", "token", 0): "SCRIPT",
        ("link", 0): "/one/1",
        ("link", 1): "/two",
        ("field", "field", 0): "V",
    }


@given(TEXTS)
def test_decoding_undoes_encoding_and_knows_where_every_character_was(value: str) -> None:
    raw = encode(value, "url")
    decoded = decode_url(raw, form=False)
    assert decoded.text == value
    assert [raw[a:b] for a, b in zip(decoded.at, decoded.at[1:], strict=False)] == [encode(c, "url") for c in value]
    assert decode_url(encode(value, "form"), form=True).text == value
    for coding in ("json", "ascii"):
        assert decode_json(encode(value, coding)).text == value
    if len(value) > 7 and value.isprintable():
        assert decode_base64(encode(value, "base64")) == (value, "base64")
