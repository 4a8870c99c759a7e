"""Secrets are found by place and by value, and everything else stays byte for byte."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestperf.capture.redaction import Redactor
from nestperf.capture.secret_names import BUILT_IN, SecretNames
from nestperf.capture.vault import Vault

SECRET = "s3cr3t/Wert+7=ü"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


MULTIPART = (
    '--b\r\nContent-Disposition: form-data; name="password"\r\n\r\nabcdefgh1\r\n--b\r\n'
    'Content-Disposition: form-data; name="token"; filename="t"\r\nContent-Type: text/plain\r\n\r\nabcdefgh2'
    '\r\n--b\r\nContent-Disposition: form-data; name="title"\r\n\r\nplain\r\n--b--\r\n'
)


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
        assert name in BUILT_IN, name
    for name in ("title", "tokenType", "pinned", "spinner", "compass", "X-Auth-Time"):
        assert name not in BUILT_IN, name


@pytest.mark.parametrize(
    ("body", "secrets"),
    [
        ('{"tokens_list":["abcdefgh1","abcdefgh2"]}', ["abcdefgh1", "abcdefgh2"]),
        ('{"backupTokens": ["abcdefgh1", ["abcdefgh2"], 12345678]}', ["abcdefgh1", "abcdefgh2", "12345678"]),
        ('{"credentials":{"user":"abcdefgh1","n":5,"deep":{"k":"abcdefgh2"}},"after":"plain"}',
         ["abcdefgh1", "abcdefgh2"]),
        ('{"event":"x","raw":"{\\"token\\":\\"abcdefgh1\\",\\"pin\\":\\"4711\\"}"}', ["abcdefgh1", "4711"]),
        ('{"raw":"{\\\\\\"token\\\\\\":\\\\\\"abcdefgh1\\\\\\"}"}', ["abcdefgh1"]),
        ('{"image":"http://plex/photo?X-Plex-Token=abcdefgh1&w=1"}', ["abcdefgh1"]),
        ('{"database":"postgres://kim:abcdefgh1@db/x"}', ["abcdefgh1"]),
        ('{"note":"sent with Bearer abcdefgh1"}', ["abcdefgh1"]),
        ('data: {"token":"abcdefgh1"}\n\ndata: {"password":"abcdefgh2"}\n\n', ["abcdefgh1", "abcdefgh2"]),
        ('{"token":"abcdefgh1"}\n{"token":"abcdefgh2"}\n', ["abcdefgh1", "abcdefgh2"]),
        ('["x",{"tok\\u0065n":"plain"},{"password" : "abcdefgh1"}]', ["abcdefgh1"]),
    ],
)  # fmt: skip
def test_body_places_within_json(redactor: Redactor, body: str, secrets: list[str]) -> None:
    redacted = redactor.body(body.encode(), "application/json")
    assert not [secret for secret in secrets if secret.encode() in redacted]
    assert redactor.vault.reveal_bytes(redacted) == body.encode()
    assert body.startswith(("data:", '{"token"')) or json.loads(redacted)
    assert b"plain" in redacted or "plain" not in body


@pytest.mark.parametrize(
    ("media", "body"),
    [
        ("application/xml", '<user email="k@x" authenticationToken="abcdefgh1"><password>abcdefgh2</password></user>'),
        ("text/html; charset=utf-8", "<input type=hidden name=csrf_token value=abcdefgh1>"),
        ("text/html", '<meta name="csrf-token" content="abcdefgh1"><a href="/x?token=abcdefgh2&amp;y=1">'),
        ("text/html", "<INPUT VALUE='abcdefgh1' NAME='password'>"),
        (
            "multipart/form-data; boundary=b",
            MULTIPART,
        ),
        ("application/x-www-form-urlencoded", "password=abcdefgh1&user=kim&new_password=abcdefgh2"),
    ],
)
def test_body_places_outside_json(redactor: Redactor, media: str, body: str) -> None:
    redacted = redactor.body(body.encode(), media)
    assert b"abcdefgh" not in redacted
    assert redactor.vault.reveal_bytes(redacted) == body.encode()
    assert b"plain" in redacted or "plain" not in body


@pytest.mark.parametrize(
    "target",
    ["/cb?code=abcdefgh1&state=1", "/cb#access_token=abcdefgh1", "http://kim:abcdefgh1@host/x",
     "/a;jsessionid=abcdefgh1?x=1",
     "/x?a=1&X%2DPlex%2DToken=abcdefgh1"],
)  # fmt: skip
def test_target_places(redactor: Redactor, target: str) -> None:
    redacted = redactor.target(target)
    assert "abcdefgh1" not in redacted
    assert redactor.vault.reveal(redacted) == target


def test_cookie_of_json_tells_the_secrets_inside(redactor: Redactor) -> None:
    inside = json.dumps({"user": "kim", "token": "abcdefgh1"})
    for cookie in (quote(inside, safe=""), base64.b64encode(inside.replace("1", "2").encode()).decode()):
        redactor.head((("Cookie", f"session={cookie}"),))
    assert "abcdefgh" not in redactor.text("first abcdefgh1 then abcdefgh2")


def test_secret_of_a_head_is_the_same_in_a_body(redactor: Redactor) -> None:
    redactor.head((("X-Auth-Token", "pässwörtchen".encode().decode("latin-1")),))
    assert "pässwörtchen".encode() not in redactor.body("say pässwörtchen".encode(), "text/plain")


def test_text_already_redacted_stays_as_it_is(redactor: Redactor) -> None:
    content = b'{"password":"abcdefgh1","pin":12345678}'
    once = redactor.body(content, "application/json")
    assert redactor.body(once, "application/json") == once


def test_partly_redacted_value_is_concealed_whole(redactor: Redactor) -> None:
    content = f'{{"token":"{redactor.vault.conceal("abcdefgh1")}|rest-of-it"}}'.encode()
    redacted = redactor.body(content, "application/json")
    assert b"rest-of-it" not in redacted
    assert redactor.vault.reveal_bytes(redacted) == b'{"token":"abcdefgh1|rest-of-it"}'


def test_added_name_is_a_place_everywhere() -> None:
    redactor = Redactor(Vault.in_memory(), names=SecretNames(["X-Household", "household*"]))
    assert "abcdefgh1" not in redactor.field("X-Household", "abcdefgh1")
    assert "abcdefgh2" not in redactor.target("/x?householdId=abcdefgh2")
    for body, media in (
        ('{"household_id":"abcdefgh3"}', "application/json"),
        ("a=1&household=abcdefgh4", "application/x-www-form-urlencoded"),
    ):
        assert b"abcdefgh" not in redactor.body(body.encode(), media)
