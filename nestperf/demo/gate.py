"""What every request passes before and after its route: counting, correlation id, faults, rate limit, CSRF, and the
finishing touches of the answer. The routes themselves are in `api` and `pages`."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import os
import time
import uuid
from datetime import UTC, datetime

from aiohttp import web
from aiohttp.typedefs import Handler

from nestperf.demo.answers import Refusal, failed, finish, json_answer, rejected, too_many
from nestperf.demo.counts import Counts, ReceivedRequest, body_digest
from nestperf.demo.faults import Faults
from nestperf.demo.identity import Identity, csrf_is_valid, issue_csrf, verify_token
from nestperf.demo.limits import Admission, RateLimit

TOKEN_COOKIE = "token"  # noqa: S105  # its name, as MediaNest calls it
CSRF_COOKIE = "csrf-token"
API = "/api/v1/"
_UNCOUNTED = "/_demo/"
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none';",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""MediaNest sends them on plain http too, HSTS included."""
_log = logging.getLogger(__name__)


class Gate:
    """The middlewares, and what they know."""

    def __init__(self, *, secret: bytes, counts: Counts, faults: Faults, window_s: float) -> None:
        self.secret = secret
        self.counts = counts
        self._faults = faults
        self._limit = RateLimit(faults.limit, window_s)
        self._error_turn = 0
        self._slow_turn = 0

    @web.middleware
    async def observe(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Count the request, answer its errors, and finish the response."""
        began_ns = time.perf_counter_ns()
        row = self._arrived(request)
        try:
            await _note_body(request, row)
            response = await handler(request)
        except Refusal as refusal:
            response = json_answer(refusal.body, refusal.status, refusal.headers)
        except web.HTTPException as error:
            response = _plain_error(error)
        except Exception:
            _log.exception("The demo application failed to answer %s %s", request.method, request.path_qs)
            response = _answer_of(failed(500, "Internal server error", "Unexpected error"))
        row.status = response.status
        if not request.path.startswith(_UNCOUNTED):
            self.counts.statuses[response.status] += 1
        if response.prepared or not isinstance(response, web.Response):
            return response
        response = finish(request, response)
        response.headers.update(_SECURITY_HEADERS)
        response.headers["x-correlation-id"] = request.headers.get("x-correlation-id") or str(uuid.uuid4())
        response.headers["X-Response-Time"] = f"{(time.perf_counter_ns() - began_ns) / 1e6:.2f}ms"
        return response

    @web.middleware
    async def admit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Know who asks, then break promises that are to be broken, count against the limit, and check CSRF."""
        if not request.path.startswith(API):
            await self._be_faulty(request)
            return await handler(request)
        admission = self._limit.admit(self.client_key(request), time.perf_counter())
        limits = _limit_headers(admission, self._limit.window_s)
        try:
            if self._faults.limit and not admission.admitted:
                raise too_many(math.ceil(admission.reset_s) if self._faults.retry_after else None)
            await self._be_faulty(request)
            self._check_csrf(request)
            response = await handler(request)
        except Refusal as refusal:
            refusal.headers = limits | refusal.headers
            raise
        response.headers.update(limits)
        return response

    def identify(self, request: web.Request) -> Identity | None:
        """Whose valid token came as bearer or cookie, the bearer first."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            token = request.cookies.get(TOKEN_COOKIE, "")
        return self.identity_of(token)

    def require_identity(self, request: web.Request) -> Identity:
        """The signed-in friend.

        Raises:
            Refusal: 401, nobody is signed in.
        """
        identity = self.identify(request)
        if identity is None:
            raise failed(401, "Authentication Required", "Authentication required")
        return identity

    def client_key(self, request: web.Request) -> str:
        """What limits and CSRF tokens go by: the user, else address and User-Agent; X-Forwarded-For is believed, as
        MediaNest believes it."""
        identity = self.identify(request)
        if identity is not None:
            return user_key(identity)
        forwarded = request.headers.get("X-Forwarded-For", "").partition(",")[0].strip()
        agent = hashlib.sha256(request.headers.get("User-Agent", "").encode()).hexdigest()
        return f"address {forwarded or peer_of(request)[0]} {agent}"

    def identity_of(self, token: object) -> Identity | None:
        """Whose token this is."""
        if not isinstance(token, str) or not token:
            return None
        return verify_token(token, secret=self.secret, now_s=int(datetime.now(UTC).timestamp()))

    def set_csrf(self, response: web.Response, token: str) -> None:
        """Put a CSRF token into its cookie; the page's script must be able to read it."""
        response.set_cookie(CSRF_COOKIE, token, max_age=3600, path="/", samesite="Strict")

    def new_csrf(self, key: str) -> str:
        """A CSRF token for one client."""
        return issue_csrf(key, secret=self.secret, nonce=os.urandom(16))

    def _arrived(self, request: web.Request) -> ReceivedRequest:
        peer, port = peer_of(request)
        row = ReceivedRequest(peer=peer, port=port, method=request.method, target=request.path_qs)
        if request.path.startswith(_UNCOUNTED):
            return row
        identity = self.identify(request)
        if identity is not None:
            row.user_id = identity.user_id
            self.counts.users.add(identity.user_id)
        self.counts.request_arrived(row, request.headers.get("User-Agent", ""))
        return row

    async def _be_faulty(self, request: web.Request) -> None:
        faults = self._faults
        if faults.slow_ms and request.path.startswith(faults.slow_path):
            self._slow_turn += 1
            if self._slow_turn % max(1, faults.slow_every) == 0:
                await asyncio.sleep(faults.slow_ms / 1000)
        if faults.error_every and request.path.startswith(faults.error_path):
            self._error_turn += 1
            if self._error_turn % faults.error_every == 0:
                raise failed(500, "Internal server error", "A fault that was asked for")

    def _check_csrf(self, request: web.Request) -> None:
        if request.method in _SAFE_METHODS:
            return
        sent = request.headers.get("x-csrf-token", "")
        if not sent:
            raise rejected(403, "CSRF_TOKEN_MISSING", "CSRF token is missing")
        known = csrf_is_valid(sent, self.client_key(request), secret=self.secret)
        if sent != request.cookies.get(CSRF_COOKIE) or not known:
            raise rejected(403, "CSRF_TOKEN_INVALID", "CSRF token is invalid")


def user_key(identity: Identity) -> str:
    """The `Gate.client_key` of somebody who has signed in."""
    return f"user {identity.user_id}"


def peer_of(request: web.Request) -> tuple[str, int]:
    """Address and port the connection really came from."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return (str(peer[0]), int(peer[1])) if peer else ("", 0)


async def _note_body(request: web.Request, row: ReceivedRequest) -> None:
    # Engine.IO reads the bodies of its polls itself, and a body can be read only once there.
    if request.can_read_body and not request.path.startswith("/socket.io/"):
        body = await request.read()
        row.body_bytes, row.body_sha256 = len(body), body_digest(body)


def _limit_headers(admission: Admission, window_s: float) -> dict[str, str]:
    reset_s = math.ceil(admission.reset_s)
    return {
        "RateLimit-Policy": f"{admission.limit};w={math.ceil(window_s)}",
        "RateLimit-Limit": str(admission.limit),
        "RateLimit-Remaining": str(admission.remaining),
        "RateLimit-Reset": str(reset_s),
        "X-RateLimit-Limit": str(admission.limit),
        "X-RateLimit-Remaining": str(admission.remaining),
        "X-RateLimit-Reset": str(int(datetime.now(UTC).timestamp()) + reset_s),
    }


def _answer_of(refusal: Refusal) -> web.Response:
    return json_answer(refusal.body, refusal.status, refusal.headers)


def _plain_error(error: web.HTTPException) -> web.Response:
    if error.status < 400:
        return web.Response(status=error.status, headers={"Location": error.headers.get("Location", "/")})
    allowed = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    refusal = failed(error.status, error.reason, "No such route" if error.status == 404 else error.reason)
    return json_answer(refusal.body, refusal.status, allowed)
