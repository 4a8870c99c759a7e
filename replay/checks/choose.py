"""Chooses from what was recorded: the request that a pattern means, the health check, what only people who are signed
in may ask. Pure; every choice comes with the sentence that says what it rests on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import NamedTuple

from nestperf.capture.model import Kind
from nestperf.capture.routes import route_of
from replay.checks.contract import NothingSuch, Source
from replay.steps import Http, SessionPlan, Step

_HEALTH = re.compile(r"/(?:health|healthz|health-?check|healthcheck|livez?|readyz?|ping)/?$", re.IGNORECASE)
"""How the paths of health checks end."""
_PLAIN = frozenset({"host", "user-agent", "accept", "accept-encoding", "accept-language", "connection"})
"""Fields that say nothing of who asks, or what for."""
_SAFE = frozenset({"GET", "HEAD"})


class Chosen(NamedTuple):
    """A request to repeat."""

    session: SessionPlan
    step: Step
    why: str
    """A sentence."""

    @property
    def action(self) -> Http:
        """What it sends."""
        assert isinstance(self.step.action, Http)
        return self.step.action

    @property
    def name(self) -> str:
        """`GET /health`."""
        return name_of(self.action)


def name_of(action: Http) -> str:
    """`GET /api/v1/media/{id}`."""
    return f"{action.method} {action.route}"


def choose_call(source: Source, pattern: str, *, signed_in: bool = False) -> Chosen:
    """The first recorded request that went well and that a pattern such as `GET /api/v1/dashboard/*` means; with
    `signed_in`, the first of those that say who sends them.

    Without a method a pattern means any that only reads. Without a pattern it is a health check, or with `signed_in`
    the call that people who are signed in made most often.

    Raises:
        NothingSuch: there is none.
    """
    if pattern:
        return _matching(source, pattern, signed_in=signed_in)
    found = signed_in_call(source) if signed_in else health_check(source)
    if found is None:
        what = "GET request of somebody who is signed in" if signed_in else "GET request that looks like a health check"
        raise NothingSuch(f"the capture has no {what}: record one, or name a request with `call`")
    return found


def health_check(source: Source) -> Chosen | None:
    """The first GET that is a health check by its path, anonymous ones first."""
    found = [one for one in _went_well(source) if _HEALTH.search(one[1].action.route) and one[1].action.method in _SAFE]  # type: ignore[union-attr]
    if not found:
        return None
    session, step = min(found, key=lambda one: is_signed_in(*one))
    return Chosen(session, step, f"its path says that it is a health check (exchange {_source(step)})")


def signed_in_call(source: Source) -> Chosen | None:
    """The first of the GET calls that people who are signed in made most often."""
    counts: dict[str, list[tuple[SessionPlan, Step]]] = {}
    for session, step in _went_well(source):
        action = step.action
        assert isinstance(action, Http)
        if action.method in _SAFE and action.kind is Kind.CALL and is_signed_in(session, step):
            counts.setdefault(name_of(action), []).append((session, step))
    if not counts:
        return None
    most = max(counts.values(), key=len)
    return Chosen(*most[0], f"what people who are signed in asked most often ({len(most)} times)")


def is_signed_in(session: SessionPlan, step: Step) -> bool:
    """Whether a request says who sends it: by Authorization, or by a value (or cookie) that a write handed out."""
    action = step.action
    if not isinstance(action, Http):
        return False
    if any(name.lower() == "authorization" for name, _ in action.headers):
        return True
    sources = {link.source for link in session.links if link.step == step.index and link.source is not None}
    given = (session.steps[index].action for index in sources)
    return any(isinstance(one, Http) and one.method not in _SAFE for one in given)


def _matching(source: Source, pattern: str, *, signed_in: bool) -> Chosen:
    method, _, path = pattern.rpartition(" ")
    nearest = 0
    for session, step in _went_well(source):
        action = step.action
        assert isinstance(action, Http)
        of_method = action.method == method.upper() if method else action.method in _SAFE
        if not of_method or not (action.route == path or fnmatchcase(action.route, path)):
            continue
        nearest += 1
        if signed_in and not is_signed_in(session, step):
            continue
        return Chosen(session, step, f"the first that matches `{pattern}` (exchange {_source(step)})")
    if nearest:
        raise NothingSuch(f"of the {nearest} requests that match `{pattern}` none says who sends it")
    if not signed_in and path.startswith("/") and not set(path) & set("*?[{"):
        return _unrecorded(source, method.upper() or "GET", path)
    raise NothingSuch(f"the capture has no request that matches `{pattern}` and went well: record one, or mend `call`")


def _unrecorded(source: Source, method: str, path: str) -> Chosen:
    """A plain request for a path that nobody recorded, where most calls went, with the fields that all of them had.

    Where one address serves pages and another answers their calls, it is the other one's: a framework's own calls for
    parts of pages are many, and go to the former.
    """
    calls = [one for one in _went_well(source) if isinstance(one[1].action, Http) and one[1].action.kind is Kind.CALL]
    if not calls or method not in _SAFE:
        raise NothingSuch(f"the capture has no `{method} {path}` that went well: record one, or mend `call`")
    asked = [one.action for _, one in calls if isinstance(one.action, Http)]
    pages = {
        step.action.upstream
        for session in source.plan.sessions
        for step in session.steps
        if isinstance(step.action, Http) and step.action.kind is Kind.PAGE
    }
    upstreams = [one.upstream for one in asked if one.upstream not in pages] or [one.upstream for one in asked]
    upstream = max(upstreams, key=upstreams.count)
    session, like = next((s, one) for s, one in calls if getattr(one.action, "upstream", None) == upstream)
    action = like.action
    assert isinstance(action, Http)
    plain = replace(
        action,
        source=None,
        method=method,
        target=path,
        route=route_of(path),
        headers=tuple(pair for pair in action.headers if pair[0].lower() in _PLAIN),
        trailers=(),
        body=b"",
        coding="",
        media_type="",
        chunked=False,
        connection=None,
        status=200,
        hold_ns=None,
    )
    step = Step(index=0, action=plain, sent_ns=0, waited=True, after=(), think_ns=0, behind=None)
    alone = SessionPlan(
        source=session.source, label=session.label, user_agent=session.user_agent, steps=(step,), length_ns=0
    )
    return Chosen(alone, step, "not recorded: a plain request, to where most calls went, expecting 200")


def _went_well(source: Source) -> Iterator[tuple[SessionPlan, Step]]:
    for session in source.plan.sessions:
        for step in session.steps:
            action = step.action
            if isinstance(action, Http) and action.status is not None and action.status < 400:
                yield session, step


def _source(step: Step) -> int | None:
    assert isinstance(step.action, Http)
    return step.action.source
