"""What everybody who reads a capture must know first: sentences out of the run's row. Pure."""

from __future__ import annotations

from nestperf.capture import model
from nestperf.capture.model import Run
from nestperf.console import duration, limit, plural

REDACT = "redact"
"""Setting: names that were redacted beside the built-in ones."""
NOT_REDACTED = "not_redacted"
"""Setting: true where secrets were stored as they came."""
PARAMETERS = "pg_parameters"
"""Setting: true where the values of queries are stored, redacted."""
CUT_EVERY = "cut_sockets_every_ns"
"""Setting: how often nestperf cut all live WebSockets, nanoseconds; None or missing where it did not."""
IMPORTED = "imported"
"""Setting: a list of what the capture was made of, each an object with `file`, `format` and, where some of it made no
sense, `unreadable`: how many entries."""
TRIMMED = "trimmed"
"""Setting: a list of what was taken out of the capture afterwards, each an object with `what`."""

DOUBTFUL_LAG_NS = 20_000_000
"""A recorder that was later than this for its turn (p99) has stamped what it relayed that much too late."""

IN_CLEAR = "SECRETS STAND IN IT AS THEY CAME (--no-redact): keep it in the lab, hand it to nobody."
_TAKEN_OUT = {
    "bodies": "Trimmed: bodies and the contents of frames were taken out of it",
    "answers": "Exported for replay: of what was answered only its structure and what was sent again is left",
    "payloads": "Exported without bodies: bodies and the contents of frames and packets were taken out of it",
}


def remarks_of(run: Run, name: str) -> tuple[str, ...]:
    """Sentences about the capture called `name`, the gravest first."""
    return (
        *cautions_of(run, name),
        *_doubts(run),
        *_cuts(run),
        *_unreadable(run),
        *(_taken_out(entry) for entry in run.settings.get(TRIMMED, ())),
    )


def cautions_of(run: Run, name: str) -> tuple[str, ...]:
    """Those of them that say that secrets may stand in it."""
    if run.settings.get(NOT_REDACTED):
        return (IN_CLEAR,)
    if run.state == model.RUNNING:
        may = "Its run goes on or was killed: a secret that was recognised late may still stand in it;"
        return (f"{may} `nestperf trim {name}` takes it out.",)
    return ()


def _doubts(run: Run) -> tuple[str, ...]:
    lag_ns = run.relay.get("loop_lag_p99_ns")
    if not isinstance(lag_ns, int) or lag_ns <= DOUBTFUL_LAG_NS:
        return ()
    return (f"DOUBTFUL: this machine was so busy that nestperf itself was {duration(lag_ns)} late (p99).",)


def _unreadable(run: Run) -> tuple[str, ...]:
    parts = [(one["unreadable"], str(one["file"])) for one in run.settings.get(IMPORTED, ()) if one.get("unreadable")]
    return tuple(
        f"Imported without {plural(count, 'entry', 'entries')} of {file} that made no sense." for count, file in parts
    )


def _cuts(run: Run) -> tuple[str, ...]:
    every_ns = run.settings.get(CUT_EVERY)
    if not isinstance(every_ns, int):
        return ()
    count = run.relay.get("sockets_cut", 0)
    told = f"{plural(count, 'WebSocket was', 'WebSockets were')} cut" if run.relay else "WebSockets are cut"
    return (f"CUT ON PURPOSE: {told} by nestperf, every {limit(every_ns)} (--cut-sockets-every).",)


def _taken_out(entry: dict[str, object]) -> str:
    what = str(entry["what"])
    if what != "time":
        return f"{_TAKEN_OUT.get(what, 'Something was taken out of it')}."
    start, end = entry.get("from_ns"), entry.get("to_ns")
    if start is None:
        span = f"before {_shown(end)}"
    elif end is None:
        span = f"after {_shown(start)}"
    else:
        span = f"from {_shown(start)} to {_shown(end)}"
    return f"Trimmed: what began {span} was taken out of it."


def _shown(ns: object) -> str:
    assert isinstance(ns, int)
    return duration(ns)
