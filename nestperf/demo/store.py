"""The stand-in's friends, titles and wishes. Nothing else in the demo speaks SQL."""

from __future__ import annotations

import time
import uuid
from typing import NamedTuple, Self

from nestperf.demo.catalogue import Title, build_catalogue
from nestperf.demo.database import Database, Duplicate
from nestperf.demo.identity import Identity

_TABLES = (
    "create table if not exists pins (id text primary key, code text not null, verified integer not null default 0)",
    """create table if not exists users (
        id text primary key, username text not null, email text not null, role text not null
    )""",
    """create table if not exists titles (
        tmdb_id bigint primary key, media_type text not null, title text not null, year integer not null,
        genre text not null, rating double precision not null, overview text not null
    )""",
    """create table if not exists requests (
        id text primary key, user_id text not null references users, media_type text not null,
        tmdb_id bigint not null references titles, title text not null, status text not null,
        requested_at text not null, place bigint not null, unique (user_id, media_type, tmdb_id)
    )""",
    """create table if not exists notifications (
        id text primary key, user_id text not null references users, message text not null, created_at text not null,
        place bigint not null
    )""",
)
"""`place` orders what one clock reading cannot tell apart."""
_WISH = "id, user_id, media_type, tmdb_id, title, status, requested_at"
_INSERT_WISH = f"insert into requests ({_WISH}, place) values ($1, $2, $3, $4, $5, $6, $7, $8)"  # noqa: S608


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

    def __init__(self, database: Database, *, wishes: int = 0) -> None:
        self._database = database
        self._wishes = wishes

    @classmethod
    async def open(cls, database: Database, *, wishes: int = 0) -> Self:
        """A store with its tables and titles in place; new friends have asked for `wishes` titles already."""
        for table in _TABLES:
            await database.run(table)
        marks = ", ".join(f"${number}" for number in range(1, len(Title._fields) + 1))
        await database.insert_many(f"insert into titles values ({marks}) on conflict do nothing", build_catalogue())  # noqa: S608 - our own marks
        return cls(database, wishes=wishes)

    async def close(self) -> None:
        """Let the database go."""
        await self._database.close()

    async def create_pin(self) -> tuple[str, str]:
        """A new pin: its id, and the code that a friend would type at plex.tv/link."""
        pin_id = str(uuid.uuid4())
        code = pin_id[:4].upper()
        await self._database.run("insert into pins (id, code) values ($1, $2)", pin_id, code)
        return pin_id, code

    async def verify_pin(self, pin_id: str, at: str) -> Identity | None:
        """The new friend behind a pin; None for an unknown one or one that was used before."""
        used = await self._database.run(
            "update pins set verified = 1 where id = $1 and verified = 0 returning id", pin_id
        )
        if not used:
            return None
        ((number,),) = await self._database.run("select count(*) + 1 from users")
        friend = Identity(user_id=str(uuid.uuid4()), username=f"friend{number}", email=f"friend{number}@example.test")
        await self._database.run(
            "insert into users values ($1, $2, $3, $4)", friend.user_id, friend.username, friend.email, friend.role
        )
        await self._wish_before(friend.user_id, at)
        await self.notify(friend.user_id, f"Welcome to MediaNest, {friend.username}.", at)
        return friend

    async def _wish_before(self, user_id: str, at: str) -> None:
        wishes = [
            (str(uuid.uuid4()), user_id, title.media_type, title.tmdb_id, title.title, "pending", at, place)
            for place, title in enumerate(build_catalogue()[: self._wishes])
        ]
        await self._database.insert_many(_INSERT_WISH, wishes)

    async def search(self, text: str, limit: int = 20) -> list[Title]:
        """Titles with this text in them, in the order of their ids."""
        pattern = "%" + text.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") + "%"
        rows = await self._database.run(
            "select * from titles where lower(title) like $1 escape '\\' order by tmdb_id limit $2", pattern, limit
        )
        return [Title(*row) for row in rows]

    async def title(self, media_type: str, tmdb_id: int) -> Title | None:
        """One title; None where there is none of that type and id."""
        rows = await self._database.run(
            "select * from titles where tmdb_id = $1 and media_type = $2", tmdb_id, media_type
        )
        return Title(*rows[0]) if rows else None

    async def poster_title(self, tmdb_id: int) -> Title | None:
        """One title of any type."""
        rows = await self._database.run("select * from titles where tmdb_id = $1", tmdb_id)
        return Title(*rows[0]) if rows else None

    async def create_request(self, user_id: str, title: Title, at: str) -> MediaRequest | None:
        """Store a wish; None where this friend has asked for this title before."""
        wish = MediaRequest(str(uuid.uuid4()), user_id, title.media_type, title.tmdb_id, title.title, "pending", at)
        try:
            await self._database.run(
                _INSERT_WISH,
                *wish,
                time.time_ns(),
            )
        except Duplicate:
            return None
        await self.notify(user_id, f"You asked for {title.title}.", at)
        return wish

    async def requests(self, user_id: str, *, offset: int = 0, limit: int = 20) -> list[MediaRequest]:
        """A friend's wishes, the newest first."""
        rows = await self._database.run(
            f"select {_WISH} from requests where user_id = $1 order by requested_at desc, place desc "  # noqa: S608
            "limit $2 offset $3",
            user_id,
            limit,
            offset,
        )
        return [MediaRequest(*row) for row in rows]

    async def count_requests(self, user_id: str) -> int:
        """How many wishes a friend has."""
        ((count,),) = await self._database.run("select count(*) from requests where user_id = $1", user_id)
        return int(count)

    async def request(self, request_id: str) -> MediaRequest | None:
        """One wish of anybody's."""
        rows = await self._database.run(f"select {_WISH} from requests where id = $1", request_id)  # noqa: S608
        return MediaRequest(*rows[0]) if rows else None

    async def delete_request(self, request_id: str) -> None:
        """Forget a wish."""
        await self._database.run("delete from requests where id = $1", request_id)

    async def notify(self, user_id: str, message: str, at: str) -> None:
        """Leave a friend a line of news."""
        await self._database.run(
            "insert into notifications values ($1, $2, $3, $4, $5)",
            str(uuid.uuid4()),
            user_id,
            message,
            at,
            time.time_ns(),
        )

    async def notifications(self, user_id: str, limit: int = 10) -> list[Notification]:
        """A friend's news, the newest first."""
        rows = await self._database.run(
            "select id, message, created_at from notifications where user_id = $1 order by place desc limit $2",
            user_id,
            limit,
        )
        return [Notification(*row) for row in rows]
