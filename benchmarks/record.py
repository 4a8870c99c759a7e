"""What recording costs: throughput and added latency of the recorder, beside stock mitmdump and no proxy at all.

Everything in one run on one machine, the load (wrk) on one core, application (nginx), proxy and recorder on the other:
`python benchmarks/record.py [--seconds 5]`. Needs wrk, nginx and taskset. Each figure is the median of three rounds.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tabulate import tabulate

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 1000; }}
http {{ access_log off; keepalive_requests 100000000; default_type application/json;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port};
    add_header X-Response-Time 1ms; add_header Vary "Origin, Accept-Encoding"; add_header X-Frame-Options DENY;
    location / {{ return 200 '{{"status":"ok","user":"kim","items":[1,2,3],"at":"$msec"}}'; }} }} }}
"""
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


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` on the second core until it listens on `port`, and stop it afterwards."""
    pinned = ["taskset", "-c", str(max(os.sched_getaffinity(0)) if len(os.sched_getaffinity(0)) > 1 else 0), *command]
    process = subprocess.Popen(pinned, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def wrk(port: int, connections: int, seconds: int) -> tuple[float, float, float, int]:
    """Requests a second, median and 99th percentile in microseconds, and requests, as wrk saw them."""
    options = [word for header in HEADERS for word in ("-H", header)]
    command = ["taskset", "-c", "0", "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *options]
    printed = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/api/v1/dashboard/status"], capture_output=True, text=True, check=True
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
    missing = [name for name in ("wrk", "nginx", "taskset") if shutil.which(name) is None]
    if missing:
        sys.exit(f"Missing: {', '.join(missing)} (Debian: apt-get install wrk nginx-light util-linux).")
    binaries = Path(sys.executable).parent
    application = free_port()
    mitmdump = [str(binaries / "mitmdump"), "-q", "--mode", f"reverse:http://127.0.0.1:{application}"]
    proxies: dict[str, Callable[[int, Path], list[str]]] = {
        "mitmdump -q": lambda port, _: [*mitmdump, "--listen-host", "127.0.0.1", "--listen-port", str(port)],
        "nestperf record": lambda port, folder: [
            sys.executable, "-m", "nestperf", "record", f"{port}=http://127.0.0.1:{application}",
            "-o", str(folder / "bench.db"),
        ],
    }  # fmt: skip
    rounds: dict[str, list[Round]] = {"direct": [], **{name: [] for name in proxies}}
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=application))
        with running(["nginx", "-c", str(config)], application):
            for _ in range(3):
                rounds["direct"].append(measure(application, seconds)[0])
                for name, make in proxies.items():
                    rounds[name].append(through(make, seconds))
    middle = {name: Round(*map(median, zip(*told, strict=True))) for name, told in rounds.items()}
    show(middle)


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
    print(f"and adds {added:.0%} of its median.")


if __name__ == "__main__":
    main()
