"""Finds the values that an answer gave and that went out later: tokens, CSRF values, ids of what was created.

The easy ones: a string of at least 16 characters that stood as a JSON leaf, header or cookie of an answer and later
went out whole. Two recorded places that held the same value are the same value: at run time whatever the latest live
answer has at such a place goes out instead. Pure; works on originals and gives positions, never changes a text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple
from urllib.parse import quote, unquote, unquote_plus

from nestperf.capture.kinds import field
from nestperf.capture.model import Pairs
from replay.steps import Coding, Emit, Http, Join, Open, Place, Step, Take, Use

SHORTEST = 16
"""Characters below which equal values may well be chance."""
NEVER_TAKEN = frozenset({
    "accept-ranges", "age", "alt-svc", "cache-control", "connection", "content-disposition", "content-encoding",
    "content-language", "content-length", "content-security-policy", "content-type", "cross-origin-embedder-policy",
    "cross-origin-opener-policy", "cross-origin-resource-policy", "date", "etag", "expires", "keep-alive",
    "last-modified", "link", "origin-agent-cluster", "permissions-policy", "pragma", "referrer-policy", "report-to",
    "retry-after", "server", "server-timing", "set-cookie", "strict-transport-security", "trailer",
    "transfer-encoding", "upgrade", "vary", "via", "x-powered-by",
})  # fmt: skip
"""Response fields that say something about the answer and hand nothing on; Set-Cookie is read as cookies."""
NEVER_FILLED = frozenset({
    "accept", "accept-encoding", "accept-language", "access-control-request-headers",
    "access-control-request-method", "cache-control", "connection", "content-encoding", "content-length",
    "content-type", "date", "expect", "host", "if-match", "if-modified-since", "if-none-match", "if-range",
    "if-unmodified-since", "origin", "pragma", "range", "te", "trailer", "transfer-encoding", "upgrade",
    "upgrade-insecure-requests", "user-agent",
})  # fmt: skip
"""Request fields that the client makes up itself; `sec-*` likewise."""

_PLACEHOLDER = re.compile(r"nps_[0-9a-f]{6}_\d+_")
"""What stands for a secret where the vault is missing: short, but no chance."""
_JSON_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_TOKEN = re.compile(r'[^\s,;"]+')
_COOKIE = re.compile(r'(?:^|;\s*)[^=;]+="?([^;"]*)')
_SEGMENT = re.compile(r"[^/]+")
_PAIR = re.compile(r"(?<![^&?;])[^=&]+=([^&#]*)")


class Answered(NamedTuple):
    """What a step was answered in the recording."""

    done_ns: int
    headers: Pairs
    json: str | None
    """The body where it is JSON, decoded and revealed."""


class Links(NamedTuple):
    """How live values pass through one session, step by step."""

    values: tuple[str, ...]
    """The recorded values."""
    uses: tuple[tuple[Use, ...], ...]
    takes: tuple[tuple[Take, ...], ...]


class _Span(NamedTuple):
    value: str
    place: Place
    field: int
    start: int
    end: int
    coding: Coding


def correlate(steps: Sequence[Step], answers: Sequence[Answered | None], start_ns: int) -> Links:
    """Link what went out to what came in before.

    `answers` has one entry a step; `start_ns` is the session's first moment on the clock of `Answered.done_ns`.
    """
    offered: dict[str, list[tuple[int, Take]]] = {}
    invented: set[str] = set()
    numbers: dict[str, int] = {}
    uses: list[list[Use]] = [[] for _ in steps]
    for _, is_sending, index in _chronicle(steps, answers, start_ns):
        if is_sending:
            _look_for_uses(steps[index], offered, invented, numbers, uses[index])
            continue
        answer = answers[index]
        assert answer is not None
        for value, take in offers(answer):
            # A list that repeats an id may hold another one there next time: its first origin knows better.
            if value not in invented and not (value in offered and any(isinstance(key, int) for key in take.path)):
                offered.setdefault(value, []).append((index, take))
    takes: list[list[Take]] = [[] for _ in steps]
    for value, number in numbers.items():
        for index, take in offered[value]:
            takes[index].append(take._replace(value=number))
    return Links(tuple(numbers), tuple(map(tuple, uses)), tuple(map(tuple, takes)))


def _chronicle(steps: Sequence[Step], answers: Sequence[Answered | None], start_ns: int) -> list[tuple[int, bool, int]]:
    """(moment, whether it is a sending, step): an answer complete at the moment of a sending comes before it."""
    moments = [(step.sent_ns, True, step.index) for step in steps]
    moments += [(answer.done_ns - start_ns, False, index) for index, answer in enumerate(answers) if answer]
    return sorted(moments)


def _look_for_uses(
    step: Step,
    offered: dict[str, list[tuple[int, Take]]],
    invented: set[str],
    numbers: dict[str, int],
    uses: list[Use],
) -> None:
    taken: dict[tuple[Place, int], int] = {}
    for span in sorted(spans(step), key=lambda span: (span.place, span.field, span.start, -span.end)):
        if not _is_long(span.value):
            continue
        if span.value not in offered:
            # What the client itself put into the world first is its own, even if an answer repeats it. Fields are
            # no such thing: their values came from an answer, often of before the recording.
            if span.place != "header":
                invented.add(span.value)
        elif span.start >= taken.get((span.place, span.field), 0):
            number = numbers.setdefault(span.value, len(numbers))
            uses.append(Use(span.place, span.field, span.start, span.end, span.coding, number))
            taken[span.place, span.field] = span.end


def offers(answer: Answered) -> Iterator[tuple[str, Take]]:
    """Every value of an answer that may go out later, with the place it stands at (its number still 0)."""
    for name, value in answer.headers:
        lower = name.lower()
        if lower == "set-cookie":
            cookie, _, content = value.partition(";")[0].partition("=")
            content = content.strip().strip('"')
            if _is_long(content):
                yield content, Take("cookie", (cookie.strip(),), 0)
        elif lower not in NEVER_TAKEN and not lower.startswith("access-control-") and _is_long(value):
            yield value, Take("header", (lower,), 0)
    if answer.json is not None:
        try:
            document = json.loads(answer.json)
        except (ValueError, RecursionError):
            return
        for path, leaf in _leaves(document):
            yield leaf, Take("json", path, 0)


def _is_long(value: str) -> bool:
    return len(value) >= SHORTEST or _PLACEHOLDER.fullmatch(value) is not None


def _leaves(document: object) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Paths and values of a JSON document's long strings, in document order."""
    waiting: list[tuple[tuple[str | int, ...], object]] = [((), document)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, str):
            if _is_long(node):
                yield path, node
        elif isinstance(node, dict):
            waiting += [((*path, key), node[key]) for key in reversed(node)]
        elif isinstance(node, list):
            waiting += [((*path, at), node[at]) for at in range(len(node) - 1, -1, -1)]


