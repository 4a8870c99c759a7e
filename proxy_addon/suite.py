"""An existing test suite, run behind the recorder: the recording lasts as long as its command does."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from nestperf.errors import UsageError

_CANNOT_RUN = 126
_SIGNALLED = 128
_KILL_AFTER_S = 10


def check_command(command: Sequence[str]) -> None:
    """Refuse a command before anything has begun.

    Raises:
        UsageError: there is none, or no such program.
    """
    if not command:
        raise UsageError("Nothing stands behind --: give the command, such as `nestperf record URL -- npm test`.")
    if shutil.which(command[0]) is None:
        raise UsageError(f"{command[0]!r} is no program here: write the command behind -- as you would by itself.")


class Suite:
    """A running command. Signals reach it, and whatever it started, once."""

    def __init__(self, command: Sequence[str], variables: Mapping[str, str]) -> None:
        # On a terminal it stays in the foreground: it may read keys, and Ctrl-C reaches it by itself.
        self._own_group = not _has_terminal()
        self._asked = False
        try:
            self._process: subprocess.Popen[bytes] | None = subprocess.Popen(  # noqa: S603 - the tester's own command
                command, env=os.environ | variables, process_group=0 if self._own_group else None
            )
        except OSError as error:
            self._process = None
            print(f"Cannot run {command[0]}: {error.strerror}.", file=sys.stderr, flush=True)  # noqa: T201

    @property
    def closed(self) -> bool:
        """It has ended."""
        return self._process is None or self._process.poll() is not None

    @property
    def exit_code(self) -> int:
        """How it ended, as a shell says it: 128 and the signal's number where one ended it."""
        if self._process is None or self._process.returncode is None:
            return _CANNOT_RUN
        code = self._process.returncode
        return code if code >= 0 else _SIGNALLED - code

    def interrupt(self, number: int) -> bool:
        """A signal came for nestperf: it is the suite's, which ends and so ends the recording. The second one does
        not wait for it."""
        if self.closed or self._asked:
            return False
        self._asked = True
        if self._own_group or number != signal.SIGINT:
            self._send(number)
        return True

    def close(self) -> None:
        """End it, if it goes on."""
        if self._process is None or self.closed:
            return
        self._send(signal.SIGTERM)
        try:
            self._process.wait(_KILL_AFTER_S)
        except subprocess.TimeoutExpired:
            self._send(signal.SIGKILL)
            self._process.wait()

    def _send(self, number: int) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            if self._own_group:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)


def _has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
