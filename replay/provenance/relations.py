"""Stands in for a vault that is missing: what a secret is made of is written out, so that its parts can be linked.

A recording without its `FILE.secrets` holds placeholders. Where it says what a secret is made of (`token|hash`,
`user:password` in base64), the placeholder gives way to that, as it would have been written there. Pure.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

from nestperf.capture.forms import HTML, IN_JSON, IN_URL, RAW, URL, encode_form
from nestperf.capture.model import Relation
from replay.provenance.weight import PLACEHOLDER

_NUMBER = re.compile(r"nps_[0-9a-f]{6}_(\d+)")
_DEEPEST = 3


class Expansion:
    """The relations of one capture."""

    def __init__(self, relations: Iterable[Relation]) -> None:
        self._relations = {relation.id: relation for relation in relations}

    def expand(self, text: str, depth: int = 0) -> str:
        """`text` with every placeholder of a secret whose parts are known replaced by those parts."""
        if not self._relations or "nps_" not in text or depth == _DEEPEST:
            return text
        return PLACEHOLDER.sub(lambda match: self._parts(match[0], depth), text)

    def _parts(self, placeholder: str, depth: int) -> str:
        number = _NUMBER.match(placeholder)
        relation = self._relations.get(int(number[1])) if number else None
        if relation is None:
            return placeholder
        text = self.expand(relation.template, depth + 1)
        return _around(
            _around(text, URL) if relation.coding == "url" else _written(text, relation.coding), placeholder[-1]
        )


def _written(text: str, coding: str) -> str:
    if not coding:
        return text
    written = base64.b64encode(text.encode(), b"-_" if coding == "base64url" else b"+/").decode()
    return written.rstrip("=") if coding == "base64url" else written


def _around(text: str, form: str) -> str:
    """`text` in a form, placeholders left alone: they are safe in all of these."""
    if form == RAW or form not in (HTML, *IN_URL, *IN_JSON):
        return text
    at = 0
    pieces: list[str] = []
    for match in PLACEHOLDER.finditer(text):
        pieces += encode_form(text[at : match.start()], form), match[0][:-1] + form
        at = match.end()
    return "".join([*pieces, encode_form(text[at:], form)])
