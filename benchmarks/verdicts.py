"""Whether verdicts are right: how often a report cries wolf, what it finds, and how often intervals hold the truth.

`python benchmarks/verdicts.py [--reports 2000] [--trials 1000] [--processes 2] [--only wolf,power,...]` simulates
latencies whose truth is known and hands them to the very functions that `nestperf report --baseline` calls. Ends with
1 where a figure misses its bound. About two hours of CPU time with the defaults, spread over the processes.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from fractions import Fraction
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter
from tabulate import tabulate

from nestperf.percentiles import nearest_rank
from reports.compare.decide import ERROR, Decision, decide, floor_of
from reports.compare.evidence import TESTS, WEIGHTS, Evidence, weigh_evidence
from reports.compare.noise import measure_noise, no_noise
from reports.compare.ratios import percentile_ratio
from reports.dependence import Floats, of_percentile
from reports.statistics import percentile_ranks

Chance = np.random.Generator

ROUTES = 30
BLOCKS = 25
RUNS = 3
"""Baselines."""
RUN_EFFECT = 0.05
SLOWDOWN = 1.2
MS = 1e6
STOCK = 10_000
"""Routes in which nothing changed, drawn once a case. What the reference knows is their standard deviation: of a tenth
as many it would be known to 2 %, which moves a power of one third by three points."""
SAMPLES = 200
"""A route and run, where false alarms are counted."""
MORE_SAMPLES = 500
"""Where those of dependent latencies are counted again: of fewer than 1,000 samples in all no batches are looked at."""


class Family(NamedTuple):
    """One kind of latencies."""

    name: str
    draw: Callable[[Chance, int], Floats]
    """So many in order of time, nanoseconds."""
    grid: float = 0.0
    """Latencies are whole multiples of it, nanoseconds."""
    of_route: Callable[[Chance], Callable[[Chance, int], Floats]] | None = None
    """How one route's are drawn, where routes differ in that."""


def lognormal(sigma: float) -> Callable[[Chance, int], Floats]:
    return lambda chance, n: 20 * MS * np.exp(sigma * chance.standard_normal(n))


def bimodal(chance: Chance, n: int) -> Floats:
    """Seven of ten come from a cache."""
    middle = np.where(chance.random(n) < 0.7, 10 * MS, 60 * MS)
    mixed: Floats = middle * np.exp(0.2 * chance.standard_normal(n))
    return mixed


def pareto(chance: Chance, n: int) -> Floats:
    """A tail without variance: exponent 1.5."""
    tail: Floats = 10 * MS * (chance.pareto(1.5, n) + 1)
    return tail


def normal_ar1(phi: float, chance: Chance, n: int) -> Floats:
    noise = chance.standard_normal(n + 200) * math.sqrt(1 - phi * phi)
    made: Floats = lfilter([1], [1, -phi], noise)[200:]
    return made


def ar1(phi: float) -> Callable[[Chance, int], Floats]:
    return lambda chance, n: 20 * MS * np.exp(0.5 * normal_ar1(phi, chance, n))


def bursts(chance: Chance, n: int) -> Floats:
    """One in ten is slow, on average five in a row."""
    lengths = np.where(np.arange(n) % 2 == 0, chance.geometric(1 / 45, n), chance.geometric(1 / 5, n))
    slow = np.repeat(np.arange(n) % 2 == 1, lengths)[:n]
    mixed: Floats = np.where(slow, 90 * MS, 20 * MS) * np.exp(0.3 * chance.standard_normal(n))
    return mixed


FAMILIES = (
    Family("lognormal, sigma 0.5", lognormal(0.5)),
    Family("lognormal, sigma 1", lognormal(1.0)),
    Family("bimodal", bimodal),
    Family("Pareto, exponent 1.5", pareto),
    Family("discrete, 1 ms steps", lambda chance, n: 8 * MS * np.exp(0.5 * chance.standard_normal(n)), MS),
    Family("AR(1), phi 0.5", ar1(0.5)),
)
MIXED = Family("AR(1), phi 0 to 0.7", ar1(0.35), of_route=lambda chance: ar1(chance.uniform(0, 0.7)))
"""Routes of one report whose samples depend on each other more or less."""
BY_NAME = {family.name: family for family in (*FAMILIES, MIXED)}


def on_grid(family: Family, latencies: Floats) -> Floats:
    """As a clock with coarse steps shows them."""
    return np.maximum(np.round(latencies / family.grid), 1) * family.grid if family.grid else latencies


def slow_tail(latencies: Floats, p90: float) -> Floats:
    return np.where(latencies > p90, latencies * SLOWDOWN, latencies)


