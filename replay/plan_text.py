"""A plan as people and programs read it: sessions, steps, what is sent, what is not and why. Pure.

Only what a capture shows anybody gets in here: routes, names and numbers, never a header, body or live value.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import Any

from nestperf.capture.kinds import SAFE_METHODS
from nestperf.console import duration, plural
from nestperf.printable import columns_of, printable, shorten
from replay.links_text import links_document, render_links
from replay.steps import Action, Close, Emit, Http, Join, Leave, Open, Plan, Say, SessionPlan, Skipped, Step

SCHEMA = 1
MOST_STEPS = 60
"""Of a session; and so on, unless all are asked for."""
MOST_SKIPPED = 5
"""Of one reason."""
_AFTER, _PAUSE, _KIND, _ANSWER = 12, 8, 9, 8
"""Columns."""


def render_plan(plan: Plan, name: str, width: int, *, everything: bool = False) -> str:
    """The plan for a terminal of `width` columns, ending with a newline; `everything`: however long it gets."""
    lines = [*_totals(plan, name, width)]
    for number, session in enumerate(plan.sessions, 1):
        lines += ["", *_session(session, number, width, everything=everything)]
    if plan.skipped:
        lines += ["", "Not sent", *_skipped(plan.skipped, width, everything=everything)]
    for note in plan.notes:
        lines += ["", *textwrap.wrap(printable(note), width)]
    return "\n".join(lines) + "\n"


def _totals(plan: Plan, name: str, width: int) -> Iterator[str]:
    steps = [step for session in plan.sessions for step in session.steps]
    yield shorten(
        f"{printable(name, width // 2)}: {plural(len(plan.sessions), 'session')}, {plural(len(steps), 'step')} sent, "
        f"{len(plan.skipped):,} not sent",
        width,
    )
    kinds = Counter(kind_of(step.action) for step in steps)
    told = ", ".join(plural(count, kind) for kind, count in kinds.most_common())
    writes = sum(writes_of(step.action) for step in steps)
    values = sum(len(session.values) for session in plan.sessions)
    facts = f"Steps: {told}; {plural(writes, 'write')}; {plural(values, 'live value')} carried from answers"
    yield from textwrap.wrap(facts, width, subsequent_indent="  ")


def _session(session: SessionPlan, number: int, width: int, *, everything: bool) -> Iterator[str]:
    limits = ", ".join(str(limit) for limit in session.connections.values())
    heading = (
        f"Session {number}  {printable(session.label, 40)}: {plural(len(session.steps), 'step')}, "
        f"{duration(session.length_ns)}"
    )
    yield shorten(heading, width)
    if limits:
        yield f"  at most {limits} HTTP connections at once"
    digits = len(str(len(session.steps)))
    yield (
        f"  {'#':>{digits}}  {'waits for':<{_AFTER}}  {'then':>{_PAUSE}}  {'kind':<{_KIND}}  what is sent".ljust(
            width - _ANSWER
        )
        + "answered".rjust(_ANSWER)
    )
    shown = session.steps if everything else session.steps[:MOST_STEPS]
    for step in shown:
        yield _step(step, digits, width)
    if len(shown) < len(session.steps):
        yield f"  and {len(session.steps) - len(shown):,} more: --all shows them"
    yield from render_links(session, width, everything=everything)


def _step(step: Step, digits: int, width: int) -> str:
    after = shorten(", ".join(str(other + 1) for other in step.after) or "start", _AFTER)
    pause = duration(step.think_ns)
    before = (
        f"  {step.index + 1:>{digits}}  {after.ljust(_AFTER)}  {pause:>{_PAUSE}}  {kind_of(step.action):<{_KIND}}  "
    )
    answer = answer_of(step)
    room = max(8, width - columns_of(before) - columns_of(answer) - 2)
    what = printable(name_of(step.action), room)
    return f"{before}{what}{' ' * max(2, room + 2 - columns_of(what))}{answer}".rstrip()


def _skipped(skipped: tuple[Skipped, ...], width: int, *, everything: bool) -> Iterator[str]:
    by_reason: dict[str, list[Skipped]] = {}
    for one in skipped:
        by_reason.setdefault(one.reason, []).append(one)
    for reason, ones in sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0])):
        yield from textwrap.wrap(
            f"{len(ones):,} × {printable(reason)}", width, initial_indent="  ", subsequent_indent="      "
        )
        shown = ones if everything else ones[:MOST_SKIPPED]
        for one in shown:
            lead = f"      {one.table[:-1]} {one.id}  "
            yield lead + printable(one.name, max(8, width - len(lead)))
        if len(shown) < len(ones):
            yield f"      and {len(ones) - len(shown):,} more: --all shows them"


def kind_of(action: Action) -> str:
    """What sort of step it is: an exchange's kind, `socket`, `packet` or `message`."""
    if isinstance(action, Http):
        return str(action.kind)
    if isinstance(action, Open | Close):
        return "socket"
    return "message" if isinstance(action, Say) else "packet"


