"""Feeds the recorder mutated traffic until the time is over: `python benchmarks/fuzz.py [--seconds 60] [--seed N]`.

Seeds are the conversations of the real MediaNest in `tests/samples` and a few of every protocol. After each mutation
three things must hold, else the input is written to `fuzz-failure-*.json` and the exit code is 1: nothing raises; cut
into other chunks it gives the same rows; SQLite takes every row.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import re
import sys
import time
import traceback
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from nestperf.capture.clock import Clock
from nestperf.capture.contents import Contents
from nestperf.capture.model import Row, Upstream
from nestperf.capture.redaction import Redactor
from nestperf.capture.vault import Vault
from proxy_addon.recorder import Recorder
from proxy_addon.tap import Record, What
from tests.proxy_addon.test_recorder_properties import PIECES, in_memory

SAMPLES = Path(__file__).parents[1] / "tests" / "samples"
INTERESTING = (
    b"", b"\r\n", b"\r\n\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"Content-Length: 99999999999\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Content-Encoding: gzip\r\n", b"Content-Encoding: br, zstd\r\n", b"\x81\x7f",
    b"\x81\xfe\xff\xff", b"\x88\x00", b"451-", b"42[", b'"\\ud800"', b"\x1e", b"b4", b"\xff" * 8, b"\x00" * 8,
    b"Z\x00\x00\x00\x05I",
)  # fmt: skip
_NUMBER = re.compile(r"nps_[0-9a-f]+_[0-9]+")
"""Placeholders: secrets may be numbered in another order."""
SLOW_S = 5.0
"""An input that takes longer is a fault as well."""


class Chunk(NamedTuple):
    """Bytes of one side."""

    client: bool
    data: bytes


Conversation = list[Chunk]


def seeds() -> list[Conversation]:
    """What mutations begin with."""
    found: list[Conversation] = []
    for name in ("medianest-browser-session.jsonl", "medianest-postgres.jsonl"):
        connections: dict[int, Conversation] = defaultdict(list)
        for line in (SAMPLES / name).read_text("utf-8").strip().split("\n"):
            told = json.loads(line)
            if told.get("b"):
                connections[told["c"]].append(Chunk(told["d"].startswith(">"), told["b"].encode("latin-1")))
        found += [conversation[:40] for conversation in connections.values()]
    found.append([Chunk(number % 2 == 0, piece) for number, piece in enumerate(PIECES)])
    return [conversation for conversation in found if conversation]


def mutate(conversation: Conversation, others: list[Conversation], chance: random.Random) -> Conversation:
    """Another conversation, a few steps away."""
    mutated = list(conversation)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        at = chance.randrange(len(mutated))
        mutated[at] = mutated[at]._replace(data=_mutate_bytes(mutated[at].data, chance))
        if chance.random() < 0.1:
            mutated[at] = mutated[at]._replace(client=not mutated[at].client)
        if chance.random() < 0.1:
            mutated.insert(at, chance.choice(chance.choice(others)))
        if chance.random() < 0.1 and len(mutated) > 1:
            del mutated[at]
    return mutated


def _mutate_bytes(data: bytes, chance: random.Random) -> bytes:
    content = bytearray(data)
    at, end = sorted((chance.randrange(len(content) + 1), chance.randrange(len(content) + 1)))
    match chance.randrange(6):
        case 0 if content:
            content[min(at, len(content) - 1)] ^= 1 << chance.randrange(8)
        case 1:
            content[at:at] = chance.choice(INTERESTING)
        case 2:
            del content[at : min(end, at + 64)]
        case 3:
            content[at:at] = content[at : min(end, at + 256)]
        case 4:
            content[at : at + 8] = chance.randbytes(8)
        case _:
            del content[at:]
    return bytes(content)


def rows_of(conversation: Conversation, databases: list[int], step: int | None) -> list[Row]:
    """What the recorder makes of it, cut into chunks of `step` bytes."""
    rows: list[Row] = []
    recorder = Recorder(
        Contents(Redactor(Vault(None, b"k" * 32)), rows.append, max_response=10_000),
        rows.append,
        Clock(0, 0),
        [Upstream("postgres://127.0.0.1:5432")] if databases else [],
    )
    recorder.feed(Record(What.OPENED, 1, 0, 0, b'{"client":"127.0.0.1","upstream":0}'))
    recorder.feed(Record(What.CONNECTED, 1, 0, 0, b""))
    for stamp_ns, chunk in enumerate(conversation, 1):
        what = What.CLIENT_BYTES if chunk.client else What.SERVER_BYTES
        for at in range(0, len(chunk.data), step or len(chunk.data) or 1):
            recorder.feed(Record(what, 1, stamp_ns, 0, chunk.data[at : at + step] if step else chunk.data))
        if step is None and stamp_ns % 7 == 0:
            recorder.snapshot()
    recorder.feed(Record(What.CLIENT_END, 1, len(conversation) + 1, 0, b""))
    recorder.feed(Record(What.SERVER_END, 1, len(conversation) + 1, 0, b""))
    recorder.feed(Record(What.CLOSED, 1, len(conversation) + 1, 0, b""))
    recorder.finish()
    return rows


def comparable(rows: list[Row]) -> dict[Any, Any]:
    """Rows that do not depend on where chunks ended, by type and id. Frames do where they are opaque."""
    last = {(type(row).__name__, row.id): row for row in rows}
    names = {"Exchange", "Packet", "Socket", "Statement", "Query"}
    return {key: _without_bodies(row) for key, row in last.items() if key[0] in names}


def _without_bodies(row: Any) -> Any:
    row = row._make(_NUMBER.sub("nps", value) if isinstance(value, str) else value for value in row)
    ids = {name: None for name in ("request_body", "response_body", "frame_id", "attachments") if name in row._fields}
    return row._replace(**ids)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    chance, writer, corpus = random.Random(seed), in_memory(), seeds()
    until, inputs, failures, slowest = time.perf_counter() + options.seconds, 0, 0, 0.0
    while time.perf_counter() < until:
        conversation = mutate(chance.choice(corpus), corpus, chance)
        databases = [0] if chance.random() < 0.3 else []
        began = time.process_time()
        try:
            rows = rows_of(conversation, databases, None)
            writer.extend(rows)
            writer.commit()
            if refused := writer.take_refused():
                raise AssertionError(f"SQLite refuses {refused}")
            if inputs % 4 == 0:
                cut = comparable(rows_of(conversation, databases, chance.choice((1, 2, 7, 61))))
                whole = comparable(rows_of(conversation, databases, 10**9))
                if cut != whole:
                    different = [key for key in cut.keys() | whole.keys() if cut.get(key) != whole.get(key)]
                    raise AssertionError(f"cut otherwise it differs: {different[:3]}")
            took = time.process_time() - began
            slowest = max(slowest, took)
            if took > SLOW_S:
                raise AssertionError(f"took {took:.1f} s")
        except Exception:
            failures += 1
            name = Path(f"fuzz-failure-{seed}-{inputs}.json")
            told = [(chunk.client, base64.b64encode(chunk.data).decode()) for chunk in conversation]
            name.write_text(json.dumps({"databases": databases, "chunks": told}))
            traceback.print_exc()
            print(f"written to {name}")
            if failures >= 10:
                break
        inputs += 1
        if chance.random() < 0.02:
            corpus.append(conversation)
            if len(corpus) > 300:
                del corpus[chance.randrange(30, len(corpus))]
    print(f"seed {seed}: {inputs:,} inputs, {failures} failures, slowest {slowest * 1e3:.0f} ms")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
