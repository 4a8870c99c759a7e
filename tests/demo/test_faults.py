from __future__ import annotations

import pytest

from nestperf.demo.faults import Faults, parse_faults
from nestperf.errors import UsageError


def test_no_text_breaks_nothing() -> None:
    assert parse_faults("") == Faults()


def test_faults_are_read_by_their_kind() -> None:
    text = "slow_path=/api/v1/media/, slow_ms=1.5,error_every=10,limit=5,retry_after=no"
    assert parse_faults(text) == Faults(
        slow_path="/api/v1/media/", slow_ms=1.5, error_every=10, limit=5, retry_after=False
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slwo_ms=1", "no fault 'slwo_ms'"),
        ("slow_ms=fast", "needs a number, not 'fast'"),
        ("limit=1.5", "needs a number, not '1.5'"),
        ("limit=-1", "cannot be negative"),
        ("retry_after=maybe", "yes or no"),
    ],
)
def test_what_is_no_fault_is_refused_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_faults(text)
