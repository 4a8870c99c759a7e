"""Where values stand in HTML: hidden fields, meta tags, links and form actions, JSON and assignments in scripts.

Reads tags as they come, without a tree: planning and replaying use the same few expressions, so that what one finds the
other finds too. A place is named by what surrounds it, never by its position in the page alone.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from html import unescape
from typing import NamedTuple

_TAG = re.compile(
    r"""<(input|meta|button|option|a|form|script|link|div|span|body|html|tr|li)\b((?:[^>"']|"[^"]*"|'[^']*')*)>""",
    re.IGNORECASE,
)
_ATTRIBUTE = re.compile(r"""([a-zA-Z][\w:.-]*)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
_SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script>", re.IGNORECASE | re.DOTALL)
_ASSIGNED = re.compile(r"""["']?\b([A-Za-z_$][\w$]{1,60})["']?\s*[:=]\s*(["'])((?:(?!\2)[^\\\n]){4,4096})\2""")
_VALUED = {"input": "value", "button": "value", "option": "value", "meta": "content"}
_LINKS = {"a": "href", "form": "action"}
ASSET_TAGS = {"script": "src", "link": "href"}


class Found(NamedTuple):
    """A value in a page."""

    value: str
    path: tuple[str | int, ...]
    """(`field`, name, n), (`meta`, name, n), (`link`, n), (`data`, name, n), (`script`, name, n); (`json`, n, *keys)
    for a script that is JSON."""
    name: str


def values_of(page: str) -> Iterator[Found]:
    """Every value of a page that somebody could send on, in document order."""
    seen: Counter[tuple[str, str]] = Counter()
    for match in _TAG.finditer(page):
        tag = match[1].lower()
        attributes = _attributes(match[2])
        named = attributes.get("name") or attributes.get("property") or attributes.get("id") or ""
        valued = _VALUED.get(tag)
        if valued and named and attributes.get(valued):
            kind = "meta" if tag == "meta" else "field"
            yield Found(attributes[valued], (kind, named, seen[kind, named]), named)
            seen[kind, named] += 1
        link = attributes.get(_LINKS.get(tag, ""), "")
        if link:
            yield Found(link, ("link", seen["link", ""]), "")
            seen["link", ""] += 1
        for name, value in attributes.items():
            if name.startswith("data-") and value:
                yield Found(value, ("data", name, seen["data", name]), name[5:])
                seen["data", name] += 1
    yield from _in_scripts(page)


def _in_scripts(page: str) -> Iterator[Found]:
    seen: Counter[str] = Counter()
    documents = 0
    for match in _SCRIPT.finditer(page):
        if "json" in match[1]:
            try:
                document = json.loads(match[2])
            except (ValueError, RecursionError):
                continue
            for path, leaf in leaves(document):
                yield Found(leaf, ("json", documents, *path), _last_name(path))
            documents += 1
            continue
        for assigned in _ASSIGNED.finditer(match[2]):
            yield Found(assigned[3], ("script", assigned[1], seen[assigned[1]]), assigned[1])
            seen[assigned[1]] += 1


def value_at(page: str, path: Sequence[str | int]) -> str | None:
    """The value at a place of a live page; None where there is none.

    A link is asked for by its shape, (`link`, shape, n): the n-th whose path has that shape, `*` for the value.
    """
    if path[0] == "link" and isinstance(path[1], str):
        matching = (link for link in links_of(page) if re.fullmatch(shape_pattern(path[1]), link))
        return _nth(matching, path[2])
    if path[0] in ("script", "json"):
        return next((found.value for found in _in_scripts(page) if found.path == tuple(path)), None)
    return next((found.value for found in values_of(page) if found.path == tuple(path)), None)


def links_of(page: str) -> Iterator[str]:
    """Targets of links and forms, in document order."""
    return (found.value for found in values_of(page) if found.path[0] == "link")


def assets_of(page: str) -> Iterator[str]:
    """What the page loads: scripts and linked files."""
    for match in _TAG.finditer(page):
        loaded = _attributes(match[2]).get(ASSET_TAGS.get(match[1].lower(), ""))
        if loaded:
            yield loaded


def shape_pattern(shape: str) -> str:
    """The expression for links of a shape."""
    return "[^/?&#=]+".join(map(re.escape, shape.split("*")))


def leaves(document: object) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Paths and texts of a JSON document's strings and whole numbers, in document order."""
    waiting: list[tuple[tuple[str | int, ...], object]] = [((), document)]
    while waiting:
        path, node = waiting.pop()
        if isinstance(node, str):
            yield path, node
        elif isinstance(node, dict):
            waiting += [((*path, str(key)), node[key]) for key in reversed(node)]
        elif isinstance(node, list):
            waiting += [((*path, at), node[at]) for at in range(len(node) - 1, -1, -1)]
        elif isinstance(node, int) and not isinstance(node, bool):
            yield path, str(node)


def _last_name(path: Sequence[str | int]) -> str:
    return next((key for key in reversed(path) if isinstance(key, str)), "")


def _attributes(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, double, single, bare in _ATTRIBUTE.findall(text):
        found.setdefault(name.lower(), unescape(double or single or bare))
    return found


def _nth(values: Iterator[str], n: str | int) -> str | None:
    for at, value in enumerate(values):
        if at == n:
            return value
    return None
