"""Runs the watcher process beside a browser and hands its words to the recorder. Whatever becomes of it, browser and
recording go on; what went wrong is said in one sentence."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import tempfile
import time
from typing import IO

from proxy_addon.browser import Browser
from proxy_addon.spool import Spool
from proxy_addon.tap import What
from proxy_addon.watcher import READY, command

_LONGEST_LINE = 2**26
_LAST_WORDS_S = 0.4
"""Pages tell what is new every 250 ms: so long the end of a recording waits for it."""
_ENDING_S = 5.0


class Watching:
    """The watcher of one browser. Lives on the relay's event loop."""

    def __init__(self, browser: Browser, spool: Spool) -> None:
        self._browser = browser
        self._spool = spool
        self._ready = False
        self._task = asyncio.create_task(self._run())

    async def end(self) -> None:
        """Take the pages' last words; the browser is closed afterwards."""
        if not self._task.done() and not self._browser.closed:
            await asyncio.sleep(_LAST_WORDS_S)

    async def ended(self) -> None:
        """The browser is closed: wait for what the watcher still says."""
        if self._ready:
            await asyncio.wait({self._task}, timeout=_ENDING_S)
        self._task.cancel()  # one that still waits for the browser would do so for long
        await asyncio.wait({self._task}, timeout=_ENDING_S)

    async def _run(self) -> None:
        with tempfile.TemporaryFile() as errors:
            why = await self._listen(errors)
        if not self._browser.closed:
            await self._failed(why)

    async def _listen(self, errors: IO[bytes]) -> str:
        """Hand on what the watcher tells until it ends; why it did."""
        process = None
        try:
            process = await asyncio.create_subprocess_exec(
                *command(self._browser.debugging_port, self._browser.url, self._browser.watch or []),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                limit=_LONGEST_LINE,
                process_group=0,  # Ctrl-C is for nestperf
            )
            assert process.stdout is not None
            async for line in process.stdout:
                self._hand_on(line)
            code = await process.wait()
        except (OSError, ValueError) as error:
            return str(error)
        finally:
            if process is not None:
                await _end(process)
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip().splitlines()
        return said[-1] if said else f"their watcher ended with exit code {code}"

    def _hand_on(self, line: bytes) -> None:
        if not self._ready and json.loads(line).get(READY):
            self._ready = True
            return
        self._spool.put(What.PAGE, 0, time.perf_counter_ns(), 0, line)

    async def _failed(self, why: str) -> None:
        how = "no longer watched" if self._ready else "not watched"
        sentence = f"Pages are {how} ({why[:200]}): their times are missing, everything else is recorded as before."
        self._spool.put(What.PAGE, 0, time.perf_counter_ns(), 0, json.dumps({"trouble": sentence}).encode())
        if not self._ready:
            await asyncio.to_thread(self._browser.open)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a watcher with its driver, which holds its pipe, and wait until both are gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    assert process.stdout is not None
    await process.stdout.read()
