"""The shape of JSON answers: which members there are and of which types, learnt from the recording itself. Pure.

Answers to one request (method, route and status) are read together: a member that one of them lacks may be missing, one
that had two types may have either, and what was null may be anything. Members that are named by ids are a map, whose
values are of one shape. What an answer has beyond its shape is no difference.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

from replay.provenance.weight import MEDIUM, bits

_TYPES: dict[type, str] = {bool: "a boolean", int: "a number", float: "a number", str: "a string", type(None): "null"}


@dataclass(frozen=True, slots=True)
class Shape:
    """What may stand at a place."""

    types: frozenset[str]
    """`a string`, `a number`, `a boolean`, `null`, `an object`, `a list`."""
    members: dict[str, Shape] | None = None
    needed: frozenset[str] = frozenset()
    """Members that no answer lacked."""
    items: Shape | None = None
    """Of a list's elements, or of a map's values."""
    is_map: bool = False


def shape_of(document: object) -> Shape:
    """The shape of one document."""
    if isinstance(document, dict):
        if document and all(key.isdigit() or bits(key) >= MEDIUM for key in document):
            return Shape(frozenset({"an object"}), items=_merged_all(map(shape_of, document.values())), is_map=True)
        members = {key: shape_of(value) for key, value in document.items()}
        return Shape(frozenset({"an object"}), members, frozenset(members))
    if isinstance(document, list):
        return Shape(frozenset({"a list"}), items=_merged_all(map(shape_of, document)))
    return Shape(frozenset({_TYPES.get(type(document), "null")}))


def _merged_all(shapes: Iterable[Shape]) -> Shape | None:
    return reduce(lambda one, other: merge(one, other) if one else other, shapes, None)


def merge(one: Shape, other: Shape) -> Shape:
    """What is of either shape; an object that is a map once is a map."""
    if one.is_map != other.is_map:
        one, other = _as_map(one), _as_map(other)
    members = one.members
    needed = one.needed
    if members is None:
        members, needed = other.members, other.needed
    elif other.members is not None:
        both = {key: merge(members[key], other.members[key]) for key in members.keys() & other.members.keys()}
        members, needed = members | other.members | both, one.needed & other.needed
    items = merge(one.items, other.items) if one.items and other.items else one.items or other.items
    return Shape(one.types | other.types, members, needed, items, one.is_map or other.is_map)


def _as_map(shape: Shape) -> Shape:
    if shape.members is None:
        return shape
    values = _merged_all([*shape.members.values(), *([shape.items] if shape.items else [])])
    return Shape(shape.types, items=values, is_map=True)


def difference(shape: Shape, document: object, where: str = "") -> str | None:
    """The first place at which a document is not of the shape, half a sentence; None where it is."""
    kind = "an object" if isinstance(document, dict) else "a list" if isinstance(document, list) else None
    kind = kind or _TYPES.get(type(document), "null")
    place = where or "the body"
    if kind not in shape.types:
        if "null" in shape.types and len(shape.types) == 1:
            return None
        return f"{place} is {kind}, not {' or '.join(sorted(shape.types))}"
    if isinstance(document, dict) and not shape.is_map and shape.members is not None:
        missing = sorted(shape.needed - document.keys())
        if missing:
            return f"{_below(where, missing[0])} is missing"
        inner = ((_below(where, key), value, shape.members.get(key)) for key, value in document.items())
    elif isinstance(document, dict):
        inner = ((_below(where, "*"), value, shape.items) for value in document.values())
    elif isinstance(document, list):
        inner = ((_below(where, str(at)), value, shape.items) for at, value in enumerate(document))
    else:
        return None
    return next(
        (found for at, value, expected in inner if expected and (found := difference(expected, value, at))), None
    )


def _below(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def difference_of_body(shape: Shape, content: bytes) -> str | None:
    """The same for a body as it came."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return "the body is no JSON"
    return difference(shape, document)


def learn_shapes(answers: Iterable[tuple[str, str]]) -> dict[str, Shape]:
    """By request: the shape of its answers; `answers` are (request, JSON text)."""
    shapes: dict[str, Shape] = {}
    for request, text in answers:
        try:
            shape = shape_of(json.loads(text))
        except (ValueError, RecursionError):
            continue
        known = shapes.get(request)
        shapes[request] = shape if known is None else merge(known, shape)
    return shapes
