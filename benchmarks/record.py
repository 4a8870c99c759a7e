"""What recording costs: throughput and added latency of the recorder, beside stock mitmdump and no proxy at all.

Everything in one run on one machine, the load (wrk) on one core, application (nginx), proxy and recorder on the other:
`python benchmarks/record.py [--seconds 5]`. Needs wrk, nginx and taskset. Each figure is the median of three rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tabulate import tabulate

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.paced import ask_in_turns
from benchmarks.rig import LOAD_CORE, nginx, pinned, record_command, require, running
from nestperf.demo.children import free_port

STEADY_RATE = 200
QUIET_MS = 1.0
"""The p99 of a straight turn from which on the machine has something else to do."""
STEADY_PAIRS = 6
"""So many times as many pairs of turns as are wanted are tried at most."""
HEADERS = (
    "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
    "Cookie: session=abcdefgh12345678",
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0.0.0 Safari/537.36",
    "Accept: application/json",
)


class Round(NamedTuple):
    """One measurement."""

    many_per_s: float
    """Requests a second at 20 connections."""
    one_p50_us: float
    """Median at one connection."""
    one_p99_us: float
    cpu_us: float
    """CPU time of the proxy (and its recorder) for one request, both loads together; 0 without a proxy."""


def wrk(port: int, connections: int, seconds: int) -> tuple[float, float, float, int]:
    """Requests a second, median and 99th percentile in microseconds, and requests, as wrk saw them."""
    options = [word for header in HEADERS for word in ("-H", header)]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *options]
    printed = subprocess.run(
        pinned(LOAD_CORE, [*command, f"http://127.0.0.1:{port}/api/v1/dashboard/status"]),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return (
        float(re.search(r"Requests/sec:\s+([\d.]+)", printed)[1]),  # type: ignore[index]
        microseconds(re.search(r"\n +50% +(\S+)", printed)[1]),  # type: ignore[index]
        microseconds(re.search(r"\n +99% +(\S+)", printed)[1]),  # type: ignore[index]
        int(re.search(r"(\d+) requests in", printed)[1]),  # type: ignore[index]
    )


def microseconds(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)(\D+)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 1, "ms": 1e3, "s": 1e6}[unit]


def measure(port: int, seconds: int) -> tuple[Round, int]:
    """One round against a port, and how many requests it was."""
    many = wrk(port, 20, seconds)
    one = wrk(port, 1, seconds)
    return Round(many[0], one[1], one[2], 0.0), many[3] + one[3]


def through(make: Callable[[int, Path], list[str]], seconds: int) -> Round:
    """One round through a proxy, its CPU counted by the operating system when it has ended."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with running(make(port, Path(folder)), port):
            used_by_wrk = resource.getrusage(resource.RUSAGE_CHILDREN)
            figures, requests = measure(port, seconds)
            after_wrk = resource.getrusage(resource.RUSAGE_CHILDREN)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = _cpu(after) - _cpu(after_wrk) + _cpu(used_by_wrk) - _cpu(before)
    return figures._replace(cpu_us=cpu / requests * 1e6)


def _cpu(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=5)
    seconds = parser.parse_args().seconds
    require("wrk", "nginx", "taskset")
    binaries = Path(sys.executable).parent
    body = json.dumps([{"id": n, "title": f"Title {n}", "overview": "text " * 20, "year": 2000} for n in range(600)])
    with nginx({"media.json": body.encode()}) as application:
        mitmdump = [str(binaries / "mitmdump"), "-q", "--mode", f"reverse:http://127.0.0.1:{application}"]
        proxies: dict[str, Callable[[int, Path], list[str]]] = {
            "mitmdump -q": lambda port, _: [*mitmdump, "--listen-host", "127.0.0.1", "--listen-port", str(port)],
            "nestperf record": lambda port, folder: record_command(port, application, folder / "bench.db"),
        }
        rounds: dict[str, list[Round]] = {"direct": [], **{name: [] for name in proxies}}
        for _ in range(3):
            rounds["direct"].append(measure(application, seconds)[0])
            for name, make in proxies.items():
                rounds[name].append(through(make, seconds))
        steady = measure_steady(application, 2 * seconds)
    middle = {name: Round(*map(median, zip(*told, strict=True))) for name, told in rounds.items()}
    show(middle)
    show_steady(*steady, len(body))


