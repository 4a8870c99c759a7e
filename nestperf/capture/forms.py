"""How one value is written at different places: as it is, URL-encoded, JSON-escaped, inside base64, ... Pure.

A form is one character, the last of a placeholder. `encode_form` writes, `decode_form` reads; a placeholder is only put
where writing again gives exactly what stood there.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus, unquote, unquote_plus

RAW = "_"
URL = "u"
"""Everything but letters, digits and `-_.~` percent-encoded."""
COMPONENT = "v"
"""As JavaScript's encodeURIComponent writes it: `!'()*` stay."""
FORM = "w"
"""As a browser's form does: a blank is `+`."""
LOWER_URL = "x"
"""`URL` with lower-case hexadecimal digits."""
JSON = "j"
SLASHED = "k"
"""JSON that writes `/` as `\\/`."""
ASCII = "a"
"""JSON in ASCII: `\\u00fc`."""
BASE64 = ("b", "c", "d")
"""Inside base64, at byte offset 0, 1, 2 modulo 3."""
BASE64URL = ("e", "f", "g")
"""The same with `-_` for `+/`."""
HEX = "h"
HTML = "i"
"""As text of an HTML attribute."""
ALL = (RAW, JSON, ASCII, SLASHED, URL, COMPONENT, FORM, LOWER_URL, HTML, *BASE64, *BASE64URL, HEX)
"""The forms in which a known secret is looked for; where two are written alike, the first one counts."""

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]+")
"""Written alike as it is, in URLs, JSON and HTML."""
_FORMS_OF_PLAIN = (RAW, *BASE64, *BASE64URL, HEX)

IN_URL = (URL, COMPONENT, FORM, LOWER_URL)
IN_JSON = (JSON, ASCII, SLASHED)


def _lower_hex(value: str) -> str:
    quoted = quote(value, safe="")
    pieces = quoted.split("%")
    return "%".join([pieces[0], *(piece[:2].lower() + piece[2:] for piece in pieces[1:])])


def as_bytes(text: str) -> bytes:
    """Captured text as the bytes it came from; `as_text` restores every text that came from bytes."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # Half of a surrogate pair that stood escaped in JSON.
        return text.encode("utf-8", "surrogatepass")


def as_text(content: bytes) -> str:
    """Captured bytes as text, whatever they are."""
    return content.decode("utf-8", "surrogateescape")


_WRITE: dict[str, Callable[[str], str]] = {
    URL: lambda value: quote(value, safe=""),
    COMPONENT: lambda value: quote(value, safe="!'()*"),
    FORM: lambda value: quote_plus(value, safe="*"),
    LOWER_URL: _lower_hex,
    JSON: lambda value: json.dumps(value, ensure_ascii=False)[1:-1],
    SLASHED: lambda value: json.dumps(value, ensure_ascii=False)[1:-1].replace("/", "\\/"),
    ASCII: lambda value: json.dumps(value)[1:-1],
    HEX: lambda value: as_bytes(value).hex(),
    HTML: html.escape,
}
_READ: dict[str, Callable[[str], str]] = {
    URL: unquote,
    COMPONENT: unquote,
    FORM: unquote_plus,
    LOWER_URL: unquote,
    JSON: lambda raw: str(json.loads(f'"{raw}"', strict=False)),
    SLASHED: lambda raw: str(json.loads(f'"{raw}"', strict=False)),
    ASCII: lambda raw: str(json.loads(f'"{raw}"', strict=False)),
    HTML: html.unescape,
}


def encode_form(value: str, form: str) -> str:
    """How `value` is written in that form; for base64 the characters that depend on nothing but `value`.

    Raises:
        UnicodeEncodeError: a value with lone surrogates has no such form.
    """
    if form in BASE64:
        return _in_base64(value, BASE64.index(form), b"+/")
    if form in BASE64URL:
        return _in_base64(value, BASE64URL.index(form), b"-_")
    write = _WRITE.get(form)
    return value if write is None else write(value)


def _in_base64(value: str, offset: int, alphabet: bytes) -> str:
    content = as_bytes(value)
    whole = (len(content) + offset) // 3 * 3 - offset
    text = base64.b64encode(b"\0" * offset + content[:whole], alphabet).decode()
    return text[(0, 2, 3)[offset] :]


def decode_form(raw: str, candidates: tuple[str, ...]) -> tuple[str, str]:
    """The value that is written as `raw` in one of the candidate forms, and the form; (raw, RAW) where none fits."""
    for form in candidates:
        try:
            value = _READ[form](raw)
            if value != raw and encode_form(value, form) == raw:
                return value, form
        except ValueError:
            continue
    return raw, RAW


def written_forms(value: str) -> Iterator[tuple[str, str]]:
    """(text, form) for every way in which `value` may be written, each text once."""
    seen = set()
    for form in _FORMS_OF_PLAIN if _PLAIN.fullmatch(value) else ALL:
        try:
            text = encode_form(value, form)
        except UnicodeEncodeError:
            continue
        if text not in seen:
            seen.add(text)
            yield text, form
