"""Finds what a run needs of a database: where it is and who asks, and what a capture has to ask."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from nestperf.capture.reader import Capture
from nestperf.capture.remarks import PARAMETERS
from nestperf.capture.vault import Vault
from nestperf.errors import UsageError
from replay.database.address import Address, parse_address
from replay.database.reads import Reads, Recorded, choose_reads
from replay.transport.database import Person
from replay.transport.dial import Target, resolve_place
from replay.transport.tls import Trust, client_context


class Access(NamedTuple):
    """A database, and who asks it."""

    target: Target
    person: Person


def find_access(url: str, allowed: Iterable[str], trust: Trust) -> Access:
    """What `--database URL` names; the password may stand in PGPASSWORD.

    Raises:
        UsageError: it is no address, unknown, or on another machine than this one and not allowed.
    """
    address = parse_address(url, os.environ.get("PGPASSWORD"))
    target = resolve_place(address.url, address.host, address.port, "--database")
    if not target.is_loopback and address.host not in allowed:
        raise UsageError(f"{address.url} is not on this machine: allow it with --allow-host {address.host}.")
    must = address.ssl_mode not in ("disable", "prefer")
    return Access(target, Person(address.user, address.password, address.database, _tls(address, trust), must))


def _tls(address: Address, trust: Trust) -> ssl.SSLContext | None:
    mode = address.ssl_mode
    if mode == "disable":
        return None
    root = trust.ca if address.ssl_root is None else Path(address.ssl_root)
    context = client_context(replace(trust, ca=root, insecure=trust.insecure or not mode.startswith("verify")))
    if mode == "verify-ca":
        context.check_hostname = False
    context.set_alpn_protocols(["postgresql"])
    return context


def read_reads(capture: Capture, vault: Vault | None) -> Reads:
    """The reads of a capture; secrets are put in as far as there is a `vault`."""
    recorded = Recorded(
        queries=capture.queries(),
        statements={statement.id: statement for statement in capture.statements()},
        wordings={wording.id: wording for wording in capture.wordings()},
        literals={literals.id: literals for literals in capture.literals()},
        with_values=bool(capture.run.settings.get(PARAMETERS)),
    )
    return choose_reads(recorded, (lambda text: text) if vault is None else vault.reveal)
