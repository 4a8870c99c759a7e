"""The made-up applications of the corpus: ways to sign in, kinds of ids, ways of values, and what means nothing."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.replay.conftest import Recording
from tests.replay.provenance.corpus import Corpus, Live, Number, Visitor

THINGS = ("order", "ticket", "invoice", "project", "task", "request", "message", "document", "booking", "category")
PLURALS = {"category": "categories"}
SESSIONS_A_RECORDING = 10


def build_corpus(folder: Path, sessions: int, seed: int) -> list[Corpus]:
    """That many sessions, ten in each recording; the same for the same seed."""
    rng = random.Random(seed)
    return [_recording(folder / f"corpus-{n}.db", rng) for n in range(sessions // SESSIONS_A_RECORDING)]


def _recording(path: Path, rng: random.Random) -> Corpus:
    corpus = Corpus(path)
    recording = Recording(path)
    build = "".join(rng.choice("0123456789abcdef") for _ in range(20))
    for client in range(1, SESSIONS_A_RECORDING + 1):
        visitor = Visitor(corpus, recording, rng, client, client * 100_000.0)
        kind, application = rng.choice(APPLICATIONS)
        corpus.kinds[kind] += 1
        application(visitor, build)
    recording.finish()
    return corpus


# -- what every application does besides


def landing(v: Visitor, build: str) -> None:
    """A page with its build: hashes in script addresses, in JSON, and in the addresses of what it loads."""
    chunk = v.hex(16)
    page = (
        f'<html><head><link rel="stylesheet" href="/static/css/main.{chunk[:8]}.css">'
        f'<script src="/_next/static/{build}/main-{chunk}.js"></script></head><body>'
        f'<a href="/items?page=2">next</a> <a href="/about">about</a>'
        f'<script id="__NEXT_DATA__" type="application/json">{{"buildId":"{build}","page":"/"}}</script></body></html>'
    )
    v.exchange("GET", ("/",), page=page)
    v.exchange("GET", (f"/static/css/main.{chunk[:8]}.css",), answer_headers=(("ETag", f'"{v.hex(32)}"'),))
    v.exchange("GET", (f"/_next/static/{build}/main-{chunk}.js",), decoys=2)
    v.exchange("GET", (f"/_next/data/{build}/items.json?page=2",), answer={"pageProps": {"page": 2}}, decoys=2)


def decoys(v: Visitor, auth: list[tuple[str, Any]]) -> None:
    """Equal prices, page numbers, moments, words, own words repeated, ids that the page made up, a device of before."""
    price, quantity, page = v.rng.choice((999, 1299, 2500, 49900)), v.rng.randrange(1, 9), v.rng.randrange(2, 9)
    at, word, own = v.moment(), v.rng.choice(("pending", "approved", "EUR", "en-US", "dark", "asc")), v.uuid()
    search = v.words(2)
    unix = 1_760_000_000 + v.rng.randrange(10**6)
    items = [{"price": price, "stock": quantity, "status": word, "updatedAt": at, "ts": unix} for _ in range(3)]
    # A person, a shop and a page may well have the same small number.
    meta = {
        "user": {"id": page},
        "shopId": quantity,
        "page": page,
        "pageSize": 20,
        "total": price,
        "serverTime": at,
        "version": "2.4.1",
        "generatedAt": unix,
    }
    v.exchange(
        "GET",
        (f"/api/items?page={page}&pageSize=20&q={quote(search)}",),
        headers=auth,
        answer={"items": items, "meta": meta, "query": search},
        answer_headers=(
            ("X-Request-Id", v.uuid()),
            ("X-RateLimit-Remaining", str(price)),
            ("Date", "Mon, 05 Jan 2026"),
        ),
    )
    kinds: list[Callable[[], object]] = [
        lambda: v.exchange("GET", (f"/api/items?maxPrice={price}&page={page + 1}",), headers=auth, answer={}, decoys=2),
        lambda: v.exchange(
            "GET", (f"/api/items?since={quote(at, safe='')}&status={word}",), headers=auth, answer={}, decoys=2
        ),
        lambda: v.exchange("GET", (f"/api/changes?after={unix}",), headers=auth, answer={}, decoys=1),
        lambda: v.exchange(
            "POST",
            ("/api/cart",),
            headers=auth,
            body={"quantity": quantity, "price": price, "gift": True},
            answer={"ok": True, "quantity": quantity},
            decoys=3,
        ),
        lambda: v.exchange(
            "GET", (f"/api/search?q={quote(search)}&page={page}",), headers=auth, answer={"q": search}, decoys=2
        ),
        lambda: v.exchange(
            "PUT",
            ("/api/draft",),
            headers=auth,
            body={"clientId": own, "text": search},
            answer={"clientId": own, "saved": True},
        ),
        lambda: v.exchange(
            "PATCH", ("/api/draft",), headers=auth, body={"clientId": own, "text": word}, answer={}, decoys=1
        ),
        lambda: v.exchange("GET", (f"/api/archive/{page}/2026",), headers=auth, answer={"year": 2026}, decoys=1),
        lambda: v.exchange("GET", (f"/api/levels/{page}/seats/{quantity}",), headers=auth, answer={}, decoys=2),
    ]
    for kind in kinds[:5] if v.rng.random() < 0.5 else kinds[3:]:
        kind()


def made(v: Visitor, thing: str) -> tuple[Any, Live]:
    """An id as servers make them: (as it stands in JSON, as it is sent in a path)."""
    kind = v.rng.choice(("uuid", "small", "large", "nano", "prefixed", "mongo"))
    if kind in ("small", "large"):
        number = v.rng.randrange(2, 900) if kind == "small" else v.rng.randrange(10_000, 10**8)
        one = Number(number, f"{thing}-{number}-{v.rng.random()}")
        return one, one.text
    makers: dict[str, Callable[[], str]] = {
        "uuid": v.uuid,
        "nano": lambda: v.token(21),
        "mongo": lambda: v.hex(24),
        "prefixed": lambda: f"{thing[:3]}_{v.token(10, 'abcdefghjkmnpqrstuvwxyz23456789')}",
    }
    text = makers[kind]()
    return Live(text), Live(text)


def things(v: Visitor, auth: list[tuple[str, Any]], rounds: int) -> None:
    """Create something and go on with its id: path, query, JSON, list, event."""
    for _ in range(rounds):
        thing = v.rng.choice(THINGS)
        many = PLURALS.get(thing, thing + "s")
        one, sent = made(v, thing)
        shape = v.rng.choice(("flat", "wrapped", "named", "location"))
        title = v.words(3)
        if shape == "location":
            where = f"/api/{many}/{sent}"
            v.exchange(
                "POST",
                (f"/api/{many}",),
                headers=auth,
                body={"title": title},
                status=201,
                answer_headers=(("Location", where),),
                gives=(sent,),
            )
        else:
            answer = {
                "flat": {"id": one, "title": title, "price": 1299},
                "wrapped": {"success": True, "data": {thing: {"id": one, "title": title}}},
                "named": {f"{thing}Id": one, "createdAt": v.moment()},
            }[shape]
            v.exchange("POST", (f"/api/{many}",), headers=auth, body={"title": title}, status=201, answer=answer)
        v.exchange("GET", (f"/api/{many}/", sent), headers=auth, answer={"id": one, "title": title})
        use = v.rng.randrange(5)
        if use == 0:
            v.exchange("GET", (f"/api/comments?{thing}Id=", sent), headers=auth, answer={"items": []})
        elif use == 1:
            v.exchange("POST", ("/api/share",), headers=auth, body={f"{thing}_id": one, "with": "everybody"}, answer={})
        elif use == 2 and v.socket_id is not None:
            v.emit("/", f"{thing}:watch", {f"{thing}Id": one})
        elif use == 3 and isinstance(one, Live) and v.socket_id is not None:
            v.emit("/", "join", one.coded(f"{thing}:{one}"))
        elif use == 4:
            v.exchange("PATCH", (f"/api/{many}/", sent, "/state"), headers=auth, body={"state": "closed"}, answer={})
        if v.rng.random() < 0.5:
            v.exchange("DELETE", (f"/api/{many}/", sent), headers=auth, answer={"deleted": True}, status=200)


def listed(v: Visitor, auth: list[tuple[str, Any]]) -> None:
    """Open one of a list."""
    rows = [Live(v.uuid()) for _ in range(5)]
    v.exchange(
        "GET",
        ("/api/documents?page=1",),
        headers=auth,
        answer={"data": [{"id": row, "name": v.words(2), "size": 2048} for row in rows], "page": 1},
    )
    v.exchange("GET", ("/api/documents/", v.rng.choice(rows)), headers=auth, answer={"content": v.words(9)})


def events(v: Visitor, auth: list[tuple[str, Any]]) -> None:
    """The server tells of something, the page fetches it; and an ack that hands out a key."""
    news = Live(v.uuid())
    v.push("/", "notification:created", {"notification": {"id": news, "title": v.words(2)}, "unread": 3})
    v.exchange("GET", ("/api/notifications/", news), headers=auth, answer={"text": v.words(5), "unread": 3})
    upload = Live(v.token(24))
    v.emit("/", "upload:begin", {"name": "photo.png", "size": 2048}, ack={"ok": True, "uploadKey": upload})
    v.exchange("PUT", ("/api/uploads/", upload), headers=auth, body={"done": True}, answer={"ok": True})


# -- ways to sign in


def bearer(v: Visitor, build: str) -> None:
    """CSRF from a body into header and cookie; JWT from a login body into Authorization and a Socket.IO CONNECT."""
    landing(v, build)
    csrf = Live(v.hex(64))
    where = v.rng.choice(("token", "csrfToken"))
    v.exchange("GET", ("/api/csrf",), answer={"data": {where: csrf}}, cookies=(("csrf-token", csrf, "; SameSite=Lax"),))
    jwt = Live(v.jwt())
    v.exchange(
        "POST",
        ("/api/login",),
        headers=[("X-CSRF-Token", (csrf,))],
        body={"user": "kim", "password": v.words(2)},
        answer={"token": jwt, "user": {"name": "kim"}},
        cookies=(("token", jwt, "; HttpOnly"),),
    )
    auth = [("Authorization", ("Bearer ", jwt)), ("x-csrf-token", (csrf,))]
    v.connect("/", {"token": v.rng.choice((jwt, jwt.coded(f"Bearer {jwt}")))})
    decoys(v, auth)
    things(v, auth, v.rng.randrange(2, 5))
    events(v, auth)


def rotating(v: Visitor, build: str) -> None:
    """Every few answers a header brings a new token."""
    landing(v, build)
    token = Live(v.token(40))
    v.exchange(
        "POST",
        ("/api/sessions",),
        body={"email": "kim@example.test", "password": "correct horse"},
        answer={"accessToken": token, "expiresIn": 900},
    )
    for _ in range(v.rng.randrange(3, 6)):
        fresh = Live(v.token(40))
        v.exchange(
            "GET",
            ("/api/me",),
            headers=[("Authorization", ("Bearer ", token))],
            answer={"name": "kim"},
            answer_headers=(("X-New-Token", fresh),),
        )
        token = fresh
        things(v, [("Authorization", ("Bearer ", token))], 1)
    decoys(v, [("Authorization", ("Bearer ", token))])


def cookies(v: Visitor, build: str) -> None:
    """A session cookie that every call sets again; two Set-Cookie of one name; a coded token for the header."""
    landing(v, build)
    v.jar["theme"] = Live("dark", "own")
    v.exchange(
        "GET",
        ("/login",),
        page="<form></form>",
        cookies=(("sid", Live(v.token(32)), ""), ("sid", Live(v.token(32)), "; HttpOnly")),
    )
    raw = base64.b64encode(v.token(30).encode()).decode() + "=="
    xsrf = Live(raw, sent_as=quote(raw, safe=""))
    v.exchange(
        "POST",
        ("/login",),
        form=[("user", "kim"), ("password", "correct horse")],
        status=302,
        answer_headers=(("Location", "/home"),),
        cookies=(("XSRF-TOKEN", xsrf, ""), ("sid", Live(v.token(32)), "")),
    )
    header = [("X-XSRF-TOKEN", (Live(raw, xsrf.key),))]
    for _ in range(v.rng.randrange(4, 8)):
        v.exchange(
            "POST",
            ("/api/ping",),
            headers=header,
            body={"n": 1},
            answer={"n": 1},
            cookies=(("sid", Live(v.token(32)), "; HttpOnly"),),
        )
    decoys(v, header)
    things(v, header, 2)
    listed(v, header)


def django(v: Visitor, build: str) -> None:
    """A hidden field and its cookie, a redirect to what was made, links in pages."""
    landing(v, build)
    cookie = Live(v.token(32))

    def masked(path: str) -> Live:
        field = Live(v.token(64))
        page = (
            f'<form method="post"><input type="hidden" name="csrfmiddlewaretoken" value="{field}">'
            f'<input type="text" name="title" value=""></form>'
        )
        v.exchange("GET", (path,), page=page, gives=(field,), cookies=(("csrftoken", cookie, "; Max-Age=31449600"),))
        return field

    field = masked("/accounts/login/?next=/admin/")
    v.exchange(
        "POST",
        ("/accounts/login/?next=/admin/",),
        form=[("csrfmiddlewaretoken", field), ("username", "kim"), ("password", "correct horse")],
        status=302,
        answer_headers=(("Location", "/admin/"),),
        cookies=(("sessionid", Live(v.token(32)), "; HttpOnly"),),
    )
    for _ in range(v.rng.randrange(2, 4)):
        thing = v.rng.choice(THINGS)
        field = masked(f"/admin/shop/{thing}/add/")
        number = v.rng.randrange(2, 500)
        pk = Live(str(number), f"{thing}-{number}-{v.rng.random()}")
        to_list = v.rng.random() < 0.5
        target = f"/admin/shop/{thing}/" if to_list else f"/admin/shop/{thing}/{pk}/change/"
        v.exchange(
            "POST",
            (f"/admin/shop/{thing}/add/",),
            form=[("csrfmiddlewaretoken", field), ("title", v.words(2))],
            status=302,
            answer_headers=(("Location", target),),
            gives=() if to_list else (pk,),
        )
        if to_list:
            others = [number - 1, number + 1]
            rows = "".join(
                f'<tr><td><a href="{target}{n}/change/">{v.words(2)}</a></td></tr>' for n in (number, *others)
            )
            v.exchange("GET", (target,), page=f'<table>{rows}</table><a href="?p=1">2</a>', gives=(pk,))
        field = Live(v.token(64))
        page = f'<form method="post"><input type="hidden" name="csrfmiddlewaretoken" value="{field}"></form>'
        v.exchange("GET", (f"/admin/shop/{thing}/", pk, "/change/"), page=page, gives=(field,))
        v.exchange(
            "POST",
            (f"/admin/shop/{thing}/", pk, "/change/"),
            status=302,
            form=[("csrfmiddlewaretoken", field), ("title", v.words(2))],
            answer_headers=(("Location", f"/admin/shop/{thing}/"),),
        )


def next_auth(v: Visitor, build: str) -> None:
    """`token|hash` in a cookie, the token in a form; callbacks by redirect with code and state."""
    landing(v, build)
    token = Live(v.hex(64))
    both = Live(f"{token}|{v.hex(64)}", token.key + "|")
    cookie = both.coded(quote(both, safe=""))
    in_cookie_alone = v.rng.random() < 0.4
    v.exchange(
        "GET",
        ("/api/auth/csrf",),
        answer={} if in_cookie_alone else {"csrfToken": token},
        gives=(token,),
        cookies=(("next-auth.csrf-token", Live(str(cookie.sent_as), cookie.key), "; HttpOnly"),),
    )
    state, code = Live(v.token(43)), Live(v.token(30))
    v.exchange(
        "POST",
        ("/api/auth/signin/github",),
        form=[("csrfToken", token), ("callbackUrl", "/")],
        answer={"url": f"https://github.example.test/authorize?client_id=abc&state={state}"},
        gives=(state,),
    )
    v.exchange(
        "GET",
        ("/authorize?client_id=abc&state=", state),
        status=302,
        gives=(code, state),
        answer_headers=(("Location", f"/api/auth/callback/github?code={code}&state={state}"),),
    )
    v.exchange(
        "GET",
        ("/api/auth/callback/github?code=", code, "&state=", state),
        status=302,
        answer_headers=(("Location", "/"),),
        cookies=(("next-auth.session-token", Live(v.uuid()), "; HttpOnly"),),
    )
    user = Live(v.uuid())
    v.exchange("GET", ("/api/auth/session",), answer={"user": {"name": "kim", "id": user}, "expires": v.moment()})
    v.exchange("GET", ("/api/users/", user, "/settings"), answer={"language": "en-US"})
    decoys(v, [])
    things(v, [], 2)


def coded(v: Visitor, build: str) -> None:
    """Values in base64, in JSON within JSON, in JSON within a query, in header fields, in the page's meta tags."""
    landing(v, build)
    csrf = Live(v.token(43))
    v.exchange(
        "GET", ("/app",), page=f'<html><head><meta name="csrf-token" content="{csrf}"></head></html>', gives=(csrf,)
    )
    key = Live(v.token(32, "abcdefghijklmnopqrstuvwxyz0123456789"))
    v.exchange("POST", ("/api/keys",), headers=[("X-CSRF-Token", (csrf,))], body={}, answer={"apiKey": key})
    basic = key.coded(base64.b64encode(f"kim:{key}".encode()).decode())
    v.exchange("GET", ("/api/usage",), headers=[("Authorization", ("Basic ", basic))], answer={"used": 3})
    workspace = Live(v.uuid())
    v.exchange(
        "GET",
        ("/api/workspaces",),
        headers=[("Authorization", ("Basic ", basic))],
        answer={"current": {"workspaceId": workspace}, "count": 1},
    )
    inner = json.dumps({"workspace": workspace, "limit": 20}, separators=(",", ":"))
    v.exchange(
        "GET",
        ("/trpc/items.list?input=", workspace.coded(quote(inner, safe=""))),
        headers=[("Authorization", ("Basic ", basic))],
        answer={"result": []},
    )
    cursor_text = json.dumps({"after": v.rng.randrange(1000), "w": v.token(6)}, separators=(",", ":"))
    cursor = Live(base64.b64encode(cursor_text.encode()).decode())
    v.exchange("GET", ("/api/feed",), answer={"items": [], "nextCursor": cursor}, headers=[("X-CSRF-Token", (csrf,))])
    v.exchange("GET", ("/api/feed?cursor=", cursor.coded(quote(cursor, safe=""))), answer={"items": []})
    ticket = Live(v.token(26))
    answer = {"data": {"session": json.dumps({"ticket": ticket})}}
    v.exchange("POST", ("/graphql",), body={"query": "query Session { session }"}, answer=answer, gives=(ticket,))
    v.exchange("POST", ("/graphql",), body={"variables": {"ticket": ticket}, "query": "mutation"}, answer={"data": {}})
    v.exchange("GET", ("/files",), headers=[("X-Auth", ("ticket=", ticket, ", realm=app"))], answer={})
    decoys(v, [("X-CSRF-Token", (csrf,))])
    things(v, [("X-CSRF-Token", (csrf,))], 2)


APPLICATIONS: list[tuple[str, Callable[[Visitor, str], None]]] = [
    ("bearer", bearer),
    ("rotating", rotating),
    ("cookies", cookies),
    ("django", django),
    ("next-auth", next_auth),
    ("coded", coded),
]
