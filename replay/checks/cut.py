"""Cuts out of a planned session what a contract needs: some steps, and those without which they cannot be sent. Pure.

A step needs the steps whose answers handed out what it sends (cookies included), and on a socket all that opened and
joined it. What is cut keeps its order; recorded pauses are gone, because a contract has its own time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from replay.steps import Close, Emit, Join, Open, SessionPlan, Step


def needed_by(session: SessionPlan, targets: Iterable[int]) -> tuple[int, ...]:
    """The indexes of those steps and of all they need, ascending."""
    sources: dict[int, set[int]] = {}
    for link in session.links:
        if link.source is not None:
            sources.setdefault(link.step, set()).add(link.source)
    needed: set[int] = set()
    waiting = list(targets)
    while waiting:
        index = waiting.pop()
        if index not in needed:
            needed.add(index)
            waiting += sources.get(index, ())
            waiting += _openers(session.steps, index)
            waiting += _pushers(session, index)
    return tuple(sorted(needed))


def cut(session: SessionPlan, keep: Iterable[int], *, repeat: int | None = None, times: int = 1) -> SessionPlan:
    """The session with these steps only; step `repeat` stands `times` times in a row, each waiting for the one before.

    Indexes are counted anew; `indexes_of` finds a step again by what it repeats.
    """
    kept = [index for index in sorted(set(keep)) for _ in range(times if index == repeat else 1)]
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for new, old in enumerate(kept):
        first.setdefault(old, new)
        last[old] = new
    ancestors = _kept_ancestors(session, frozenset(kept))
    steps = []
    on_socket: dict[int, int] = {}
    for new, old in enumerate(kept):
        step = session.steps[old]
        socket = getattr(step.action, "socket", None)
        after = (new - 1,) if new != first[old] else tuple(sorted(last[other] for other in ancestors[old]))
        behind = None if socket is None else on_socket.get(socket)
        steps.append(replace(step, index=new, sent_ns=0, after=after, think_ns=0, behind=behind, waited=True))
        if socket is not None:
            on_socket[socket] = new
    sockets = {getattr(step.action, "socket", None) for step in steps}
    return replace(
        session,
        steps=tuple(steps),
        length_ns=0,
        listens=tuple(listen for listen in session.listens if listen.socket in sockets),
        links=tuple(
            link._replace(step=first[link.step], source=None if link.source is None else first[link.source])
            for link in session.links
            if link.step in first and (link.source is None or link.source in first)
        ),
        unexplained=(),
        shapes={first[index]: shape for index, shape in session.shapes.items() if index in first},
    )


def with_close(session: SessionPlan, socket: int) -> SessionPlan:
    """The session with one more step at its end, which closes that socket when all that was done on it is over."""
    on_socket = [step.index for step in session.steps if getattr(step.action, "socket", None) == socket]
    end = Step(
        index=len(session.steps),
        action=Close(socket=socket, code=1000, reason="", cut=False),
        sent_ns=0,
        waited=True,
        after=tuple(on_socket),
        think_ns=0,
        behind=on_socket[-1],
    )
    return replace(session, steps=(*session.steps, end))


def indexes_of(session: SessionPlan, sources: Iterable[int | None], kinds: tuple[type, ...]) -> tuple[int, ...]:
    """The steps of these kinds of action that repeat one of these rows of the recording."""
    wanted = set(sources)
    return tuple(
        step.index
        for step in session.steps
        if isinstance(step.action, kinds) and getattr(step.action, "source", None) in wanted
    )


def _openers(steps: Sequence[Step], index: int) -> list[int]:
    """What has to stand before a step on a socket: its opening, the joining of its namespace, and whatever was joined
    before that one."""
    action = steps[index].action
    socket = getattr(action, "socket", None)
    if socket is None or isinstance(action, Open):
        return []
    namespace = action.namespace if isinstance(action, Emit) else None
    found = []
    for step in steps[:index]:
        one = step.action
        if getattr(one, "socket", None) != socket:
            continue
        if isinstance(one, Open) or (isinstance(one, Join) and namespace in (None, one.namespace)):
            found.append(step.index)
    return found


def _pushers(session: SessionPlan, index: int) -> list[int]:
    """The sockets' steps before one that sends what a server pushed: which of them made it push, nobody knows."""
    step = session.steps[index]
    awaited = {one.value for one in step.awaits}
    sockets = {listen.socket for listen in session.listens if listen.take.value in awaited}
    return [one.index for one in session.steps[:index] if getattr(one.action, "socket", None) in sockets]


def _kept_ancestors(session: SessionPlan, kept: frozenset[int]) -> dict[int, set[int]]:
    """By kept step: the nearest kept steps that it waits for, whether directly or through steps that are gone."""
    nearest: list[set[int]] = []
    """By step: what stands for it among the kept ones."""
    found: dict[int, set[int]] = {}
    given: dict[int, set[int]] = {}
    for link in session.links:
        if link.source is not None and link.source in kept:
            given.setdefault(link.step, set()).add(link.source)
    for step in session.steps:
        before: set[int] = set()
        for other in step.after:
            before |= nearest[other]
        if step.behind is not None:
            before |= nearest[step.behind] if step.behind not in kept else {step.behind}
        if step.index in kept:
            found[step.index] = before | given.get(step.index, set())
            nearest.append({step.index})
        else:
            nearest.append(before)
    return found
