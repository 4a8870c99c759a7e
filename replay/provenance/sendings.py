"""What a client sent: every place of a step at which a value stands, as a span of the sent text to be replaced."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nestperf.capture.kinds import field
from nestperf.capture.model import Kind
from replay.provenance.codings import Coding, Decoded, decode_base64, decode_json, decode_url, json_coding, url_coding
from replay.provenance.names import entity, path_entity
from replay.steps import Action, Emit, Http, Join, Open, Place, Say, Step, Wrap

NEVER_FILLED = frozenset({
    "accept", "accept-encoding", "accept-language", "access-control-request-headers",
    "access-control-request-method", "cache-control", "connection", "content-encoding", "content-length",
    "content-type", "date", "dnt", "expect", "host", "if-match", "if-modified-since", "if-none-match", "if-range",
    "if-unmodified-since", "keep-alive", "origin", "pragma", "priority", "range", "te", "traceparent", "tracestate",
    "trailer", "transfer-encoding", "upgrade", "upgrade-insecure-requests", "user-agent",
})  # fmt: skip
"""Request fields that the client makes up itself; `sec-*` likewise."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|(?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|[{}\[\]:,]|true|false|null')
_COOKIE = re.compile(r'(?:^|;\s*)([^=;]+)="?([^;"]*)')
_SEGMENT = re.compile(r"[^/]+")
_PAIR = re.compile(r"(?<![^&?;])([^=&]+)=([^&#]*)")
_BOUNDARY = re.compile(r'boundary="?([^";]+)', re.IGNORECASE)
_PART_NAME = re.compile(r'name="([^"]*)"', re.IGNORECASE)
_NESTED = 3


