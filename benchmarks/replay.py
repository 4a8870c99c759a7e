"""What a replay costs and how true it is: CPU for a request, lateness, latency, sockets, storing. Every claim is
printed as met or not met, with its numbers.

`python benchmarks/replay.py [PART...] [--seconds 10] [--locust PROGRAM]`; parts are cpu, arrivals, latency, sockets
and samples. Load and server have a core each (taskset); CPU is what the operating system accounts. Needs nginx, wrk,
taskset and Linux; Locust is one more peer where it is installed.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
if Path(sys.path[0]).resolve() == Path(__file__).parent.resolve():
    sys.path[0] = str(ROOT)  # else this file would hide the package of its name

from tabulate import tabulate  # noqa: E402

from benchmarks import recordings, samples, sockets  # noqa: E402
from benchmarks.claims import Claims  # noqa: E402
from benchmarks.processes import bare_client, locust, missing, nginx, replay, wrk  # noqa: E402
from benchmarks.rig import running  # noqa: E402
from benchmarks.stamping import read_stamps  # noqa: E402
from nestperf.capture.model import Exchange  # noqa: E402
from nestperf.capture.reader import Capture  # noqa: E402
from nestperf.demo.children import free_port  # noqa: E402
from nestperf.percentiles import nearest_rank  # noqa: E402

USERS = 20
STEPS = 200
UNPACED = ("--think", "none", "--start", "together", "--users", str(USERS))
ASKED_US, ASKED_LIVE_US, WRK_US = 15, 30, 7
"""CPU for a request, of a machine where wrk takes so much; elsewhere the ratio counts."""
P50, P99 = Fraction(1, 2), Fraction(99, 100)


class Options(NamedTuple):
    """What was asked for on the command line."""

    seconds: int
    locust: str | None
    clients: int
    rows: int


def cpu(options: Options, folder: Path, claims: Claims) -> None:
    """CPU for a request, unpaced, and that of others in the same run."""
    rows: list[Sequence[object]] = []
    with nginx(folder) as url:
        fixed = recordings.fixed(folder / "fixed.db", url, STEPS)
        live = recordings.live(folder / "live.db", url, STEPS)
        renewed = recordings.live(folder / "renewed.db", url, STEPS, renewed=True)
        single = recordings.fixed(folder / "single.db", url, 1)
        duration = ("--duration", f"{options.seconds}s")
        asked = {
            "the same for every user": replay(fixed, folder, *UNPACED, *duration),
            "two cookies and a live token": replay(live, folder, *UNPACED, *duration),
            "the same, renewed by each answer": replay(renewed, folder, *UNPACED, *duration),
            "a connection for each request": replay(single, folder, *UNPACED, *duration),
        }
        for name, ran in asked.items():
            rows.append((
                f"nestperf, {name}", ran.cpu_us, ran.whole_cpu_us, ran.per_second, ran.requests, ran.ended.wall_s
            ))  # fmt: skip
        peer = wrk(f"{url}/api/v1/dashboard/status", folder, connections=USERS, seconds=options.seconds)
        rows.append(("wrk", peer.cpu_us, peer.cpu_us, peer.per_second, peer.requests, options.seconds))
        bare_us, bare = bare_client(url, folder, connections=USERS, seconds=options.seconds)
        rows.append(("the least in Python", bare_us, bare_us, bare / options.seconds, bare, options.seconds))
        program = options.locust or shutil.which("locust")
        other = locust(program, url, folder, users=USERS, seconds=options.seconds) if program else None
        if other is not None:
            whole = other[1] * options.seconds
            rows.append(("Locust, FastHttpUser", other[0], other[0], other[1], whole, options.seconds))
    print(tabulate(rows, ("", "CPU µs", "whole command", "per second", "requests", "wall s"), floatfmt=",.1f"))
    if other is None:
        print("Locust is not here: uv venv peers && uv pip install -p peers locust, then --locust peers/bin/locust")
    stored = asked["the same for every user"]
    with Capture.open(stored.path.parent / "replay.db") as capture:
        print(
            f"The last capture holds {capture.count(Exchange):,} exchanges; lost: {capture.run.losses or 'nothing'}.\n"
        )
    live_us = asked["two cookies and a live token"].cpu_us
    claims.at_most("CPU for a request, 10 s unpaced", stored.cpu_us, ASKED_US, "µs")
    claims.at_most("CPU with cookies and one live value", live_us, ASKED_LIVE_US, "µs")
    claims.at_most("CPU for a request, beside wrk's", stored.cpu_us / peer.cpu_us, ASKED_US / WRK_US, "times")
    claims.at_most(
        "CPU with cookies and one live value, beside wrk's", live_us / peer.cpu_us, ASKED_LIVE_US / WRK_US, "times"
    )


def arrivals(options: Options, folder: Path, claims: Claims) -> None:
    """How late requests arrive at the server against the slots they were due in."""
    for rate, limit_ms in ((1000, 1.0), (5000, 2.0)):
        stamps = folder / "stamps"
        port = free_port()
        command = [sys.executable, "-m", "benchmarks.stamping", str(port), "1", str(stamps)]
        with running(command, port, stop=signal.SIGTERM):
            recording = recordings.fixed(folder / "paced.db", f"http://127.0.0.1:{port}", STEPS, every_ms=1)
            asked = (
                "--rate",
                f"{rate}/s",
                "--max-users",
                "200",
                "--duration",
                f"{options.seconds}s",
                "--think",
                "none",
            )
            ran = replay(recording, folder, *asked)
        received, _ = read_stamps(stamps)
        due = intended(ran.path, ran.run.started_unix_ns)
        if len(due) != len(received):
            print(
                f"--rate {rate}/s: {len(due):,} were due and {len(received):,} arrived; dropped or broken ones are out."
            )
        late = sorted(came - slot for came, slot in zip(sorted(received), sorted(due), strict=False))
        lags = ran.run.certificate
        print(
            f"--rate {rate:,}/s: {len(received):,} arrivals, {len(received) / options.seconds:,.0f} a second; lateness "
            f"p50 {milliseconds(late, P50):.3f} ms, p99 {milliseconds(late, P99):.3f} ms, max {late[-1] / 1e6:.3f} ms; "
            f"own send lag p99 {(lags['send_lag_p99_ns'] or 0) / 1e6:.3f} ms; CPU {ran.cpu_us:.1f} µs a request, "
            f"{lags['cpu_share']:.0%} of a core"
        )
        claims.at_most(f"p99 lateness of arrivals at {rate:,}/s", milliseconds(late, P99), limit_ms, "ms")
    print()


def intended(path: Path, started_unix_ns: int) -> list[int]:
    """When exchanges that were sent were due, nanoseconds since 1970."""
    with Capture.open(path) as capture:
        rows = capture.columns(Exchange, "intended_ns", "done_ns")
    return [due_ns + started_unix_ns for due_ns, done_ns in rows if done_ns is not None]


def latency(options: Options, folder: Path, claims: Claims) -> None:
    """Latency as told by the replay, and by wrk, against the server's own stamps in the same run."""
    rows: list[Sequence[object]] = []
    worse: dict[str, tuple[float, float]] = {}
    for name in ("wrk", "nestperf"):
        stamps = folder / "stamps"
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "benchmarks.stamping", str(port), "5", str(stamps)]
        with running(command, port, stop=signal.SIGTERM):
            if name == "wrk":
                peer = wrk(f"{url}/api", folder, connections=10, seconds=options.seconds)
                told = (peer.p50_ms, peer.p99_ms)
            else:
                recording = recordings.fixed(folder / "fixed.db", url, STEPS)
                asked = ("--think", "none", "--users", "10", "--duration", f"{options.seconds}s")
                ran = replay(recording, folder, *asked)
                with Capture.open(ran.path) as capture:
                    columns = capture.columns(Exchange, "sent_ns", "done_ns")
                services = sorted(done_ns - sent_ns for sent_ns, done_ns in columns if done_ns is not None)
                told = (milliseconds(services, P50), milliseconds(services, P99))
        received, sent = read_stamps(stamps)
        own = sorted(out - came for came, out in zip(received, sent, strict=True))
        server = (milliseconds(own, P50), milliseconds(own, P99))
        worse[name] = (told[0] - server[0], told[1] - server[1])
        rows.append((name, len(own), server[0], told[0], worse[name][0], server[1], told[1], worse[name][1]))
    headers = ("", "answers", "server p50 ms", "told p50", "more", "server p99 ms", "told p99", "more")
    print(tabulate(rows, headers, floatfmt=",.3f", intfmt=","), "\n")
    claims.at_most("p50 beyond the server's own", worse["nestperf"][0], 0.3, "ms")
    claims.at_most("p99 beyond the server's own", worse["nestperf"][1], 0.8, "ms")
    claims.at_most("p50 beyond wrk's", worse["nestperf"][0] - worse["wrk"][0], 0.1, "ms")
    claims.at_most("p99 beyond wrk's", worse["nestperf"][1] - worse["wrk"][1], 0.1, "ms")


