"""Which headers, cookies, keys and fields hold secrets, by their names, and where such names stand in a text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from ahocorasick_rs import BytesAhoCorasick

from nestperf.errors import UsageError

SECRET_WORDS = ("password", "passwd", "passphrase", "passcode", "secret", "token", "apikey", "api_key", "api-key",
                "accesskey", "access_key", "access-key", "privatekey", "private_key", "private-key", "credential",
                "csrf", "xsrf", "jwt", "bearer", "signature")  # fmt: skip
"""A name that contains one of these (in any letter case) names a secret."""
SECRET_NAMES = frozenset({"pin", "pinid", "pin_id", "pin-id", "pincode", "pin_code", "pin-code", "otp", "totp", "mfa",
                          "pwd", "pass", "pw", "cvv", "cvc", "auth", "authorization", "sessionid", "session_id",
                          "phpsessid", "jsessionid", "connect.sid", "code_verifier", "client_assertion",
                          "samlresponse"})  # fmt: skip
"""A name that is one of these names a secret."""
NOT_SECRET = frozenset({"tokens", "max_tokens", "access-control-allow-headers", "access-control-expose-headers",
                        "access-control-request-headers", "access-control-allow-credentials"})  # fmt: skip
_ABOUT_IT = re.compile(r".*(?:expir(?:y|es|ation)(?:_?(?:at|in))?|type|(?<!ac)count|ttl|length|limit)")
"""A name that ends so speaks about a secret: `tokenType`, `passwordLength`."""
QUERY_NAMES = frozenset({"code"})
"""In a URL's query this is OAuth's authorization code; elsewhere it is any code."""
_REMEMBERED = 10_000
_LITERAL = re.compile(r"[^*?\[\]]+")


def parse_name(glob: str) -> str:
    """A name as `--redact` takes it: any letter case, `*` and `?` stand for characters.

    Raises:
        UsageError: it would name nearly everything.
    """
    longest = max(_LITERAL.findall(glob), key=len, default="")
    if len(longest.strip()) < 2:
        raise UsageError(
            f"--redact {glob or repr(glob)} names nearly everything: write at least two letters of the name."
        )
    return glob.strip().lower()


class SecretNames:
    """The names known to hold secrets, and those that somebody added."""

    def __init__(self, added: Iterable[str] = ()) -> None:
        self.added = tuple(dict.fromkeys(map(parse_name, added)))
        self._known: dict[str, bool] = {}
        clues = [word.encode() for word in SECRET_WORDS]
        for name in sorted(SECRET_NAMES):
            # As a whole name only: `pin` alone would stop at every `spinner`.
            clues += [f'"{name}"'.encode(), f'"{name}\\'.encode(), f"{name}=".encode()]
        clues += [max(_LITERAL.findall(glob), key=len).encode() for glob in self.added]
        self._clues = BytesAhoCorasick(list(dict.fromkeys(clues)))

    def __contains__(self, name: str) -> bool:
        """Whether a header, cookie, key or field of that name holds a secret."""
        known = self._known.get(name)
        if known is None:
            if len(self._known) > _REMEMBERED:
                self._known.clear()
            known = self._known[name] = self._decide(name.lower())
        return known

    def _decide(self, lower: str) -> bool:
        if any(fnmatchcase(lower, glob) for glob in self.added):
            return True
        if lower in SECRET_NAMES:
            return True
        if lower in NOT_SECRET or _ABOUT_IT.fullmatch(lower):
            return False
        return any(word in lower for word in SECRET_WORDS)

    def clues(self, content: bytes) -> Iterator[int]:
        """Ascending positions in `content` at which a telling name may stand: most of a large text is never read."""
        for _, start, _ in self._clues.find_matches_as_indexes(content.lower()):
            yield start


BUILT_IN = SecretNames()
