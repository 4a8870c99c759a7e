"""The errors that nestperf's own caller can cause, and the exit codes every command ends with.

A failing *target* is never an exception: it is a row with an outcome. Each message is one sentence that says
what is wrong, where, and what to do about it; the command line prints it and ends with `exit_code`.

NestperfError
├── UsageError         (2) a flag, a port in use, an unwritable output, a refused host
├── CaptureError       (3) a capture that cannot be used
│   ├── CaptureMissing       no such file
│   ├── CaptureForeign       not a capture at all
│   ├── CaptureEmpty         a capture in which nothing happened
│   ├── CaptureNewer         written by a newer nestperf
│   └── CaptureTruncated     the file is damaged
└── RunInvalid         (4) the run measured nothing that can be judged
"""

from __future__ import annotations

import enum


class ExitCode(enum.IntEnum):
    """What a command's exit code says. Precedence where several apply: 2, 3, 4 (invalid), 1, 4 (not judged), 0."""

    OK = 0
    """Nothing required failed, and all of it was judged."""
    FAILED = 1
    """A required threshold failed, or something got slower."""
    USAGE = 2
    """A flag, a threshold's grammar, a port in use, an unwritable output, a refused host."""
    CAPTURE = 3
    """The capture is missing, empty, foreign, newer or truncated."""
    INVALID = 4
    """The run is invalid, or a required threshold could not be judged."""
    INTERRUPTED = 130
    """A second Ctrl-C, or one before there was anything to keep."""


class NestperfError(Exception):
    """Something nestperf's caller can mend; `str()` is the one sentence that says how."""

    exit_code = ExitCode.USAGE


class UsageError(NestperfError):
    """What was asked for is impossible as it was asked."""


class CaptureError(NestperfError):
    """The capture file cannot be used."""

    exit_code = ExitCode.CAPTURE


class CaptureMissing(CaptureError):
    """There is no such file."""


class CaptureForeign(CaptureError):
    """The file is not a nestperf capture."""


class CaptureEmpty(CaptureError):
    """The capture holds nothing to work with."""


class CaptureNewer(CaptureError):
    """The capture was written by a newer nestperf than this one."""


class CaptureTruncated(CaptureError):
    """The capture is damaged or cut off."""


class RunInvalid(NestperfError):
    """The run measured nothing that can be judged."""

    exit_code = ExitCode.INVALID
