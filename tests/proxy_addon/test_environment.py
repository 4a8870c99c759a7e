"""What a suite finds in its environment, and that of a database's URL nothing but the place changes."""

from __future__ import annotations

import pytest

from proxy_addon.environment import environment_for
from proxy_addon.listen import Listener

API = Listener(url="http://localhost:4000", hosts=("127.0.0.1",), port=8400)
PAGES = Listener(url="https://localhost:3000", hosts=("127.0.0.1",), port=8401, tls=True)
DATABASE = Listener(url="postgres://localhost:5432", hosts=("127.0.0.1",), port=8402)
OTHER = Listener(url="postgres://db.test:6000", hosts=("127.0.0.1",), port=8403)


def test_environment_names_every_upstream_in_order() -> None:
    found = environment_for((API, DATABASE, PAGES), "/tmp/qa.db", {"DATABASE_URL": "x"})
    assert found.variables == {
        "NESTPERF_CAPTURE": "/tmp/qa.db",
        "NESTPERF_URL": "http://127.0.0.1:8400",
        "NESTPERF_URL_1": "http://127.0.0.1:8400",
        "NESTPERF_URL_2": "https://127.0.0.1:8401",
        "NESTPERF_DATABASE_URL": "postgres://127.0.0.1:8402",
        "NESTPERF_DATABASE_URL_1": "postgres://127.0.0.1:8402",
    }


@pytest.mark.parametrize(
    ("url", "led"),
    [
        ("postgres://localhost:5432/media", "postgres://127.0.0.1:8402/media"),
        ("postgresql://me:p%40ss:w@127.0.0.1/media?schema=x", "postgresql://me:p%40ss:w@127.0.0.1:8402/media?schema=x"),
        ("postgresql+asyncpg://me:a@b@[::1]:5432/m#f", "postgresql+asyncpg://me:a@b@127.0.0.1:8402/m#f"),
        ("postgres://u@DB.test:6000", "postgres://u@127.0.0.1:8403"),
    ],
)
def test_database_url_keeps_everything_but_the_place(url: str, led: str) -> None:
    for name in ("DATABASE_URL", "TEST_DATABASE_URL"):
        found = environment_for((API, DATABASE, OTHER), "qa.db", {name: url})
        assert found.variables[name] == led
        assert found.remarks == ()


@pytest.mark.parametrize(
    "url",
    [
        "postgres://u:secret-word@elsewhere.test:5432/m",
        "postgres://u:secret-word@localhost:5433/m",
        "mysql://u:secret-word@localhost:5432/m",
        "postgresql:///m?host=/var/run&password=secret-word",
        "file:./secret-word.db",
        "postgres://u:secret-word@[nonsense/m",
        "postgres://u:secret-word@localhost:port/m",
        "",
    ],
)
def test_database_url_that_leads_elsewhere_stays_and_is_not_shown(url: str) -> None:
    found = environment_for((API, DATABASE), "qa.db", {"TEST_DATABASE_URL": url})
    assert "TEST_DATABASE_URL" not in found.variables
    assert found.remarks == ("TEST_DATABASE_URL leads to no recorded database and stays as it is.",)


def test_without_a_database_urls_are_left_alone() -> None:
    found = environment_for((API,), "qa.db", {"DATABASE_URL": "postgres://localhost:5432/m"})
    assert "DATABASE_URL" not in found.variables
    assert found.remarks == ()


def test_a_recorded_database_that_no_variable_names_is_said() -> None:
    (remark,) = environment_for((API, DATABASE), "qa.db", {}).remarks
    assert remark.startswith("Neither DATABASE_URL nor TEST_DATABASE_URL is set")
