"""File descriptors: how many a run may need at once, and whether this process may have them."""

from __future__ import annotations

import resource

from nestperf.errors import UsageError
from replay.pacing import Load
from replay.steps import Close, Http, Open, SessionPlan

RESERVED = 64
"""For captures, logs, the loop and libraries."""
_POLLING = 3
"""Connections of a socket that polls: a GET that hangs, a POST, and the WebSocket that takes over."""


def connections_of(session: SessionPlan) -> int:
    """The most connections a visit may have open at once: HTTP ones as the recording used, sockets as they overlap."""
    recorded: dict[int, set[int | None]] = {}
    takes: dict[int, int] = {}
    sockets = most_sockets = 0
    for step in session.steps:
        action = step.action
        if isinstance(action, Http):
            recorded.setdefault(action.upstream, set()).add(action.connection)
        elif isinstance(action, Open):
            takes[action.socket] = 1 if action.polls is None else _POLLING
            sockets += takes[action.socket]
            most_sockets = max(most_sockets, sockets)
        elif isinstance(action, Close):
            sockets -= takes.get(action.socket, 0)
    plain = sum(min(len(used), session.connections.get(upstream, 6)) for upstream, used in recorded.items())
    return max(1, plain + most_sockets)


def allowed_descriptors() -> int:
    """How many this process may have: the soft limit is raised to the hard one first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):  # macOS refuses more than its own maximum, whatever the hard limit says
            return soft
    return 1_000_000_000 if hard == resource.RLIM_INFINITY else hard


def users_with_descriptors(load: Load, each: int, allowed: int, *, asked: bool) -> int:
    """How many users the load may have, at `each` connections a user: as many as it says; fewer where it did not say.

    Raises:
        UsageError: it asks for more than the descriptors are enough for.
    """
    possible = max(0, allowed - RESERVED) // each
    if load.users <= possible:
        return load.users
    if not asked and possible:
        return possible
    need = load.users * each + RESERVED
    raise UsageError(
        f"{load.users:,} users with up to {each} connections each need {need:,} file descriptors, and this process may "
        f"have {allowed:,}: raise the limit (`ulimit -Hn {need}` as root, or nofile in /etc/security/limits.conf), or "
        f"ask for at most {possible:,} users."
    )
