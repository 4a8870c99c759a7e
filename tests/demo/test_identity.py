from __future__ import annotations

import base64
import json

import pytest

from nestperf.demo.identity import (
    TOKEN_LIFETIME_S,
    Identity,
    csrf_is_valid,
    issue_csrf,
    sign_token,
    verify_token,
)

FRIEND = Identity(user_id="u-1", username="friend1", email="friend1@example.test")
SECRET = b"s" * 32


def signed(now_s: int = 1000) -> str:
    return sign_token(FRIEND, secret=SECRET, now_s=now_s, token_id="t-1")


def test_token_signed_here_names_the_friend() -> None:
    assert verify_token(signed(), secret=SECRET, now_s=1001) == FRIEND


def test_token_by_rfc_7515_example_has_the_published_signature() -> None:
    # RFC 7515, appendix A.1: the same construction over its own header and claims.
    from nestperf.demo import identity

    key = base64.urlsafe_b64decode(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow=="
    )
    signing_input = (
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    )
    signature = base64.urlsafe_b64encode(identity._signature(key, signing_input)).rstrip(b"=")
    assert signature == b"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"


def test_token_after_its_lifetime_names_nobody() -> None:
    assert verify_token(signed(1000), secret=SECRET, now_s=1000 + TOKEN_LIFETIME_S) is None


def test_token_of_another_secret_names_nobody() -> None:
    assert verify_token(signed(), secret=b"other", now_s=1001) is None


def test_token_with_changed_claims_names_nobody() -> None:
    head, claims, signature = signed().split(".")
    changed = json.loads(base64.urlsafe_b64decode(claims + "=="))
    changed["role"] = "admin"
    forged = base64.urlsafe_b64encode(json.dumps(changed).encode()).rstrip(b"=").decode()
    assert verify_token(f"{head}.{forged}.{signature}", secret=SECRET, now_s=1001) is None


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "é.é.é", "e30.e30.e30", "bnVsbA.bnVsbA.x", "W10.W10.W10"])
def test_token_that_is_none_names_nobody(token: str) -> None:
    assert verify_token(token, secret=SECRET, now_s=1001) is None


def test_csrf_of_this_client_is_valid_there_only() -> None:
    token = issue_csrf("address 127.0.0.1", secret=SECRET, nonce=b"n" * 16)
    assert len(token) == 64
    assert csrf_is_valid(token, "address 127.0.0.1", secret=SECRET)
    assert not csrf_is_valid(token, "address 127.0.0.2", secret=SECRET)
    assert not csrf_is_valid(token, "address 127.0.0.1", secret=b"other")


@pytest.mark.parametrize("token", ["", "zz", "00", "0" * 64])
def test_csrf_that_is_none_is_invalid(token: str) -> None:
    assert not csrf_is_valid(token, "address 127.0.0.1", secret=SECRET)
