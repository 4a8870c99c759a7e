"""Who is asking: JSON Web Tokens (HS256, RFC 7519) and the CSRF tokens that are bound to one client.

Pure: the moment and the secret are arguments, nothing is kept, so a token stays good until it expires.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass

TOKEN_LIFETIME_S = 24 * 60 * 60
"""As long as MediaNest's own access tokens."""
_HEAD = {"alg": "HS256", "typ": "JWT"}
_NONCE_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One signed-in friend."""

    user_id: str
    username: str
    email: str
    role: str = "user"


def sign_token(identity: Identity, *, secret: bytes, now_s: int, token_id: str) -> str:
    """A JWT for this identity, good for `TOKEN_LIFETIME_S` from `now_s` (seconds since 1970)."""
    claims = {
        "userId": identity.user_id,
        "username": identity.username,
        "email": identity.email,
        "role": identity.role,
        "jti": token_id,
        "iat": now_s,
        "exp": now_s + TOKEN_LIFETIME_S,
        "aud": "medianest-users",
        "iss": "medianest",
    }
    signed = f"{_encode(_json(_HEAD))}.{_encode(_json(claims))}"
    return f"{signed}.{_encode(_signature(secret, signed))}"


def verify_token(token: str, *, secret: bytes, now_s: int) -> Identity | None:
    """Whose token this is; None for one that is malformed, signed by somebody else, or expired."""
    signed, _, signature = token.rpartition(".")
    try:
        head, _, body = signed.partition(".")
        if json.loads(_decode(head)).get("alg") != "HS256":
            return None
        if not hmac.compare_digest(_decode(signature), _signature(secret, signed)):
            return None
        claims = json.loads(_decode(body))
    except (ValueError, AttributeError, binascii.Error):
        return None
    if claims["exp"] <= now_s:
        return None
    return Identity(user_id=claims["userId"], username=claims["username"], email=claims["email"], role=claims["role"])


def issue_csrf(client_key: str, *, secret: bytes, nonce: bytes) -> str:
    """A CSRF token for one client, 64 hex digits; `nonce` is 16 random bytes.

    MediaNest keys it by user, or by address and User-Agent before anybody has signed in: a token that was recorded
    at another client is refused here as it is there.
    """
    return nonce.hex() + _csrf_mac(client_key, secret, nonce).hex()


def csrf_is_valid(token: str, client_key: str, *, secret: bytes) -> bool:
    """Whether `issue_csrf` made this token for this client."""
    try:
        raw = bytes.fromhex(token)
    except ValueError:
        return False
    nonce, mac = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
    return hmac.compare_digest(mac, _csrf_mac(client_key, secret, nonce))


def _csrf_mac(client_key: str, secret: bytes, nonce: bytes) -> bytes:
    return hmac.new(secret, b"csrf:" + nonce + client_key.encode(), hashlib.sha256).digest()[:_NONCE_BYTES]


def _signature(secret: bytes, signed: str) -> bytes:
    return hmac.new(secret, signed.encode(), hashlib.sha256).digest()


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
