"""How a load is written on the command line: durations, rates, stages, pauses, and which of them go together. Pure.

duration = NUMBER UNIT { NUMBER UNIT }           30s, 1m30s; UNIT is ms, s, m or h
rate     = NUMBER "/" ( "s" | "m" | "h" )        5/s, 1000/m
stages   = LEVEL "@" duration { "," ... }        10@30s,50@2m; LEVEL is a number of users, or a rate
think    = "recorded" | "none" | "jitter" | NUMBER "x"
speed    = NUMBER "x"
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from nestperf.durations import SECOND_NS, parse_duration
from nestperf.errors import UsageError
from replay.pacing import NONE, RECORDED, Load, Model, Start, Think
from replay.profile import Stage

_PER = {"s": 1, "m": 60, "h": 3600}
_NUMBER = r"\d+(?:\.\d+)?"
_RATE = re.compile(rf"({_NUMBER})\s*/\s*(s|m|h)")
_FACTOR = re.compile(rf"({_NUMBER})x")

MOST_USERS = 65_000
"""So many have loopback addresses of their own."""
OPEN_USERS = 10_000
"""Users at once of an open run that does not say how many."""


def parse_rate(text: str) -> float:
    """A second of `5/s`, `1000/m`, `3600/h`.

    Raises:
        UsageError: it is no rate, or nothing.
    """
    match = _RATE.fullmatch(text.strip().lower())
    if match is None or float(match[1]) <= 0:
        raise UsageError(f"{text!r} is no rate: write how many in a unit of time, such as 5/s or 1000/m.")
    return float(match[1]) / _PER[match[2]]


def parse_rates(text: str) -> tuple[Stage, ...]:
    """A rate, or stages of rates: `5/s`, `5/s@30s,10/s@1m`. A rate alone has no length yet.

    Raises:
        UsageError: it is neither.
    """
    if "@" not in text:
        return (Stage(parse_rate(text), None),)
    return tuple(Stage(parse_rate(level), length_ns) for level, length_ns in _stages(text, "5/s@30s,10/s@1m"))


def parse_stages(text: str) -> tuple[Stage, ...]:
    """Stages of users: `10@30s,50@2m`.

    Raises:
        UsageError: it is none.
    """
    stages = []
    for level, length_ns in _stages(text, "10@30s,50@2m"):
        if not level.isdecimal() or int(level) > MOST_USERS:
            raise UsageError(
                f"{level!r} in --stages is no number of users (0 to {MOST_USERS:,}): write stages such as "
                "10@30s,50@2m; stages of requests or arrivals belong to --rate or --sessions: --rate 5/s@30s,10/s@1m."
            )
        stages.append(Stage(int(level), length_ns))
    if not any(stage.level for stage in stages):
        raise UsageError(f"{text!r} has no stage with a user: write stages such as 10@30s,50@2m.")
    return tuple(stages)


def _stages(text: str, example: str) -> list[tuple[str, int]]:
    stages = []
    for part in text.split(","):
        level, mark, length = part.strip().partition("@")
        if not mark or not level:
            raise UsageError(f"{part.strip()!r} is no stage: write a level, @ and a duration, such as {example}.")
        stages.append((level.strip(), parse_duration(length)))
    return stages


def parse_think(text: str) -> Think:
    """`recorded`, `none`, `jitter` or a factor such as `0.5x`.

    Raises:
        UsageError: it is none of them.
    """
    word = text.strip().lower()
    known = {"recorded": RECORDED, "none": NONE, "jitter": Think(jitter=True)}
    if word in known:
        return known[word]
    match = _FACTOR.fullmatch(word)
    if match is None:
        raise UsageError(f"{text!r} is no kind of think time: write recorded, none, jitter or a factor such as 0.5x.")
    return Think(float(match[1]))


def parse_speed(text: str) -> float:
    """A factor such as `2x`.

    Raises:
        UsageError: it is none, or nothing.
    """
    match = _FACTOR.fullmatch(text.strip().lower())
    if match is None or float(match[1]) <= 0:
        raise UsageError(f"{text!r} is no speed: write a factor such as 2x or 0.5x.")
    return float(match[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Load options as given; None: not given."""

    users: int | None = None
    rate: tuple[Stage, ...] | None = None
    sessions: tuple[Stage, ...] | None = None
    stages: tuple[Stage, ...] | None = None
    duration_ns: int | None = None
    ramp_ns: int | None = None
    warm_up_ns: int | None = None
    loops: int | None = None
    max_users: int | None = None
    start: Start | None = None
    think: Think = RECORDED
    speed: float = 1.0
    max_idle_ns: int | None = None
    seed: int = 1


def build_load(asked: Asked, recorded_sessions: int) -> Load:
    """The load that the options mean together, for a plan of so many sessions.

    Raises:
        UsageError: two of them contradict each other, or one is missing.
    """
    models = [name for name in ("users", "stages", "sessions", "rate") if getattr(asked, name) is not None]
    if len(models) > 1:
        raise UsageError(
            f"{' and '.join(f'--{name}' for name in models)} are different load models: use one of --users (so many, "
            "each starting again), --stages (of users), --sessions (arrivals at a rate), --rate (requests at a rate)."
        )
    is_open = asked.rate is not None or asked.sessions is not None
    if asked.start is not None and (is_open or asked.ramp_ns is not None):
        raise UsageError(
            "--start is about users who come without a ramp: leave it out beside --ramp, --rate, --sessions."
        )
    base = Load(
        ramp_ns=asked.ramp_ns or 0,
        warm_up_ns=asked.warm_up_ns or 0,
        loops=asked.loops,
        start=asked.start or "spread",
        think=asked.think,
        speed=asked.speed,
        max_idle_ns=asked.max_idle_ns,
        seed=asked.seed,
    )
    return _open(base, asked, recorded_sessions) if is_open else _closed(base, asked)


def _closed(base: Load, asked: Asked) -> Load:
    if asked.max_users is not None:
        raise UsageError("--max-users bounds --rate and --sessions; the closed model has just the users of --users.")
    if asked.stages is not None:
        _only_one_length(asked, "--stages")
        return replace(base, users=max(int(stage.level) for stage in asked.stages), stages=asked.stages)
    if asked.warm_up_ns is not None and asked.duration_ns is None:
        raise UsageError("--warm-up needs a run that goes on after it: say for how long with --duration.")
    return replace(base, users=asked.users or 1, duration_ns=asked.duration_ns)


def _open(base: Load, asked: Asked, recorded_sessions: int) -> Load:
    model: Model = "rate" if asked.rate is not None else "sessions"
    if model == "rate" and asked.loops is not None:
        raise UsageError(
            "--loops counts whole sessions: beside --rate, which ends in the middle of them, leave it out."
        )
    stages = asked.rate or asked.sessions or ()
    if stages[0].length_ns is not None:
        _only_one_length(asked, f"--{model} in stages")
    elif asked.duration_ns is not None:
        stages = (Stage(stages[0].level, asked.duration_ns),)
    elif model == "rate":
        raise UsageError("--rate says how fast, not how long: add --duration, such as --duration 1m.")
    else:
        visits = recorded_sessions * (asked.loops or 1)
        stages = (Stage(stages[0].level, round(visits / stages[0].level * SECOND_NS)),)
        base = replace(base, until_through=True)
    return replace(base, model=model, users=asked.max_users or OPEN_USERS, stages=stages)


def _only_one_length(asked: Asked, option: str) -> None:
    if asked.duration_ns is not None:
        raise UsageError(f"{option} says how long already: leave out --duration.")
