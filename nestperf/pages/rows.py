"""The rows of a page, of what it asked for, and of its named moments: on the run's clock, secrets replaced. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nestperf.capture.model import Page, Resource, Timing
from nestperf.capture.redaction import Redactor
from nestperf.capture.routes import route_of
from nestperf.pages.alignment import Alignment
from nestperf.pages.snapshots import Element, SeenResource, SeenTiming, Snapshot


class PageRows:
    """Makes rows of what pages tell."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def page(
        self,
        row_id: int,
        state: Snapshot,
        alignment: Alignment,
        about: Mapping[str, Any],
        *,
        client_id: int | None,
        session_id: int | None,
        exchange_id: int | None,
        upstream: int | None,
        closed_ns: int | None,
        screenshot: int | None,
    ) -> Page:
        """A load or navigation as it is known now.

        Args:
            row_id: its own.
            state: what it told last.
            alignment: its clock.
            about: what is known beside that: `profile`, `cpu_factor`, `round`, `cache`.
            client_id: who opened it.
            session_id: in which session.
            exchange_id: its document; a navigation within it has none.
            upstream: whose page it is.
            closed_ns: when it was gone, where it did not say so itself.
            screenshot: a row of `bodies`.
        """

        def at(page_ms: float | None) -> int | None:
            return alignment.stamp_ns(page_ms) if page_ms is not None else None

        url = self._redactor.target(state.url)
        return Page(
            id=row_id,
            session_id=session_id,
            client_id=client_id,
            upstream=upstream,
            exchange_id=exchange_id if state.kind == "load" else None,
            kind=state.kind,
            url=url,
            route=route_of(url),
            profile=_text(about.get("profile")) or "",
            cpu_factor=_factor(about.get("cpu_factor")),
            round=about["round"] if isinstance(about.get("round"), int) else None,
            cache=_text(about.get("cache")),
            hidden=state.hidden,
            started_ns=alignment.stamp_ns(state.start),
            first_byte_ns=at(state.first_byte),
            dom_loaded_ns=at(state.dom_loaded),
            load_ns=at(state.load),
            fcp_ns=at(state.fcp),
            lcp_ns=at(state.lcp),
            lcp_element=self._element(state.lcp_element),
            cls=state.cls,
            inp_ns=_length(state.inp),
            inp_element=self._element(state.inp_element),
            interactions=state.interactions,
            long_tasks=state.long_tasks,
            long_tasks_ns=_length(state.long_task_time) or 0,
            errors=state.errors,
            ended_ns=at(state.ended) if state.ended is not None else closed_ns,
            clock_error_ns=alignment.error_ns,
            screenshot=screenshot,
        )

    def resource(
        self, row_id: int, page_id: int, seen: SeenResource, alignment: Alignment, exchange_id: int | None
    ) -> Resource:
        """Something that a page asked for."""
        return Resource(
            id=row_id,
            page_id=page_id,
            exchange_id=exchange_id,
            url=self._redactor.target(seen.url),
            initiator=seen.initiator,
            started_ns=alignment.stamp_ns(seen.start),
            first_byte_ns=alignment.stamp_ns(seen.first_byte) if seen.first_byte is not None else None,
            done_ns=alignment.stamp_ns(seen.done),
            bytes=seen.bytes,
            blocking=seen.blocking,
        )

    def timing(self, row_id: int, page_id: int, seen: SeenTiming, alignment: Alignment, call: int | None) -> Timing:
        """A named moment; `call`: the exchange whose data a render shows."""
        return Timing(
            id=row_id,
            page_id=page_id,
            kind=seen.kind,
            name=self._words(seen.name),
            started_ns=alignment.stamp_ns(seen.start),
            duration_ns=_length(seen.duration),
            exchange_id=call,
            items=seen.items,
            detail=self._redactor.target(seen.detail) if seen.detail is not None else None,
        )

    def _element(self, element: Element | None) -> str | None:
        if element is None:
            return None
        said = self._redactor.target(element.url) if element.url else self._words(element.text)
        return " ".join(filter(None, (self._redactor.text(element.selector), said)))

    def _words(self, text: str) -> str:
        """What somebody wrote for people, which may hold anything."""
        return self._redactor.body(text.encode(), "text/plain").decode()


def _text(value: Any) -> str | None:
    return value[:100] if isinstance(value, str) and value else None


def _factor(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _length(page_ms: float | None) -> int | None:
    return round(page_ms * 1e6) if page_ms is not None else None
