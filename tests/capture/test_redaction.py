"""Secrets are found by place and by value, and everything else stays byte for byte."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.redaction import Redactor, names_secret
from nestperf.capture.vault import Vault

SECRET = "s3cr3t/Wert+7=ü"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


@pytest.fixture
def redactor() -> Redactor:
    return Redactor(Vault.in_memory())


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("Authorization", "Bearer abcdefgh", "Bearer "),
        ("authorization", "Basic dXNlcjpwYXNz", "Basic "),
        ("Cookie", "session=abcdefgh; theme=dark", "session="),
        ("Set-Cookie", "session=abcdefgh; Path=/; HttpOnly", "; Path=/; HttpOnly"),
        ("X-Plex-Token", "abcdefgh", ""),
        ("x-csrf-token", "abcdefgh", ""),
        ("X-Api-Key", "abcdefgh", ""),
    ],
)
def test_head_secret_field_keeps_its_shape(redactor: Redactor, name: str, value: str, kept: str) -> None:
    ((_, redacted),) = redactor.head(((name, value),))
    assert kept in redacted
    assert "abcdefgh" not in redacted
    assert "dXNlcjpwYXNz" not in redacted
    assert redactor.vault.reveal(redacted) == value


def test_head_harmless_field_stays(redactor: Redactor) -> None:
    pairs = (("X-Auth-Time", "3ms"), ("Host", "localhost:4000"), ("X-Request-Id", "abcdefgh"))
    assert redactor.head(pairs) == pairs


@pytest.mark.parametrize(
    "body",
    [
        {"password": SECRET},
        {"user": {"apiKey": SECRET, "name": "kim"}},
        {"refreshToken": SECRET, "expires": 3600},
        {"a": [1, {"client_secret": SECRET}]},
        {"note": f"see {JWT} there"},
        {"pin": 123456, "pinId": "abcdefgh-1"},
    ],
)
@pytest.mark.parametrize("dump", [{}, {"ensure_ascii": False}, {"indent": 2}])
def test_body_json_secret_is_replaced_in_place(redactor: Redactor, body: object, dump: dict[str, int]) -> None:
    content = json.dumps(body, **dump).encode()  # type: ignore[arg-type]
    redacted = redactor.body(content, "application/json; charset=utf-8")
    for secret in (SECRET, JWT, "123456", "abcdefgh-1"):
        assert secret.encode() not in redacted
        assert json.dumps(secret).strip('"').encode() not in redacted
    assert redactor.vault.reveal_bytes(redacted) == content
    json.loads(redacted)


def test_body_form_secret_is_replaced_in_place(redactor: Redactor) -> None:
    content = f"csrfToken={quote(SECRET, safe='')}&callbackUrl=%2Fdashboard&pin=1234".encode()
    redacted = redactor.body(content, "application/x-www-form-urlencoded")
    assert b"callbackUrl=%2Fdashboard" in redacted
    assert quote(SECRET, safe="").encode() not in redacted
    assert b"1234" not in redacted.split(b"pin=")[1]
    assert redactor.vault.reveal_bytes(redacted) == content


def test_body_html_hidden_field_is_replaced_in_place(redactor: Redactor) -> None:
    content = b'<input type="hidden" name="csrfmiddlewaretoken" value="abcdefgh12"><input name="q" value="x">'
    redacted = redactor.body(content, "text/html")
    assert b"abcdefgh12" not in redacted
    assert b'name="q" value="x"' in redacted
    assert redactor.vault.reveal_bytes(redacted) == content


def test_target_query_secret_is_replaced_and_the_rest_stays(redactor: Redactor) -> None:
    redacted = redactor.target("/library?X-Plex-Token=abcdefgh&query=star")
    assert redacted.startswith("/library?X-Plex-Token=nps_")
    assert redacted.endswith("&query=star")
    assert redactor.vault.reveal(redacted) == "/library?X-Plex-Token=abcdefgh&query=star"


def test_payload_connect_auth_is_secret_whatever_its_names(redactor: Redactor) -> None:
    redacted = redactor.payload("connect", '{"ticket":"abcdefgh","n":1}')
    assert "abcdefgh" not in redacted
    assert json.loads(redacted)["n"] == 1


@pytest.mark.parametrize("offset", range(3))
def test_text_known_secret_is_found_in_every_encoding(redactor: Redactor, offset: int) -> None:
    redactor.head((("Authorization", f"Bearer {SECRET}"),))
    encoded = base64.b64encode(b"x" * offset + SECRET.encode() + b"tail").decode()
    texts = [SECRET, quote(SECRET, safe=""), json.dumps(SECRET), json.dumps(SECRET, ensure_ascii=False), encoded]
    for text in texts:
        redacted = redactor.text(f"<{text}>")
        assert "nps_" in redacted, text
        assert redactor.vault.reveal(redacted) == f"<{text}>"


def test_text_short_or_ordinary_secret_is_not_replaced_elsewhere(redactor: Redactor) -> None:
    redactor.body(b'{"password":"admin"}', "application/json")
    redactor.body(b'{"password":"dashboard"}', "application/json")
    assert redactor.text("/admin/dashboard") == "/admin/dashboard"


def test_basic_password_is_recognised_elsewhere(redactor: Redactor) -> None:
    credentials = base64.b64encode(b"kim:hunter2hunter2").decode()
    redactor.head((("Authorization", f"Basic {credentials}"),))
    assert "hunter2" not in redactor.text("password is hunter2hunter2")


def test_body_cut_inside_a_secret_keeps_no_half_of_it(redactor: Redactor) -> None:
    assert b"abcdefghijk" not in redactor.body(b'{"token":"abcdefghijk', "application/json", cut=True)
    assert b"eyJhbGciOi" not in redactor.body(b"hello " + JWT[:40].encode(), "text/plain", cut=True)


@given(st.binary(), st.sampled_from(["application/json", "text/html", "application/x-www-form-urlencoded", ""]))
def test_body_any_bytes_are_restored_by_the_vault(content: bytes, media: str) -> None:
    redactor = Redactor(Vault.in_memory())
    assert redactor.vault.reveal_bytes(redactor.body(content, media)) == content


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["token", "password", "title", "pin", "x"]), inner),
    max_leaves=12,
)


@given(json_values, st.booleans())
def test_body_any_json_stays_json_and_is_restored(value: object, ascii_only: bool) -> None:
    redactor = Redactor(Vault.in_memory())
    content = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    redacted = redactor.body(content, "application/json")
    json.loads(redacted.decode("utf-8", "surrogateescape"))
    assert redactor.vault.reveal_bytes(redacted) == content


def test_names_secret_table() -> None:
    for name in ("password", "newPassword", "X-Plex-Token", "access_token", "apiKey", "pin", "pinId", "csrfToken"):
        assert names_secret(name), name
    for name in ("title", "tokenType", "pinned", "spinner", "compass", "X-Auth-Time"):
        assert not names_secret(name), name
