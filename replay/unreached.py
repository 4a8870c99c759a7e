"""What of a recording a run never asked for, because it was over before any visit had got that far."""

from __future__ import annotations

from typing import Any

from nestperf.capture.model import Kind
from nestperf.printable import printable
from replay.certificate import Tally
from replay.steps import Http, Plan

_MOST = 100
_SHOWN = 3


def unreached(plan: Plan, tally: Tally) -> dict[str, Any]:
    """For the certificate: how many routes of calls and pages there are to ask for, and those that nobody asked for."""
    if not tally.visits["cut"]:
        return {}
    actions = (step.action for session in plan.sessions for step in session.steps)
    routes = dict.fromkeys(
        (action.method, action.route)
        for action in actions
        if isinstance(action, Http) and action.kind in (Kind.CALL, Kind.PAGE)
    )
    never = [f"{method} {route}" for method, route in routes if (method, route) not in tally.asked]
    return {"routes": len(routes), "never_asked": len(never), "never_asked_first": never[:_MOST]} if never else {}


def never_asked(certificate: dict[str, Any]) -> str:
    """The sentence's middle: how many routes of how many, and some of them; empty where all were asked for."""
    count = certificate.get("never_asked", 0)
    if not count:
        return ""
    named = ", ".join(printable(str(name), 60) for name in certificate["never_asked_first"][:_SHOWN])
    return f"{count:,} of {certificate['routes']:,} recorded routes, such as {named}"
