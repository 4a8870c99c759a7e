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
    cause = likely_cause(status, recorded)
    return Judged(Outcome.MISMATCH, f"answered {status} where the recording has {recorded}{missing}{cause}")


def judge_body(difference: str | None, source: int) -> Judged:
    """The outcome of an exchange whose status is as recorded; `difference` of its body to the recorded exchange."""
    if difference is None:
        return Judged(Outcome.OK, None)
    return Judged(Outcome.MISMATCH, f"{difference}, unlike in exchange {source} of the recording")


def likely_cause(status: int, recorded: int) -> str:
    """What such a difference most often comes from, half a sentence; empty where it may be anything."""
    if recorded >= 400 > status:
        return "; likely cause: another state than recorded (--before resets it)"
    cause = _CAUSES.get(status) or ("who sends it is not signed in" if status // 100 == 3 else "")
    return f"; likely cause: {cause}" if cause and recorded < 400 else ""


_CAUSES = {
    401: "a token or session that is not this user's or has expired",
    403: "a token, CSRF value or identity that may not do this",
    404: "an id of the recording that is not there now",
    409: "a state that an earlier run left (--before resets it)",
    419: "a CSRF value of another session",
    422: "another state than recorded (--before resets it)",
}


def _class(status: int) -> int:
    """The status class; a 304 stands for the 200 it repeats (RFC 9110, 15.4.5)."""
    return 2 if status == 304 else status // 100


def _plain(status: int) -> Outcome:
    if status >= 500:
        return Outcome.HTTP_ERROR
    return Outcome.REFUSED if status >= 400 else Outcome.OK
