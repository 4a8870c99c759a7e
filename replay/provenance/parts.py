"""Values inside values: halves of `token|hash`, the token of `Bearer x`, segments and queries of a URL, JSON in text.

`parts_of` takes a text apart and says how; `part_at` goes the same way through a live text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus, urlsplit

from replay.provenance.codings import decode_base64
from replay.provenance.html import leaves
from replay.provenance.weight import is_uuid

_SPLITTERS = "|;,: "
_DEEPEST = 3
_LONGEST = 8192


class Part(NamedTuple):
    """One step into a text."""

    kind: str
    """`url` and `base64` decode; `split` takes the n-th piece between `key`; `segment`, `query`, `param` and `json`
    take what their names say."""
    key: str = ""
    nth: int = 0
    path: tuple[str | int, ...] = ()


class Piece(NamedTuple):
    """A value found inside a text."""

    value: str
    parts: tuple[Part, ...]
    """The way to it; empty for the whole text."""
    name: str
    """What it is called there; empty where nothing says."""


def parts_of(text: str, depth: int = 0) -> Iterator[Piece]:
    """The whole text, and what can be taken out of it."""
    yield Piece(text, (), "")
    # Words, numbers and UUIDs are most of what there is, and nothing is inside them.
    if depth == _DEEPEST or not 4 <= len(text) <= _LONGEST or (text.isalnum() and len(text) < 12) or is_uuid(text):
        return
    for part, name, inner in _steps_into(text):
        for piece in parts_of(inner, depth + 1):
            yield Piece(piece.value, (part, *piece.parts), piece.name or name)


def _steps_into(text: str) -> Iterator[tuple[Part, str, str]]:
    if text[0] in "{[":
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return
        for path, leaf in leaves(document):
            names = [key for key in path if isinstance(key, str)]
            yield Part("json", path=path), names[-1] if names else "", leaf
        return
    if is_url(text):
        yield from _url_steps(text)
        return
    if "%" in text:
        decoded = unquote(text)
        if decoded != text:
            yield Part("url"), "", decoded
    for splitter in _SPLITTERS:
        if splitter in text:
            pieces = text.split(splitter)
            # A blank parts a scheme from its token; more of them make prose.
            if 1 < len(pieces) <= (2 if splitter == " " else 8):
                for at, piece in enumerate(pieces):
                    yield from _piece_steps(splitter, at, piece)
            break
    if text.count(".") == 2 and text.startswith("eyJ"):
        claims = decode_base64(text.split(".")[1])
        if claims is not None:
            yield Part("split", ".", 1), "", text.split(".")[1]
    else:
        inner = decode_base64(text)
        if inner is not None and (inner[0][0] in "{[" or not inner[0].isalnum()):
            yield Part("base64"), "", inner[0]


def _piece_steps(splitter: str, at: int, piece: str) -> Iterator[tuple[Part, str, str]]:
    bare = piece.strip().strip('"')
    name, mark, value = bare.partition("=")
    value = value.strip('"')
    if mark and value and name.replace("_", "").replace("-", "").isalnum():
        yield Part("param", name), name, value
    elif bare:
        yield Part("split", splitter, at), "", bare


def is_url(text: str) -> bool:
    """Whether it is an absolute URL or a path of one."""
    return text.startswith(("/", "http://", "https://")) and " " not in text and not text.startswith("//")


def _url_steps(text: str) -> Iterator[tuple[Part, str, str]]:
    try:
        url = urlsplit(text)
    except ValueError:
        return
    segments = url.path.split("/")
    for at, segment in enumerate(segments):
        if segment:
            yield Part("segment", nth=at), segments[at - 1] if at else "", unquote(segment)
    for query in (url.query, url.fragment):
        for pair in filter(None, query.split("&")):
            name, mark, value = pair.partition("=")
            if mark and value:
                yield Part("query", name), name, unquote_plus(value)


def part_at(text: str | None, parts: Sequence[Part]) -> str | None:
    """What stands at that place of a text; None where there is no such place."""
    for part in parts:
        if not text:
            return None
        text = _step(text, part)
    return text or None


def _step(text: str, part: Part) -> str | None:
    if part.kind == "json":
        try:
            return leaf_at(json.loads(text), part.path)
        except (ValueError, RecursionError):
            return None
    if part.kind in ("segment", "query"):
        try:
            steps = list(_url_steps(text))
        except ValueError:
            return None
        wanted = (part.kind, part.key, part.nth)
        return next((inner for step, _, inner in steps if (step.kind, step.key, step.nth) == wanted), None)
    if part.kind == "url":
        return unquote(text)
    if part.kind == "base64":
        decoded = decode_base64(text)
        return decoded[0] if decoded else None
    if part.kind == "param":
        return next((inner for step, _, inner in _steps_into(text) if step == part), None)
    pieces = text.split(part.key)
    return pieces[part.nth].strip().strip('"') if part.nth < len(pieces) else None


def leaf_at(node: object, path: Sequence[str | int]) -> str | None:
    """The string or whole number at that path of a JSON document; None where there is none."""
    for key in path:
        if isinstance(node, dict) and isinstance(key, str):
            node = node.get(key)
        elif isinstance(node, list) and isinstance(key, int) and key < len(node):
            node = node[key]
        else:
            return None
    if isinstance(node, int) and not isinstance(node, bool):
        return str(node)
    return node if isinstance(node, str) else None
