"""The promises that the stand-in can be told to break, so that tests see how nestperf reports a broken one."""

from __future__ import annotations

from dataclasses import dataclass, fields

from nestperf.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Nothing is broken by default."""

    slow_path: str = "/api/v1/"
    """Paths that begin so are slowed down by `slow_ms`."""
    slow_ms: float = 0.0
    slow_every: int = 1
    """Only each so-many-th of them."""
    error_path: str = "/api/v1/"
    """Of the requests to paths that begin so, each `error_every`-th is answered with 500."""
    error_every: int = 0
    limit: int = 100
    """Requests a window for each user; 0 admits everything."""
    retry_after: bool = True
    """False: a 429 does not say when to come back."""
    kick_every: int = 0
    """Each so-many-th Socket.IO connection is closed by the server, a moment after a friend is known on it."""
    mute_every: int = 0
    """Each so-many-th receiver of a status broadcast does not get it."""
    silent_every: int = 0
    """Each so-many-th `client:ping` is not acknowledged."""
    forget_after: int = 0
    """Subscriptions to the status beyond so many are answered, and not made."""


def parse_faults(text: str) -> Faults:
    """Read `slow_path=/api/v1/media/,slow_ms=300,retry_after=no`; an empty text breaks nothing.

    Raises:
        UsageError: an unknown fault, or a value that is none.
    """
    known = {field.name: field.default for field in fields(Faults)}
    chosen: dict[str, object] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = item.partition("=")
        if name not in known:
            raise UsageError(f"There is no fault {name!r}: choose from {', '.join(known)}.")
        chosen[name] = _value(name, value, known[name])
    return Faults(**chosen)  # type: ignore[arg-type]


def _value(name: str, value: str, default: object) -> object:
    if isinstance(default, str):
        return value
    if isinstance(default, bool):
        if value.lower() not in ("yes", "no", "true", "false"):
            raise UsageError(f"The fault {name} is yes or no, not {value!r}.")
        return value.lower() in ("yes", "true")
    try:
        number = float(value) if isinstance(default, float) else int(value)
    except ValueError:
        raise UsageError(f"The fault {name} needs a number, not {value!r}.") from None
    if number < 0:
        raise UsageError(f"The fault {name} cannot be negative: {value!r}.")
    return number
