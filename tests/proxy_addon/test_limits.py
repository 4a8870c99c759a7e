"""`--max-body`: what is accepted, and the sentence for what is not."""

from __future__ import annotations

import pytest

from nestperf.errors import UsageError
from proxy_addon.limits import BodyLimits, parse_body_limits


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("16MiB", BodyLimits(responses=16 * 2**20)),
        ("500kB", BodyLimits(responses=500_000)),
        ("0", BodyLimits(responses=0)),
        ("requests=1GiB", BodyLimits(requests=2**30)),
        ("responses=1, requests = 2K", BodyLimits(requests=2_000, responses=1)),
    ],
)
def test_parse_body_limits_knows_sizes_and_sides(text: str, limits: BodyLimits) -> None:
    assert parse_body_limits(text) == limits


@pytest.mark.parametrize("text", ["", "much", "-1", "frames=1MiB", "responses=", "1 parsec", "1MiB;2MiB"])
def test_parse_body_limits_refuses_anything_else_in_one_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="--max-body"):
        parse_body_limits(text)
