"""How a repeated exchange ended, held against the recording: a pure judgement over two statuses and a failure."""

from __future__ import annotations

from typing import NamedTuple

from nestperf.capture.model import Outcome


class Judged(NamedTuple):
    """An outcome and, where it needs one, its sentence."""

    outcome: Outcome
    detail: str | None


def judge_exchange(
    status: int | None, recorded: int | None, failure: Outcome | None, detail: str | None, missing: str = ""
) -> Judged:
    """The outcome of a repeated exchange.

    `status` is what came (None: nothing), `recorded` what the recording was answered, `failure` how it broke,
    `missing` says which live values could not be had. The same status class as recorded is ok, whatever it is.
    """
    if failure is not None and not (failure is Outcome.ABORTED and status is not None):
        return Judged(failure, detail)
    assert status is not None
    if status == 429:
        return Judged(Outcome.LIMITED, None)
    if recorded is None:
        return Judged(_plain(status), None)
    if _class(status) == _class(recorded):
        return Judged(Outcome.OK, None)
    return Judged(Outcome.MISMATCH, f"answered {status} where the recording has {recorded}{missing}")


def _class(status: int) -> int:
    """The status class; a 304 stands for the 200 it repeats (RFC 9110, 15.4.5)."""
    return 2 if status == 304 else status // 100


def _plain(status: int) -> Outcome:
    if status >= 500:
        return Outcome.HTTP_ERROR
    return Outcome.REFUSED if status >= 400 else Outcome.OK
