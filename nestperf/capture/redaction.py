"""Finds secrets, by the place they stand at and then by value wherever else they turn up, and replaces them.

What is replaced in place: Authorization, cookies and headers with telling names; JSON, form, query, multipart, HTML
and XML values under telling names; Socket.IO auth; passwords in URLs; anything shaped like a JWT. Such a value is
replaced everywhere else too (`nestperf.capture.known`) if it is distinctive (`nestperf.capture.words`). Text is edited
in place, never parsed and written again, so `Vault.reveal` restores it exactly.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote_plus

from nestperf.capture.forms import HTML, IN_JSON, IN_URL, as_bytes, as_text, decode_form
from nestperf.capture.known import KnownSecrets
from nestperf.capture.model import Pairs
from nestperf.capture.secret_names import BUILT_IN, QUERY_NAMES, SecretNames
from nestperf.capture.vault import Vault
from nestperf.capture.words import SHORTEST, is_distinctive, is_word

_JWT = re.compile(rb"eyJ[A-Za-z0-9_-]{5,}\.eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*")
_BEARER = re.compile(rb"bearer\s+([\w.~+/=-]{8,})", re.IGNORECASE)
_USER_INFO = re.compile(rb"(://[^/\s:@\"'<>\\]{0,80}:)([^@/\s\"'<>\\]+)(?=@)")
_NUMBER = rb"-?\d[\d.eE+-]*"
_MEMBER = re.compile(
    rb'"((?:[^"\\]|\\.){1,80})"\s*:\s*(?:"((?:[^"\\]|\\.)*)(?:"|\\?\Z)|(' + _NUMBER + rb")|(?=[\[{]))", re.DOTALL
)
_ESCAPED_MEMBER = re.compile(
    rb'(\\+)"([^"\\]{1,80})\1"\s*:\s*(?:\1"([^"]*?)(?:\1"|\\*\Z)|(' + _NUMBER + rb"))", re.DOTALL
)
"""JSON within a JSON string, any number of times."""
_TOKEN = re.compile(rb'"((?:[^"\\]|\\.)*)"(\s*:)?|(' + _NUMBER + rb")|[\[\]{}]")
_STRING = re.compile(rb'"((?:[^"\\]|\\.)*)"(\s*:)?')
_PAIR = re.compile(rb"(?<![^&?;#])([^&=?;#]{1,80})=([^&#]*)")
_PAIR_WITHIN = re.compile(rb"[?&;#](?:amp;)?([^&=?;#\s\"'<>]{1,80})=([^&#;\s\"'<>\\]+)")
_SEPARATOR = re.compile(rb"[?&;#](?:amp;)?[\w.%\[\]-]{0,80}\Z")
_NAME_BEFORE = re.compile(rb"</?[\w.:-]{0,80}\Z|[\w.:-]{0,80}\Z")
_ATTRIBUTE = re.compile(rb"([\w.:-]{1,80})\s*=\s*(?:\"([^\"<>]+)\"|'([^'<>]+)')")
_ELEMENT = re.compile(rb"<([\w.:-]{1,80})(?:\s[^<>]{0,1000})?>([^<>]+)<")
_HTML_FIELD = re.compile(rb"<(?:[iI][nN][pP][uU][tT]|[mM][eE][tT][aA])\b[^>]{0,2000}>")
_HTML_NAME = re.compile(rb"""\bname\s*=\s*(?:["']([^"']{1,80})["']|([^\s"'>]{1,80}))""", re.IGNORECASE)
_HTML_VALUE = re.compile(rb"""\b(?:value|content)\s*=\s*(?:"([^"]+)"|'([^']+)'|([^\s"'>]+))""", re.IGNORECASE)
_PART = re.compile(
    rb"content-disposition:[^\r\n]{0,200}?\bname=(?:\"([^\"\r\n]{1,80})\"|([^\s;\"\r\n]{1,80}))[^\r\n]*\r\n"
    rb"(?:[^\r\n]+\r\n){0,20}\r\n(.*?)(?=\r\n--|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_URL_FIELDS = frozenset({"location", "referer", "content-location", "refresh", ":path", "link", "origin"})
_TOKEN_TAIL = re.compile(rb"[A-Za-z0-9_\-.+/=%~|]*\Z")
_MARKUP = ("html", "xml")
_LARGEST_NESTED = 100_000
"""Bytes of an array or object under a telling name that are looked through."""

Edit = tuple[int, int, bytes]
"""From, to, and what stands there instead."""


class Redactor:
    """Replaces secrets with a vault's placeholders. What it has seen once it recognises everywhere."""

    def __init__(self, vault: Vault, *, names: SecretNames = BUILT_IN) -> None:
        self.vault = vault
        self.known = KnownSecrets(vault)
        self._names = names

    def head(self, pairs: Pairs) -> Pairs:
        """A head's fields, secret values replaced, names and shape kept."""
        return tuple((name, self.field(name, value)) for name, value in pairs)

    def field(self, name: str, value: str) -> str:
        """One header field's value."""
        lower = name.lower()
        replace = _FIELDS.get(lower)
        if replace is not None:
            value = replace(self, value)
        elif lower in self._names:
            value = self._conceal(value)
        elif lower in _URL_FIELDS:
            return self.target(value)
        return self.text(value)

    def target(self, target: str) -> str:
        """A request target or URL: values under telling names in query and fragment, passwords, known secrets."""
        if "=" in target and self._may_name(target):
            at = min(at for at in (target.find("?"), target.find("#"), target.find(";"), len(target)) if at >= 0)
            target = target[:at] + as_text(self._pairs(as_bytes(target[at:]), in_url=True))
        return self.text(target)

    def body(self, content: bytes, media_type: str, *, cut: bool = False) -> bytes:
        """A decoded body. `cut` says that more of it existed: a half secret at its end is removed too."""
        media = media_type.partition(";")[0].strip().lower()
        if media == "application/x-www-form-urlencoded":
            content = self._pairs(content)
        elif media == "multipart/form-data":
            content = _PART.sub(self._part, content)
        if not media.startswith(("image/", "font/", "audio/", "video/")) or media == "image/svg+xml":
            markup = media.endswith(_MARKUP)
            if media == "text/html":
                content = _HTML_FIELD.sub(self._html_field, content)
            content = self._named(content, markup=markup)
        content = self._anywhere(content)
        if cut and content:
            content = self._without_half_secret(content)
        return content

    def payload(self, packet_type: str | None, payload: str) -> str:
        """A packet's JSON text; every string of a CONNECT's auth is secret."""
        content = before = as_bytes(payload)
        if packet_type == "connect":
            content = _STRING.sub(self._auth_string, content)
        content = self._anywhere(self._named(content))
        return payload if content is before else as_text(content)

    def text(self, text: str) -> str:
        """Any text: JWTs, passwords in URLs and secrets already known."""
        if len(text) < SHORTEST:
            return text
        before = as_bytes(text)
        content = self._anywhere(before)
        return text if content is before else as_text(content)

    def notice(self, value: str) -> None:
        """From now on, replace `value` wherever it turns up, if it is distinctive."""
        if value in self.known or not is_distinctive(value):
            return
        self.known.add(value)
        if not value.isascii():
            # Head fields are read as latin-1, bodies as UTF-8: the same bytes are another text there.
            for written, read in (("latin-1", "utf-8"), ("utf-8", "latin-1")):
                try:
                    other = value.encode(written).decode(read)
                except UnicodeError:
                    continue
                self.known.add(other)

    def _anywhere(self, content: bytes) -> bytes:
        if b"eyJ" in content:
            content = _JWT.sub(lambda match: as_bytes(self._conceal(as_text(match[0]))), content)
        if b"://" in content and b"@" in content:
            content = _USER_INFO.sub(lambda match: match[1] + self._written(match[2], IN_URL), content)
        return self.known.replace(content)

    def _named(self, content: bytes, *, markup: bool = False) -> bytes:
        """Values under telling names, wherever in a text they stand: JSON members, URLs, attributes and elements.

        Looks for the names first and parses only around them.
        """
        edits: list[Edit] = []
        end = 0
        for at in self._names.clues(content):
            if at < end:
                continue
            for edit in (
                self._member(content, at)
                or self._within_url(content, at)
                or (self._in_markup(content, at) if markup else ())
                or self._bearer(content, at)
            ):
                if edit[0] >= end:
                    edits.append(edit)
                    end = edit[1]
        if not edits:
            return content
        pieces: list[bytes] = []
        end = 0
        for start, stop, replacement in edits:
            pieces += content[end:start], replacement
            end = stop
        return b"".join(pieces) + content[end:]

    def _member(self, content: bytes, at: int) -> list[Edit]:
        quote = content.rfind(b'"', max(0, at - 80), at + 1)
        if quote < 0:
            return []
        if quote and content[quote - 1] == _BACKSLASH:
            return self._escaped_member(content, quote)
        match = _MEMBER.match(content, quote)
        if match is None or not self._is_secret(decode_form(as_text(match[1]), IN_JSON)[0]):
            return []
        if match[3] is not None:
            return [(*match.span(3), as_bytes(self._conceal_number(as_text(match[3]))))]
        if match[2] is None:
            return list(self._leaves(content, match.end()))
        return [(*match.span(2), self._written(match[2], IN_JSON))] if match[2] else []

    def _escaped_member(self, content: bytes, quote: int) -> list[Edit]:
        start = quote - 1
        while start and content[start - 1] == _BACKSLASH:
            start -= 1
        match = _ESCAPED_MEMBER.match(content, start)
        if match is None or not self._is_secret(as_text(match[2])):
            return []
        if match[4] is not None:
            return [(*match.span(4), as_bytes(self._conceal_number(as_text(match[4]))))]
        return [(*match.span(3), self._written(match[3], ()))] if match[3] else []

    def _leaves(self, content: bytes, start: int) -> Iterator[Edit]:
        """The strings of an array or object under a telling name, and the numbers of an array."""
        depth = 0
        is_array = content[start : start + 1] == b"["
        for token in _TOKEN.finditer(content, start, start + _LARGEST_NESTED):
            string, colon, number = token.groups()
            if string is not None:
                if string and colon is None:
                    yield (*token.span(1), self._written(string, IN_JSON))
            elif number is not None:
                if is_array:
                    yield (*token.span(3), as_bytes(self._conceal_number(as_text(number))))
            else:
                depth += 1 if token[0] in (b"[", b"{") else -1
                if depth == 0:
                    return

    def _within_url(self, content: bytes, at: int) -> list[Edit]:
        before = _SEPARATOR.search(content, max(0, at - 81), at)
        match = _PAIR_WITHIN.match(content, before.start()) if before is not None else None
        if match is None or not self._is_secret(unquote_plus(as_text(match[1])), in_url=True):
            return []
        return [(*match.span(2), self._written(match[2], IN_URL))]

    def _in_markup(self, content: bytes, at: int) -> list[Edit]:
        before = _NAME_BEFORE.search(content, max(0, at - 81), at)
        assert before is not None
        if before[0].startswith(b"<"):
            match, group = _ELEMENT.match(content, before.start()), 2
        else:
            match = _ATTRIBUTE.match(content, before.start())
            group = 2 if match is not None and match[2] is not None else 3
        if match is None or not self._is_secret(as_text(match[1])) or not match[group].strip():
            return []
        return [(*match.span(group), self._written(match[group], (HTML,)))]

    def _bearer(self, content: bytes, at: int) -> list[Edit]:
        match = _BEARER.match(content, at)
        if match is None or is_word(as_text(match[1])):
            return []
        return [(*match.span(1), self._written(match[1], ()))]

    def _auth_string(self, match: re.Match[bytes]) -> bytes:
        is_name = match[2] is not None
        return match[0] if is_name or not match[1] else b'"' + self._written(match[1], IN_JSON) + b'"'

    def _html_field(self, match: re.Match[bytes]) -> bytes:
        name = _HTML_NAME.search(match[0])
        if name is None or not self._is_secret(as_text(name[1] or name[2])):
            return match[0]
        return _HTML_VALUE.sub(self._html_value, match[0])

    def _html_value(self, match: re.Match[bytes]) -> bytes:
        assert match.lastindex is not None
        return _replaced(match, match.lastindex, self._written(match[match.lastindex], (HTML,)))

    def _part(self, match: re.Match[bytes]) -> bytes:
        if not match[3] or not self._is_secret(as_text(match[1] or match[2])):
            return match[0]
        return _replaced(match, 3, self._written(match[3], ()))

    def _pairs(self, content: bytes, *, in_url: bool = False) -> bytes:
        def pair(match: re.Match[bytes]) -> bytes:
            name, value = match.groups()
            if not value or not self._is_secret(unquote_plus(as_text(name)), in_url=in_url):
                return match[0]
            return _replaced(match, 2, self._written(value, IN_URL))

        return _PAIR.sub(pair, content)

    def _may_name(self, target: str) -> bool:
        """Whether a telling name may stand in a target; most have none, and most have no percent-encoded names."""
        return "%" in target or "code=" in target.lower() or any(True for _ in self._names.clues(as_bytes(target)))

    def _is_secret(self, name: str, *, in_url: bool = False) -> bool:
        return name in self._names or (in_url and name.lower() in QUERY_NAMES)

    def _written(self, raw: bytes, forms: tuple[str, ...]) -> bytes:
        """The placeholder for a value as it is written in one of `forms`."""
        return as_bytes(self._conceal(as_text(raw), forms))

    def _conceal(self, raw: str, forms: tuple[str, ...] = ()) -> str:
        if not raw or self.vault.is_placeholder(raw):
            return raw
        # Part of it may have been replaced before; the whole is one secret all the same.
        value, form = decode_form(self.vault.reveal(raw), forms)
        self.notice(value)
        return self.vault.conceal(value, form)

    def _conceal_number(self, number: str) -> str:
        if self.vault.is_placeholder(number):
            return number
        self.notice(number)
        return self.vault.conceal_number(number)

    def _without_half_secret(self, content: bytes) -> bytes:
        """The end of a cut text may be the beginning of a secret that nobody can recognise yet."""
        tail = _TOKEN_TAIL.search(content, max(0, len(content) - 8192))
        if tail is None or len(tail[0]) < SHORTEST:
            return content
        return content[: tail.start()]

    def _authorization(self, value: str) -> str:
        scheme, blank, credentials = value.partition(" ")
        if not blank:
            return self._conceal(value)
        if scheme.lower() == "basic":
            password = (_decoded(credentials) or "").partition(":")[2]
            self._conceal(password)
        return f"{scheme} {self._conceal(credentials)}"

    def _cookies(self, value: str) -> str:
        return "; ".join(map(self._cookie, value.split("; ")))

    def _cookie(self, cookie: str) -> str:
        name, mark, value = cookie.partition("=")
        if not mark:
            return self._conceal(cookie)
        quoted = len(value) > 1 and value[0] == value[-1] == '"'
        if quoted:
            value = value[1:-1]
        self._look_inside(decode_form(value, IN_URL)[0])
        placeholder = self._conceal(value, IN_URL)
        return f'{name}="{placeholder}"' if quoted else f"{name}={placeholder}"

    def _look_inside(self, value: str) -> None:
        """Notice the secrets in a cookie that is JSON, or JSON in base64."""
        for text in (value, _decoded(value)):
            if text and text[0] in "{[":
                self._named(as_bytes(text))

    def _set_cookie(self, value: str) -> str:
        cookie, mark, attributes = value.partition(";")
        return self._cookie(cookie) + mark + attributes


class Unredacted(Redactor):
    """Leaves everything as it came: for a lab, where it is said loudly."""

    def field(self, name: str, value: str) -> str:
        return value

    def target(self, target: str) -> str:
        return target

    def body(self, content: bytes, media_type: str, *, cut: bool = False) -> bytes:
        return content

    def payload(self, packet_type: str | None, payload: str) -> str:
        return payload

    def text(self, text: str) -> str:
        return text


def _decoded(value: str) -> str | None:
    """The text that stands in `value` as base64 of either alphabet; None where none does."""
    if len(value) < 4 or not value.isascii():
        return None
    try:
        return base64.b64decode(value.translate(_STANDARD) + "=" * (-len(value) % 4), validate=True).decode()
    except ValueError:
        return None


def _replaced(match: re.Match[bytes], group: int, replacement: bytes) -> bytes:
    start, end = match.start(group) - match.start(), match.end(group) - match.start()
    return match[0][:start] + replacement + match[0][end:]


_BACKSLASH = ord("\\")
_STANDARD = str.maketrans("-_", "+/")
_FIELDS: dict[str, Callable[[Redactor, str], str]] = {
    "authorization": Redactor._authorization,
    "proxy-authorization": Redactor._authorization,
    "cookie": Redactor._cookies,
    "set-cookie": Redactor._set_cookie,
}
