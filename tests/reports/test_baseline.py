"""`nestperf report --baseline` as it is typed, over captures of every kind that people hold against each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nestperf.capture.model import Outcome, Row
from nestperf.cli import run
from nestperf.errors import ExitCode
from reports.dependence import Floats
from tests.reports.conftest import MS, S, Write, exchange

ROUTES = {f"/api/v1/{name}": ms for name, ms in zip(("session", "search", "stats", "media", "users", "plex", "queue"),
                                                    (38, 70, 40, 90, 25, 60, 15), strict=True)}  # fmt: skip
EASY = "[[threshold]]\nexpression = 'count(exchanges) >= 1'\n"


@pytest.fixture(autouse=True)
def _somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    Path("nestperf.toml").write_text(EASY)
    monkeypatch.setenv("COLUMNS", "120")


class Runs:
    """Writes runs of an application that answers as it always did, but for what is said otherwise."""

    def __init__(self, written: Write) -> None:
        self.written = written
        self.count = 0

    def __call__(
        self,
        factors: dict[str, float] | None = None,
        *,
        n: int = 200,
        everywhere: float = 1.0,
        failing: dict[str, float] | None = None,
        without: tuple[str, ...] = (),
        intended: bool = True,
        **run_changes: Any,
    ) -> str:
        self.count += 1
        chance = np.random.default_rng(self.count)
        rows: list[Row] = []
        for name, ms in ROUTES.items():
            if name in without:
                continue
            factor = everywhere * (factors or {}).get(name.rpartition("/")[2], 1.0)
            for place, latency in enumerate(self._latencies(chance, ms * factor, n)):
                failed = chance.random() < (failing or {}).get(name.rpartition("/")[2], 0.0)
                sent_ns = place * 100 * MS + len(rows) % 7 * MS
                rows.append(
                    exchange(
                        len(rows) + 1, float(latency), route=name, target=name, sent_ns=sent_ns,
                        intended_ns=sent_ns if intended else None,
                        outcome=Outcome.HTTP_ERROR if failed else Outcome.OK, status=500 if failed else 200,
                    )
                )  # fmt: skip
        changes = {
            "uid": f"run{self.count}",
            "purpose": "replay",
            "vantage": "client",
            "source_uid": "a",
            "started_unix_ns": 1_700_000_000 * S + self.count,
            **run_changes,
        }
        return str(self.written(rows, name=f"run{self.count}.db", **changes).path)

    @staticmethod
    def _latencies(chance: np.random.Generator, ms: float, n: int) -> Floats:
        made: Floats = ms * np.exp(0.3 * chance.standard_normal(n))
        return made


@pytest.fixture
def runs(written: Write) -> Runs:
    return Runs(written)


Captured = pytest.CaptureFixture[str]


def report(new: str, *baselines: str, more: tuple[str, ...] = ()) -> int:
    return run(["report", new, *(word for path in baselines for word in ("--baseline", path)), *more])


def compared(capsys: Captured, new: str, *baselines: str) -> tuple[int, dict[str, Any]]:
    """The exit code and the JSON of a comparison."""
    code = report(new, *baselines, more=("--format", "json"))
    document = json.loads(capsys.readouterr().out)
    assert document["verdict"]["exit_code"] == code
    return code, document["comparison"]


def changes(comparison: dict[str, Any]) -> dict[str, str]:
    return {row["key"]["route"].rpartition("/")[2]: row["change"] for row in comparison["routes"]}


def test_a_run_like_its_three_baselines_passes_and_says_what_it_could_have_seen(runs: Runs, capsys: Captured) -> None:
    baselines = [runs() for _ in range(3)]
    new = runs()
    assert report(new, *baselines) == ExitCode.OK
    out = capsys.readouterr().out
    assert out.startswith("PASS  The one required promise holds. No regression in 7 routes compared")
    section = out[out.index("Compared with the baseline") :]
    assert "no regression of the detectable size or more" in section
    assert "600 → 200" in section
    assert "Noise: 3 baselines, whose runs differ by" in section


def test_a_slower_route_is_a_regression_with_its_numbers(runs: Runs, capsys: Captured) -> None:
    baselines = [runs() for _ in range(3)]
    code, comparison = compared(capsys, runs({"search": 1.4}), *baselines)
    assert code == ExitCode.FAILED
    first = comparison["routes"][0]
    assert (first["change"], first["key"]["route"]) == ("regression", "/api/v1/search")
    assert first["typical"]["low"] < 1.4 < first["typical"]["high"]
    assert first["new"]["p95_ns"] > first["old"]["p95_ns"]
    assert set(changes(comparison).values()) == {"regression", "no regression"}
    assert all(1.05 < row["detectable"]["whole"] < 1.6 for row in comparison["routes"])


def test_a_regression_names_the_route_in_the_first_line(runs: Runs, capsys: Captured) -> None:
    baselines = [runs() for _ in range(3)]
    assert report(runs({"search": 1.5}), *baselines) == ExitCode.FAILED
    assert capsys.readouterr().out.startswith("FAIL  1 of 7 routes is worse than in the baseline: GET /api/v1/search.")


def test_a_faster_route_is_an_improvement_and_no_failure(runs: Runs, capsys: Captured) -> None:
    code, comparison = compared(capsys, runs({"media": 0.6}), *(runs() for _ in range(3)))
    assert code == ExitCode.OK
    assert changes(comparison)["media"] == "improvement"


def test_more_failures_are_a_regression_though_latency_stays(runs: Runs, capsys: Captured) -> None:
    code, comparison = compared(capsys, runs(failing={"users": 0.15}), *(runs() for _ in range(3)))
    assert code == ExitCode.FAILED
    row = comparison["routes"][0]
    assert (row["key"]["route"], row["grounds"]) == ("/api/v1/users", "failures")
    assert row["new"]["failed"] > 10


def test_with_one_baseline_a_moderate_change_is_open(runs: Runs, capsys: Captured) -> None:
    code, comparison = compared(capsys, runs({"search": 1.15}, n=1000), runs(n=1000))
    assert code == ExitCode.INVALID
    assert comparison["noise"] == "not"
    assert comparison["floor"] == pytest.approx(1.3)
    assert comparison["routes"][0]["grounds"] == "maybe_noise"


def test_with_one_baseline_a_doubling_is_a_regression(runs: Runs, capsys: Captured) -> None:
    code, comparison = compared(capsys, runs({"search": 2.0}), runs())
    assert code == ExitCode.FAILED
    assert changes(comparison)["search"] == "regression"


def test_sides_that_ran_at_once_need_no_other_baseline(runs: Runs, capsys: Captured) -> None:
    new = runs({"search": 1.25}, n=400, started_unix_ns=5)
    code, comparison = compared(capsys, new, runs(n=400, started_unix_ns=5))
    assert (code, comparison["noise"]) == (ExitCode.FAILED, "interleaved")
    assert changes(comparison)["search"] == "regression"


def test_a_run_that_is_slower_as_a_whole_may_be_the_machine(runs: Runs, capsys: Captured) -> None:
    baselines = [runs(everywhere=factor) for factor in (0.93, 1.0, 1.07)]
    assert report(runs(everywhere=1.2), *baselines) == ExitCode.INVALID
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("CAN'T TELL")
    assert "The whole run differs by +" in out
    assert "That may be the machine" in out


def test_few_samples_are_not_called_a_pass(runs: Runs, capsys: Captured) -> None:
    code, comparison = compared(capsys, runs(n=19), *(runs() for _ in range(3)))
    assert code == ExitCode.INVALID
    assert set(changes(comparison).values()) == {"too few"}


def test_one_sample_is_compared_with_nothing(runs: Runs, capsys: Captured) -> None:
    assert report(runs(n=1), runs(n=1)) == ExitCode.INVALID
    assert "No route could be compared with the baseline" in capsys.readouterr().out


def test_routes_that_came_and_went_are_named(runs: Runs, capsys: Captured) -> None:
    baselines = [runs(without=("/api/v1/queue",)) for _ in range(3)]
    code, comparison = compared(capsys, runs(without=("/api/v1/plex",)), *baselines)
    assert code == ExitCode.INVALID
    assert (changes(comparison)["plex"], changes(comparison)["queue"]) == ("gone", "new")


def test_baselines_with_other_routes_are_used_where_they_have_them(runs: Runs, capsys: Captured) -> None:
    baselines = [runs(), runs(without=("/api/v1/queue",)), runs()]
    code, comparison = compared(capsys, runs({"queue": 1.6}), *baselines)
    assert code == ExitCode.FAILED
    queue = next(row for row in comparison["routes"] if row["key"]["route"] == "/api/v1/queue")
    assert (queue["change"], queue["old"]["n"]) == ("regression", 400)


def test_latencies_without_any_variance_are_tested_all_the_same(
    runs: Runs, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Runs, "_latencies", staticmethod(lambda chance, ms, n: np.full(n, ms)))
    code, comparison = compared(capsys, runs({"stats": 1.4}), *(runs() for _ in range(3)))
    assert code == ExitCode.FAILED
    assert changes(comparison) == {
        name.rpartition("/")[2]: "regression" if name.endswith("stats") else "no regression" for name in ROUTES
    }


def test_a_clock_that_stepped_is_said(runs: Runs, written: Write, capsys: Captured) -> None:
    rows: list[Row] = [exchange(number, -5 if number == 7 else 10 + number % 3) for number in range(1, 260)]
    back = str(written(rows, name="back.db", uid="back", purpose="import").path)
    assert report(runs(), back) == ExitCode.INVALID
    assert "The clock of back.db stepped: 1 exchange left out." in " ".join(capsys.readouterr().out.split())


def test_a_replay_beside_a_recording_is_compared_by_what_both_have(runs: Runs, capsys: Captured) -> None:
    recording = runs(intended=False, purpose="record", vantage="proxy", source_uid=None)
    _, comparison = compared(capsys, runs(), recording)
    assert comparison["quantity"] == "service_time"
    assert "the baseline a recording; only a replay knows when a request was due" in " ".join(comparison["remarks"])


def test_runs_that_were_asked_for_differently_say_so(runs: Runs, capsys: Captured) -> None:
    _, comparison = compared(capsys, runs(settings={"users": 50}), runs(settings={"users": 10}))
    assert "Asked for differently: users 50, in the baseline 10." in comparison["remarks"]


def test_the_loopback_addresses_that_users_came_from_are_no_difference(runs: Runs, capsys: Captured) -> None:
    _, comparison = compared(capsys, runs(settings={"network": 135}), runs(settings={"network": 86}))
    assert not any("network" in remark for remark in comparison["remarks"])


def test_an_invalid_baseline_is_left_out(runs: Runs, capsys: Captured) -> None:
    bad = runs(invalid=("The generator was the bottleneck.",))
    _, comparison = compared(capsys, runs(), bad, runs())
    assert comparison["baselines"] == ["run3.db"]
    assert "Left out, being invalid runs: run1.db." in comparison["remarks"]


def test_only_invalid_baselines_are_refused(runs: Runs, capsys: Captured) -> None:
    assert report(runs(), runs(invalid=("Too slow.",))) == ExitCode.USAGE
    assert "No baseline is a valid run" in capsys.readouterr().err


def test_the_same_file_twice_is_refused(runs: Runs, capsys: Captured) -> None:
    new, old = runs(), runs()
    assert report(new, old, old) == ExitCode.USAGE
    assert (
        capsys.readouterr().err == "Error: run2.db is given twice: a run is no baseline of itself, and counts once.\n"
    )
    assert report(new, new) == ExitCode.USAGE


def test_a_copy_of_a_run_is_the_same_run(runs: Runs, capsys: Captured) -> None:
    new, old = runs(), runs()
    Path("copy.db").write_bytes(Path(old).read_bytes())
    assert report(new, old, "copy.db") == ExitCode.USAGE
    assert "copy.db and run2.db are the same run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "There is no capture old.db"), (b"", "old.db is an empty file"), (b"x" * 99, "old.db is not a nestperf")],
    ids=["missing", "empty", "foreign"],
)
def test_a_baseline_that_is_no_capture_is_refused(
    content: bytes | None, sentence: str, runs: Runs, capsys: Captured
) -> None:
    if content is not None:
        Path("old.db").write_bytes(content)
    assert report(runs(), "old.db") == ExitCode.CAPTURE
    assert sentence in capsys.readouterr().err


def test_a_baseline_of_a_newer_format_is_refused(runs: Runs, capsys: Captured) -> None:
    import sqlite3

    new, old = runs(), runs()
    with sqlite3.connect(old) as connection:
        connection.execute("pragma user_version = 999")
    connection.close()
    assert report(new, old) == ExitCode.CAPTURE
    assert "has format 999, this nestperf reads up to" in capsys.readouterr().err


def test_the_output_never_overwrites_a_baseline(runs: Runs, capsys: Captured) -> None:
    old = runs()
    assert report(runs(), old, more=("-o", old, "--force")) == ExitCode.USAGE
    assert "is the capture itself" in capsys.readouterr().err


@pytest.mark.parametrize("width", ["80", "120"])
def test_the_comparison_fits_the_terminal(
    width: str, runs: Runs, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    assert report(runs({"search": 1.5}, n=60), *(runs() for _ in range(3))) == ExitCode.FAILED
    assert max(map(len, capsys.readouterr().out.splitlines())) <= int(width)