class Slot(NamedTuple):
    """A value as it was sent."""

    value: str
    place: Place
    field: int
    kind: str
    """`segment`, `query`, `header`, `cookie`, `form`, `json`, `number` (in JSON)."""
    name: str
    entity: str
    at: Sequence[int] | None
    """Where each character of `value` stands in the sent text; None: one by one from `start`."""
    start: int
    end: int
    coding: Coding
    wrap: tuple[Wrap, ...] = ()

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Characters of the sent text that hold characters first to last (exclusive) of the value."""
        if self.at is None:
            return self.start + first, self.start + last
        return self.at[first], self.at[last]


def slots(step: Step) -> Iterator[Slot]:
    """The places of what a step sends, outermost first; what stands inside one comes after it."""
    return slots_of(step.action)


def slots_of(action: Action) -> Iterator[Slot]:
    """The same for an action."""
    if isinstance(action, Http | Open):
        around = tuple(segment for segment in action.target.partition("?")[0].split("/") if segment)
        yield from _deep(_target_slots(action.target))
        for number, (name, value) in enumerate(action.headers):
            lower = name.lower()
            if lower not in NEVER_FILLED and not lower.startswith("sec-"):
                yield from _deep(_header_slots(number, lower, value))
        if isinstance(action, Http) and action.body:
            yield from _deep(_body_slots(action, around))
    elif isinstance(action, Join | Emit) and action.payload:
        event = action.event if isinstance(action, Emit) else ""
        yield from _deep(_json_slots(Decoded(action.payload, ()), "payload", (action.namespace.strip("/"), event)))
    elif isinstance(action, Say) and action.payload[:1] in ("{", "["):
        yield from _deep(_json_slots(Decoded(action.payload, ()), "payload", (action.kind,)))


def _deep(found: Iterator[Slot], depth: int = 0) -> Iterator[Slot]:
    for slot in found:
        yield slot
        if depth < _NESTED and len(slot.value) > 3 and slot.kind != "number":
            yield from _deep(_inside(slot), depth + 1)


def _target_slots(target: str) -> Iterator[Slot]:
    path, _, query = target.partition("?")
    before: list[str] = []
    for match in _SEGMENT.finditer(path):
        yield _url_slot(match[0], "target", match.start(), "segment", before[-1] if before else "", before)
        before.append(match[0])
    for match in _PAIR.finditer(query):
        yield _url_slot(match[2], "target", len(path) + 1 + match.start(2), "query", match[1], before)


def _url_slot(raw: str, place: Place, start: int, kind: str, name: str, before: Sequence[str]) -> Slot:
    form = kind != "segment"
    told = path_entity(before) if kind == "segment" else entity(name, before)
    if "%" not in raw and not (form and "+" in raw):
        return Slot(raw, place, -1, kind, name, told, None, start, start + len(raw), url_coding(raw, raw, form=form))
    decoded = decode_url(raw, form=form)
    coding = url_coding(raw, decoded.text, form=form)
    at = tuple(start + offset for offset in decoded.at)
    return Slot(decoded.text, place, -1, kind, name, told, at, start, start + len(raw), coding)


def _header_slots(number: int, name: str, value: str) -> Iterator[Slot]:
    if name == "cookie":
        for match in _COOKIE.finditer(value):
            yield _plain(match[2], number, "cookie", match[1].strip(), match.start(2))
        return
    yield _plain(value, number, "header", name, 0)


def _plain(value: str, number: int, kind: str, name: str, start: int) -> Slot:
    return Slot(value, "header", number, kind, name, entity(name, ()), None, start, start + len(value), "plain")


def _body_slots(action: Http, around: tuple[str, ...]) -> Iterator[Slot]:
    try:
        text = action.body.decode()
    except UnicodeDecodeError:
        return
    media_type = field(action.headers, "content-type").lower()
    if media_type.startswith("application/x-www-form-urlencoded"):
        for match in _PAIR.finditer(text):
            yield _url_slot(match[2], "body", match.start(2), "form", _unquoted(match[1]), around)
    elif media_type.startswith("multipart/form-data"):
        yield from _multipart_slots(text, field(action.headers, "content-type"), around)
    elif "json" in media_type or text[:1] in ("{", "["):
        yield from _json_slots(Decoded(text, ()), "body", around)


def _unquoted(name: str) -> str:
    return decode_url(name, form=True).text


def _multipart_slots(text: str, content_type: str, around: tuple[str, ...]) -> Iterator[Slot]:
    """Fields of a form with files (RFC 7578); the files themselves are left alone."""
    boundary = _BOUNDARY.search(content_type)
    if boundary is None:
        return
    at = 0
    for part in text.split(f"--{boundary[1]}"):
        head, mark, content = part.partition("\r\n\r\n")
        name = _PART_NAME.search(head)
        if mark and name and "filename" not in head.lower():
            start = at + len(head) + len(mark)
            value = content.removesuffix("\r\n")
            told = entity(name[1], around)
            yield Slot(value, "body", -1, "form", name[1], told, None, start, start + len(value), "plain")
        at += len(part) + 2 + len(boundary[1])


def _json_slots(
    outer: Decoded, place: Place, around: tuple[str, ...], number: int = -1, wrap: tuple[Wrap, ...] = ()
) -> Iterator[Slot]:
    """Strings and numbers of a JSON text; `outer.at` leads from its characters to those of the sent text."""
    text, outer_at = outer
    stack: list[tuple[bool, str]] = []
    key, expects_key = "", False
    for match in _TOKEN.finditer(text):
        sign = match[0]
        if sign in "{[":
            stack.append((sign == "{", key))
            key, expects_key = "", sign == "{"
        elif sign in "}]":
            expects_key = False
            key = stack.pop()[1] if stack else ""
        elif sign == ",":
            expects_key = bool(stack) and stack[-1][0]
        elif sign[0] == '"' and expects_key:
            key, expects_key = sign[1:-1], False
        elif sign[0] == '"' or match["number"] is not None:
            containers = (*around, *(name for _, name in stack if name))
            quoted = sign[0] == '"'
            start = match.start() + quoted
            raw = sign[1:-1] if quoted else sign
            found = _json_slot(raw, start, outer_at, place, number, key, containers, wrap)
            yield found if quoted else found._replace(kind="number", coding="plain")


def _json_slot(
    raw: str, start: int, outer_at: Sequence[int], place: Place, number: int, name: str,
    around: tuple[str, ...], wrap: tuple[Wrap, ...],
) -> Slot:  # fmt: skip
    end = start + len(raw)
    told = entity(name, around)
    value, coding = raw, json_coding(raw, raw)
    at: Sequence[int] | None = None
    if "\\" in raw:
        try:
            decoded = decode_json(raw)
        except ValueError:
            decoded = Decoded(raw, range(len(raw) + 1))
        value, coding = decoded.text, json_coding(raw, decoded.text)
        at = [start + offset for offset in decoded.at]
    if outer_at:
        at = [outer_at[position] for position in (at if at is not None else range(start, end + 1))]
        start, end = outer_at[start], outer_at[end]
    return Slot(value, place, number, "json", name, told, at, start, end, coding, wrap)


def _inside(slot: Slot) -> Iterator[Slot]:
    """Places inside a value: JSON in a string or query, base64 of readable text, fields inside a header."""
    value = slot.value
    outer = Wrap("", "", slot.coding)
    wrap = slot.wrap if slot.coding == "plain" else (outer, *slot.wrap)
    if value[0] in "{[" and value[-1] in "}]":
        try:
            json.loads(value)
        except (ValueError, RecursionError):
            return
        at = slot.at if slot.at is not None else range(slot.start, slot.start + len(value) + 1)
        yield from _json_slots(Decoded(value, at), slot.place, (), slot.field, wrap)
        return
    first, blank, rest = value.partition(" ")
    if slot.kind in ("header", "json") and blank and rest and " " not in rest and first.isalpha():
        yield _cut(slot, len(first) + 1, len(value), slot.name)
        return
    decoded = decode_base64(value)
    if decoded is not None:
        yield from _in_base64(slot, decoded[0], decoded[1], wrap)
        return
    if slot.kind == "header" and "=" in value:
        for match in re.finditer(r'([\w-]+)="?([^\s,;"]+)', value):
            yield _cut(slot, match.start(2), match.end(2), match[1])
        return
    if slot.kind == "header" and value.startswith(("http://", "https://")):
        path_at = len(value) - len(value.split("/", 3)[3]) - 1 if value.count("/") > 2 else len(value)
        for inner in _target_slots(value[path_at:]):
            first_at = path_at + inner.start
            cut = _cut(slot, first_at, path_at + inner.end, inner.name)
            inner_at = None if inner.at is None else [slot.start + path_at + offset for offset in inner.at]
            yield cut._replace(
                value=inner.value, kind=inner.kind, entity=inner.entity, coding=inner.coding, at=inner_at
            )
        return


def _cut(slot: Slot, first: int, last: int, name: str) -> Slot:
    start, end = slot.span(first, last)
    at = None if slot.at is None else slot.at[first : last + 1]
    told = entity(name, ())
    return slot._replace(value=slot.value[first:last], name=name, entity=told, at=at, start=start, end=end)


def _in_base64(slot: Slot, text: str, coding: Coding, wrap: tuple[Wrap, ...]) -> Iterator[Slot]:
    """Values in base64: the whole of it is written again around the live one."""
    if text[:1] in "{[":
        found: Iterator[Slot] = _json_slots(Decoded(text, ()), slot.place, (), slot.field)
        for inner in found:
            around = Wrap(text[: inner.start], text[inner.end :], coding)
            yield slot._replace(
                value=inner.value, name=inner.name, entity=inner.entity, kind=inner.kind,
                at=_all(slot, inner.value), coding=inner.coding, wrap=(around, *wrap),
            )  # fmt: skip
        return
    at = 0
    for piece in re.split(r"([:|&;\s])", text):
        if len(piece) > 1:
            name, mark, rest = piece.partition("=")
            value = rest if mark and rest else piece
            start = at + len(piece) - len(value)
            around = Wrap(text[:start], text[start + len(value) :], coding)
            yield slot._replace(
                value=value, name=name if mark else slot.name, at=_all(slot, value), coding="plain", kind="json",
                wrap=(around, *wrap),
            )  # fmt: skip
        at += len(piece)


def _all(slot: Slot, value: str) -> Sequence[int]:
    """A value that cannot be told apart in the sent text: any of it is all of it."""
    return (slot.start, *(slot.end for _ in value))


def is_asset(step: Step) -> bool:
    """Whether the step loads a part of the page's build."""
    return isinstance(step.action, Http) and step.action.kind is Kind.ASSET