def spans(step: Step) -> Iterator[_Span]:
    """Every place of what a step sends at which a whole value stands."""
    action = step.action
    if isinstance(action, Http | Open):
        yield from _target_spans(action.target)
        for number, (name, value) in enumerate(action.headers):
            lower = name.lower()
            if lower not in NEVER_FILLED and not lower.startswith("sec-"):
                yield from (span._replace(field=number) for span in _field_spans(lower, value))
    if isinstance(action, Http) and action.body:
        yield from _body_spans(action.body, field(action.headers, "content-type").lower())
    if isinstance(action, Join | Emit) and action.payload:
        yield from _json_spans(action.payload, "payload")


def _field_spans(name: str, value: str) -> Iterator[_Span]:
    if name == "cookie":
        for match in _COOKIE.finditer(value):
            yield _Span(match[1], "header", 0, match.start(1), match.end(1), "plain")
        return
    yield _Span(value, "header", 0, 0, len(value), "plain")
    for match in _TOKEN.finditer(value):
        yield _Span(match[0], "header", 0, match.start(), match.end(), "plain")
        _, mark, rest = match[0].partition("=")
        if mark and rest:
            yield _Span(rest, "header", 0, match.end() - len(rest), match.end(), "plain")


def _target_spans(target: str) -> Iterator[_Span]:
    path, _, query = target.partition("?")
    for match in _SEGMENT.finditer(path):
        yield _url_span(match[0], "target", match.start(), plus=False)
    for match in _PAIR.finditer(query):
        yield _url_span(match[1], "target", len(path) + 1 + match.start(1), plus=True)


def _body_spans(body: bytes, media_type: str) -> Iterable[_Span]:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return ()
    if media_type.startswith("application/x-www-form-urlencoded"):
        return (_url_span(match[1], "body", match.start(1), plus=True) for match in _PAIR.finditer(text))
    if "json" in media_type or text[:1] in ("{", "["):
        return _json_spans(text, "body")
    return ()


def _json_spans(text: str, place: Place) -> Iterator[_Span]:
    """Strings of a JSON text, with and without the `Bearer` before a token."""
    for match in _JSON_STRING.finditer(text):
        raw, start = match[1], match.start(1)
        value = raw
        if "\\" in raw:
            try:
                value = json.loads(f'"{raw}"', strict=False)
            except ValueError:
                continue
        yield _Span(value, place, -1, start, start + len(raw), "json")
        if value.startswith("Bearer ") and value == raw:
            yield _Span(value[7:], place, -1, start + 7, start + len(raw), "json")


def _url_span(raw: str, place: Place, start: int, *, plus: bool) -> _Span:
    value = unquote_plus(raw) if plus else unquote(raw)
    exact = quote(value, safe="") == raw
    return _Span(value if exact else raw, place, -1, start, start + len(raw), "url" if exact else "plain")
