"""Programs that benchmarks run: each on a core of its own, stopped at the end, its CPU told by the operating system."""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from benchmarks.rig import LOAD_CORE, ROOT, pinned, running
from nestperf.capture.model import Run
from nestperf.capture.reader import Capture
from nestperf.demo.children import free_port

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 2000; }}
http {{ access_log off; keepalive_requests 100000000; default_type application/json;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port} backlog=4096;
    add_header X-Frame-Options DENY; add_header Vary "Origin, Accept-Encoding";
    location / {{ return 200 '{{"status":"ok","user":"kim","items":[1,2,3]}}'; }}
    location /live {{ add_header Set-Cookie "session=$request_id; Path=/; HttpOnly";
      return 200 '{{"status":"ok","csrfToken":"$request_id"}}'; }} }} }}
"""


class Ended(NamedTuple):
    """A program that is over."""

    printed: str
    cpu_s: float
    """User and system."""
    wall_s: float
    code: int


class Replayed(NamedTuple):
    """A replay that is over."""

    run: Run
    path: Path
    ended: Ended

    @property
    def requests(self) -> int:
        return int(self.run.certificate["requests"])

    @property
    def cpu_us(self) -> float:
        """Of the run itself, by getrusage at its beginning and end, for one request."""
        return float(self.run.certificate["cpu_ns"]) / self.requests / 1e3

    @property
    def whole_cpu_us(self) -> float:
        """Of the whole command for one request: start, plan, run, indexes, verdicts."""
        return self.ended.cpu_s / self.requests * 1e6

    @property
    def per_second(self) -> float:
        return self.requests / float(self.run.certificate["elapsed_ns"]) * 1e9


@contextmanager
def nginx(folder: Path) -> Iterator[str]:
    """A static nginx with one worker; its URL."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port))
    with running(["nginx", "-c", str(config)], port):
        yield f"http://127.0.0.1:{port}"


def execute(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> Ended:
    """Run a program on the client's core to its end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    done = subprocess.run(
        pinned(LOAD_CORE, command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
        check=False, env=os.environ | (environment or {}),
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ended(done.stdout, cpu_s, time.perf_counter() - began, done.returncode)


def replay(recording: Path, folder: Path, *options: str) -> Replayed:
    """`nestperf replay`, and what it measured of itself."""
    output = folder / "replay.db"
    command = [sys.executable, "-m", "nestperf", "replay", str(recording), "-o", str(output), "--force", *options]
    ended = execute(command, folder, {"PYTHONPATH": str(ROOT)})
    if not output.exists():
        sys.exit(f"nestperf replay said: {ended.printed}")
    with Capture.open(output) as capture:
        return Replayed(capture.run, output, ended)


class Wrk(NamedTuple):
    """What wrk found."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


def wrk(url: str, folder: Path, *, connections: int, seconds: int) -> Wrk:
    """One thread of wrk."""
    ended = execute(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", url], folder)
    requests = int(_found(r"(\d+) requests in", ended.printed))
    return Wrk(
        requests,
        float(_found(r"Requests/sec:\s+([\d.]+)", ended.printed)),
        _milliseconds(_found(r"\n +50% +(\S+)", ended.printed)),
        _milliseconds(_found(r"\n +99% +(\S+)", ended.printed)),
        ended.cpu_s / requests * 1e6,
    )


def bare_client(url: str, folder: Path, *, connections: int, seconds: int) -> tuple[float, int]:
    """CPU in microseconds for a request, and how many there were, of a client that does nothing but ask."""
    port = url.rpartition(":")[2]
    command = [sys.executable, "-m", "benchmarks.bare_client", port, str(connections), str(seconds)]
    requests, cpu_us = execute(command, folder, {"PYTHONPATH": str(ROOT)}).printed.split()
    return float(cpu_us), int(requests)


def locust(program: str, url: str, folder: Path, *, users: int, seconds: int) -> tuple[float, float] | None:
    """CPU in microseconds for a request and requests a second of Locust's FastHttpUser; None where it did not run."""
    script = folder / "locustfile.py"
    script.write_text(
        "from locust import FastHttpUser, constant, task\n\n\n"
        "class User(FastHttpUser):\n    wait_time = constant(0)\n\n"
        "    @task\n    def status(self):\n        self.client.get('/api/v1/dashboard/status')\n"
    )
    options = ["--headless", "-u", str(users), "-r", str(users), "-t", f"{seconds}s", "--only-summary"]
    ended = execute([program, "-f", str(script), "-H", url, *options], folder)
    found = re.search(r"Aggregated\s+(\d+)", ended.printed)
    if found is None:
        return None
    return ended.cpu_s / int(found[1]) * 1e6, int(found[1]) / seconds


def missing(*programs: str) -> str | None:
    """What to install where a program is not there."""
    names = [name for name in programs if shutil.which(name) is None]
    return f"Missing: {', '.join(names)} (Debian: apt-get install wrk nginx-light util-linux)." if names else None


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"wrk printed what nobody expects:\n{text}")
    return match[1]


def _milliseconds(text: str) -> float:
    match = re.fullmatch(r"([\d.]+)(\D+)", text)
    assert match is not None
    return float(match[1]) * {"us": 1e-3, "ms": 1, "s": 1e3}[match[2]]
