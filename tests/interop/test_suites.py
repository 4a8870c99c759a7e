"""Existing suites of real tools behind the recorder: Node's own test runner, and psql with the database's URL."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nestperf.capture.reader import Capture
from nestperf.capture.vault import secrets_path
from tests.postgres import Postgres
from tests.proxy_addon.test_record_command import application

__all__ = ["application"]

SUITE = """
import assert from 'node:assert'
import { test } from 'node:test'

const get = (t, path) => fetch(process.env.NESTPERF_URL + path, {
  headers: { 'X-Nestperf-Test': encodeURIComponent(t.name) },
})

test('lists Ümläut films', async (t) => {
  for (const number of [1, 2, 3]) assert.equal((await get(t, `/films/${number}`)).status, 200)
})
test('side by side', { concurrency: true }, async (t) => {
  await Promise.all(['a', 'b'].map((name) => t.test(name, async (inner) => {
    for (let number = 0; number < 5; number++) assert.equal((await get(inner, `/${name}`)).status, 200)
  })))
})
test('breaks', { skip: !process.env.BREAK }, async (t) => {
  assert.equal((await get(t, '/broken')).status, 200)
})
"""
PROMISES = """
[[threshold]]
name = "Films answer"
expression = "max(latency) < 30s"
mark = "lists *"
required = false

[[threshold]]
name = "Nothing fails"
expression = "count(failed) < 1"
"""


def record(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "nestperf", "record", "-o", "suite.db", *arguments], capture_output=True, text=True,
        timeout=120, check=False, cwd=folder, stdin=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "200"} | variables,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "suite.test.mjs").write_text(SUITE)
    (tmp_path / "nestperf.toml").write_text(PROMISES)
    return tmp_path


@pytest.mark.peer("node")
def test_node_suite_is_recorded_by_its_tests_names(folder: Path, application: int) -> None:
    ended = record(folder, f"http://127.0.0.1:{application}", "--", "node", "--test", "suite.test.mjs")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "# pass" in ended.stdout or "pass " in ended.stdout
    with Capture.open(folder / "suite.db") as capture:
        named = {one.text: len(one.exchanges) for one in capture.named()}
    assert named == {"lists Ümläut films": 3, "a": 5, "b": 5}
    assert "lists Ümläut films" in report(folder)


@pytest.mark.peer("node")
def test_node_suite_that_breaks_ends_as_node_does(folder: Path, application: int) -> None:
    ended = record(folder, f"http://127.0.0.1:{application}", "--", "node", "--test", "suite.test.mjs", BREAK="1")
    assert ended.returncode == 1
    assert "FAIL  The one required promise is broken: Nothing fails." in ended.stdout


def report(folder: Path) -> str:
    command = [sys.executable, "-m", "nestperf", "report", "suite.db"]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return ended.stdout


@pytest.mark.peer("postgres")
def test_suites_database_url_leads_through_the_recorder(folder: Path, application: int, postgres: Postgres) -> None:
    url = f"{postgres.fresh_database()}?application_name=suite&sslmode=disable"
    at = url.partition("@")[2].partition("/")[0]
    psql = shlex.quote(str(postgres.binaries / "psql"))
    ended = record(
        folder, f"http://127.0.0.1:{application}", f"postgres://{at}", "--",
        "sh", "-c", f'{psql} -X -c "select 42 as answer" "$DATABASE_URL"', DATABASE_URL=url, PGGSSENCMODE="disable",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "answer" in ended.stdout
    assert "Nothing was sent through the recorder" in ended.stdout  # to the application, that is
    with Capture.open(folder / "suite.db") as capture:
        (query,) = [query for query in capture.queries() if query.protocol == "simple"]
        assert (query.application, query.outcome) == ("suite", "ok")
    for name in folder.iterdir():
        assert name == secrets_path(folder / "suite.db") or postgres.server.password.encode() not in name.read_bytes()
    assert postgres.server.password not in ended.stdout + ended.stderr
