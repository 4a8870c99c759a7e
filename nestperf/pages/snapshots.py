"""What the watching script tells, read into data. Its words come out of somebody's page: what is no number is nothing.

Times are milliseconds of the page's own clock, whose zero is `origin_ms` of the wall clock; `nestperf.pages.alignment`
moves them to a run's clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LONGEST = 2_000
_LONGEST_NAME = 300
_LARGEST = 10**14
_MOST = 5_000
"""Entries of one report that are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenResource:
    """One thing that a page asked for."""

    url: str
    initiator: str
    start: float
    sent: float | None
    """Its first byte left; None where the browser does not tell."""
    first_byte: float | None
    done: float
    bytes: int | None
    blocking: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTiming:
    """One named moment or stretch."""

    kind: str
    name: str
    start: float
    duration: float | None
    items: int | None
    detail: str | None
    call: tuple[str, float] | None
    """URL and start of the call whose data a render shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """Something on the page."""

    selector: str
    url: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state of a page load (or of one navigation within it), and what is new of its lists."""

    number: int
    """Of the part: 0 is the load, then come the navigations within it."""
    kind: str
    origin_ms: float
    """Unix time of the page clock's zero."""
    url: str
    hidden: bool
    start: float
    first_byte: float | None
    dom_loaded: float | None
    load: float | None
    fcp: float | None
    lcp: float | None
    lcp_element: Element | None
    cls: float | None
    inp: float | None
    """A duration."""
    inp_element: Element | None
    interactions: int
    long_tasks: int
    long_task_time: float
    errors: int
    ended: float | None
    document: SeenResource | None
    """The document itself, once its first bytes are there."""
    resources: tuple[SeenResource, ...]
    timings: tuple[SeenTiming, ...]


def read_snapshot(said: Mapping[str, Any]) -> Snapshot | None:
    """What one report tells; None where it makes no sense."""
    number, origin, start, url = (said.get(key) for key in ("number", "origin", "start", "url"))
    if not isinstance(number, int) or _number(origin) is None or _number(start) is None or not isinstance(url, str):
        return None
    lcp, inp = _object(said.get("lcp")), _object(said.get("inp"))
    return Snapshot(
        number=number,
        kind="navigation" if said.get("kind") == "navigation" else "load",
        origin_ms=_number(origin) or 0.0,
        url=_text(url, _LONGEST),
        hidden=said.get("hidden") is True,
        start=_number(start) or 0.0,
        first_byte=_number(said.get("firstByte")),
        dom_loaded=_number(said.get("domLoaded")),
        load=_number(said.get("load")),
        fcp=_number(said.get("fcp")),
        lcp=_number(lcp.get("at")),
        lcp_element=_element(lcp),
        cls=_number(said.get("cls")),
        inp=_number(inp.get("duration")),
        inp_element=_element(inp),
        interactions=_count(said.get("interactions")) or 0,
        long_tasks=_count(said.get("longTasks")) or 0,
        long_task_time=_number(said.get("longTaskTime")) or 0.0,
        errors=_count(said.get("errors")) or 0,
        ended=_number(said.get("end")) if said.get("ended") is True else None,
        document=_resource(_object(said.get("document"))),
        resources=tuple(one for each in _list(said.get("resources")) if (one := _resource(_object(each))) is not None),
        timings=tuple(named for each in _list(said.get("timings")) if (named := _timing(_object(each))) is not None),
    )


def _resource(told: Mapping[str, Any]) -> SeenResource | None:
    start, done = _number(told.get("start")), _number(told.get("done"))
    if start is None or done is None:
        return None
    return SeenResource(
        url=_text(told.get("url"), _LONGEST),
        initiator=_text(told.get("initiator"), 40),
        start=start,
        sent=_number(told.get("sent")),
        first_byte=_number(told.get("firstByte")),
        done=done,
        bytes=_count(told.get("bytes")),
        blocking=told.get("blocking") is True,
    )


def _timing(told: Mapping[str, Any]) -> SeenTiming | None:
    start = _number(told.get("start"))
    if start is None:
        return None
    call = _object(told.get("call"))
    called = _number(call.get("start"))
    return SeenTiming(
        kind=_text(told.get("kind"), 20),
        name=_text(told.get("name"), _LONGEST_NAME),
        start=start,
        duration=_number(told.get("duration")),
        items=_count(told.get("items")),
        detail=_text(told.get("detail"), _LONGEST_NAME) or None,
        call=(_text(call.get("url"), _LONGEST), called) if called is not None else None,
    )


def _element(told: Mapping[str, Any]) -> Element | None:
    selector = _text(told.get("element"), _LONGEST_NAME)
    url, text = _text(told.get("url"), _LONGEST_NAME), _text(told.get("text"), _LONGEST_NAME)
    return Element(selector=selector, url=url, text=text) if selector or url or text else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= _LARGEST else None  # which NaN is not


def _count(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and number >= 0 else None


def _text(value: Any, longest: int) -> str:
    # JavaScript's strings may hold halves of characters, which no file can.
    return value[:longest].encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else ""


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value[:_MOST] if isinstance(value, list) else []
