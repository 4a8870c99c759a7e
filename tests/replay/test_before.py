"""A command that resets the application runs before the first request, and stops the run where it fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from nestperf.errors import UsageError
from replay.before import run_before
from tests.replay.conftest import CountingServer, Recordings, command


async def test_command_runs_before_anything_is_sent(
    server: CountingServer, recordings: Recordings, tmp_path: Path
) -> None:
    recording = recordings(server.url)
    recording.exchange("GET", "/a", 0, 5)
    code, printed = await command(tmp_path, str(recording.finish()), "--before", "echo state is reset; touch reset")
    assert code in (0, 4), printed
    assert printed.index("state is reset") < printed.index("1 request in")
    assert (tmp_path / "reset").exists()
    assert len(server.requests) == 1


async def test_command_that_fails_stops_the_run(server: CountingServer, recordings: Recordings, tmp_path: Path) -> None:
    recording = recordings(server.url)
    recording.exchange("GET", "/a", 0, 5)
    code, printed = await command(tmp_path, str(recording.finish()), "--before", "exit 7")
    assert code == 2
    sentence = "Error: The command of --before ended with 7, nothing was sent: run it alone to see why."
    assert printed.splitlines()[-1] == sentence
    assert server.requests == []
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("nestperf-")] == []


def test_command_that_is_killed_says_so() -> None:
    with pytest.raises(UsageError, match="was ended by signal 9"):
        run_before("kill -9 $$")
    run_before(None)
