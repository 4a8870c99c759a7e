"""What is too ordinary to be looked for elsewhere: a password `administrator` must not rewrite `/administrator`.

English words and names come from the frequency lists of zxcvbn, which judges passwords by them; its list of common
passwords is left out, because `iloveyou` is no word. Words of web applications that the lists do not have stand here.
"""

from __future__ import annotations

import re
from functools import cache

SHORTEST = 8
"""Characters of the shortest value that is looked for elsewhere."""
WEB_WORDS = frozenset(
    """
    access_token accesstoken autocomplete backends csrf-token csrf_token csrftoken displayname dropdown
    email_verified endpoint endpoints favicon firstname formdata frontend fullname homepage hostname id_token
    javascript jsonwebtoken keepalive lastname localhost localstorage metadata middleware mimetype multipart namespace
    next-auth nextauth onboarding password passwords passphrase pathname permalink plaintext plextoken postgresql
    prefetch preflight prerender readonly redirect_uri refresh_token refreshtoken same-origin same-site session_token
    sessionid session_id stylesheet subdomain sunshine swordfish textarea timestamp timezone tokentype token_type
    unauthenticated unverified urlencoded useragent user-agent username usernames validator viewport webhooks websocket
    websockets whitelist wildcard x-api-key x-auth-token x-csrf-token x-plex-token x-xsrf-token xsrf-token
    """.split()  # noqa: SIM905 - as readable as words are
)
"""Lower case."""

_LETTERS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_PLAIN_URL = re.compile(
    r"(?:(?:https?|wss?)://[A-Za-z0-9.:\[\]-]+|(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+):\d{2,5})?(?:/[a-z-]*)*"
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?")


def is_distinctive(value: str) -> bool:
    """Whether a secret can be told apart wherever it turns up: long enough, no dictionary word, and neither a date nor
    an address (without query) that everybody may know."""
    if len(value) < SHORTEST or is_word(value):
        return False
    return not (_PLAIN_URL.fullmatch(value) or _DATE.fullmatch(value))


def is_word(value: str) -> bool:
    """Whether it is a dictionary word, in lower case, capitalised or in upper case."""
    lower = value.lower()
    if lower in WEB_WORDS:
        return True
    return _LETTERS.fullmatch(value) is not None and lower in _dictionary()


@cache
def _dictionary() -> frozenset[str]:
    # 30 ms to import: not before a secret is all letters.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    lists = (words for name, words in FREQUENCY_LISTS.items() if name != "passwords")
    return frozenset(word for words in lists for word in words if len(word) >= SHORTEST)