def name_of(action: Action) -> str:
    """What is sent, without anything that may be secret."""
    match action:
        case Http():
            return f"{action.method} {action.route}"
        case Open():
            return f"open {action.route}{_transports(action)}"
        case Join():
            return f"join {action.namespace}"
        case Emit():
            where = "" if action.namespace == "/" else f" in {action.namespace}"
            return f"emit {action.event}{where}"
        case Say():
            caused = "" if action.cue is None else f", caused by {action.cue.kind}"
            return f"say {action.kind}{caused}"
        case Leave():
            return f"leave {action.namespace}"
        case Close():
            if action.by_server:
                return "wait until the server closes"
            return "cut the connection" if action.cut else "close"


def _transports(action: Open) -> str:
    if action.polls is None:
        return ""
    return " by polling, then upgrade" if action.polls.upgrade is not None else " by polling"


def answer_of(step: Step) -> str:
    """What the recording was answered, shortly: a status, `joined`, `ack`; empty where nothing was."""
    match step.action:
        case Http(hold_ns=int()):
            return "held"
        case Http(status=int() as status):
            return str(status)
        case Join(accepted=bool() as accepted):
            return "joined" if accepted else "refused"
        case Emit(acknowledged=True):
            return "ack"
        case Open():
            return "open"
        case _:
            return ""


def writes_of(action: Action) -> bool:
    """Whether it asks for a change: an unsafe method, an event, or a message."""
    if isinstance(action, Say):
        return action.opcode != "ping"
    return isinstance(action, Emit) or (isinstance(action, Http) and action.method.upper() not in SAFE_METHODS)


def plan_document(plan: Plan, name: str) -> dict[str, Any]:
    """The plan for programs; steps are counted from 0, times are nanoseconds."""
    steps = [step for session in plan.sessions for step in session.steps]
    return {
        "schema": SCHEMA,
        "file": name,
        "totals": {
            "sessions": len(plan.sessions),
            "sent": len(steps),
            "not_sent": len(plan.skipped),
            "writes": sum(writes_of(step.action) for step in steps),
            "live_values": sum(len(session.values) for session in plan.sessions),
            "kinds": dict(Counter(kind_of(step.action) for step in steps)),
            "reasons": dict(Counter(one.reason for one in plan.skipped)),
        },
        "sessions": [
            {
                "source": session.source,
                "label": session.label,
                "length_ns": session.length_ns,
                "connections": {str(upstream): limit for upstream, limit in session.connections.items()},
                "steps": [_step_document(step) for step in session.steps],
                **links_document(session),
            }
            for session in plan.sessions
        ],
        "not_sent": [one._asdict() for one in plan.skipped],
        "notes": list(plan.notes),
    }


def _step_document(step: Step) -> dict[str, Any]:
    action = step.action
    return {
        "index": step.index,
        "kind": kind_of(action),
        "what": name_of(action),
        "source": getattr(action, "source", None),
        "upstream": getattr(action, "upstream", None),
        "writes": writes_of(action),
        "sent_ns": step.sent_ns,
        "waits_for": list(step.after),
        "then_ns": step.think_ns,
        "behind": step.behind,
        "is_waited_for": step.waited,
        "answered": answer_of(step) or None,
        "live_values_sent": sorted({use.value for use in step.uses}),
        "live_values_taken": sorted({take.value for take in step.takes}),
    }
