"""The processes that the demo starts: their output line by line, and their end, each by its own process id."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Self

from nestperf.errors import ExitCode, NestperfError

_LAST_LINES = 12


class StepFailed(NestperfError):
    """A step of the demo did not do its part."""

    exit_code = ExitCode.FAILED


class Child:
    """A Python module run as a process of its own, apart from our terminal's Ctrl-C: we pass that on ourselves.

    Leaving the `async with` block stops it: SIGTERM, then SIGKILL when it has not ended after `patience_s`. `show`
    gets its lines; without, it writes where we write.
    """

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        show: Callable[[str], None] | None = None,
        patience_s: float = 10.0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.module = module
        self._patience_s = patience_s
        self._environment = dict(environment or {})
        self._arguments = (sys.executable, "-m", module, *arguments)
        self._show = show
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._new_line = asyncio.Condition()
        self._lines: deque[str] = deque(maxlen=200)
        self._silent = False

    async def __aenter__(self) -> Self:
        piped = asyncio.subprocess.PIPE if self._show else None
        self._process = await asyncio.create_subprocess_exec(
            *self._arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=piped,
            stderr=asyncio.subprocess.STDOUT if self._show else None,
            start_new_session=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"} | self._environment,
        )
        if self._show:
            self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A replay keeps what it has measured when it is interrupted, and is simply stopped otherwise.
        asked = signal.SIGINT if isinstance(error, asyncio.CancelledError) else signal.SIGTERM
        await self.stop(asked)

    async def wait_for(self, sign: str, within_s: float) -> str:
        """The first line that contains `sign`.

        Raises:
            StepFailed: the process ended, or the time was up, before it came.
        """
        try:
            return await asyncio.wait_for(self._find(sign), within_s)
        except TimeoutError:
            raise StepFailed(self._tell(f"did not say “{sign}” within {within_s:g} s")) from None

    async def wait(self) -> int:
        """Its exit code, once it has ended by itself."""
        assert self._process is not None, "enter the child first"
        code = await self._process.wait()
        if self._reading is not None:
            await self._reading
        return code

    async def stop(self, asked: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end and wait, kill it when it does not; its exit code."""
        assert self._process is not None, "enter the child first"
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(asked)
            try:
                await asyncio.wait_for(self._process.wait(), self._patience_s)
            except (TimeoutError, asyncio.CancelledError):
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
        return await self.wait()

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for raw in self._process.stdout:
            line = raw.decode(errors="replace").rstrip()
            async with self._new_line:
                self._lines.append(line)
                self._new_line.notify_all()
            if self._show is not None and line:
                self._show(line)
        async with self._new_line:
            self._silent = True
            self._new_line.notify_all()

    async def _find(self, sign: str) -> str:
        async with self._new_line:
            while True:
                for line in self._lines:
                    if sign in line:
                        return line
                if self._silent:
                    break
                await self._new_line.wait()
        raise StepFailed(self._tell("ended before it was ready"))

    def _tell(self, what: str) -> str:
        said = " / ".join(list(self._lines)[-_LAST_LINES:]) or "nothing"
        return f"`python -m {self.module}` {what}; it said: {said}"


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
