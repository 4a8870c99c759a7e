"""What a replay needs of answers: their structure, and of their contents only what the clients sent themselves.

Pure. Of text every word goes but those that a client sent at some time and the placeholders of secrets; what stays was
in the capture anyway, as something that was sent. Keys of JSON, names of fields in HTML, types and lengths stay too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

_WORD = re.compile(r"\w+(?:-\w+)*")
_PLACEHOLDER = re.compile(r"nps_[0-9a-f]{6}_\d+\w?")
_NUMBER_PLACEHOLDER_DIGITS = 12
_TAG = re.compile(r"""<(/?[a-zA-Z][\w-]*)((?:[^<>"']|"[^"]*"|'[^']*')*)>""")
_SCRIPT = re.compile(r"<script\b[^<>]*>", re.IGNORECASE)
_SCRIPT_END = re.compile(r"</script>", re.IGNORECASE)
_ASSIGNED = re.compile(r"""\b([A-Za-z_$][\w$]{1,60})["']?\s*[:=]\s*(["'])((?:(?!\2)[^\\\n]){4,4096})\2""")
_ATTRIBUTE = re.compile(r"""([a-zA-Z][\w:.-]*)(\s*=\s*)("[^"]*"|'[^']*'|[^\s"'>]+)""")
_STRUCTURE = frozenset({"name", "id", "property", "type", "rel", "method", "http-equiv", "charset", "lang"})
"""Attributes that say what something is, not what it holds."""


class Slimmer:
    """Knows what the clients of one capture sent."""

    def __init__(self, sent: Iterable[str]) -> None:
        self._sent: set[str] = set()
        for text in sent:
            for one in {text, unquote(text)}:
                for word in _WORD.findall(one):
                    self._sent.add(word)
                    self._sent.update(word.split("-"))

    def body(self, content: bytes, media_type: str) -> bytes | None:
        """An answer's body; None where nothing of it is worth keeping."""
        kind = media_type.lower()
        text = content.decode("utf-8", "replace")
        if "json" in kind:
            slim = self.json(text)
            return None if slim is None else slim.encode()
        return self.html(text).encode() if "html" in kind else None

    def json(self, text: str) -> str | None:
        """A JSON document; None where it is none."""
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return None
        return json.dumps(self._value(document), ensure_ascii=False, separators=(",", ":"))

    def html(self, page: str) -> str:
        """A page's tags, in order, without the text between them; what scripts hold as far as it is a value."""
        parts, at = [], 0
        while (begins := _SCRIPT.search(page, at)) and (ends := _SCRIPT_END.search(page, begins.end())):
            script = page[begins.end() : ends.start()]
            slim = self.json(script) if "json" in begins[0].lower() else None
            parts += self._tags(page[at : begins.end()])
            parts += [self._assigned(script) if slim is None else slim, ends[0]]
            at = ends.end()
        return "".join([*parts, *self._tags(page[at:])])

    def text(self, text: str) -> str:
        """Text in which every word that no client sent is x's."""
        kept, end = [], 0
        for placeholder in _PLACEHOLDER.finditer(text):
            kept += [_WORD.sub(self._word, text[end : placeholder.start()]), placeholder[0]]
            end = placeholder.end()
        return "".join([*kept, _WORD.sub(self._word, text[end:])])

    def _assigned(self, script: str) -> str:
        return ";".join(f"{name}={quote}{self.text(value)}{quote}" for name, quote, value in _ASSIGNED.findall(script))

    def _value(self, value: Any) -> Any:
        match value:
            case dict():
                return {key: self._value(item) for key, item in value.items()}
            case list():
                return [self._value(item) for item in value]
            case str():
                return self.text(value)
            case bool() | None:
                return value
            case int():
                digits = str(abs(value))
                return value if digits in self._sent or len(digits) == _NUMBER_PLACEHOLDER_DIGITS else 0
        return 0.5 if isinstance(value, float) else None

    def _tags(self, page: str) -> list[str]:
        return [self._tag(tag) for tag in _TAG.finditer(page)]

    def _tag(self, tag: re.Match[str]) -> str:
        attributes = (
            f"{name}{equals}{value if name.lower() in _STRUCTURE else self.text(value)}"
            for name, equals, value in _ATTRIBUTE.findall(tag[2])
        )
        return f"<{' '.join((tag[1], *attributes))}>"

    def _word(self, word: re.Match[str]) -> str:
        if word[0] in self._sent:
            return word[0]
        return re.sub(r"\w+", lambda part: part[0] if part[0] in self._sent else "x" * len(part[0]), word[0])
