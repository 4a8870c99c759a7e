"""From moments to a session: in which order steps go, what each waits for, whose they are. Pure.

What waits for what is found in `replay.structure`, what carries which value in `replay.correlate`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from nestperf.capture.model import Kind, Session
from replay.correlate import correlate
from replay.people import people_of
from replay.provenance.answers import Answered, Heard
from replay.provenance.rules import Rules
from replay.steps import Action, Close, Http, Say, SessionPlan, Step
from replay.structure import Span, connection_limits, ready_times, release_order


class Moment(NamedTuple):
    """A step before it knows its predecessors."""

    action: Action
    sent_ns: int
    done_ns: int | None
    """None: nobody waits for it."""
    answer: Answered | None = None


class Person(NamedTuple):
    """One of the people in a recorded session: what they sent and what they were told."""

    session: Session
    moments: list[Moment]
    heard: list[Heard]


def people_in(session: Session, moments: list[Moment], heard: list[Heard]) -> list[Person]:
    """A session for each of the people behind one address and browser."""
    moments.sort(key=lambda moment: moment.sent_ns)
    owners = people_of(moments) if session.vu is None else (0,) * len(moments)
    if not any(owners):
        return [Person(session, moments, heard)]
    people = [
        Person(session._replace(label=f"{session.label}, person {n + 1}"), [], []) for n in range(max(owners) + 1)
    ]
    sockets = {getattr(moment.action, "socket", None): owner for moment, owner in zip(moments, owners, strict=True)}
    for moment, owner in zip(moments, owners, strict=True):
        people[owner].moments.append(moment)
    for packet in heard:
        people[sockets[packet.socket]].heard.append(packet)
    return people


def plan_session(
    session_id: int, label: str, user_agent: str, moments: list[Moment], heard: list[Heard], rules: Rules
) -> SessionPlan:
    """The steps of a session: what each waits for, and which live values it carries."""
    moments.sort(key=lambda moment: moment.sent_ns)
    start_ns = moments[0].sent_ns
    spans = [_span(moment) for moment in moments]
    limits = connection_limits([_held(span, moment) for span, moment in zip(spans, moments, strict=True)])
    moments = [m._replace(sent_ns=ready_ns) for m, ready_ns in zip(moments, ready_times(spans), strict=True)]
    moments.sort(key=lambda moment: moment.sent_ns)
    releases = release_order([(moment.sent_ns, moment.done_ns) for moment in moments], start_ns)
    before: dict[int, int] = {}
    steps = []
    for index, (moment, release) in enumerate(zip(moments, releases, strict=True)):
        socket = getattr(moment.action, "socket", None)
        steps.append(
            Step(
                index=index,
                action=moment.action,
                sent_ns=moment.sent_ns - start_ns,
                waited=moment.done_ns is not None,
                after=release.after,
                think_ns=0 if _is_caused(moment.action) else release.think_ns,
                behind=None if socket is None else before.get(socket),
            )
        )
        if socket is not None:
            before[socket] = index
    links = correlate(steps, [moment.answer for moment in moments], start_ns, heard, rules)
    return SessionPlan(
        source=session_id,
        label=label,
        user_agent=user_agent,
        steps=tuple(
            replace(step, uses=uses, takes=takes, awaits=awaits)
            for step, uses, takes, awaits in zip(steps, links.uses, links.takes, links.awaits, strict=True)
        ),
        length_ns=max(max(moment.sent_ns, moment.done_ns or 0) for moment in moments) - start_ns,
        values=links.values,
        listens=links.listens,
        fresh=links.fresh,
        links=links.links,
        unexplained=links.unexplained,
        connections=limits,
    )


def _is_caused(action: Action) -> bool:
    """It waits for a message of the server, not for its time."""
    return isinstance(action, Say | Close) and action.cue is not None


def _span(moment: Moment) -> Span:
    action = moment.action
    if not isinstance(action, Http):
        return Span(moment.sent_ns, moment.done_ns)
    may_wait = action.kind is Kind.ASSET and action.method == "GET"
    return Span(moment.sent_ns, moment.done_ns, action.upstream, action.connection, may_wait)


def _held(span: Span, moment: Moment) -> Span:
    """The span with the time that a stream kept its connection."""
    action = moment.action
    if span.done_ns is not None or not isinstance(action, Http):
        return span
    return span._replace(done_ns=span.sent_ns + (action.hold_ns or 0))
