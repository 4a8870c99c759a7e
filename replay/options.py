"""How click reads the options of a replay: parsers of `replay.asked`, and conditions in the thresholds' language."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

import click

from nestperf.durations import parse_duration
from nestperf.errors import UsageError
from replay.asked import MOST_USERS, Asked, parse_rates, parse_speed, parse_stages, parse_think
from replay.watch import COUNTS, QUANTITIES, Condition

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])


class Parsed(click.ParamType[T], Generic[T]):
    """An option whose text a function of ours reads."""

    def __init__(self, name: str, parse: Callable[[str], T]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> T:
        """The value, or click's own refusal with our sentence."""
        if not isinstance(value, str):
            return value  # type: ignore[return-value]  # parsed already
        try:
            return self._parse(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


def parse_condition(text: str) -> Condition:
    """A condition of `--abort-on`.

    Raises:
        UsageError: it is not of the thresholds' grammar, or cannot be watched while a run goes on.
    """
    from reports.grammar import parse_expression

    expression = parse_expression(text)
    is_time = expression.percentile is not None or str(expression.statistic) in ("max", "min", "avg")
    known = QUANTITIES if is_time else COUNTS
    if expression.quantity not in known or expression.per_ns is not None:
        raise UsageError(
            f"{text!r} cannot be watched while a run goes on: use p95 (or another percentile), max, min or avg of "
            f"{', '.join(QUANTITIES)}, or rate or count of {', '.join(COUNTS)}."
        )
    return Condition(
        text=expression.text,
        statistic=str(expression.statistic),
        percentile=float(expression.percentile or 0),
        quantity=expression.quantity,
        holds=lambda value: expression.comparison.holds(value, expression.limit),
    )


_LOAD = (
    click.option(
        "--users",
        type=click.IntRange(1, MOST_USERS),
        help="Closed load: so many users, each starting again.  [default: 1]",
    ),
    click.option(
        "--rate",
        type=Parsed("rate", parse_rates),
        help="Open load: requests at a rate, such as 1000/m, or in stages: 5/s@30s,20/s@2m.",
    ),
    click.option(
        "--sessions",
        type=Parsed("rate", parse_rates),
        help="Open load: users arrive at a rate, such as 5/s, or in stages.",
    ),
    click.option(
        "--stages",
        type=Parsed("stages", parse_stages),
        help="Closed load in stages: users@duration, such as 10@30s,50@2m.",
    ),
    click.option(
        "--duration",
        type=Parsed("duration", parse_duration),
        help="How long, such as 30s or 2m; default: every session once.",
    ),
    click.option("--ramp", type=Parsed("duration", parse_duration), help="Time to reach each level in; not judged."),
    click.option(
        "--warm-up", type=Parsed("duration", parse_duration), help="Time at the first level that is not judged."
    ),
    click.option("--loops", type=click.IntRange(1), help="Every session so many times."),
    click.option(
        "--max-users",
        type=click.IntRange(1, MOST_USERS),
        help="Users at once under --rate and --sessions; what finds none free is dropped.  [default: 10000]",
    ),
    click.option(
        "--think",
        type=Parsed("think", parse_think),
        default="recorded",
        show_default=True,
        help="Pauses between steps: recorded, none, jitter, or a factor such as 0.5x.",
    ),
    click.option(
        "--speed",
        type=Parsed("factor", parse_speed),
        default="1x",
        show_default=True,
        help="All time inside sessions, such as 2x: pauses, and how long streams are held.",
    ),
    click.option("--max-idle", type=Parsed("duration", parse_duration), help="No pause is longer than this."),
    click.option(
        "--start",
        type=click.Choice(["spread", "together"]),
        help="Users come over a session's length (at most 10 s), or all at once.  [default: spread]",
    ),
    click.option("--seed", type=int, default=1, show_default=True, help="For all that is left to chance."),
    click.option(
        "--abort-on",
        type=Parsed("expression", parse_condition),
        help="Give up when this holds over the last 10 s, such as 'rate(failed) > 50%'.",
    ),
)


def load_options(command: Command) -> Command:
    """Give a command the options that say which load."""
    for option in reversed(_LOAD):
        command = option(command)
    return command


_PEM = click.Path(path_type=Path, dir_okay=False)
_PEERS = (
    click.option(
        "--timeout",
        type=Parsed("duration", parse_duration),
        default="30s",
        show_default=True,
        help="How long an answer may take.",
    ),
    click.option(
        "--target",
        "targets",
        metavar="[UPSTREAM=]URL",
        multiple=True,
        help="Where to send instead of the recorded upstreams; repeatable.",
    ),
    click.option(
        "--allow-host",
        "allowed",
        metavar="HOST",
        multiple=True,
        help="Send to this host, which is not loopback; repeatable.",
    ),
    click.option(
        "--allow-writes",
        is_flag=True,
        help="Send writes to allowed hosts as well: all but GET, HEAD, OPTIONS, TRACE, and Socket.IO events.",
    ),
    click.option(
        "--rules",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Rules for live values (TOML; docs/live-values.md).",
    ),
    click.option(
        "--identities",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="Who the users are: a CSV file, a line for each.",
    ),
    click.option(
        "--identity-command",
        metavar="COMMAND",
        help="Who the users are: a command that prints a JSON object for NESTPERF_USER.",
    ),
    click.option("--share-identities", is_flag=True, help="Let several users be the same person."),
    click.option("--forwarded-for", is_flag=True, help="Give each user an address of its own in X-Forwarded-For."),
    click.option("--ca", type=_PEM, help="Trust the authorities in this PEM file too, for https targets."),
    click.option("--client-cert", type=_PEM, help="Certificate (PEM) to show to https targets."),
    click.option("--client-key", type=_PEM, help="Its key (PEM), where it stands in a file of its own."),
    click.option("--insecure", is_flag=True, help="Accept any certificate of https targets."),
)


def peer_options(command: Command) -> Command:
    """Give a command the options that say where to send, what is allowed there, and as whom."""
    for option in reversed(_PEERS):
        command = option(command)
    return command


def asked_of(options: dict[str, Any]) -> Asked:
    """What these options, as click hands them over, ask for."""
    return Asked(
        users=options["users"],
        rate=options["rate"],
        sessions=options["sessions"],
        stages=options["stages"],
        duration_ns=options["duration"],
        ramp_ns=options["ramp"],
        warm_up_ns=options["warm_up"],
        loops=options["loops"],
        max_users=options["max_users"],
        start=options["start"],
        think=options["think"],
        speed=options["speed"],
        max_idle_ns=options["max_idle"],
        seed=options["seed"],
    )
