"""Finds secrets, by the place they stand at and then by value wherever else they turn up, and replaces them.

What is replaced in place: Authorization, cookies and headers with telling names; JSON, form and query values under
telling names; Socket.IO auth; anything shaped like a JWT. Such a value is replaced everywhere else too, in raw, URL-,
JSON- and base64-encoded form, if it has at least 8 characters and does not look like a word: a password `admin` must
not rewrite `/admin`. Text is edited in place, never parsed and written again, so `Vault.reveal` restores it exactly.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote_plus

from nestperf.capture.model import Pairs
from nestperf.capture.vault import ASCII, BASE64, JSON, RAW, URL, Vault, encode_form

SECRET_WORDS = ("password", "passwd", "passphrase", "secret", "token", "apikey", "api_key", "api-key", "accesskey",
                "access_key", "access-key", "privatekey", "private_key", "credential", "csrf",
                "xsrf", "jwt")  # fmt: skip
"""A name that contains one of these (in any letter case) names a secret."""
SECRET_NAMES = frozenset({"pin", "pinid", "pin_id", "pin-id", "pincode", "pin_code", "otp", "pwd", "authorization",
                          "sessionid", "session_id", "connect.sid"})  # fmt: skip
"""A name that is one of these names a secret."""
NOT_SECRET = frozenset({"tokentype", "token_type", "tokens", "max_tokens", "access-control-allow-headers"})

_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_JWT = re.compile(r"eyJ[A-Za-z0-9_-]{5,}\.eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*")
_NAMED = re.compile(r'"((?:[^"\\]|\\.){1,80})"\s*:\s*(?:"((?:[^"\\]|\\.)*)("|\\?\Z)|(-?\d[\d.eE+-]*))')
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"(\s*:)?')
_PAIR = re.compile(r"(?<![^&?;#])([^&=?;#]{1,80})=([^&#]*)")
_HTML_FIELD = re.compile(r"<(?:input|meta)\b[^>]{0,2000}>", re.IGNORECASE)
_HTML_NAME = re.compile(r"""\bname\s*=\s*["']([^"']{1,80})["']""", re.IGNORECASE)
_HTML_VALUE = re.compile(r"""(\b(?:value|content)\s*=\s*["'])([^"']+)(["'])""", re.IGNORECASE)
_URL_FIELDS = frozenset({"location", "referer", "content-location", "refresh", ":path"})
_SHORTEST_ELSEWHERE = 8
_WORD = re.compile(r"[A-Za-z]?[a-z]{0,15}|[A-Z]{1,16}")
_TOKEN_TAIL = re.compile(r"[A-Za-z0-9_\-.+/=%~|]*\Z")


def names_secret(name: str) -> bool:
    """Whether a header, key or field of that name holds a secret."""
    lower = name.lower()
    if lower in NOT_SECRET:
        return False
    return lower in SECRET_NAMES or any(word in lower for word in SECRET_WORDS)


class Redactor:
    """Replaces secrets with a vault's placeholders. What it has seen once it recognises everywhere."""

    def __init__(self, vault: Vault, *, extra_names: tuple[str, ...] = ()) -> None:
        self.vault = vault
        self._extra = frozenset(name.lower() for name in extra_names)
        self._known: list[tuple[str, str]] = []
        """(text to look for, placeholder), longest first."""
        self._numbers: list[tuple[re.Pattern[str], str, str]] = []
        """The same for JSON numbers."""
        self._noticed: set[str] = set()
        self._words = (*SECRET_WORDS, *(f'"{name}"' for name in SECRET_NAMES | self._extra))

    def head(self, pairs: Pairs) -> Pairs:
        """A head's fields, secret values replaced, names and shape kept."""
        return tuple((name, self.field(name, value)) for name, value in pairs)

    def field(self, name: str, value: str) -> str:
        """One header field's value."""
        lower = name.lower()
        replace = _FIELDS.get(lower)
        if replace is not None:
            value = replace(self, value)
        elif self._is_secret(lower):
            value = self._conceal(value)
        elif lower in _URL_FIELDS:
            return self.target(value)
        return self.text(value)

    def target(self, target: str) -> str:
        """A request target or URL: values under telling names in its query, and known secrets."""
        if "=" in target:
            path, mark, query = target.partition("?")
            target = path + mark + self._pairs(query) if mark else target
        return self.text(target)

    def body(self, content: bytes, media_type: str, *, cut: bool = False) -> bytes:
        """A decoded body. `cut` says that more of it existed: a half secret at its end is removed too."""
        text = content.decode("utf-8", "surrogateescape")
        media = media_type.partition(";")[0].strip().lower()
        if media == "application/x-www-form-urlencoded":
            text = self._pairs(text)
        elif media == "text/html":
            text = self._named(_HTML_FIELD.sub(self._html_field, text))
        elif not media.startswith(("image/", "font/", "audio/", "video/")):
            text = self._named(text)
        text = self.text(text)
        if cut and text:
            text = self._without_half_secret(text)
        return text.encode("utf-8", "surrogateescape")

    def payload(self, packet_type: str | None, payload: str) -> str:
        """A packet's JSON text; every string of a CONNECT's auth is secret."""
        if packet_type == "connect":
            payload = _STRING.sub(self._auth_string, payload)
        return self.text(self._named(payload))

    def text(self, text: str) -> str:
        """Any text: JWTs and secrets already known."""
        if "eyJ" in text:
            text = _JWT.sub(lambda match: self._conceal(match[0]), text)
        for known, placeholder in self._known:
            if known in text:
                text = text.replace(known, placeholder)
        for pattern, number, placeholder in self._numbers:
            if number in text:
                text = pattern.sub(placeholder, text)
        return text

    def _is_secret(self, lower: str) -> bool:
        return lower in self._extra or names_secret(lower)

    def _named(self, text: str) -> str:
        """JSON members under telling names, wherever in `text` they stand.

        Looks for the names first and parses only around them: most of a large body is never touched.
        """
        lower = text.lower()
        if len(lower) != len(text):  # a letter whose lower case is longer; the positions must stay the same
            lower = text.translate(_ASCII_LOWER)
        quotes = {text.rfind('"', max(0, at - 80), at + 1) for word in self._words for at in _positions(lower, word)}
        members = filter(None, (_NAMED.match(text, at) for at in sorted(quotes) if at >= 0))
        pieces: list[str] = []
        end = 0
        for match in members:
            if match.start() >= end:
                pieces += text[end : match.start()], self._member(match)
                end = match.end()
        return "".join(pieces) + text[end:] if pieces else text

    def _member(self, match: re.Match[str]) -> str:
        name, string, end, number = match.groups()
        if not self._is_secret(name.lower()):
            return match[0]
        if number is not None:
            return match[0][: match.start(4) - match.start()] + self._conceal_number(number)
        if not string:
            return match[0]
        return match[0][: match.start(2) - match.start()] + self._conceal_json(string) + end

    def _auth_string(self, match: re.Match[str]) -> str:
        is_name = match[2] is not None
        return match[0] if is_name or not match[1] else f'"{self._conceal_json(match[1])}"'

    def _html_field(self, match: re.Match[str]) -> str:
        name = _HTML_NAME.search(match[0])
        if name is None or not self._is_secret(name[1].lower()):
            return match[0]
        return _HTML_VALUE.sub(lambda value: value[1] + self._conceal(value[2]) + value[3], match[0])

    def _pairs(self, text: str) -> str:
        return _PAIR.sub(self._pair, text)

    def _pair(self, match: re.Match[str]) -> str:
        name, value = match.groups()
        if not value or not self._is_secret(unquote_plus(name).lower()):
            return match[0]
        decoded = unquote_plus(value)
        if encode_form(decoded, URL) == value and decoded != value:
            return f"{name}={self._conceal(decoded, URL)}"
        return f"{name}={self._conceal(value)}"

    def _conceal_json(self, raw: str) -> str:
        """A JSON string's content as it stands between the quotes."""
        if "\\" not in raw:
            return self._conceal(raw)
        try:
            decoded = json.loads(f'"{raw}"', strict=False)
        except ValueError:
            return self._conceal(raw)
        for form in (JSON, ASCII):
            if encode_form(decoded, form) == raw:
                return self._conceal(decoded, form)
        return self._conceal(raw)

    def _conceal_number(self, number: str) -> str:
        placeholder = self.vault.conceal_number(number)
        if number not in self._noticed:
            self._noticed.add(number)
            if len(number) >= _SHORTEST_ELSEWHERE:
                # Only where it is a number of its own: inside a longer one the placeholder could not be told apart.
                self._numbers.append((re.compile(rf"(?<![\d.]){re.escape(number)}(?![\d.])"), number, placeholder))
        return placeholder

    def _conceal(self, value: str, form: str = RAW) -> str:
        if not value or value.startswith(f"nps_{self.vault.tag}_"):
            return value
        self._notice(value)
        return self.vault.conceal(value, form)

    def _notice(self, value: str) -> None:
        """From now on, replace `value` wherever it turns up."""
        if value in self._noticed:
            return
        self._noticed.add(value)
        if len(value) < _SHORTEST_ELSEWHERE or _WORD.fullmatch(value):
            return
        forms = {encode_form(value, form): form for form in (*BASE64, URL, ASCII, JSON, RAW)}
        self._known += [(text, self.vault.conceal(value, form)) for text, form in forms.items() if len(text) >= 8]
        self._known.sort(key=lambda item: -len(item[0]))

    def _without_half_secret(self, text: str) -> str:
        """The end of a cut text may be the beginning of a secret that nobody can recognise yet."""
        tail = _TOKEN_TAIL.search(text, max(0, len(text) - 8192))
        if tail is None or len(tail[0]) < _SHORTEST_ELSEWHERE:
            return text
        return text[: tail.start()]

    def _authorization(self, value: str) -> str:
        scheme, blank, credentials = value.partition(" ")
        if not blank:
            return self._conceal(value)
        if scheme.lower() == "basic":
            self._notice_password(credentials)
        return f"{scheme} {self._conceal(credentials)}"

    def _notice_password(self, credentials: str) -> None:
        try:
            password = base64.b64decode(credentials, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return
        if password:
            self._conceal(password)

    def _cookies(self, value: str) -> str:
        return "; ".join(map(self._cookie, value.split("; ")))

    def _cookie(self, cookie: str) -> str:
        name, mark, value = cookie.partition("=")
        if not mark:
            return self._conceal(cookie)
        quoted = len(value) > 1 and value[0] == value[-1] == '"'
        if quoted:
            return f'{name}="{self._conceal(value[1:-1])}"'
        return f"{name}={self._conceal(value)}"

    def _set_cookie(self, value: str) -> str:
        cookie, mark, attributes = value.partition(";")
        return self._cookie(cookie) + mark + attributes


def _positions(text: str, word: str) -> Iterator[int]:
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + len(word))


_FIELDS: dict[str, Callable[[Redactor, str], str]] = {
    "authorization": Redactor._authorization,
    "proxy-authorization": Redactor._authorization,
    "cookie": Redactor._cookies,
    "set-cookie": Redactor._set_cookie,
}
