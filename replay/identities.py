"""Who the virtual users are: identities from a CSV file, or from a command that prints one for each user.

An identity is a few values under names; what they replace is for `provenance.supply` to say. They are secrets: no
sentence of this module shows one.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from nestperf.errors import UsageError
from replay.provenance.expiry import Expiring, expiry_of, tokens_as_recorded
from replay.steps import Plan

LABEL = "identity"
"""The column that names an identity in reports; it replaces nothing."""
_AT_ONCE = 4
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One person."""

    label: str
    """What reports call them."""
    values: dict[str, str] = field(repr=False)
    """By column."""


def read_identities(path: Path) -> tuple[Identity, ...]:
    """The rows of a CSV file whose first line names the columns.

    Raises:
        UsageError: it cannot be read, has no row, or a row does not fit the first line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "it is no CSV in UTF-8"
        raise UsageError(f"Cannot read the identities in {path} ({reason}): name a CSV file.") from error
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if len(rows) < 2:
        raise UsageError(f"{path} has no identity: write the columns' names in the first line, then a line for each.")
    columns = [column.strip() for column in rows[0]]
    if len(set(columns)) < len(columns) or not all(columns):
        raise UsageError(f"{path}: two columns of one name, or one without a name: name each once in the first line.")
    for number, row in enumerate(rows[1:], 1):
        if len(row) != len(columns):
            raise UsageError(f"{path}: identity {number} has {len(row)} values for {len(columns)} columns: mend it.")
    return tuple(_identity(dict(zip(columns, row, strict=True)), number) for number, row in enumerate(rows[1:], 1))


def _identity(values: dict[str, str], number: int) -> Identity:
    label = values.pop(LABEL, "") or f"identity {number}"
    return Identity(label=label, values=values)


def ask_command(command: str, users: int) -> tuple[Identity, ...]:
    """Run a command once for each user, NESTPERF_USER being 1, 2, ...; each prints one JSON object.

    Raises:
        UsageError: it failed, took a minute, or printed something else.
    """
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return tuple(pool.map(lambda number: _asked(command, number), range(1, users + 1)))


def _asked(command: str, number: int) -> Identity:
    environment = os.environ | {"NESTPERF_USER": str(number)}
    try:
        # The person who runs nestperf wrote this command; it is theirs to use the shell.
        ended = subprocess.run(  # noqa: S602
            command, shell=True, env=environment, stdout=subprocess.PIPE, timeout=_PATIENCE_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(
            f"--identity-command took more than {_PATIENCE_S:g} s for user {number}: try it alone."
        ) from error
    if ended.returncode:
        raise UsageError(f"--identity-command ended with {ended.returncode} for user {number}: try it alone.")
    try:
        document = json.loads(ended.stdout)
    except ValueError:
        document = None
    if not isinstance(document, dict) or not document:
        raise UsageError(
            f'--identity-command printed no JSON object for user {number}: it must print one such as {{"token": "…"}}.'
        )
    return _identity({str(name): _text(value) for name, value in document.items()}, number)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def choose_identities(path: Path | None, command: str | None, users: int | None) -> tuple[Identity, ...]:
    """What was asked for: a file, a command, or nobody.

    Raises:
        UsageError: both, or `users` is not known and a command is to be run for each.
    """
    if path is not None and command is not None:
        raise UsageError("--identities and --identity-command exclude each other: leave one away.")
    if path is not None:
        return read_identities(path)
    if command is None:
        return ()
    if users is None:
        raise UsageError("--identity-command is run once a user: say with --max-users how many there may be.")
    return ask_command(command, users)


def columns_of(identities: Sequence[Identity]) -> tuple[str, ...]:
    """The columns of all of them, in order of appearance."""
    return tuple(dict.fromkeys(column for identity in identities for column in identity.values))


def enough_for(identities: Sequence[Identity], users: int, *, share: bool) -> None:
    """Refuse more users than identities.

    Raises:
        UsageError: there are fewer, and they are not to be shared.
    """
    if len(identities) < users and not share:
        raise UsageError(
            f"{len(identities)} identities are not enough for {users:,} users: add some, lower --users (or "
            "--max-users), or let users share them with --share-identities."
        )


def refuse_expired(plan: Plan, identities: Sequence[Identity], now_s: float) -> None:
    """Refuse to begin with a token that is not good any more.

    Raises:
        UsageError: an identity's token, or one that goes out as it was recorded, has expired.
    """
    for identity in identities:
        for column, value in identity.values.items():
            expires_s = expiry_of(value.removeprefix("Bearer "))
            if expires_s is not None and expires_s <= now_s:
                moment = Expiring(column, 0, expires_s).moment
                raise UsageError(
                    f"The {column} of {identity.label} expired at {moment}: get a new one, then run again."
                )
    for session in plan.sessions:
        for token in tokens_as_recorded(session):
            if token.expires_s <= now_s:
                sentence = (
                    f"The recorded token in {token.place} of step {token.step + 1} expired at {token.moment} and no "
                    f"answer of its session ({session.source}) gives a new one: record a session that signs in, or "
                    "give users tokens with --identities."
                )
                raise UsageError(" ".join((sentence, *plan.notes)))