class Case(NamedTuple):
    """One simulated route: how it is drawn, and what happens to its new run."""

    family: str
    n: int
    runs: int = RUNS
    change: str = ""
    """``""``, `whole` or `tail`."""
    p90: float = 0.0
    """The true one, nanoseconds."""
    slowdown: float = 0.0
    """A factor of its own for `whole`."""


def evidence_of(case: Case, chance: Chance, factors: Sequence[float]) -> Evidence:
    """`factors`: of each baseline run, then of the new one."""
    family = BY_NAME[case.family]
    draw = family.of_route(chance) if family.of_route else family.draw
    runs = [on_grid(family, draw(chance, case.n) * factor) for factor in factors[:-1]]
    new = draw(chance, case.n)
    if case.change == "whole":
        new = new * (case.slowdown or SLOWDOWN)
    elif case.change == "tail":
        new = slow_tail(new, case.p90)
    # Runs that were under way at once take turns: the n-th sample of one is as old as the n-th of the other.
    blocks = np.tile(np.arange(case.n) * 2 * BLOCKS // (2 * case.n), 2) if case.runs == 1 else None
    return weigh_evidence(runs, on_grid(family, new * factors[-1]), blocks)


# ---- False alarms


INTERLEAVED = "interleaved"


def wolf_job(job: tuple[str, str, int, int, int]) -> tuple[int, int, int]:
    """So many reports in which nothing changed: how many, with a regression, with an improvement."""
    family, noise, samples, reports, seed = job
    chance = np.random.default_rng(seed)
    case = Case(family, samples, runs=1 if noise == INTERLEAVED else RUNS)
    worse = better = 0
    for number in range(reports):
        factors = np.ones((ROUTES, case.runs + 1))
        if noise == "5 %":  # in turn each route of each run by itself, and each run as a whole
            shape = (ROUTES, RUNS + 1) if number % 2 else (1, RUNS + 1)
            factors *= np.exp(RUN_EFFECT * chance.standard_normal(shape))
        evidence = [evidence_of(case, chance, list(row)) for row in factors]
        decisions = decided(evidence, case.runs)
        worse += any(decision.slower.any() for decision in decisions)
        better += any(decision.faster.any() for decision in decisions)
    return reports, worse, better


def decided(evidence: Sequence[Evidence], runs: int) -> list[Decision]:
    """As a report decides: by the noise of several baselines, or of one that ran at once."""
    noise = measure_noise(evidence, runs) if runs > 1 else no_noise(len(evidence), runs)
    return decide(evidence, noise, floor=floor_of(runs, interleaved=runs == 1))


SLICES = 20


def cry_wolf(pool: ProcessPoolExecutor, reports: int) -> list[str]:
    """Print the table of false alarms, line by line; what misses its bound."""
    print(
        f"\nNothing changed: how many reports of {ROUTES} routes hold a false verdict (bound 1 %; {RUNS} baselines, or"
    )
    print("one that ran at once; n is that of each route and run)\n")
    layout = "{:<22}{:>5}{:>14}{:>9}{:>13}{:>14}".format
    print(layout("latencies", "n", "run-to-run", "reports", "regression", "improvement"))
    noises = ("5 %", "none", INTERLEAVED)
    cases = [(family.name, noise, SAMPLES) for noise in noises for family in FAMILIES]
    cases += [(MIXED.name, noise, SAMPLES) for noise in noises]
    cases += [(family.name, noise, MORE_SAMPLES) for noise in noises for family in (BY_NAME["AR(1), phi 0.5"], MIXED)]
    running = [
        pool.map(wolf_job, [(*case, reports // SLICES, 1_000 * place + part) for part in range(SLICES)])
        for place, case in enumerate(cases)
    ]
    missed = []
    for (family, noise, samples), results in zip(cases, running, strict=True):
        n, worse, better = map(sum, zip(*results, strict=True))
        print(layout(family, samples, noise, f"{n:,}", f"{worse / n:.2%}", f"{better / n:.2%}"), flush=True)
        if worse / n > ERROR:
            missed.append(f"false alarms of {family}, n {samples}, run-to-run {noise}: {worse / n:.2%}")
    return missed


# ---- Power


class Power(NamedTuple):
    """Shares of trials in which the one changed route of a report was found."""

    ours: float
    reference: float
    """By the same rule, the noise between runs estimated alike, knowing the true sampling variance."""
    oracle: float
    """By one that knows as well that runs do not differ."""
    noisy: float
    """With the run-to-run effect."""
    paired: float
    """Against one baseline that ran at once, as `--vs` does."""
    paired_reference: float


def power_job(job: tuple[Case, int, int]) -> Power:
    case, trials, seed = job
    chance = np.random.default_rng(seed)
    p90 = float(np.quantile(BY_NAME[case.family].draw(chance, 1_000_000), 0.9))
    case = case._replace(p90=p90)
    ours, reference, oracle = found(case, trials, chance, noisy=False)
    noisy, *_ = found(case, trials // 2, chance, noisy=True)
    paired, paired_reference, _ = found(case._replace(runs=1), trials, chance, noisy=False)
    return Power(ours, reference, oracle, noisy, paired, paired_reference)


def found(case: Case, trials: int, chance: Chance, *, noisy: bool) -> tuple[float, float, float]:
    """How often one changed route of a report is found: by us, by the reference test, by the oracle.

    The report's other routes are drawn from a stock in which nothing changed. Reference and oracle compare the same
    effects with their true standard deviations, those of the stock, at the same level, shared between the same tests.
    """

    def factors() -> list[float]:
        effect = RUN_EFFECT if noisy else 0.0
        return list(np.exp(effect * chance.standard_normal(case.runs + 1)))

    plain = case._replace(change="")
    stock = [evidence_of(plain, chance, factors()) for _ in range(STOCK)]
    deviations = np.std([e.effect for e in stock], axis=0)
    of_runs = np.ones(len(deviations))
    if case.runs > 1:
        of_runs = np.std([e.run_effects for e in stock], axis=(0, 1)) * math.sqrt(case.runs / (case.runs - 1))
    knowing = [with_truth(e, deviations, of_runs) for e in stock]
    limits = np.array([NormalDist().inv_cdf(1 - ERROR * weight / ROUTES) for weight in WEIGHTS])
    ours = reference = oracle = 0
    for _ in range(trials):
        changed = evidence_of(case, chance, factors())
        places = chance.choice(len(stock), ROUTES - 1, replace=False)
        ours += found_in(changed, [stock[place] for place in places], case.runs)
        known = with_truth(changed, deviations, of_runs)
        reference += found_in(known, [knowing[place] for place in places], case.runs)
        oracle += bool((changed.effect > limits * np.where(deviations > 0, deviations, math.inf)).any())
    return ours / trials, reference / trials, oracle / trials


def with_truth(evidence: Evidence, deviations: Floats, of_runs: Floats) -> Evidence:
    """The same effects, with true standard deviations in place of what the samples say of them."""
    known = np.where(deviations > 0, deviations, _NEVER)
    return replace(
        evidence,
        z=evidence.effect / known,
        freedom=np.full(len(known), math.inf),
        error=known,
        run_errors=np.tile(np.where(of_runs > 0, of_runs, _NEVER), (len(evidence.run_effects), 1)),
    )


def found_in(changed: Evidence, others: list[Evidence], runs: int) -> bool:
    """Whether a report with such routes calls the first one a regression."""
    return bool(decided([changed, *others], runs)[0].slower.any())


POWER = (
    *((Case(family.name, 500, change="whole"), 0.95 if family.name.endswith("0.5") and "log" in family.name else None)
      for family in FAMILIES),
    *((Case(family.name, 8_000 if family.name == "lognormal, sigma 1" else 2_000, change="tail"),
       0.95 if "log" in family.name else None) for family in FAMILIES),
)  # fmt: skip
MARGIN = 0.05
_NEVER = 1e6
"""The standard deviation of what never varied: coarse steps can hide all variation of a percentile."""


def show_power(pool: ProcessPoolExecutor, trials: int) -> list[str]:
    """Print the table of what is found; what misses its bound."""
    results = list(pool.map(power_job, [(case, trials, 7 + place) for place, (case, _) in enumerate(POWER)]))
    rows, missed = [], []
    chance = 2 * math.sqrt(0.1 / trials)  # of a difference between two tests of the same trials
    for (case, bound), power in zip(POWER, results, strict=True):
        change = "all" if case.change == "whole" else "above p90"
        rows.append((case.family, change, f"{case.n:,}", *(f"{share:.1%}" for share in power)))
        if bound is not None and min(power.ours, power.paired) < bound:
            missed.append(f"power of {case.family}, {change}: {power.ours:.1%} and {power.paired:.1%}")
        for ours, reference in ((power.ours, power.reference), (power.paired, power.paired_reference)):
            if ours < reference - MARGIN - chance:
                missed.append(f"power of {case.family}, {change}: {ours:.1%}, the reference {reference:.1%}")
    print(f"\nOne of {ROUTES} routes slowed by 20 %: how often it is found ({trials:,} trials). The reference test")
    print("knows the true sampling variance; the oracle also that runs do not differ, which a report must find out.\n")
    heads = ("latencies", "slowed", "n a run", f"{RUNS} baselines", "reference", "oracle", "run-to-run 5 %",
             "interleaved", "reference")  # fmt: skip
    print(tabulate(rows, heads, disable_numparse=True))
    return missed


# ---- What a report says it could have seen


def detectable_job(job: tuple[Case, int, int]) -> tuple[float, float]:
    """The median detectable slowdown of all requests, and how often exactly that is found."""
    case, trials, seed = job
    chance = np.random.default_rng(seed)
    ones = [1.0] * (case.runs + 1)
    stock = [evidence_of(case, chance, ones) for _ in range(200)]
    said = [d.detectable[0] for d in decided(stock[:ROUTES], RUNS)]
    slowdown = math.exp(float(np.median(said)))
    slowed = case._replace(change="whole", slowdown=slowdown)
    hits = 0
    for _ in range(trials):
        others = [stock[place] for place in chance.choice(len(stock), ROUTES - 1, replace=False)]
        hits += found_in(evidence_of(slowed, chance, ones), others, RUNS)
    return slowdown, hits / trials


def show_detectable(pool: ProcessPoolExecutor, trials: int) -> list[str]:
    """Print whether the detectable slowdown is detected; what misses its bound."""
    cases = [Case(family.name, 200) for family in FAMILIES]
    rows, missed = [], []
    jobs = [(case, trials, 90 + place) for place, case in enumerate(cases)]
    for case, (slowdown, share) in zip(cases, pool.map(detectable_job, jobs), strict=True):
        rows.append((case.family, f"{case.n:,}", f"+{slowdown - 1:.1%}", f"{share:.1%}"))
        if share < 0.9:
            missed.append(f"detectable slowdown of {case.family}: found in {share:.1%}")
    print("\nA slowdown as large as the detectable one that a report prints: how often it is found (bound 90 %)\n")
    print(tabulate(rows, ("latencies", "n a run", "slowdown", "found"), disable_numparse=True))
    return missed


# ---- Intervals


class Interval(NamedTuple):
    """How often the interval of a percentile holds the truth is asked of these."""

    name: str
    draw: Callable[[Chance, int], Floats]
    share: Fraction
    n: int
    low: float
    high: float = 1.0
    """The bounds of the coverage."""


P50, P95 = Fraction(1, 2), Fraction(95, 100)


def intervals() -> Iterable[Interval]:
    independent = [family for family in FAMILIES if not family.name.startswith("AR")]
    for share in (P50, P95):
        for n in (72, 200, 2_000):
            for family in independent:
                upper = 0.975 if n >= 200 and not family.grid else 1.0
                yield Interval(family.name, family.draw, share, n, 0.945, upper)
        for phi, least in ((0.3, 200), (0.6, 200), (0.9, 1_000)):
            for n in (least, 5_000):
                yield Interval(f"AR(1), phi {phi}", ar1(phi), share, n, 0.92)
        for n in (1_000, 5_000):
            yield Interval("bursts of 5", bursts, share, n, 0.92)


CHECKED = tuple(intervals())


def coverage_job(job: tuple[int, int, int]) -> float:
    """How often the interval of one of `CHECKED` holds the truth."""
    place, trials, seed = job
    checked = CHECKED[place]
    chance = np.random.default_rng(seed)
    family = BY_NAME.get(checked.name, Family(checked.name, checked.draw))
    truth = nearest_rank(np.sort(on_grid(family, checked.draw(chance, 4_000_000))), checked.share)
    held = 0
    for _ in range(trials):
        sample = on_grid(family, checked.draw(chance, checked.n))
        ordered = np.sort(sample)
        worth = of_percentile(sample, nearest_rank(ordered, checked.share))
        low, high = percentile_ranks(checked.n, checked.share, inflation=round(worth.for_an_interval, 2))
        above = low is None or round(ordered[low - 1]) <= truth
        held += above and (high is None or truth <= round(ordered[high - 1]))
    return held / trials


def show_coverage(pool: ProcessPoolExecutor, trials: int) -> list[str]:
    """Print how often 95 % intervals hold the truth; what misses its bound by more than chance."""
    results = list(pool.map(coverage_job, [(place, trials, 500 + place) for place in range(len(CHECKED))]))
    rows, missed = [], []
    allowed = 3 * math.sqrt(0.05 * 0.95 / trials)
    for checked, share in zip(CHECKED, results, strict=True):
        bounds = f"{checked.low:.1%} … {checked.high:.1%}" if checked.high < 1 else f"at least {checked.low:.1%}"
        rows.append((checked.name, f"p{float(checked.share * 100):g}", f"{checked.n:,}", f"{share:.1%}", bounds))
        if not checked.low - allowed <= share <= checked.high + allowed:
            missed.append(f"coverage of {checked.name}, n {checked.n}: {share:.1%}")
    print(f"\n95 % intervals of percentiles: how often they hold the truth ({trials:,} samples each)\n")
    print(tabulate(rows, ("latencies", "percentile", "n", "held", "bounds"), disable_numparse=True))
    return missed


# ---- The ratio of p95, beside the block bootstrap


def bootstrap_ratio(old: Floats, new: Floats, chance: Chance, resamples: int = 400) -> tuple[float, float]:
    """The 95 % interval of the ratio of p95 by resampling blocks of n ** (1/3) neighbours, in order of time (Künsch,
    Annals of Statistics 17, 1989; circular)."""

    def percentiles(side: Floats) -> Floats:
        n = len(side)
        length = math.ceil(n ** (1 / 3))
        begins = chance.integers(0, n, (resamples, math.ceil(n / length), 1))
        places = ((begins + np.arange(length)) % n).reshape(resamples, -1)[:, :n]
        rank = math.ceil(0.95 * n) - 1
        found: Floats = np.partition(side[places], rank, axis=1)[:, rank]
        return found

    low, high = np.quantile(np.log(percentiles(new) / percentiles(old)), (0.025, 0.975))
    return math.exp(low), math.exp(high)


def bootstrap_job(job: tuple[str, int, int, int]) -> tuple[float, float, float]:
    """How often our interval and the bootstrap's hold the truth (1), and the ratio of their widths."""
    name, n, trials, seed = job
    chance = np.random.default_rng(seed)
    family = BY_NAME[name]
    held, held_bootstrap, widths = 0, 0, []
    for _ in range(trials):
        old, new = family.draw(chance, n), family.draw(chance, n)
        worth = weigh_evidence([old], new).inflation[TESTS.index(0.95)]
        _, low, high = percentile_ratio(np.sort(old), np.sort(new), P95, float(worth))
        low_b, high_b = bootstrap_ratio(old, new, chance)
        held_bootstrap += low_b <= 1 <= high_b
        held += (low is None or low <= 1) and (high is None or high >= 1)
        if low is not None and high is not None:
            widths.append(math.log(high / low) / math.log(high_b / low_b))
    return held / trials, held_bootstrap / trials, float(np.median(widths))


def show_bootstrap(pool: ProcessPoolExecutor, trials: int) -> list[str]:
    """Print the intervals of ratios beside those of the block bootstrap; what misses its bound."""
    cases = [
        (name, n) for name in ("lognormal, sigma 0.5", "Pareto, exponent 1.5", "AR(1), phi 0.5") for n in (500, 2_000)
    ]
    rows, missed = [], []
    jobs = [(*case, trials, 700 + place) for place, case in enumerate(cases)]
    for (name, n), (ours, bootstrap, width) in zip(cases, pool.map(bootstrap_job, jobs), strict=True):
        rows.append((name, f"{n:,}", f"{ours:.1%}", f"{bootstrap:.1%}", f"{width:.2f}"))
        if ours < 0.92:
            missed.append(f"interval of the ratio of {name}, n {n}: {ours:.1%}")
    print("\nThe 95 % interval of the ratio of p95, nothing having changed: how often it holds 1, and its width\n")
    print(tabulate(rows, ("latencies", "n a side", "ours", "block bootstrap", "width, ours / bootstrap"),
                   disable_numparse=True))  # fmt: skip
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--reports", type=int, default=2_000, help="of each family, where nothing changed")
    parser.add_argument("--trials", type=int, default=1_000, help="of each change; three times as many for power")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", default="coverage,detectable,bootstrap,power,wolf", help="some of these, with commas")
    asked = parser.parse_args()
    begun = time.perf_counter()
    missed: list[str] = []
    with ProcessPoolExecutor(asked.processes) as pool:
        for name, show, size in (
            ("coverage", show_coverage, 4 * asked.trials),
            ("detectable", show_detectable, asked.trials),
            ("bootstrap", show_bootstrap, asked.trials),
            ("power", show_power, 3 * asked.trials),
            ("wolf", cry_wolf, asked.reports),
        ):
            if name in asked.only.split(","):
                missed += show(pool, size)
                sys.stdout.flush()
    print(f"\n{time.perf_counter() - begun:,.0f} s.")
    print("\n".join(f"MISSED  {text}" for text in missed) or "Every figure keeps its bound.")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
