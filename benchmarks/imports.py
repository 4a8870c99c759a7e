"""What an import costs: time and memory by the size of a HAR, and of PostgreSQL's log.

`python benchmarks/imports.py [--entries 5000 20000]`. Each import is a process of its own; its memory is the most that
it had resident, which is to stay where it is however large the file becomes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

_BODY = json.dumps([{"id": number, "title": f"Movie {number}", "status": "pending"} for number in range(250)])


class Cost(NamedTuple):
    """Of one import."""

    seconds: float
    cpu_s: float
    megabytes: float
    """Most memory resident."""


def entry(number: int) -> dict[str, object]:
    """One entry of some 20 KB, ten a second."""
    second, tenth = divmod(number, 10)
    headers = [
        {"name": "User-Agent", "value": "Mozilla/5.0"},
        {"name": "Cookie", "value": f"sid=secret-{number % 50:08}"},
    ]
    return {
        "startedDateTime": f"2026-11-{1 + second // 86400:02}T{second // 3600 % 24:02}:{second // 60 % 60:02}"
        f":{second % 60:02}.{tenth}Z",
        "time": 40,
        "request": {"method": "GET", "url": f"https://app.test/api/movies/{number}", "httpVersion": "HTTP/1.1",
                    "cookies": [], "headers": headers, "queryString": [], "headersSize": 200, "bodySize": 0},
        "response": {"status": 200, "statusText": "OK", "httpVersion": "HTTP/1.1", "cookies": [],
                     "headers": [{"name": "Content-Type", "value": "application/json"}], "redirectURL": "",
                     "content": {"mimeType": "application/json", "text": _BODY[:-1] + f",{number}]"},
                     "headersSize": 100, "bodySize": len(_BODY)},
        "cache": {},
        "timings": {"send": 0, "wait": 30, "receive": 10},
    }  # fmt: skip


def write_har(path: Path, entries: int) -> None:
    with path.open("w") as file:
        file.write('{"log":{"version":"1.2","creator":{"name":"benchmark","version":"1"},"entries":[')
        for number in range(entries):
            file.write(("," if number else "") + json.dumps(entry(number)))
        file.write("]}}")


def write_log(path: Path, queries: int) -> None:
    with path.open("w") as file:
        for number in range(queries):
            second, ms = divmod(number, 1000)
            stamp = f"2026-11-29 {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{ms:03} UTC"
            file.write(
                f"{stamp} [{number % 20}] LOG:  duration: 0.512 ms  statement: select * from t where id = {number}\n"
            )


def import_file(path: Path, folder: Path) -> Cost:
    command = [sys.executable, "-m", "nestperf", "import", str(path), "-o", str(folder / f"{path.name}.db")]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    assert status == 0, path
    return Cost(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, nargs="+", default=[5_000, 20_000], help="of HARs, ten times as queries")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for entries in arguments.entries:
            for path, write, count in (
                (folder / f"{entries}.har", write_har, entries),
                (folder / f"{entries}.log", write_log, 10 * entries),
            ):
                write(path, count)
                cost = import_file(path, folder)
                size = path.stat().st_size / 1e6
                speed = f"{count / cost.cpu_s:,.0f}", f"{size / cost.cpu_s:,.1f}"
                spent = f"{cost.seconds:,.1f}", f"{cost.megabytes:,.0f}"
                rows.append((path.suffix[1:], f"{count:,}", f"{size:,.0f}", *speed, *spent))
                path.unlink()
    titles = ("file", "entries", "MB", "entries a CPU second", "MB a CPU second", "seconds", "memory, MB")
    print(tabulate(rows, titles, colalign=("left", *["right"] * 6), disable_numparse=True))


if __name__ == "__main__":
    main()
