"""The conversation in which a client of PostgreSQL says who it is: no password, in clear, MD5, SCRAM-SHA-256.

Sans-io and without chance: bytes in, bytes out, the nonce is the caller's. It never sends a password in clear unless
the caller says that the connection is safe for it. (RFC 5802, RFC 7677;
https://www.postgresql.org/docs/current/sasl-authentication.html)
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import stringprep
import struct
import unicodedata

from nestperf.wire import postgres_sent as sent
from nestperf.wire.postgres_fields import read_field
from nestperf.wire.postgres_messages import MessageStream

_KNOWN = "123ACDEGHIKNRSTVWZcdnstv"
_LIMIT = 1 << 16
_MOST_ROUNDS = 1_000_000
"""Of SCRAM: more would keep the loop busy for seconds. PostgreSQL's default is 4,096."""


class Login:
    """One login. `done` or `refusal` ends it."""

    def __init__(self, user: str, password: str | None, nonce: str, *, clear: bool) -> None:
        """`nonce`: printable, without commas, new each time; `clear`: a password may be sent as it is."""
        self.done = False
        self.refusal = ""
        """Why it did not come about, in a few words, without the password."""
        self.sqlstate: str | None = None
        """Of a refusal by the server."""
        self._user = user
        self._password = password
        self._clear = clear
        self._scram: _Scram | None = None
        self._nonce = nonce
        self._stream = MessageStream(known=_KNOWN, kept="REZ", counted="", limit=_LIMIT)

    def receive(self, data: bytes) -> bytes:
        """Take what the server said; what to send."""
        answer = b""
        for message in self._stream.receive(data, 0):
            if message.kind == "E":
                self.sqlstate = read_field(message.payload, b"C")
                self.refusal = read_field(message.payload, b"M") or "the server gave no reason"
            elif message.kind == "Z":
                self.done = True
            elif message.kind == "R" and not self.refusal:
                answer += self._authenticate(message.payload)
        if self._stream.fault:
            self.refusal = "what answers is no PostgreSQL server"
        return answer

    def _authenticate(self, payload: bytes) -> bytes:
        if len(payload) < 4:
            self.refusal = "the server asks for nothing that can be understood"
            return b""
        (kind,) = struct.unpack_from(">I", payload)
        rest = payload[4:]
        if kind == 0:
            if self._scram is not None and not self._scram.proven:
                self.refusal = "the server did not prove that it knows the password"
            return b""
        if kind in (3, 5, 10) and self._password is None:
            self.refusal = "the server asks for a password: put it into the URL, or into PGPASSWORD"
            return b""
        secret = self._password or ""
        if kind == 3:
            if not self._clear:
                self.refusal = "the server asks for the password in clear, on a connection without TLS"
                return b""
            return sent.password(secret.encode())
        if kind == 5:
            return sent.password(_md5(self._user, secret, rest[:4]))
        if kind in (10, 11, 12):
            return self._sasl(kind, rest, secret)
        self.refusal = f"the server asks for a login of another kind ({_KINDS.get(kind, kind)})"
        return b""

    def _sasl(self, kind: int, payload: bytes, secret: str) -> bytes:
        if kind == 10:
            if b"SCRAM-SHA-256" not in payload.split(b"\0"):
                self.refusal = "the server offers no login by SCRAM-SHA-256"
                return b""
            self._scram = _Scram(secret, self._nonce)
            return sent.sasl_begin("SCRAM-SHA-256", self._scram.first)
        if self._scram is None:
            self.refusal = "the server goes on with a login that it did not begin"
            return b""
        try:
            if kind == 11:
                return sent.sasl_go_on(self._scram.prove(payload))
            self._scram.check(payload)
        except (ValueError, KeyError):
            self.refusal = "the server's part of the login makes no sense"
        return b""


class _Scram:
    """The client's side of SCRAM-SHA-256, without channel binding."""

    def __init__(self, secret: str, nonce: str) -> None:
        self.proven = False
        self._secret = _prepared(secret)
        self._nonce = nonce
        self._bare = f"n=,r={nonce}"  # PostgreSQL takes the user's name from the start-up message
        self._signature = b""

    @property
    def first(self) -> bytes:
        return f"n,,{self._bare}".encode()

    def prove(self, challenge: bytes) -> bytes:
        """The answer to the server's challenge; ValueError or KeyError where that is none."""
        given = _attributes(challenge)
        rounds = int(given["i"])
        if not given["r"].startswith(self._nonce) or not 1 <= rounds <= _MOST_ROUNDS:
            raise ValueError(rounds)
        salted = hashlib.pbkdf2_hmac("sha256", self._secret, base64.b64decode(given["s"]), rounds)
        last = f"c=biws,r={given['r']}"
        signed = f"{self._bare},{challenge.decode()},{last}".encode()
        key = _hmac(salted, b"Client Key")
        signature = _hmac(hashlib.sha256(key).digest(), signed)
        proof = bytes(one ^ other for one, other in zip(key, signature, strict=True))
        self._signature = _hmac(_hmac(salted, b"Server Key"), signed)
        return f"{last},p={base64.b64encode(proof).decode()}".encode()

    def check(self, last: bytes) -> None:
        """Whether the server knows the password too."""
        self.proven = hmac.compare_digest(base64.b64decode(_attributes(last)["v"]), self._signature)


def _attributes(text: bytes) -> dict[str, str]:
    return dict(part.split("=", 1) for part in text.decode().split(",") if "=" in part)


def _hmac(key: bytes, signed: bytes) -> bytes:
    return hmac.new(key, signed, "sha256").digest()


def _md5(user: str, secret: str, salt: bytes) -> bytes:
    inner = hashlib.md5(secret.encode() + user.encode(), usedforsecurity=False).hexdigest()
    return b"md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest().encode()


def _prepared(secret: str) -> bytes:
    """The password as SASLprep (RFC 4013) writes it; like the server, one that it forbids is taken as it is."""
    if secret.isascii():
        return secret.encode()
    mapped = "".join(
        " " if stringprep.in_table_c12(letter) else letter for letter in secret if not stringprep.in_table_b1(letter)
    )
    normal = unicodedata.normalize("NFKC", mapped)
    forbidden = any(is_forbidden(letter) for letter in normal for is_forbidden in _FORBIDDEN)
    return (secret if forbidden else normal).encode()


_FORBIDDEN = (
    stringprep.in_table_a1,
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)
_KINDS = {2: "Kerberos", 6: "SCM", 7: "GSSAPI", 8: "GSSAPI", 9: "SSPI"}
