from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from nestperf.demo.identity import Identity
from nestperf.demo.store import Store

AT = "2026-01-01T00:00:00.000Z"


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.close()


def new_friend(store: Store) -> Identity:
    friend = store.verify_pin(store.create_pin()[0], AT)
    assert friend is not None
    return friend


def test_each_pin_is_a_new_friend(store: Store) -> None:
    first, second = new_friend(store), new_friend(store)
    assert first.user_id != second.user_id
    assert (first.username, second.username) == ("friend1", "friend2")


def test_pin_used_or_unknown_is_nobody(store: Store) -> None:
    pin, _ = store.create_pin()
    assert store.verify_pin(pin, AT) is not None
    assert store.verify_pin(pin, AT) is None
    assert store.verify_pin("unknown", AT) is None


def test_search_takes_wildcards_as_they_are(store: Store) -> None:
    assert [title.title for title in store.search("star har")] == ["Star Harbour"]
    assert store.search("%") == []
    assert store.search("_") == []


def test_request_is_stored_once_a_friend_and_title(store: Store) -> None:
    first, second = new_friend(store), new_friend(store)
    title = store.title("movie", 36877)
    assert title is not None
    wish = store.create_request(first.user_id, title, AT)
    assert wish is not None
    assert store.create_request(first.user_id, title, AT) is None
    assert store.create_request(second.user_id, title, AT) is not None
    assert store.requests(first.user_id) == [wish]
    store.delete_request(wish.id)
    assert store.count_requests(first.user_id) == 0
    assert store.create_request(first.user_id, title, AT) is not None


def test_requests_come_newest_first_and_in_pages(store: Store) -> None:
    friend = new_friend(store)
    for title in store.search("star"):
        store.create_request(friend.user_id, title, AT)
    names = [wish.title for wish in store.requests(friend.user_id, limit=100)]
    assert names == [title.title for title in reversed(store.search("star"))]
    assert [wish.title for wish in store.requests(friend.user_id, offset=2, limit=3)] == names[2:5]


def test_title_is_found_under_its_own_type_only(store: Store) -> None:
    assert store.title("movie", 36877) is not None
    assert store.title("tv", 36877) is None


def test_database_in_a_file_is_there_again(tmp_path: Path) -> None:
    path = str(tmp_path / "demo.db")
    first = Store(path)
    friend = new_friend(first)
    first.close()
    second = Store(path)
    assert [line.message for line in second.notifications(friend.user_id)] == ["Welcome to MediaNest, friend1."]
    second.close()
