"""Compares a run with earlier ones, route by route: connects columns, evidence, noise and decisions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from nestperf.capture.model import Run
from nestperf.errors import UsageError
from nestperf.percentiles import nearest_rank
from reports.compare import remarks
from reports.compare.decide import Decision, decide, floor_of
from reports.compare.evidence import TESTS, Codes, Evidence, weigh_evidence
from reports.compare.failures import ERROR as FAILURES_ERROR
from reports.compare.failures import FLOOR as FAILURES_FLOOR
from reports.compare.failures import Failures, weigh_failures
from reports.compare.model import (
    Change,
    Comparison,
    Detectable,
    Grounds,
    Key,
    NoiseKnown,
    Ratio,
    RouteChange,
    Side,
    ratio,
)
from reports.compare.noise import FEWEST_RUNS, measure_noise, no_noise
from reports.compare.ratios import percentile_ratio
from reports.compare.series import EMPTY, Series, routes_of
from reports.dependence import Floats
from reports.samples import Samples
from reports.statistics import MIN_SAMPLES, student_limit
from reports.verdict import invalid_because

P50, P95 = Fraction(1, 2), Fraction(95, 100)
BLIND = math.log(2)
"""A route of which not even a doubling would have been seen is not judged."""
_BLOCKS = 40
_ENDLESS = 1e6


class Named(NamedTuple):
    """A capture and what to call it."""

    name: str
    samples: Samples


def compare(new: Named, baselines: Sequence[Named]) -> Comparison:
    """Hold `new` against `baselines`.

    Raises:
        UsageError: the same run is given twice, or no baseline is valid.
    """
    _check_distinct([new, *baselines])
    usable = [b for b in baselines if not invalid_because(b.samples)]
    if not usable:
        raise UsageError(f"No baseline is a valid run ({baselines[0].name}): name one whose report is not INVALID.")
    everything = [new, *usable]
    same = len({side.samples.latency_name for side in everything}) == 1
    quantity = new.samples.latency_name if same else "service_time"
    interleaved = len(usable) == 1 and is_interleaved(new.samples.run, usable[0].samples.run)
    cut = [routes_of(side.samples, quantity) for side in everything]
    now, before = cut[0].of, [side.of for side in cut[1:]]
    pairs = {
        key: _Pair(now.get(key, EMPTY), [side[key] for side in before if key in side])
        for key in sorted({key for side in (now, *before) for key in side})
    }
    comparable = [key for key, pair in pairs.items() if pair.runs and len(pair.new.latencies) >= MIN_SAMPLES]
    evidence = [pairs[key].evidence(interleaved=interleaved) for key in comparable]
    runs = len(usable)
    known = runs >= FEWEST_RUNS and any(len(e.run_effects) == runs for e in evidence)
    noise = measure_noise(evidence, runs) if known else no_noise(len(evidence), runs)
    floor = floor_of(runs if known else 1, interleaved=interleaved)
    decisions = decide(evidence, noise, floor=floor)
    rows = [
        _judged(key, pairs[key], e, d, noise.variance[place], known=known or interleaved, of=len(comparable))
        for place, (key, e, d) in enumerate(zip(comparable, evidence, decisions, strict=True))
    ]
    rows += [_uncompared(key, pair) for key, pair in pairs.items() if key not in set(comparable)]
    return Comparison(
        baselines=tuple(b.name for b in usable),
        quantity=quantity,
        noise=NoiseKnown.INTERLEAVED if interleaved else NoiseKnown.BASELINES if known else NoiseKnown.NOT,
        floor=math.exp(floor),
        routes=tuple(sorted(rows, key=_order)),
        run_noise=None if noise.deviation is None else math.exp(noise.deviation),
        shift=math.exp(noise.shift),
        shift_limit=math.exp(noise.shift_limit) if noise.shift_known and noise.shift_limit < 700 else None,
        old_per_minute=remarks.average([remarks.per_minute(b.samples) for b in usable]),
        new_per_minute=remarks.per_minute(new.samples),
        remarks=tuple(
            remarks.differences(new, usable, [b.name for b in baselines if b not in usable], same_latency=same)
        )
        + tuple(remarks.backwards([(side.name, c.backwards) for side, c in zip(everything, cut, strict=True)])),
    )


def _check_distinct(sides: Sequence[Named]) -> None:
    seen: dict[str, str] = {}
    for side in sides:
        uid = side.samples.run.uid
        if uid in seen:
            same = "is given twice" if seen[uid] == side.name else f"and {seen[uid]} are the same run"
            raise UsageError(f"{side.name} {same}: a run is no baseline of itself, and counts once.")
        seen[uid] = side.name


def is_interleaved(new: Run, old: Run) -> bool:
    """Whether one `replay --vs` wrote both: they share their source and the moment their clock was started."""
    together = new.started_unix_ns == old.started_unix_ns
    return together and new.source_uid is not None and new.source_uid == old.source_uid


class _Pair:
    """One route on both sides."""

    def __init__(self, new: Series, old: list[Series]) -> None:
        self.new = new
        self.old = old
        self.runs = [run for run in old if len(run.latencies) >= MIN_SAMPLES]
        """The baseline runs with enough samples of it."""

    def evidence(self, *, interleaved: bool) -> Evidence:
        latencies = [run.latencies for run in self.runs]
        blocks = _blocks(self.runs[0], self.new) if interleaved else None
        return weigh_evidence(latencies, self.new.latencies, blocks)

    @property
    def all_old(self) -> Floats:
        return np.sort(np.concatenate([run.latencies for run in self.runs or self.old or [EMPTY]]))

    @property
    def sides(self) -> tuple[Side, Side]:
        return _side(self.all_old, self.runs or self.old), _side(np.sort(self.new.latencies), [self.new])


def _blocks(old: Series, new: Series) -> Codes:
    """Stretches of time with equally many samples of both sides together, some twenty or more."""
    stamps = np.concatenate((old.stamps, new.stamps))
    places = np.argsort(np.argsort(stamps, kind="stable"), kind="stable")
    blocks: Codes = places * max(1, min(_BLOCKS, len(stamps) // 20)) // len(stamps)
    return blocks


def _side(ordered: Floats, series: Sequence[Series]) -> Side:
    n = len(ordered)
    return Side(
        n=n,
        failed=sum(int(s.failures.sum()) for s in series),
        asked=sum(len(s.failures) for s in series),
        p50_ns=nearest_rank(ordered, P50) if n else None,
        p95_ns=nearest_rank(ordered, P95) if n else None,
    )


def _judged(
    key: Key, pair: _Pair, evidence: Evidence, decision: Decision, variance: Floats, *, known: bool, of: int
) -> RouteChange:
    failures = weigh_failures([run.failures for run in pair.runs], pair.new.failures)
    change, grounds = _verdict(decision, failures, known=known, of=of)
    old, new = pair.sides
    ordered_old, ordered_new = pair.all_old, np.sort(pair.new.latencies)
    limit = student_limit(0.025, round(float(decision.freedom[0]), 1))
    whole, p95 = (math.exp(min(float(decision.detectable[TESTS.index(test)]), 700.0)) for test in ("rank", 0.95))
    return RouteChange(
        key=key,
        change=change,
        grounds=grounds,
        old=old,
        new=new,
        typical=ratio(float(evidence.effect[0]), math.sqrt(evidence.error[0] ** 2 + variance[0]), limit),
        p50=_percentile(ordered_old, ordered_new, P50, evidence, variance),
        p95=_percentile(ordered_old, ordered_new, P95, evidence, variance),
        slower_at=_names(decision.slower),
        faster_at=_names(decision.faster),
        detectable=Detectable(whole, p95 if p95 < _ENDLESS else None),
    )


def _verdict(decision: Decision, failures: Failures, *, known: bool, of: int) -> tuple[Change, Grounds]:
    beyond = failures.beyond_runs if known else abs(failures.growth) > FAILURES_FLOOR
    if failures.more <= FAILURES_ERROR / of:
        return (Change.REGRESSION, Grounds.FAILURES) if beyond else (Change.INCONCLUSIVE, Grounds.MAYBE_NOISE)
    if decision.slower.any():
        shape = decision.faster.any() or not decision.slower[:2].any()
        return Change.REGRESSION, Grounds.SHAPE if shape else Grounds.SLOWER
    if decision.faster.any():
        return Change.IMPROVEMENT, Grounds.FASTER
    if failures.fewer <= FAILURES_ERROR / of and beyond:
        return Change.IMPROVEMENT, Grounds.FAILURES
    if decision.unproven.any():
        return Change.INCONCLUSIVE, Grounds.MAYBE_NOISE
    if decision.detectable[0] > BLIND:
        return Change.INCONCLUSIVE, Grounds.BLIND
    return Change.STEADY, Grounds.NOTHING_SEEN


def _names(flags: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> tuple[str, ...]:
    names = ("typical", *(f"p{share * 100:g}" for share in TESTS[1:] if isinstance(share, float)))
    return tuple(name for name, flag in zip(names, flags, strict=True) if flag)


def _percentile(old: Floats, new: Floats, share: Fraction, evidence: Evidence, variance: Floats) -> Ratio:
    place = TESTS.index(float(share))
    return percentile_ratio(old, new, share, float(evidence.inflation[place]), float(variance[place]))


def _uncompared(key: Key, pair: _Pair) -> RouteChange:
    old, new = pair.sides
    change = Change.NEW if not old.asked else Change.TOO_FEW
    if not new.asked and old.n >= MIN_SAMPLES:
        change = Change.GONE
    return RouteChange(key=key, change=change, grounds=Grounds.SAMPLES, old=old, new=new)


_ORDER = {change: place for place, change in enumerate((
    Change.REGRESSION, Change.INCONCLUSIVE, Change.IMPROVEMENT, Change.STEADY, Change.TOO_FEW, Change.GONE, Change.NEW
))}  # fmt: skip


def _order(route: RouteChange) -> tuple[int, float, Key]:
    """What needs a look first; within that the largest change of p95."""
    return _ORDER[route.change], -abs(math.log(route.p95.value)) if route.p95 else 0.0, route.key
