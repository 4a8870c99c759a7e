"""The stand-in's database: SQLite, in memory unless a file is named. Nothing else in the demo speaks SQL."""

from __future__ import annotations

import sqlite3
import uuid
from typing import NamedTuple

from nestperf.demo.catalogue import Title, build_catalogue
from nestperf.demo.identity import Identity

_TABLES = """
create table if not exists pins (id text primary key, code text not null, verified integer not null default 0);
create table if not exists users (id text primary key, username text not null, email text not null, role text not null);
create table if not exists titles (
    tmdb_id integer primary key, media_type text not null, title text not null, year integer not null,
    genre text not null, rating real not null, overview text not null
);
create table if not exists requests (
    id text primary key, user_id text not null references users, media_type text not null,
    tmdb_id integer not null references titles, title text not null, status text not null, requested_at text not null,
    unique (user_id, media_type, tmdb_id)
);
create table if not exists notifications (
    id text primary key, user_id text not null references users, message text not null, created_at text not null
);
"""


class MediaRequest(NamedTuple):
    """One friend's wish."""

    id: str
    user_id: str
    media_type: str
    tmdb_id: int
    title: str
    status: str
    requested_at: str

    def as_json(self) -> dict[str, object]:
        """As the API and the events write it."""
        return {
            "id": self.id,
            "userId": self.user_id,
            "mediaType": self.media_type,
            "tmdbId": self.tmdb_id,
            "title": self.title,
            "status": self.status,
            "requestedAt": self.requested_at,
        }


class Notification(NamedTuple):
    """One line of a friend's news."""

    id: str
    message: str
    created_at: str

    def as_json(self) -> dict[str, object]:
        """As the API writes it."""
        return {"id": self.id, "message": self.message, "createdAt": self.created_at}


class Store:
    """Friends, titles and wishes."""

    def __init__(self, path: str = ":memory:") -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.executescript(_TABLES)
        self._connection.executemany("insert or ignore into titles values (?, ?, ?, ?, ?, ?, ?)", build_catalogue())

    def close(self) -> None:
        """Close the database; what was in memory is gone."""
        self._connection.close()

    def create_pin(self) -> tuple[str, str]:
        """A new pin: its id, and the code that a friend would type at plex.tv/link."""
        pin_id = str(uuid.uuid4())
        code = pin_id[:4].upper()
        self._connection.execute("insert into pins (id, code) values (?, ?)", (pin_id, code))
        return pin_id, code

    def verify_pin(self, pin_id: str, at: str) -> Identity | None:
        """The new friend behind a pin; None for an unknown one or one that was used before."""
        used = self._connection.execute("update pins set verified = 1 where id = ? and verified = 0", (pin_id,))
        if used.rowcount != 1:
            return None
        number = self._connection.execute("select count(*) + 1 from users").fetchone()[0]
        friend = Identity(user_id=str(uuid.uuid4()), username=f"friend{number}", email=f"friend{number}@example.test")
        self._connection.execute(
            "insert into users values (?, ?, ?, ?)", (friend.user_id, friend.username, friend.email, friend.role)
        )
        self.notify(friend.user_id, f"Welcome to MediaNest, {friend.username}.", at)
        return friend

    def search(self, text: str, limit: int = 20) -> list[Title]:
        """Titles with this text in them, in the order of their ids."""
        pattern = "%" + text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        rows = self._connection.execute(
            "select * from titles where title like ? escape '\\' order by tmdb_id limit ?", (pattern, limit)
        )
        return [Title(*row) for row in rows]

    def title(self, media_type: str, tmdb_id: int) -> Title | None:
        """One title; None where there is none of that type and id."""
        row = self._connection.execute(
            "select * from titles where tmdb_id = ? and media_type = ?", (tmdb_id, media_type)
        ).fetchone()
        return Title(*row) if row else None

    def poster_title(self, tmdb_id: int) -> Title | None:
        """One title of any type."""
        row = self._connection.execute("select * from titles where tmdb_id = ?", (tmdb_id,)).fetchone()
        return Title(*row) if row else None

    def create_request(self, user_id: str, title: Title, at: str) -> MediaRequest | None:
        """Store a wish; None where this friend has asked for this title before."""
        wish = MediaRequest(str(uuid.uuid4()), user_id, title.media_type, title.tmdb_id, title.title, "pending", at)
        try:
            self._connection.execute("insert into requests values (?, ?, ?, ?, ?, ?, ?)", wish)
        except sqlite3.IntegrityError:
            return None
        self.notify(user_id, f"You asked for {title.title}.", at)
        return wish

    def requests(self, user_id: str, *, offset: int = 0, limit: int = 20) -> list[MediaRequest]:
        """A friend's wishes, the newest first."""
        rows = self._connection.execute(
            "select * from requests where user_id = ? order by requested_at desc, rowid desc limit ? offset ?",
            (user_id, limit, offset),
        )
        return [MediaRequest(*row) for row in rows]

    def count_requests(self, user_id: str) -> int:
        """How many wishes a friend has."""
        row = self._connection.execute("select count(*) from requests where user_id = ?", (user_id,)).fetchone()
        return int(row[0])

    def request(self, request_id: str) -> MediaRequest | None:
        """One wish of anybody's."""
        row = self._connection.execute("select * from requests where id = ?", (request_id,)).fetchone()
        return MediaRequest(*row) if row else None

    def delete_request(self, request_id: str) -> None:
        """Forget a wish."""
        self._connection.execute("delete from requests where id = ?", (request_id,))

    def notify(self, user_id: str, message: str, at: str) -> None:
        """Leave a friend a line of news."""
        self._connection.execute(
            "insert into notifications values (?, ?, ?, ?)", (str(uuid.uuid4()), user_id, message, at)
        )

    def notifications(self, user_id: str, limit: int = 10) -> list[Notification]:
        """A friend's news, the newest first."""
        rows = self._connection.execute(
            "select id, message, created_at from notifications where user_id = ? order by rowid desc limit ?",
            (user_id, limit),
        )
        return [Notification(*row) for row in rows]
