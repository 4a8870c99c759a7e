"""The recorder's relay in this process, with the slow line behind it: browser ══ recorder ══ line ══ application.

The recorder stands next to the browser, so the exchanges it stores took as long as the browser felt; the line is
between recorder and application, so a TLS handshake pays its round trips as every other byte does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from nestperf.capture.model import Run, Upstream
from nestperf.errors import RunInvalid, UsageError
from nestperf.network.profiles import NONE, Profile
from nestperf.pages.rules import SETTING, RenderRule, rules_as_settings
from proxy_addon.authority import Authority, open_authority
from proxy_addon.browser import QUIET, resolver_rules, sandbox_arguments
from proxy_addon.ending import end_recording
from proxy_addon.listen import Listener, choose_listeners, parse_upstream
from proxy_addon.master import CannotListen, run_relay
from proxy_addon.recording import BROWSE
from proxy_addon.spool import Spool, recorder_command
from proxy_addon.tap import What
from proxy_addon.trust import Trust
from replay.browse.guest import Guest
from replay.browse.tour_run import Asked, TourRun
from replay.transport.dial import Target
from replay.transport.shaper import Door, Shaper, open_door
from replay.transport.tls import Trust as ReplayTrust

_LOOPBACK = ("127.0.0.1",)
_TRIES = 5


class Relayed:
    """Ports, certificates and browser switches of one tour, and its run."""

    def __init__(
        self,
        upstreams: tuple[Upstream, ...],
        targets: tuple[Target, ...],
        profile: Profile | None,
        trust: ReplayTrust,
    ) -> None:
        """
        Raises:
            UsageError: there is no free port, or no authority can be made.
        """
        self._profile = profile if profile is not None and not profile.per_request else None
        self._trust = Trust(insecure=trust.insecure, roots=trust.ca)
        self._targets = [target for target in targets if target.addresses]
        self._requests = [parse_upstream(upstream.url) for upstream in upstreams if not upstream.is_database]
        self._tls = tuple(request.tls for request in self._requests)
        self._listeners = choose_listeners(self._requests, _LOOPBACK, self._tls)
        self._authority: Authority | None = open_authority(None) if any(self._tls) else None

    def _browser_arguments(self) -> tuple[str, ...]:
        """Chromium's switches that lead the applications' addresses to the recorder."""
        trusted = () if self._authority is None else (f"--ignore-certificate-errors-spki-list={self._authority.spki}",)
        return (f"--host-resolver-rules={resolver_rules(self._listeners)}", *trusted, *QUIET, *sandbox_arguments())

    def run(
        self,
        path: Path,
        source: str,
        recorded: Run,
        asked: Asked,
        rules: Sequence[RenderRule],
        make_tour: Callable[[tuple[str, ...]], TourRun],
    ) -> int:
        """Go through the tour, recording into `path`; the recorder's exit code. `make_tour` is given the browser's
        switches that lead it to the recorder.

        Raises:
            UsageError: the browser does not start.
            RunInvalid: the browser ended in the middle.
        """
        settings = {"source_uid": recorded.uid, "source_path": source, SETTING: rules_as_settings(rules)}
        guests: list[Guest] = []
        tours: list[TourRun] = []
        with ExitStack() as opened:
            doors = [opened.enter_context(open_door()) for _ in self._listeners] if self._profile is not None else []

            def ready(spool: Spool) -> Guest:
                tours.append(make_tour(self._browser_arguments()))
                tours[0].tell = partial(_tell, spool)
                guests.append(Guest(self._go(tours[0], doors), partial(setattr, spool, "state", "interrupted")))
                return guests[0]

            spool = self._relay(path, doors, {**settings, **_settings_of(asked)}, ready)
        code = end_recording(path, spool)
        if guests and guests[0].error is not None:
            raise guests[0].error
        if tours and tours[0].trouble:
            raise RunInvalid(f"{tours[0].trouble}: {path} holds those that were; see `nestperf report {path}`.")
        return code

    def _led(self, doors: Sequence[Door]) -> tuple[Listener, ...]:
        """The listeners, each with what is behind it: its target, by way of its door where the line is shaped."""
        led = [
            replace(listener, target=target.url)
            for listener, target in zip(self._listeners, self._targets, strict=True)
        ]
        if not doors:
            return tuple(led)
        return tuple(replace(listener, by_way_of=door.getsockname()) for listener, door in zip(led, doors, strict=True))

    async def _go(self, tour: TourRun, doors: Sequence[Door]) -> None:
        async with AsyncExitStack() as opened:
            if self._profile is not None:
                tour.shaper = await opened.enter_async_context(Shaper(self._profile))
                for door, target in zip(doors, self._targets, strict=True):
                    await tour.shaper.listen(target.addresses[0], target.port, door)
            await tour.run()

    def _relay(
        self,
        path: Path,
        doors: Sequence[Door],
        settings: dict[str, Any],
        ready: Callable[[Spool], Guest],
    ) -> Spool:
        folder = self._authority.folder if self._authority is not None else None
        for _ in range(_TRIES):
            listeners = self._led(doors)
            command = recorder_command(path, [listener.upstream for listener in listeners], settings)
            try:
                return run_relay(listeners, command, ready, trust=self._trust, authority=folder).spool
            except CannotListen:  # somebody took the port since it was found free
                self._listeners = choose_listeners(self._requests, _LOOPBACK, self._tls)
        raise UsageError("Free ports are taken faster than nestperf can listen on them: try again.")


def _settings_of(asked: Asked) -> dict[str, Any]:
    """What the recorder is told of a tour."""
    tour = {
        "network": asked.profile.key if asked.profile is not None else NONE,
        "runs": asked.runs,
        "caches": list(asked.caches),
        "cpu_factor": asked.cpu_factor,
        "window": f"{asked.width}x{asked.height}",
    }
    return {"purpose": BROWSE, "tour": tour}


def _tell(spool: Spool, told: dict[str, Any]) -> None:
    spool.put(What.PAGE, 0, time.perf_counter_ns(), 0, json.dumps(told).encode())
