from __future__ import annotations

import asyncio
import os

import pytest

from nestperf.demo.children import Child, StepFailed, free_port

APP = "nestperf.demo.app"


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def pid_of(child: Child) -> int:
    assert child._process is not None
    return child._process.pid


async def test_child_is_heard_and_stopped_by_leaving() -> None:
    lines: list[str] = []
    async with Child(APP, ["--port", "0"], show=lines.append) as child:
        line = await child.wait_for("listening", 15)
        pid = pid_of(child)
        assert is_running(pid)
    assert lines == [line]
    assert not is_running(pid)


async def test_child_that_ends_early_is_told_with_its_last_words() -> None:
    async with Child(APP, ["--faults", "nope=1"], show=lambda _: None) as child:
        with pytest.raises(StepFailed, match=r"ended before it was ready; it said: Error: There is no fault 'nope'"):
            await child.wait_for("listening", 15)


async def test_child_that_stays_silent_is_told_after_its_time() -> None:
    async with Child(APP, ["--port", "0"], show=lambda _: None) as child:
        await child.wait_for("listening", 15)
        with pytest.raises(StepFailed, match=r"did not say “more” within 0\.05 s"):
            await child.wait_for("more", 0.05)


async def test_child_is_stopped_when_its_user_is_cancelled() -> None:
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def use() -> None:
        async with Child(APP, ["--port", "0"], show=lambda _: None) as child:
            await child.wait_for("listening", 15)
            started.set_result(pid_of(child))
            await asyncio.Event().wait()

    task = asyncio.create_task(use())
    pid = await started
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not is_running(pid)


async def test_child_that_does_not_listen_to_sigterm_is_killed(
    tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf')\ntime.sleep(60)\n"
    with open(os.path.join(tmp_path, "deaf_child.py"), "w") as file:  # noqa: PTH118, PTH123
        file.write(source)
    monkeypatch.setenv("PYTHONPATH", os.fspath(tmp_path))
    async with Child("deaf_child", [], show=lambda _: None, patience_s=0.2) as child:
        await child.wait_for("deaf", 15)
        pid = pid_of(child)
    assert not is_running(pid)


async def test_exit_code_of_a_child_is_its_own() -> None:
    async with Child(APP, ["--faults", "nope=1"], show=lambda _: None) as child:
        assert await asyncio.wait_for(child.wait(), 15) == 2


def test_free_ports_differ() -> None:
    assert all(1024 <= port <= 65535 for port in (free_port(), free_port()))
