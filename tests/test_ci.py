"""The recipes of docs/ci.md do what they say: their commands are run, as they stand there, against the demo."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from ruamel.yaml import YAML

from nestperf.capture.reader import Capture
from nestperf.capture.vault import secrets_path
from nestperf.cli import cli
from nestperf.demo.children import free_port
from tests.conftest import missing_peer

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "ci.md").read_text()
ACTIONS = {"actions/checkout", "actions/setup-python", "actions/cache", "actions/upload-artifact"}
SHORT = {"USERS": "2", "DURATION": "4s"}
_PATIENCE_S = 180
_JUDGED = (0, 1, 4)
"""Exit codes of a run that was judged: on a busy machine a short one may be slow, or invalid."""

SERVE = f"""#!/bin/sh
exec {shlex.quote(sys.executable)} -m nestperf.demo.app --port "$1"
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


WORKFLOWS: list[dict[str, Any]] = [YAML(typ="safe").load(block) for block in blocks("yaml")]


class Runner:
    """Runs the steps of a job in a folder as GitHub does: each a `bash -e`, of one environment."""

    def __init__(self, folder: Path, job: dict[str, Any], environment: dict[str, str]) -> None:
        self.folder = folder
        self.job = job
        self.environment = environment
        self.codes: dict[str, int] = {}
        self._processes: list[subprocess.Popen[bytes]] = []

    def run(self, *leave_out: str, ports: dict[str, str]) -> None:
        """Every `run` step whose id is not among those left out; `ports` are those of this machine."""
        for step in self.job["steps"]:
            if "run" not in step or step.get("id") in leave_out:
                continue
            if any(self.codes.values()) and step.get("if") != "always()":
                continue
            script = re.sub("|".join(ports), lambda match: ports[match[0]], step["run"])
            with (self.folder / "step.log").open("wb") as log:
                process = subprocess.Popen(
                    ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], cwd=self.folder, stdout=log,
                    stderr=subprocess.STDOUT, env=self.environment, start_new_session=True,
                )  # fmt: skip
                self._processes.append(process)
                self.codes[step["name"]] = process.wait(_PATIENCE_S)

    def said(self) -> str:
        return (self.folder / "step.log").read_text(errors="replace")

    def close(self) -> None:
        """End what the steps started and left running."""
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of the demo's scripted visit, for replay; its secrets stay where it was recorded."""
    folder = tmp_path_factory.mktemp("visit")
    port = str(free_port())
    nestperf = [sys.executable, "-m", "nestperf"]
    app = subprocess.Popen([sys.executable, "-m", "nestperf.demo.app", "--port", port], stdout=subprocess.PIPE)
    try:
        assert app.stdout is not None
        assert app.stdout.readline()
        session = f'{shlex.quote(sys.executable)} -m nestperf.demo.session "$NESTPERF_URL" --pace 0.2'
        command = [*nestperf, "record", f"http://127.0.0.1:{port}", "-o", "recorded.db", "--", "sh", "-c", session]
        subprocess.run(command, cwd=folder, timeout=_PATIENCE_S, check=False, capture_output=True)
    finally:
        app.terminate()
        app.communicate(timeout=60)
    export = [*nestperf, "export", "recorded.db", "-o", "qa.db", "--for-replay"]
    subprocess.run(export, cwd=folder, timeout=60, check=True, capture_output=True)
    assert secrets_path(folder / "recorded.db").exists()
    assert not secrets_path(folder / "qa.db").exists()
    return folder


def a_checkout(folder: Path, visit: Path) -> None:
    """What a repository has committed."""
    (folder / "perf").mkdir(parents=True)
    shutil.copy(visit / "qa.db", folder / "perf" / "qa.db")
    (folder / "perf" / "nestperf.toml").write_text("[[threshold]]\nname = 'Fast'\nexpression = 'p95(latency) < 10s'\n")
    (folder / "perf" / "serve").write_text(SERVE)
    (folder / "perf" / "serve").chmod(0o755)


