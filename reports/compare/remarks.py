"""In what runs differ that is not the application: sentences beside a comparison."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from nestperf.capture.model import Run
from nestperf.console import duration, plural
from reports.samples import Samples

_MINUTE_NS = 60_000_000_000
_SHORTEST_NS = 1_000_000_000
_LOAD_DIFFERS = 1.2
_SETTINGS = {
    "model": "load model",
    "users": "users",
    "max_users": "users at most",
    "stages": "stages",
    "duration_ns": "duration",
    "think": "think time",
    "speed": "speed",
    "network": "network",
}
_PURPOSES = {"record": "a recording", "import": "an import", "replay": "a replay", "check": "a check",
             "measure": "a program's own measurement"}  # fmt: skip


class _Named(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def samples(self) -> Samples: ...


def per_minute(samples: Samples) -> float | None:
    """Exchanges a minute; None of a run so short that it would be made of one or two."""
    span = samples.span_ns
    if span is None or span[1] - span[0] < _SHORTEST_NS:
        return None
    return len(samples.exchanges) * _MINUTE_NS / (span[1] - span[0])


def average(rates: Sequence[float | None]) -> float | None:
    """Of those that are known."""
    known = [rate for rate in rates if rate is not None]
    return sum(known) / len(known) if known else None


def differences(new: _Named, old: Sequence[_Named], left_out: Sequence[str], *, same_latency: bool) -> Iterator[str]:
    """What to know of two sides that were not run alike."""
    if left_out:
        yield f"Left out, being invalid runs: {', '.join(left_out)}."
    runs = [side.samples.run for side in old]
    if any(run.purpose != new.samples.run.purpose for run in runs):
        was = " and ".join(sorted({_PURPOSES.get(run.purpose, run.purpose) for run in runs}))
        latency = (
            ""
            if same_latency
            else "; only a replay knows when a request was due, so service time is compared, not what users felt"
        )
        yield f"{new.name} is {_purpose(new.samples.run)}, the baseline {was}{latency}."
    elif any(run.vantage != new.samples.run.vantage for run in runs):
        yield "One side was measured at the client, the other at a proxy: the way between them counts on one side only."
    if different := [text for key, name in _SETTINGS.items() if (text := _setting(key, name, new.samples.run, runs))]:
        yield f"Asked for differently: {', '.join(different)}."
    rate, before = per_minute(new.samples), average([per_minute(side.samples) for side in old])
    if rate and before and max(rate / before, before / rate) > _LOAD_DIFFERS:
        yield (
            f"The load was not the same: {rate:,.0f} exchanges a minute, in the baseline {before:,.0f}. "
            "Latency under another load is another latency."
        )
    yield from _sources(new.samples.run, runs)


def _purpose(run: Run) -> str:
    return _PURPOSES.get(run.purpose, run.purpose)


def _setting(key: str, name: str, new: Run, old: Sequence[Run]) -> str:
    now, before = new.settings.get(key), {repr(run.settings.get(key)): run.settings.get(key) for run in old}
    if key == "network" and isinstance(now, int):  # of a replay: which loopback addresses its users had
        return ""
    if now is None or set(before) == {repr(now)} or None in before.values():
        return ""
    return f"{name} {_plain(key, now)}, in the baseline {' or '.join(_plain(key, value) for value in before.values())}"


def _plain(key: str, value: Any) -> str:
    return duration(value) if key.endswith("_ns") and isinstance(value, int | float) else str(value)


def _sources(new: Run, old: Sequence[Run]) -> Iterator[str]:
    if new.source_uid is not None and any(run.source_uid not in (None, new.source_uid) for run in old):
        yield "The runs replay different recordings: only routes that both have are compared."


def backwards(counts: Sequence[tuple[str, int]]) -> Iterator[str]:
    """Captures whose clock stepped."""
    for name, count in counts:
        if count:
            yield f"The clock of {name} stepped: {plural(count, 'exchange')} left out."
