"""Secrets within secrets: the relation can be read without the vault, and works for new values both ways."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.model import Relation
from nestperf.capture.relations import build, find_relations, take_apart
from nestperf.capture.sweep import all_known
from nestperf.capture.vault import Vault

TOKEN, HASH = "3f1c9a77d0e84b62", "9b2f0c55aa17e3d4"


def relation_of(whole: str, *inside: str) -> tuple[Relation, Vault]:
    vault = Vault.in_memory()
    for value in (*inside, whole):
        vault.conceal(value)
    (relation,) = [
        relation for relation in find_relations(vault, all_known(vault)) if relation.id == vault.number(whole)
    ]
    return relation, vault


@pytest.mark.parametrize(
    ("whole", "inside", "coding"),
    [
        (f"{TOKEN}|{HASH}", TOKEN, ""),
        (f"{TOKEN}%7C{HASH}", TOKEN, ""),
        (quote(json.dumps({"user": "kim", "token": TOKEN}), safe=""), TOKEN, ""),
        (quote(json.dumps({"token": "äöü/" + TOKEN}), safe=""), "äöü/" + TOKEN, "url"),
        (f"Bearer {TOKEN}", TOKEN, ""),
        (base64.b64encode(f"kim:{TOKEN}".encode()).decode(), TOKEN, "base64"),
        (base64.b64encode(f"kim:{TOKEN}!".encode()).decode(), TOKEN + "!", "base64"),
        (base64.urlsafe_b64encode(f"ÿÿ?:{TOKEN}".encode()).decode().rstrip("="), TOKEN, "base64url"),
        (base64.b64encode(f"kim:{TOKEN}".encode()).decode().rstrip("="), TOKEN, "base64url"),
    ],
)
def test_relation_rebuilds_and_takes_apart(whole: str, inside: str, coding: str) -> None:
    relation, vault = relation_of(whole, inside)
    assert relation.coding == coding
    values = take_apart(relation, whole)
    assert values is not None
    assert vault.number(inside) in values
    assert values == {number: vault.values[number] for number in values}
    assert build(relation, values) == whole
    fresh = values | {vault.number(inside): "another/token+1"}
    again = build(relation, fresh)
    assert "another" in again or relation.coding
    assert take_apart(relation, again) == fresh


def test_template_shows_no_secret() -> None:
    relation, _ = relation_of(f"{TOKEN}|{HASH}", TOKEN)
    assert TOKEN not in relation.template
    assert HASH not in relation.template
    assert relation.template.count("nps_") == 2
    assert "_|nps_" in relation.template


def test_rest_of_a_secret_is_not_looked_for_elsewhere() -> None:
    whole = quote(json.dumps({"callbackAddress": 1, "token": TOKEN}), safe="")
    _, vault = relation_of(whole, TOKEN)
    assert any("callbackAddress" in value for value in vault.values)
    assert all_known(vault).replace(b'{"callbackAddress":1}') == b'{"callbackAddress":1}'


def test_relation_found_again_is_the_same() -> None:
    relation, vault = relation_of(f"{TOKEN}|{HASH}", TOKEN)
    assert list(find_relations(vault, all_known(vault))) == [relation]


def test_take_apart_what_is_of_another_make_gives_none() -> None:
    relation, _ = relation_of(f"{TOKEN}|{HASH}", TOKEN)
    assert take_apart(relation, "no delimiter") is None
    encoded, _ = relation_of(base64.b64encode(f"kim:{TOKEN}".encode()).decode(), TOKEN)
    assert take_apart(encoded, "not base64 at all") is None


def test_unrelated_secrets_have_no_relation() -> None:
    vault = Vault.in_memory()
    for value in (TOKEN, HASH, "admin", "x"):
        vault.conceal(value)
    assert list(find_relations(vault, all_known(vault))) == []


@given(st.lists(st.text(min_size=1), max_size=12), st.text(min_size=8))
def test_any_secret_within_any_other_is_rebuilt(around: list[str], inside: str) -> None:
    vault = Vault.in_memory()
    for value in (inside, inside.join(["", *around, ""])):
        vault.conceal(value)
    for relation in list(find_relations(vault, all_known(vault))):
        assert build(relation, dict(enumerate(vault.values))) == vault.values[relation.id]
