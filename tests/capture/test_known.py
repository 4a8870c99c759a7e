"""Known secrets are found in every form and at every place, however many there are, and nothing else is touched."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.forms import as_bytes, written_forms
from nestperf.capture.known import KnownSecrets
from nestperf.capture.vault import Vault


def knowing(*values: str) -> tuple[KnownSecrets, Vault]:
    vault = Vault.in_memory()
    known = KnownSecrets(vault)
    for value in values:
        known.add(value)
    return known, vault


@given(st.lists(st.text(min_size=8), min_size=1, max_size=40), st.text(), st.text())
def test_replace_any_form_of_any_secret_and_reveal_restores_it(values: list[str], before: str, after: str) -> None:
    known, vault = knowing(*values)
    for text, form in written_forms(values[0]):
        # A number inside a longer number is another number.
        content = as_bytes(f"{before}<{text}>{after}")
        replaced = known.replace(content)
        assert f"<{text}>".encode() not in replaced, form
        assert vault.reveal_bytes(replaced) == content


def test_replace_among_ten_thousand_secrets() -> None:
    values = [f"secret-{number:05d}-{number * 7919 % 10007}" for number in range(10_000)]
    known, vault = knowing(*values)
    content = "|".join(values).encode()
    replaced = known.replace(content)
    assert b"secret-" not in replaced
    assert vault.reveal_bytes(replaced) == content


def test_replace_longest_first_where_one_contains_another() -> None:
    known, vault = knowing("token-abcdef", "token-abcdef|hash-12345")
    assert known.replace(b"x token-abcdef|hash-12345 y") == f"x {vault.conceal('token-abcdef|hash-12345')} y".encode()


@pytest.mark.parametrize(
    ("text", "is_number"),
    [
        ('{"n":94712605}', True),
        ('{"n": 94712605, "m": 1}', True),
        ("[1,94712605]", True),
        ('{"n":"94712605"}', False),
        ("/users/94712605/photo", False),
    ],
)
def test_replace_number_stays_what_it_was(text: str, is_number: bool) -> None:
    known, vault = knowing("94712605")
    replaced = known.replace(text.encode()).decode()
    assert "94712605" not in replaced
    assert ("nps_" not in replaced) == is_number
    assert vault.reveal(replaced) == text
    if text[0] in "{[":
        json.loads(replaced)


@pytest.mark.parametrize("text", ["194712605", "947126050", "94712605.5", "1.94712605"])
def test_replace_number_inside_a_longer_one_is_another_number(text: str) -> None:
    known, _ = knowing("94712605")
    assert known.replace(text.encode()) == text.encode()


@given(st.binary())
def test_replace_knowing_nothing_changes_nothing(content: bytes) -> None:
    assert knowing()[0].replace(content) is content