def milliseconds(ordered: list[int], share: Fraction) -> float:
    return nearest_rank(ordered, share) / 1e6


PARTS: dict[str, Callable[[Options, Path, Claims], None]] = {
    "cpu": cpu,
    "arrivals": arrivals,
    "latency": latency,
    "sockets": lambda options, folder, claims: sockets.measure(options.clients, folder, claims),
    "samples": lambda options, folder, claims: samples.measure(options.rows, folder, claims),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[*PARTS, []], help=", ".join(PARTS))
    parser.add_argument("--seconds", type=int, default=10, help="for each load")
    parser.add_argument("--locust", help="Locust's program, where it is in an environment of its own")
    parser.add_argument("--clients", type=int, default=10_000, help="Socket.IO clients")
    parser.add_argument("--rows", type=int, default=10_000_000, help="samples to store")
    arguments = parser.parse_args()
    sentence = missing("nginx", "wrk", "taskset")
    if sentence is not None:
        sys.exit(sentence)
    print(f"{sys.implementation.name} {sys.version.split()[0]} ({sys.executable})")
    options = Options(arguments.seconds, arguments.locust, arguments.clients, arguments.rows)
    claims = Claims()
    for part in arguments.parts or PARTS:
        print(f"\n{part}: {PARTS[part].__doc__ or ''}".rstrip(": "))
        with tempfile.TemporaryDirectory() as folder:
            PARTS[part](options, Path(folder), claims)
    claims.show()


if __name__ == "__main__":
    main()