@pytest.fixture
def environment(tmp_path: Path, visit: Path) -> dict[str, str]:
    """A runner's, with `nestperf` on its path and the secrets of the visit."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "nestperf").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m nestperf "$@"\n')
    (tools / "nestperf").chmod(0o755)
    return os.environ | SHORT | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "NESTPERF_SECRETS": secrets_path(visit / "recorded.db").read_text(),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }  # fmt: skip


@pytest.fixture
def runners() -> Iterator[list[Runner]]:
    started: list[Runner] = []
    yield started
    for runner in started:
        runner.close()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow["name"])
def test_workflows_have_what_github_wants(workflow: dict[str, Any]) -> None:
    assert set(workflow) >= {"name", "on", "jobs"}
    for job in workflow["jobs"].values():
        assert job["runs-on"] == "ubuntu-latest"
        assert set(SHORT) <= set(job["env"])
        for step in job["steps"]:
            assert ("run" in step) is not ("uses" in step)
            assert "uses" not in step or step["uses"].rpartition("@")[0] in ACTIONS
            assert "run" not in step or step["name"]


def is_invalid(path: Path) -> bool:
    with Capture.open(path) as capture:
        return bool(capture.run.invalid)


def test_side_by_side_plays_both_versions_and_writes_the_comment(
    tmp_path: Path, visit: Path, environment: dict[str, str], runners: list[Runner]
) -> None:
    (workflow,) = (one for one in WORKFLOWS if one["name"] == "performance")
    folder = tmp_path / "workspace"
    for name in ("main", "branch"):
        a_checkout(folder / name, visit)
    ports = {"4000": str(free_port()), "4100": str(free_port())}
    runner = Runner(folder, workflow["jobs"]["side-by-side"], environment)
    runners.append(runner)
    runner.run("install", "comment", ports=ports)
    assert runner.codes["Start both versions"] == 0, runner.said()
    assert runner.codes["Play one visit against both, in turns"] in _JUDGED, runner.said()
    assert runner.codes["Write the reports"] == 0, runner.said()
    # A run whose generator was late, on either side, is compared with nothing: the machine may be busy.
    compared = "### What changed" in (folder / "report.markdown").read_text()
    assert compared or is_invalid(folder / "replay.db") or is_invalid(folder / "replay-vs.db")
    assert "<testsuites " in (folder / "report.junit").read_text()
    assert "## nestperf: " in (tmp_path / "summary.md").read_text()
    for name in ("replay.db", "replay-vs.db"):
        assert not secrets_path(folder / name).exists()
        with Capture.open(folder / name) as capture:
            exchanges = list(capture.exchanges())
            # How far a visit comes within the time is the machine's business; nobody is turned away.
            answered = [e for e in exchanges if e.status is not None]
            assert answered
            assert {e.status for e in answered if e.route.startswith("/api/v1/dashboard")} <= {200}
            assert {e.status for e in answered if e.route.startswith("/api/v1/auth/plex")} <= {200, 201}


def test_trend_compares_with_earlier_runs_and_keeps_five(
    tmp_path: Path, visit: Path, environment: dict[str, str], runners: list[Runner]
) -> None:
    (workflow,) = (one for one in WORKFLOWS if one["name"] == "performance-trend")
    folder = tmp_path / "workspace"
    a_checkout(folder, visit)
    port = str(free_port())
    runner = Runner(folder, workflow["jobs"]["trend"], environment)
    runners.append(runner)
    runner.run("install", ports={"4000": port})
    assert runner.codes["Start the application"] == 0, runner.said()
    assert runner.codes["Play the visit"] in _JUDGED, runner.said()
    assert runner.codes["Compare with earlier runs"] in _JUDGED, runner.said()
    (kept,) = (folder / "baselines").iterdir()
    for number in range(1, 7):
        earlier = kept.with_name(f"2026010{number}-000000.db")
        shutil.copy(kept, earlier)
        with contextlib.closing(sqlite3.connect(earlier)) as connection, connection:
            connection.execute("update run set uid = ?, invalid = '[]'", (f"earlier-{number}",))
    kept.unlink()
    compare = next(step for step in runner.job["steps"] if step.get("name") == "Compare with earlier runs")
    keep = next(step for step in runner.job["steps"] if step.get("name") == "Keep the last five")
    again = Runner(folder, {"steps": [compare, keep]}, environment)
    runners.append(again)
    again.run(ports={"4000": port})
    assert again.codes["Compare with earlier runs"] in _JUDGED, again.said()
    assert re.search("### What changed|## nestperf: INVALID", (tmp_path / "summary.md").read_text())
    assert again.codes["Keep the last five"] == 0, again.said()
    assert len(list((folder / "baselines").iterdir())) == 5


@pytest.mark.peer("node")
def test_scripts_of_package_json_run(
    tmp_path: Path, visit: Path, environment: dict[str, str], runners: list[Runner]
) -> None:
    if shutil.which("npm") is None:
        missing_peer("npm is missing: install Node's package manager (Debian: apt-get install npm).")
    (block,) = blocks("json")
    scripts = json.loads(block)["scripts"]
    assert set(scripts) == {"test:performance", "test:load", "test:all-with-perf"}
    folder = tmp_path / "workspace"
    a_checkout(folder, visit)
    port = str(free_port())
    (folder / "package.json").write_text(json.dumps({"name": "x", "scripts": scripts | {"test": "echo unit tests"}}))
    target = f"--target http://127.0.0.1:{port}"
    ready = "timeout 60 sh -c 'until grep -q listening app.log; do sleep 0.1; done'"
    steps = [
        {"name": "serve", "run": f"perf/serve {port} > app.log 2>&1 &\n{ready}"},
        {"name": "performance", "run": f"npm run test:performance -- --users 2 --duration 1s {target}"},
        {"name": "load", "if": "always()", "run": f"npm run test:load -- --list {target}"},
    ]  # fmt: skip
    runner = Runner(folder, {"steps": steps}, environment)
    runners.append(runner)
    runner.run(ports={"no such port": ""})
    assert runner.codes["serve"] == 0
    assert runner.codes["performance"] in _JUDGED
    assert (folder / "perf" / "replay.db").exists()
    assert runner.codes["load"] == 0, runner.said()
    for name in re.findall(r"npm run (\S+)", scripts["test:all-with-perf"]):
        assert name in scripts


def parses(words: list[str]) -> None:
    """A command line of ours is one, wherever it stands."""
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None, words
    command.make_context(words[0], list(words[1:]))


def test_compose_override_and_image_are_what_they_say() -> None:
    override = YAML().load((ROOT / "deploy" / "compose.nestperf.yaml").read_text())
    service = override["services"]["nestperf"]
    parses(list(service["command"]))
    published = {mapping.split(":")[-1] for mapping in service["ports"]}
    listened = {word.partition("=")[0] for word in service["command"] if "=http" in word}
    assert published == listened == {"3000", "4000"}
    assert all(mapping.startswith("127.0.0.1:") for mapping in service["ports"])
    # Nobody but the recorder publishes the ports of what is recorded.
    for name in ("frontend", "backend"):
        ports = override["services"][name]["ports"]
        assert ports.tag.value == "!reset"
        assert list(ports) == []
    assert "@nestperf:5432/" in override["services"]["backend"]["environment"]["DATABASE_URL"]
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    assert service["build"]["dockerfile"] == "deploy/Dockerfile"
    instructions = [line.split(maxsplit=1) for line in dockerfile.splitlines() if line and not line.startswith("#")]
    assert [name for name, _ in instructions] == ["FROM", "COPY", "RUN", "WORKDIR", "ENTRYPOINT", "CMD"]
    assert json.loads(dict(instructions)["ENTRYPOINT"]) == ["nestperf"]
    assert service["volumes"] == [f"./captures:{dict(instructions)['WORKDIR']}"]


def test_json_and_shell_on_the_page_name_commands_that_parse() -> None:
    found = 0
    for script in json.loads(blocks("json")[0])["scripts"].values():
        for line in script.split("&&"):
            if line.strip().startswith("nestperf "):
                parses(shlex.split(line)[1:])
                found += 1
    assert found == 2
