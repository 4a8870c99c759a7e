"""Where a replay sends to: the recorded upstreams or others in their place, and never to a host nobody allowed."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from nestperf.capture.model import Upstream
from nestperf.errors import UsageError
from replay.steps import Permission
from replay.transport.dial import Target, resolve_target
from replay.transport.tls import Trust


def choose_targets(
    recorded: tuple[Upstream, ...], asked: tuple[str, ...], allowed: tuple[str, ...], trust: Trust | None = None
) -> tuple[Target, ...]:
    """One target for each recorded upstream. `asked`: `[UPSTREAM=]URL`; `allowed`: hosts that are not loopback.

    Raises:
        UsageError: something asked for is no target, names no upstream, is ambiguous, or leads to a refused host.
    """
    targets = tuple(
        _database(url) if upstream.is_database else resolve_target(url, trust)
        for upstream, url in zip(recorded, _urls(recorded, asked), strict=True)
    )
    for target in targets:
        if not target.is_loopback and target.host not in allowed:
            raise UsageError(
                f"{target.url} is not on this machine: allow it with --allow-host {target.host}, "
                "or name another target with --target."
            )
    return targets


def _database(url: str) -> Target:
    """What the application asked, not its users: it keeps its place among the upstreams, and nothing is sent to it."""
    parts = urlsplit(url)
    return Target(url=url, host=parts.hostname or "", port=parts.port or 0, tls=None, addresses=())


def permissions(targets: tuple[Target, ...], allowed: tuple[str, ...], *, writes: bool) -> tuple[Permission, ...]:
    """By upstream: everything goes to this machine, anything to hosts that were allowed, writes there only where
    `writes` allows them too."""
    return tuple(
        Permission(
            host=target.host,
            reads=target.is_loopback or target.host in allowed,
            writes=target.is_loopback or (writes and target.host in allowed),
        )
        for target in targets
    )


def everywhere(sides: Iterable[tuple[Permission, ...]]) -> tuple[Permission, ...]:
    """What may be sent to every side of a run: both get the same."""
    found = []
    for upstream in zip(*sides, strict=True):
        refusing = next((p for p in upstream if not p.reads), None) or next((p for p in upstream if not p.writes), None)
        found.append(refusing or upstream[0])
    return tuple(found)


def preview_permissions(
    recorded: tuple[Upstream, ...], asked: tuple[str, ...], allowed: tuple[str, ...], *, writes: bool
) -> tuple[Permission, ...]:
    """The same without refusing anything, also where a host's name is not known here.

    Raises:
        UsageError: something asked for is no target, names no upstream, or is ambiguous.
    """
    found = []
    for upstream, url in zip(recorded, _urls(recorded, asked), strict=True):
        try:
            target = _database(url) if upstream.is_database else resolve_target(url)
        except UsageError:
            host = urlsplit(url).hostname
            if host is None or url not in (upstream.url for upstream in recorded):
                raise
            may = host in allowed
            found.append(Permission(host=host, reads=may, writes=may and writes))
        else:
            found += permissions((target,), allowed, writes=writes)
    return tuple(found)


def _urls(recorded: tuple[Upstream, ...], asked: tuple[str, ...]) -> list[str]:
    """Where each upstream's requests go."""
    urls = [upstream.url for upstream in recorded]
    for text in asked:
        which, url = _split(text)
        for index in _matching(recorded, which, text):
            urls[index] = url
    return urls


def _split(text: str) -> tuple[str | None, str]:
    before, mark, after = text.partition("=")
    return (before, after) if mark else (None, text)


def _matching(recorded: tuple[Upstream, ...], which: str | None, text: str) -> list[int]:
    """The upstreams that an option means: by URL, host:port or port."""
    applications = {index: upstream.url for index, upstream in enumerate(recorded) if not upstream.is_database}
    names = ", ".join(applications.values())
    if which is None:
        if len(applications) > 1:
            raise UsageError(
                f"The capture has {len(applications)} upstreams ({names}): say which one with --target UPSTREAM={text}."
            )
        return list(applications)
    wanted = which.rstrip("/")
    found = [index for index, url in applications.items() if wanted in _names(url)]
    if not found:
        raise UsageError(f"No upstream of the capture is called {which}: it has {names}.")
    return found


def _names(url: str) -> tuple[str, ...]:
    parts = urlsplit(url)
    return (url.rstrip("/"), parts.netloc, str(parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)))
