"""What redaction costs: CPU time by how many secrets are known, and the sweep at the end of a large recording.

`python benchmarks/redaction.py [--megabytes 1000]`. CPU time of this process (user and system), the least of several
rounds; one body is 100 KB of JSON without a secret in it.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path

from tabulate import tabulate

from nestperf.capture.model import Body, Run
from nestperf.capture.redaction import Redactor
from nestperf.capture.vault import Vault
from nestperf.capture.writer import CaptureWriter

SMALL = b'{"status":"ok","user":"kim","items":[1,2,3],"at":"1700000000.123"}'
TARGET = "/api/v1/media/requests?page=1&pageSize=20"


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def large_body() -> bytes:
    items = [
        {"id": number, "title": f"Movie {number}", "status": "pending", "createdAt": "2026-11-23T12:18:17Z",
         "posterPath": f"/a/b/{number}.jpg", "overview": "some text about the movie and other things"}
        for number in range(550)
    ]  # fmt: skip
    return json.dumps(items).encode()


def microseconds(work: Callable[[], object], times: int) -> float:
    """CPU time of one call."""
    least = float("inf")
    for _ in range(5):
        before = cpu_s()
        for _ in range(times):
            work()
        least = min(least, cpu_s() - before)
    return least / times * 1e6


def by_number_of_secrets() -> None:
    body = large_body()
    rows = []
    for count in (0, 10, 100, 1_000, 10_000):
        redactor = Redactor(Vault.in_memory())
        before = cpu_s()
        for _ in range(count):
            redactor.field("Authorization", f"Bearer {secrets.token_urlsafe(24)}")
            redactor.text("some text between two secrets")
        learned = (cpu_s() - before) / max(count, 1) * 1e6
        rows.append(
            (
                f"{count:,}",
                f"{microseconds(lambda: redactor.target(TARGET), 2_000):.1f}",  # noqa: B023 - called at once
                f"{microseconds(lambda: redactor.body(SMALL, 'application/json'), 2_000):.1f}",  # noqa: B023
                f"{microseconds(lambda: redactor.body(body, 'application/json'), 20):,.0f}",  # noqa: B023
                f"{learned:,.0f}" if count else "",
            )
        )
    heads = (
        "secrets known",
        "a target, µs",
        "a body of 67 B, µs",
        f"a body of {len(body) // 1000} KB, µs",
        "one more, µs",
    )
    print(tabulate(rows, heads, colalign=["right"] * 5))


def sweep(megabytes: int) -> None:
    """The end of a recording of that size, in which one body of each hundred held a secret recognised late."""
    late, size = "late-known-7f3a9c51e2", 100_000
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "qa.db"
        vault = Vault.create(path)
        writer = CaptureWriter.create(path, Run("u", "record", "proxy", "running", "0", 1), vault=vault)
        for number in range(1, megabytes * 10 + 1):
            text = chance.randbytes(size // 2).hex().encode()
            if number % 100 == 0:
                text = text[:500] + late.encode() + text[500:]
            writer.add(Body(number, str(number), "text/plain", "", False, size, size, "whole", text))
            if number % 100 == 0:
                writer.commit()
        writer.commit()
        redactor = Redactor(vault)
        for _ in range(1_000):
            redactor.field("Authorization", f"Bearer {secrets.token_urlsafe(24)}")
        without = cpu_s()
        writer.sweep()
        nothing = cpu_s() - without
        redactor.field("Authorization", f"Bearer {late}")
        before = cpu_s()
        writer.set_run(writer.run._replace(state="finished"))
        writer.close()
        print(f"\n{megabytes:,} MB, 1,000 secrets known: {nothing:.1f} s CPU to find nothing; ", end="")
        print(f"{cpu_s() - before:.1f} s to take a late secret out of one body in a hundred and close the file.")
        assert late.encode() not in path.read_bytes()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1_000)
    arguments = parser.parse_args()
    by_number_of_secrets()
    sweep(arguments.megabytes)


if __name__ == "__main__":
    main()
