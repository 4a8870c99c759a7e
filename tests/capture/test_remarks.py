"""What readers of a capture must know first."""

from __future__ import annotations

import pytest

from nestperf.capture.model import Run
from nestperf.capture.remarks import DOUBTFUL_LAG_NS, IMPORTED, NOT_REDACTED, TRIMMED, remarks_of

RUN = Run(uid="u", purpose="record", vantage="proxy", state="finished", version="0", started_unix_ns=0)


def test_ordinary_recording_needs_no_remark() -> None:
    assert remarks_of(RUN._replace(relay={"loop_lag_p99_ns": DOUBTFUL_LAG_NS}), "qa.db") == ()


@pytest.mark.parametrize(
    ("run", "sentence"),
    [
        (RUN._replace(relay={"loop_lag_p99_ns": 25_000_000}), "DOUBTFUL: this machine was so busy that nestperf"),
        (RUN._replace(relay={"loop_lag_p99_ns": 25_000_000}), "itself was 25.0 ms late (p99)."),
        (RUN._replace(settings={NOT_REDACTED: True}), "SECRETS STAND IN IT AS THEY CAME"),
        (RUN._replace(state="running"), "`nestperf trim qa.db` takes it out."),
        (RUN._replace(settings={TRIMMED: [{"what": "time", "from_ns": None, "to_ns": 10**9}]}), "before 1.00 s"),
        (RUN._replace(settings={TRIMMED: [{"what": "bodies"}]}), "Trimmed: bodies"),
        (RUN._replace(settings={IMPORTED: [{"file": "a.har", "unreadable": 2}]}), "without 2 entries of a.har"),
    ],
)
def test_remark_says_what_is_the_matter(run: Run, sentence: str) -> None:
    (remark,) = remarks_of(run, "qa.db")
    assert sentence in remark