def measure_steady(application: int, turns: int) -> tuple[list[int], list[int], int]:
    """Sorted latencies in nanoseconds at a steady rate, straight and through the recorder, a turn of each by turns; and
    how many pairs of turns it took to have `turns` in which the machine did nothing else.

    Whether it did is told by the straight turn alone, so that leaving out a pair never favours the recorder.
    """
    port = free_port()
    os.sched_setaffinity(0, {LOAD_CORE})
    straight: list[int] = []
    through_it: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        command = record_command(port, application, Path(folder) / "steady.db")
        with running(command, port):
            asked = ask_in_turns([application, port], "/files/media.json", HEADERS, rate=STEADY_RATE)
            for _ in range(4):
                next(asked)
            for taken in range(1, STEADY_PAIRS * turns + 1):  # noqa: B007
                plain, recorded = next(asked)
                if at(0.99, sorted(plain)) <= QUIET_MS:
                    straight += plain
                    through_it += recorded
                if len(straight) >= turns * STEADY_RATE:
                    break
            asked.close()
    return sorted(straight), sorted(through_it), taken


def at(share: float, told: list[int]) -> float:
    """Milliseconds at a share of ordered nanoseconds."""
    return told[min(len(told) - 1, int(share * len(told)))] / 1e6


def show_steady(straight: list[int], through_it: list[int], taken: int, size: int) -> None:
    if not straight:
        print(f"At {STEADY_RATE} requests/s the machine was too busy to tell what is added, in all of {taken} turns.")
        return
    p50, p99 = (at(share, through_it) - at(share, straight) for share in (0.5, 0.99))
    print(
        f"At {STEADY_RATE} requests/s with {size:,} bytes of JSON it adds {p50:.2f} ms (p50), {p99:.2f} ms (p99; "
        f"straight {at(0.99, straight):.2f} ms) over {len(straight):,} requests: {len(straight) // STEADY_RATE} turns "
        f"of {taken}, in which the straight half had a p99 of at most {QUIET_MS:g} ms: "
        f"{'met' if p99 <= 1 else 'NOT met'}, promised is 1 ms (p99)."
    )


def show(middle: dict[str, Round]) -> None:
    direct, stock, ours = middle["direct"], middle["mitmdump -q"], middle["nestperf record"]
    print(
        tabulate(
            [
                (
                    name,
                    f"{figures.many_per_s:,.0f}",
                    f"{figures.one_p50_us:,.0f}",
                    f"{figures.one_p50_us - direct.one_p50_us:,.0f}",
                    f"{figures.one_p99_us - direct.one_p99_us:,.0f}",
                    f"{figures.cpu_us:,.0f}" if figures.cpu_us else "",
                )
                for name, figures in middle.items()
            ],
            headers=("", "requests/s, 20 conn.", "p50 µs, 1 conn.", "added p50 µs", "added p99 µs", "CPU µs/request"),
            colalign=("left", *["right"] * 5),
        )
    )
    added = (ours.one_p50_us - direct.one_p50_us) / (stock.one_p50_us - direct.one_p50_us)
    print(f"\nnestperf passes {ours.many_per_s / stock.many_per_s:.1f} times mitmdump's requests a second", end=" ")
    print(f"and adds {added:.0%} of its median: ", end="")
    met = ours.many_per_s >= 12 * stock.many_per_s and added <= 0.15
    print(f"{'met' if met else 'NOT met'}, promised are 12 times and 15%.")


if __name__ == "__main__":
    main()
