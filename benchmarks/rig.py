"""The bench that benchmarks share: processes pinned to a core, an nginx to ask, CPU time and memory of a process tree.

Client and load always have the first core; application, proxy and recorder share the second.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from nestperf.demo.children import free_port

NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 1000; }}
http {{ access_log off; keepalive_requests 100000000; default_type application/json; sendfile on;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{port};
    add_header X-Response-Time 1ms; add_header Vary "Origin, Accept-Encoding"; add_header X-Frame-Options DENY;
    location /files/ {{ alias {folder}/files/; }}
    location / {{ return 200 '{{"status":"ok","user":"kim","items":[1,2,3],"at":"$msec"}}'; }} }} }}
"""
LOAD_CORE = min(os.sched_getaffinity(0))
WORK_CORE = max(os.sched_getaffinity(0))
ROOT = Path(__file__).parents[1]
_TICKS = os.sysconf("SC_CLK_TCK")


class Usage(NamedTuple):
    """What a process and its children hold and have used."""

    cpu_s: float
    rss: int
    """Bytes resident, all of the tree together."""


def require(*programs: str) -> None:
    """End with a sentence where a program is missing."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        sys.exit(f"Missing: {', '.join(missing)} (Debian: apt-get install wrk nginx-light util-linux).")


def pinned(core: int, command: list[str]) -> list[str]:
    """The command line that runs `command` on that core."""
    return ["taskset", "-c", str(core), *command]


@contextmanager
def running(
    command: list[str], port: int, *, stop: signal.Signals = signal.SIGINT
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` on the work core until it listens on `port`, and `stop` it afterwards."""
    process = subprocess.Popen(
        pinned(WORK_CORE, command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT
    )
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield process
    finally:
        process.send_signal(stop)
        process.wait(120)


@contextmanager
def nginx(files: dict[str, bytes]) -> Iterator[int]:
    """An nginx that answers everything with a small JSON object, and `/files/NAME` with these contents; its port."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=port))
        Path(folder).chmod(0o755)
        (Path(folder) / "files").mkdir()
        for name, content in files.items():
            (Path(folder) / "files" / name).write_bytes(content)
        with running(["nginx", "-c", str(config)], port):
            yield port


def record_command(port: int, upstream: int, capture: Path, *arguments: str) -> list[str]:
    """The command line of a recorder on `port` in front of `upstream`."""
    url = f"{port}=http://127.0.0.1:{upstream}"
    return [sys.executable, "-m", "nestperf", "record", url, "-o", str(capture), *arguments]


def usage(process: int) -> Usage:
    """CPU seconds and memory of a process and its living descendants."""
    tree = [process]
    for one in tree:
        tree += map(int, _children(one))
    return Usage(sum(map(_cpu_s, tree)), sum(map(_rss, tree)))


def _children(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return []


def _cpu_s(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _rss(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
