"""What `nestperf replay` refuses, in one sentence and before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.replay.conftest import Recording


def some(recording: Recording) -> str:
    recording.exchange("GET", "/a", 0, 1)
    return str(recording.finish())


BAD = [
    ("no users", ["--users", "0"], 2, "0 is not in the range"),
    ("no duration", ["--duration", "0s"], 2, "leaves no time"),
    ("bad duration", ["--duration", "soon"], 2, "is no duration"),
    ("bad timeout", ["--timeout", "-1"], 2, "is no duration"),
    ("bad start", ["--start", "slowly"], 2, "slowly"),
    ("refused host", ["--target", "http://192.0.2.7"], 2, "--allow-host 192.0.2.7"),
    ("no such upstream", ["--target", "9=http://127.0.0.1:1"], 2, "No upstream of the capture is called 9"),
    ("no such thresholds", ["--thresholds", "nowhere.toml"], 2, "nowhere.toml"),
    ("unknown option", ["--lopps", "7"], 2, "--lopps"),
    ("no rate", ["--rate", "5"], 2, "such as 5/s or 1000/m"),
    ("rate without an end", ["--rate", "5/s"], 2, "add --duration"),
    ("two models", ["--rate", "5/s", "--users", "3"], 2, "are different load models"),
    ("no stage", ["--stages", "10"], 2, "such as 10@30s,50@2m"),
    ("no think", ["--think", "fast"], 2, "recorded, none, jitter"),
    ("no speed", ["--speed", "0x"], 2, "such as 2x"),
    ("no condition", ["--abort-on", "p95(latency) > 1"], 2, "expected a unit of time"),
    ("condition of the end only", ["--abort-on", "reach(x) < 50%"], 2, "cannot be watched while a run goes on"),
    ("ramp and start", ["--ramp", "3s", "--start", "together"], 2, "--start is about"),
]


@pytest.mark.parametrize(("arguments", "code", "sentence"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_input_is_refused_in_one_sentence_and_nothing_is_written(
    recording: Recording, in_process: Callable[..., tuple[int, str]], tmp_path: Path,
    arguments: list[str], code: int, sentence: str,
) -> None:  # fmt: skip
    output = tmp_path / "out.db"
    ended, printed = in_process(some(recording), "-o", output, *arguments)
    assert ended == code
    assert sentence in printed
    assert not output.exists()


def test_output_that_exists_is_refused(
    recording: Recording, in_process: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    path = some(recording)
    (tmp_path / "out.db").write_text("precious")
    ended, printed = in_process(path, "-o", tmp_path / "out.db")
    assert ended == 2
    assert "--force" in printed
    assert (tmp_path / "out.db").read_text() == "precious"


def test_capture_is_never_overwritten_by_its_own_replay(
    recording: Recording, in_process: Callable[..., tuple[int, str]]
) -> None:
    path = some(recording)
    before = Path(path).read_bytes()
    ended, printed = in_process(path, "-o", path, "--force")
    assert ended == 2
    assert "is the capture to replay" in printed
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(None, "There is no capture"), (b"", "is an empty file"), (b"hello" * 100, "is not a nestperf capture")],
    ids=["missing", "empty", "foreign"],
)
def test_capture_that_cannot_be_used_is_refused(
    tmp_path: Path, in_process: Callable[..., tuple[int, str]], content: bytes | None, sentence: str
) -> None:
    path = tmp_path / "x.db"
    if content is not None:
        path.write_bytes(content)
    ended, printed = in_process(path, "-o", tmp_path / "out.db")
    assert ended == 3
    assert sentence in printed


def test_capture_with_nothing_to_replay_is_refused(
    recording: Recording, in_process: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    ended, printed = in_process(recording.finish(), "-o", tmp_path / "out.db")
    assert ended == 3
    assert "nothing to replay" in printed
    assert not (tmp_path / "out.db").exists()
