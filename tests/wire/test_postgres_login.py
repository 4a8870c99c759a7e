"""Logging in to PostgreSQL: what is answered to each kind of question, and what is never sent."""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.wire.postgres_login import Login, _prepared
from tests.wire import postgres_bytes as pg

NONCE = "rOprNGfwEbeRWgbNEkqO"


def login(password: str | None = "pencil", *, clear: bool = False) -> Login:
    return Login("user", password, NONCE, clear=clear)


def asks(kind: int, rest: bytes = b"") -> bytes:
    return pg.message("R", struct.pack(">I", kind) + rest)


def test_server_that_trusts_is_logged_in_to_at_once() -> None:
    one = login(None)
    assert one.receive(pg.AUTH_OK + pg.message("S", "a", "b") + pg.ready()) == b""
    assert (one.done, one.refusal) == (True, "")


def test_scram_is_answered_as_the_rfc_shows_it() -> None:
    """RFC 7677, section 3. PostgreSQL leaves the user's name out, so the proof is another: checked as servers do."""
    one = login()
    begun = one.receive(asks(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"))
    first = f"n,,n=,r={NONCE}".encode()
    assert begun == pg.message("p", "SCRAM-SHA-256", struct.pack(">I", len(first)), first)
    salt, nonce = "W22ZaJ0SNY7soEsUEjb6gQ==", NONCE + "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    challenge = f"r={nonce},s={salt},i=4096"
    proven = one.receive(asks(11, challenge.encode()))
    last, _, proof = proven[5:].decode().partition(",p=")
    assert last == f"c=biws,r={nonce}"
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", base64.b64decode(salt), 4096)
    signed = f"n=,r={NONCE},{challenge},{last}".encode()
    key = hmac.digest(salted, b"Client Key", "sha256")
    signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
    assert bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=True)) == key
    servers = base64.b64encode(hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), signed, "sha256"))
    assert one.receive(asks(12, b"v=" + servers) + pg.AUTH_OK + pg.ready()) == b""
    assert (one.done, one.refusal) == (True, "")


def test_server_that_does_not_know_the_password_is_no_server_of_ours() -> None:
    one = login()
    one.receive(asks(10, b"SCRAM-SHA-256\0\0"))
    one.receive(asks(11, f"r={NONCE}x,s=AAAA,i=1".encode()))
    one.receive(asks(12, b"v=AAAA") + pg.AUTH_OK)
    assert one.refusal == "the server did not prove that it knows the password"


def test_md5_is_the_hash_that_postgresql_documents() -> None:
    inner = hashlib.md5(b"pencil" + b"user").hexdigest()
    expected = "md5" + hashlib.md5(inner.encode() + b"salt").hexdigest()
    assert login().receive(asks(5, b"salt")) == pg.message("p", expected)


def test_password_in_clear_is_only_sent_where_that_is_safe() -> None:
    assert login(clear=True).receive(asks(3)) == pg.message("p", "pencil")
    one = login()
    assert one.receive(asks(3)) == b""
    assert "in clear" in one.refusal


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        (asks(7), "a login of another kind (GSSAPI)"),
        (asks(99), "a login of another kind (99)"),
        (asks(10, b"OTHER\0\0"), "no login by SCRAM-SHA-256"),
        (asks(11, b"r=x"), "goes on with a login that it did not begin"),
        (pg.message("R", b"\0"), "nothing that can be understood"),
        (pg.error("28P01", "FATAL", "password authentication failed"), "password authentication failed"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no PostgreSQL server"),
    ],
)
def test_what_cannot_be_answered_is_a_refusal(answer: bytes, refusal: str) -> None:
    one = login()
    assert one.receive(answer) == b""
    assert refusal in one.refusal
    assert "pencil" not in one.refusal


def test_question_for_a_password_that_is_not_there_says_where_to_put_it() -> None:
    one = login(None)
    assert one.receive(asks(10, b"SCRAM-SHA-256\0\0")) == b""
    assert "PGPASSWORD" in one.refusal


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_are_an_answer_or_a_refusal(chunks: list[bytes]) -> None:
    one = login()
    for chunk in chunks:
        one.receive(asks(10, b"SCRAM-SHA-256\0\0")[: len(chunk) % 30] + chunk)
        one.receive(asks(11, chunk))
        one.receive(asks(12, chunk))


@pytest.mark.parametrize(
    ("given", "prepared"),
    [("pencil", "pencil"), ("I\u00adX", "IX"), ("\u2168", "IX"), ("a\u00a0b", "a b"), ("\u0627\u0007", "\u0627\u0007")],
)
def test_passwords_are_prepared_as_the_server_prepares_them(given: str, prepared: str) -> None:
    """RFC 4013, section 3; what it forbids PostgreSQL takes as it is."""
    assert _prepared(given) == prepared.encode()
