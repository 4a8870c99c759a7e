"""Heads, bodies and payloads for a terminal: the beginning, line by line, with nothing in it that could act on one."""

from __future__ import annotations

import json
from collections.abc import Iterator

from nestperf.capture.model import Body, Pairs
from nestperf.console import size
from nestperf.printable import columns_of, printable, shorten

INDENT = "  "
_LONGEST_JSON = 1_000_000
"""Longer bodies are not laid out anew: their beginning is enough."""
_TEXTS = ("text/", "application/json", "application/xml", "application/javascript", "application/x-www-form-urlencoded",
          "application/graphql", "image/svg")  # fmt: skip


def render_head(first: str, pairs: Pairs, width: int) -> list[str]:
    """A start line and its fields, one a line."""
    lines = [INDENT + printable(first, width - len(INDENT))]
    lines += [f"{INDENT}{printable(f'{name}: {value}', width - len(INDENT))}" for name, value in pairs]
    return lines


def render_body(body: Body | None, width: int, most: int) -> list[str]:
    """What it is, and up to `most` lines of its beginning; nothing without a body."""
    if body is None or (body.size == 0 and not body.content):
        return []
    facts = [printable(body.media_type, 60) or "no media type", size(body.size)]
    if body.coding:
        facts.append(f"{printable(body.coding, 20)} {size(body.wire_size)} on the wire")
    facts += ["chunked"] if body.chunked else []
    facts += [] if body.state == "whole" else [_STATES.get(body.state, printable(body.state, 20))]
    lines = [f"{INDENT}({', '.join(facts)})"]
    if body.content is None:
        return lines
    return lines + _beginning(body.content, body.media_type, width, most)


_STATES = {
    "cut": "only its beginning was stored",
    "omitted": "not stored",
    "undecodable": "stored as it came: its coding could not be removed",
}


def _beginning(content: bytes, media_type: str, width: int, most: int) -> list[str]:
    text = _text(content, media_type)
    if text is None:
        shown = content[:16].hex(" ")
        return [f"{INDENT}{shown}{' …' if len(content) > 16 else ''}"]
    return first_lines(text, width, most)


def first_lines(text: str, width: int, most: int) -> list[str]:
    """The first lines of a text, indented, each within the width, and how many more there are."""
    everything = text.splitlines() or [""]
    lines = [INDENT + line for line in _wrapped(everything[:most], width - len(INDENT))]
    left = len(everything) - most
    if len(lines) > most:
        return [*lines[:most], f"{INDENT}…"]
    return [*lines, f"{INDENT}… {left:,} more lines"] if left > 0 else lines


def _wrapped(lines: list[str], width: int) -> Iterator[str]:
    """Long lines broken anywhere: these are no sentences."""
    for line in lines:
        rest = printable(line[: 40 * width])
        while columns_of(rest) > width:
            cut = len(shorten(rest[: 2 * width], width)) if rest.isascii() else width // 2
            yield rest[:cut]
            rest = rest[cut:]
        yield rest


def _text(content: bytes, media_type: str) -> str | None:
    """As text, JSON laid out; None of what is none."""
    known = media_type.lower().startswith(_TEXTS) or "+json" in media_type.lower()
    try:
        text = content.decode("utf-8", "strict" if not known else "replace")
    except UnicodeDecodeError:
        return None
    if "\0" in text:
        return None
    return laid_out(text) if "json" in media_type.lower() else text


def laid_out(text: str) -> str:
    """JSON with a line for each value; anything else as it is."""
    if len(text) > _LONGEST_JSON:
        return text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
