"""Finds secrets that are known by value, in every form, in time that hardly grows with their number.

Every form is looked for by its last bytes, at most sixteen (tokens begin alike, and end in a signature), all of them
in one pass of an Aho-Corasick automaton; where one is found, the whole form must stand before it. New secrets go into
small automata that are merged into larger ones as they grow, so that one more secret costs little. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ahocorasick_rs import BytesAhoCorasick, Implementation

from nestperf.capture.forms import RAW, as_bytes, encode_form, written_forms
from nestperf.capture.vault import Vault
from nestperf.capture.words import SHORTEST

_ANCHOR = 16
_FRESH = 16
"""Anchors that are looked for one by one before an automaton is built for them."""
_GROWTH = 8
"""An automaton is at least so many times larger than the next newer one."""
_DFA = 5_000
"""Anchors up to which the fastest kind of automaton (half the time) takes a bearable 0.1 s and 20 MB to build."""
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_NUMBER_BEFORE = re.compile(rb"(?:[:,\[]|\A)\s*\Z")
_NUMBER_AFTER = re.compile(rb"\s*(?:[,\]}]|\Z)")
_DIGITS = b"0123456789."


class Written(NamedTuple):
    """One form of a secret; its text is written anew when it is needed, since all forms of a token take kilobytes."""

    size: int
    value: str
    form: str
    is_number: bool
    """It may stand as a JSON number."""

    @property
    def text(self) -> bytes:
        return as_bytes(encode_form(self.value, self.form))


class Found(NamedTuple):
    """Where a form stands."""

    start: int
    end: int
    written: Written


class KnownSecrets:
    """The secrets known so far."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._noticed: set[str] = set()
        self._by_anchor: dict[bytes, list[Written]] = {}
        self._fresh: list[bytes] = []
        self._older: list[tuple[list[bytes], BytesAhoCorasick]] = []
        """Anchors and their automaton, largest first."""

    def __len__(self) -> int:
        return len(self._noticed)

    def __contains__(self, value: str) -> bool:
        return value in self._noticed

    def add(self, value: str) -> None:
        """From now on `value` is found, in every form."""
        if value in self._noticed:
            return
        self._noticed.add(value)
        is_number = _NUMBER.fullmatch(value) is not None
        for text, form in written_forms(value):
            if len(text) >= SHORTEST:
                content = as_bytes(text)
                self._add(content[-_ANCHOR:], Written(len(content), value, form, is_number and form == RAW))

    def _add(self, anchor: bytes, written: Written) -> None:
        known = self._by_anchor.get(anchor)
        if known is not None:
            known.append(written)
            return
        self._by_anchor[anchor] = [written]
        self._fresh.append(anchor)
        if len(self._fresh) >= _FRESH:
            self._build()

    def _build(self) -> None:
        anchors, self._fresh = self._fresh, []
        while self._older and len(self._older[-1][0]) < _GROWTH * len(anchors):
            anchors = self._older.pop()[0] + anchors
        self._older.append((anchors, BytesAhoCorasick(anchors)))

    def settle(self) -> None:
        """One automaton for all: worth its while before a long search, when nothing is added meanwhile."""
        anchors = [anchor for older, _ in self._older for anchor in older] + self._fresh
        self._fresh = []
        implementation = Implementation.DFA if len(anchors) <= _DFA else None
        self._older = [(anchors, BytesAhoCorasick(anchors, implementation=implementation))] if anchors else []

    def replace(self, content: bytes) -> bytes:
        """`content` with a placeholder for every known secret; where several overlap, the first and longest."""
        if len(content) < SHORTEST or not self._by_anchor:
            return content
        found = list(self.find(content))
        if not found:
            return content
        found.sort(key=lambda one: (one.start, -one.end))
        pieces: list[bytes] = []
        at = 0
        for start, end, written in found:
            if start >= at:
                pieces += content[at:start], self._placeholder(content, start, end, written)
                at = end
        return b"".join(pieces) + content[at:]

    def find(self, content: bytes) -> Iterator[Found]:
        """Where known secrets stand, in no order."""
        for anchors, automaton in self._older:
            for which, _, end in automaton.find_matches_as_indexes(content, overlapping=True):
                yield from self._ending(content, anchors[which], end)
        for anchor in self._fresh:
            at = content.find(anchor)
            while at >= 0:
                yield from self._ending(content, anchor, at + len(anchor))
                at = content.find(anchor, at + 1)

    def _ending(self, content: bytes, anchor: bytes, end: int) -> Iterator[Found]:
        for written in self._by_anchor[anchor]:
            start = end - written.size
            if start < 0 or (written.size > _ANCHOR and not content.startswith(written.text, start)):
                continue
            # Inside a longer number its placeholder could not be told apart, and it is hardly the same number.
            if written.is_number and (_is_digit(content, start - 1) or _is_digit(content, end)):
                continue
            yield Found(start, end, written)

    def _placeholder(self, content: bytes, start: int, end: int, written: Written) -> bytes:
        if written.is_number:
            before = _NUMBER_BEFORE.search(content, max(0, start - 16), start)
            if before is not None and _NUMBER_AFTER.match(content, end, end + 16):
                return self._vault.conceal_number(written.value).encode()
        return self._vault.conceal(written.value, written.form).encode()


def _is_digit(content: bytes, at: int) -> bool:
    return 0 <= at < len(content) and content[at] in _DIGITS
