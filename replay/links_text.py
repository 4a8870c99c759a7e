"""The links of a session as people and programs read them: from where, to where, why. Pure; never shows a value."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from nestperf.printable import printable
from replay.provenance.rules import title_of
from replay.steps import Linkage, SessionPlan

MOST = 30
"""Origins, or places of no known origin, that are shown; and so on, unless all are asked for."""
_MOST_STEPS = 8


def render_links(session: SessionPlan, width: int, *, everything: bool) -> Iterator[str]:
    """Lines of at most `width` columns; none where nothing is linked and nothing looks dynamic."""
    by_origin: dict[tuple[int, str, str], list[Linkage]] = {}
    for link in session.links:
        if not link.by_jar:
            source = link.source if link.source is not None else -1
            by_origin.setdefault((source, link.origin, _giver(session, link)), []).append(link)
    cookies = sorted({link.place.partition(" ")[2] for link in session.links if link.by_jar})
    if by_origin or cookies or session.fresh or session.supplied:
        yield ""
        yield "  Live values"
    for one in session.supplied:
        steps = [step.index for step in session.steps for use in step.uses if use.value == one.value]
        yield from _wrapped(f"{one.column} of the identity  of {_steps(steps)}", width)
    if cookies:
        yield from _wrapped(f"the cookie jar carries {', '.join(cookies)}", width)
    groups = list(by_origin.items())
    for (_, origin, giver), links in groups if everything else groups[:MOST]:
        yield from _wrapped(f"{origin}  of {giver}", width)
        yield from _uses(links, width)
    if not everything and len(groups) > MOST:
        yield f"    and {len(groups) - MOST:,} more: --all shows them"
    for number in session.fresh:
        steps = [step.index for step in session.steps for use in step.uses if use.value == number]
        yield from _wrapped(f"made up anew by every user, sent by {_steps(steps)}", width)
    yield from _unexplained(session, width, everything=everything)


def _giver(session: SessionPlan, link: Linkage) -> str:
    if link.source is None:
        return "a packet that the server pushed"
    return f"{link.source + 1} {title_of(session.steps[link.source])}"


def _uses(links: Sequence[Linkage], width: int) -> Iterator[str]:
    by_place: dict[tuple[str, str, str], list[int]] = {}
    for link in links:
        by_place.setdefault((link.place, link.confidence, link.reason), []).append(link.step)
    for (place, confidence, reason), steps in by_place.items():
        yield from _wrapped(f"→ {place}  of {_steps(steps)}  ({confidence}: {reason})", width, indent=6)


def _unexplained(session: SessionPlan, width: int, *, everything: bool) -> Iterator[str]:
    by_place: dict[str, list[int]] = {}
    for index, place in session.unexplained:
        by_place.setdefault(place, []).append(index)
    if not by_place:
        return
    yield ""
    yield "  Looks dynamic, came from nowhere in this session, goes out as it is"
    groups = list(by_place.items())
    for place, steps in groups if everything else groups[:MOST]:
        yield from _wrapped(f"{place}  of {_steps(steps)}", width)
    if not everything and len(groups) > MOST:
        yield f"    and {len(groups) - MOST:,} more: --all shows them"


def _steps(indexes: Sequence[int]) -> str:
    numbers = [str(index + 1) for index in dict.fromkeys(indexes)]
    shown = numbers if len(numbers) <= _MOST_STEPS else numbers[: _MOST_STEPS - 1]
    more = f" and {len(numbers) - len(shown)} more" if len(numbers) > len(shown) else ""
    return ", ".join(shown) + more


def _wrapped(text: str, width: int, indent: int = 4) -> list[str]:
    return textwrap.wrap(
        printable(text), width, initial_indent=" " * indent, subsequent_indent=" " * (indent + 4),
        break_on_hyphens=False,
    )  # fmt: skip


def links_document(session: SessionPlan) -> dict[str, Any]:
    """The same for programs: steps are counted from 0."""
    return {
        "links": [
            {
                "step": link.step,
                "place": link.place,
                "source": link.source,
                "origin": link.origin,
                "confidence": link.confidence,
                "reason": link.reason,
                "by_cookie_jar": link.by_jar,
            }
            for link in session.links
        ],
        "supplied": [one.column for one in session.supplied],
        "fresh": len(session.fresh),
        "unexplained": [{"step": index, "place": place} for index, place in session.unexplained],
    }
