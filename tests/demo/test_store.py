from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from nestperf.demo.database import open_database
from nestperf.demo.identity import Identity
from nestperf.demo.store import Store
from tests.postgres import Postgres

AT = "2026-01-01T00:00:00.000Z"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.peer("postgres"))])
async def store(request: Any) -> AsyncIterator[Store]:
    """A store of its own in each kind of database."""
    name = ":memory:"
    if request.param == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        name = server.fresh_database()
    store = await Store.open(await open_database(name))
    yield store
    await store.close()


async def new_friend(store: Store) -> Identity:
    friend = await store.verify_pin((await store.create_pin())[0], AT)
    assert friend is not None
    return friend


async def test_each_pin_is_a_new_friend(store: Store) -> None:
    first, second = await new_friend(store), await new_friend(store)
    assert first.user_id != second.user_id
    assert (first.username, second.username) == ("friend1", "friend2")


async def test_pin_used_or_unknown_is_nobody(store: Store) -> None:
    pin, _ = await store.create_pin()
    assert await store.verify_pin(pin, AT) is not None
    assert await store.verify_pin(pin, AT) is None
    assert await store.verify_pin("unknown", AT) is None


async def test_search_takes_wildcards_as_they_are(store: Store) -> None:
    assert [title.title for title in await store.search("star har")] == ["Star Harbour"]
    assert await store.search("%") == []
    assert await store.search("_") == []


async def test_request_is_stored_once_a_friend_and_title(store: Store) -> None:
    first, second = await new_friend(store), await new_friend(store)
    title = await store.title("movie", 36877)
    assert title is not None
    wish = await store.create_request(first.user_id, title, AT)
    assert wish is not None
    assert await store.create_request(first.user_id, title, AT) is None
    assert await store.create_request(second.user_id, title, AT) is not None
    assert await store.requests(first.user_id) == [wish]
    await store.delete_request(wish.id)
    assert await store.count_requests(first.user_id) == 0
    assert await store.create_request(first.user_id, title, AT) is not None


async def test_requests_come_newest_first_and_in_pages(store: Store) -> None:
    friend = await new_friend(store)
    for title in await store.search("star"):
        await store.create_request(friend.user_id, title, AT)
    names = [wish.title for wish in await store.requests(friend.user_id, limit=100)]
    assert names == [title.title for title in reversed(await store.search("star"))]
    assert [wish.title for wish in await store.requests(friend.user_id, offset=2, limit=3)] == names[2:5]


async def test_title_is_found_under_its_own_type_only(store: Store) -> None:
    assert await store.title("movie", 36877) is not None
    assert await store.title("tv", 36877) is None


async def test_database_in_a_file_is_there_again(tmp_path: Path) -> None:
    path = str(tmp_path / "demo.db")
    first = await Store.open(await open_database(path))
    friend = await new_friend(first)
    await first.close()
    second = await Store.open(await open_database(path))
    assert [line.message for line in await second.notifications(friend.user_id)] == ["Welcome to MediaNest, friend1."]
    await second.close()
