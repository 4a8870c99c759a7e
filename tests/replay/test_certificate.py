"""Was it the load it promised: percentiles and the rule that makes a run invalid."""

from __future__ import annotations

import pytest

from nestperf.capture.model import Outcome
from replay.certificate import TROUBLES, Tally, certify, invalid_because, nearest_rank

MS = 1_000_000


@pytest.mark.parametrize(
    ("numbers", "share", "expected"),
    [([], 0.5, None), ([7], 0.99, 7), ([1, 2], 0.5, 1), ([1, 2, 3], 0.5, 2), (list(range(1, 101)), 0.99, 99),
     (list(range(1, 101)), 0.95, 95), (list(range(1, 102)), 0.99, 100)],
)  # fmt: skip
def test_nearest_rank_of_a_table_is_exact(numbers: list[int], share: float, expected: int | None) -> None:
    assert nearest_rank(numbers, share) == expected


LAGS = [
    ("one late step is no bottleneck", 60, 50, True, False, 1),
    ("on time", 1, 20, True, False, 2),
    ("late, but under 5 ms", 4.9, 20, True, False, 2),
    ("over 5 ms, but under a tenth of the answers", 6, 100, True, False, 2),
    ("over 5 ms and over a tenth", 6, 50, True, True, 2),
    ("as late without pace is the generator's limit, not its fault", 60, 50, False, False, 2),
]


@pytest.mark.parametrize(
    ("lag", "service", "paced", "invalid", "times"), [case[1:] for case in LAGS], ids=[case[0] for case in LAGS]
)
def test_run_is_invalid_when_the_generator_was_the_bottleneck(
    lag: float, service: float, paced: bool, invalid: bool, times: int
) -> None:
    tally = Tally()
    tally.sent = 100
    tally.lags_ns.extend([0] * (100 - times) + [round(lag * MS)] * times)
    tally.services_ns.extend([round(service * MS)] * 100)
    sentences = invalid_because(certify(tally, elapsed_ns=60_000 * MS, cpu_ns=1, paced=paced))
    assert bool(sentences) is invalid
    assert all("bottleneck" in sentence and "fewer users" in sentence for sentence in sentences)


def test_certificate_of_a_run_that_sent_nothing_has_no_made_up_numbers() -> None:
    certificate = certify(Tally(), elapsed_ns=0, cpu_ns=0, paced=True)
    assert certificate["send_lag_p99_ns"] is None
    assert certificate["service_p50_ns"] is None
    assert certificate["requests_per_minute"] == 0
    assert invalid_because(certificate) == ()


def test_requests_per_minute_are_of_the_time_that_passed() -> None:
    tally = Tally()
    tally.requests = 500
    assert certify(tally, elapsed_ns=30_000 * MS, cpu_ns=3_000 * MS, paced=True)["requests_per_minute"] == 1000
    assert certify(tally, elapsed_ns=30_000 * MS, cpu_ns=3_000 * MS, paced=True)["cpu_share"] == 0.1


def test_nothing_connected_is_said_only_when_everything_was_refused() -> None:
    assert not Tally().nothing_connected
    tally = Tally()
    tally.outcomes[Outcome.CONNECT_ERROR] += 3
    tally.refusals["refused"] += 3
    assert tally.nothing_connected
    served = Tally()
    served.outcomes.update({Outcome.CONNECT_ERROR: 3, Outcome.OK: 1})
    served.refusals["refused"] += 3
    assert not served.nothing_connected


def test_troubles_are_counted_and_bounded() -> None:
    tally = Tally()
    for number in range(TROUBLES + 100):
        tally.trouble(f"trouble {number}")
    tally.trouble("trouble 0")
    assert len(tally.troubles) == TROUBLES
    assert tally.troubles["trouble 0"] == 2
