"""kill -9 of relay, recorder process or both, in the middle of traffic (`benchmarks/kills.py` does it 100 times)."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from tests.proxy_addon.kills import TARGETS, kill_once


@pytest.mark.skipif(sys.platform != "linux", reason="finds the recorder's process in Linux's /proc")
@pytest.mark.parametrize("target", TARGETS)
async def test_killed_recording_holds_what_came_a_quarter_second_before(target: str, tmp_path: Path) -> None:
    found = await kill_once(tmp_path, target, random.Random(7))
    assert "answers" in found
