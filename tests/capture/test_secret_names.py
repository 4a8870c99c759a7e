"""Names that hold secrets, built in and added."""

from __future__ import annotations

import pytest

from nestperf.capture.secret_names import BUILT_IN, SecretNames, parse_name
from nestperf.errors import UsageError


@pytest.mark.parametrize(
    "name",
    ["password", "newPassword", "X-Plex-Token", "access_token", "apiKey", "pin", "pinId", "csrfToken", "X-Auth-Token",
     "X-Emby-Token", "client_secret", "JWT", "otp", "Authorization", "X-Amz-Signature", "auth"],
)  # fmt: skip
def test_built_in_names_hold_secrets(name: str) -> None:
    assert name in BUILT_IN


@pytest.mark.parametrize(
    "name",
    ["title", "tokenType", "tokens", "pinned", "spinner", "compass", "X-Auth-Time", "tokenExpiresAt", "passwordLength",
     "Access-Control-Allow-Credentials", "author"],
)  # fmt: skip
def test_other_names_do_not(name: str) -> None:
    assert name not in BUILT_IN


def test_added_names_match_in_any_letter_case_and_as_globs() -> None:
    names = SecretNames(["X-Household", "household_*", "plan?"])
    assert all(name in names for name in ("x-household", "Household_Id", "plan9", "password"))
    assert not any(name in names for name in ("x-households", "household", "plans9"))


@pytest.mark.parametrize("glob", ["", "*", "?", " ", "a", "*a*"])
def test_added_name_that_names_everything_is_refused(glob: str) -> None:
    with pytest.raises(UsageError, match="names nearly everything"):
        parse_name(glob)


def test_clues_are_positions_of_telling_names() -> None:
    content = b'{"Title":"x","spinner":1,"PIN":2,"ACCESS_TOKEN":"y"}'
    assert [content[at : at + 5] for at in BUILT_IN.clues(content)] == [b'"PIN"', b"TOKEN"]
