"""How a recording begins once its relay listens: says where and what to do, and starts the suite or the browser."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nestperf.printable import printable
from proxy_addon.browser import Browser
from proxy_addon.companion import Companion
from proxy_addon.environment import environment_for
from proxy_addon.listen import Listener
from proxy_addon.suite import Suite
from proxy_addon.trust import Trust

if TYPE_CHECKING:
    from proxy_addon.authority import Authority


@dataclass(slots=True, kw_only=True)
class Beginning:
    """What was asked for, and the suite once it runs."""

    path: Path
    trust: Trust
    authority: Authority | None
    """Signs for the listeners that speak TLS; None where none does."""
    command: tuple[str, ...] | None
    """Of a test suite."""
    program: str | None
    """The browser to open; None where people open their own."""
    browser_arguments: tuple[str, ...]
    watch: list[dict[str, Any]] | None
    """The rules by which the browser's pages are watched; None where they are not."""
    suite: Suite | None = None

    def begin(self, listening: Sequence[Listener]) -> Companion | None:
        """All of it listens: what runs beside the recording and ends it; None where Ctrl-C does."""
        for listener in listening:
            self._say_where(listener)
        if self.trust.insecure:
            click.echo("Any certificate of an application is accepted (--insecure).")
        if self.authority is not None and self.program is None:
            click.echo(f"Browsers have to trust {self.authority.certificate} once; docs/tls.md says how.")
        if self.command is not None:
            self.suite = _start(self.command, listening, self.path, self.authority)
            return self.suite
        browser = self._open_browser(self.program, listening) if self.program is not None else None
        where = "in the browser that opens now; closing it, or" if browser is not None else "there;"
        click.echo(f"Test by hand {where} Ctrl-C ends the recording.")
        return browser

    def _say_where(self, listener: Listener) -> None:
        click.echo(f"Recording {listener.url}  at  {listener.shown}")
        if listener.is_database and self.command is None:
            url = f"postgresql://USER:PASSWORD@{listener.authority}/DATABASE?sslmode=disable"
            click.echo(f"  Start the application with DATABASE_URL={url}")

    def _open_browser(self, program: str, listening: Sequence[Listener]) -> Browser:
        spki = self.authority.spki if self.authority is not None else None
        pages = [listener for listener in listening if not listener.is_database]
        return Browser(program, pages, self.browser_arguments, spki=spki, watch=self.watch)


def _start(command: Sequence[str], listening: Sequence[Listener], path: Path, authority: Authority | None) -> Suite:
    """Run a suite with its environment."""
    variables, remarks = environment_for(listening, str(path.absolute()), os.environ)
    if authority is not None:
        variables.setdefault("NODE_EXTRA_CA_CERTS", str(authority.certificate))
    for remark in remarks:
        click.echo(remark)
    # Its arguments may hold what is no business of a log.
    click.echo(f"Running {printable(Path(command[0]).name, 60)}; the recording ends with it.")
    sys.stdout.flush()
    return Suite(command, variables)
