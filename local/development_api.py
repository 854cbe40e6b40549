"""What a developer's page may do beyond any user: tokens for anybody, matches, a killed gateway.

A program of the stack on one machine and of nothing else: the roles know nothing of it, and it is
started only with CHAT_ENV=development. It answers POST below /api/chat/development.
"""

import os
import signal
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

import falcon
import httpx
import msgspec
from msgspec import Struct

from libs.common.cache import BlockingCache
from libs.common.keys import SESSIONS
from local import tokens
from local.failure import StackError
from local.stack import Stack

BASE: Final = "/api/chat/development"
LOOPBACK: Final = ("localhost", "127.0.0.1", "[::1]")

Body = TypeVar("Body", bound=Struct)


class TokenWish(Struct, rename="camel"):
    """The body of POST /tokens."""

    user_id: UUID
    lasts_seconds: int = 3600


class MatchWish(Struct, rename="camel"):
    """The body of POST /matches."""

    user1_id: UUID
    user2_id: UUID


class KillWish(Struct, rename="camel"):
    """The body of POST /gateway-kills: one of the sessions that the gateway holds."""

    user_id: UUID
    session_id: UUID


class OnlyOurPage:
    """Falcon middleware: no page from elsewhere may call, nor under another name of this host."""

    def process_request(self, request: falcon.Request, _response: falcon.Response) -> None:
        """Raises HTTPForbidden."""
        site = request.get_header("Sec-Fetch-Site", default="same-origin")
        if site not in ("same-origin", "none") or request.host not in LOOPBACK:
            raise falcon.HTTPForbidden(description="Only pages of http://localhost may call this.")


class Tokens:
    """POST: a token of any user, as the service that owns the users would issue it."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        wish = _body(request, TokenWish)
        expires_at = datetime.fromtimestamp(int(time.time()) + wish.lasts_seconds, UTC)
        token = tokens.sign(self._secret, str(wish.user_id), lasts_seconds=wish.lasts_seconds)
        response.media = {"token": token, "expiresAt": f"{expires_at:%Y-%m-%dT%H:%M:%S.000Z}"}


class Matches:
    """POST: a match of two users, and with it their conversation."""

    def __init__(self, secret: str, edge: str) -> None:
        self._secret = secret
        self._calls = httpx.Client(base_url=f"{edge}/api/chat", timeout=15)

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        wish = _body(request, MatchWish)
        service = tokens.sign(self._secret, str(uuid4()), scope="service")
        answer = self._calls.post(
            "/conversations",
            json={
                "matchId": str(uuid4()),
                "user1Id": str(wish.user1_id),
                "user2Id": str(wish.user2_id),
            },
            headers={"Authorization": f"Bearer {service}"},
        )
        response.status, response.data = answer.status_code, answer.content
        response.content_type = answer.headers["Content-Type"]


class GatewayKills:
    """POST: SIGKILL for the gateway that holds a session; supervisord starts it again."""

    def __init__(self, stack: Stack, cache: BlockingCache) -> None:
        self._stack = stack
        self._cache = cache

    def on_post(self, request: falcon.Request, response: falcon.Response) -> None:
        wish = _body(request, KillWish)
        (found,) = self._cache.run(("HGET", SESSIONS(wish.user_id), str(wish.session_id)))
        if found is None:
            raise falcon.HTTPNotFound(description="No gateway has this session.")
        # A gateway's id is its instance and, behind the last -, what tells its lives apart.
        gateway = found.decode().rpartition("-")[0]
        try:
            self._stack.signal(gateway, signal.SIGKILL)
        except StackError as error:
            raise falcon.HTTPNotFound(description=str(error)) from None
        response.media = {"gateway": gateway}


def _body(request: falcon.Request, kind: type[Body]) -> Body:
    """Raises HTTPBadRequest."""
    try:
        return msgspec.json.decode(request.bounded_stream.read(), type=kind)
    except msgspec.DecodeError as error:
        raise falcon.HTTPBadRequest(description=str(error)) from None


def app(environ: Mapping[str, str] = os.environ) -> "falcon.App[Any, Any]":
    """For gunicorn. Raises RuntimeError anywhere but in development."""
    if environ.get("CHAT_ENV") != "development":
        raise RuntimeError("It hands out tokens for anybody: only with CHAT_ENV=development.")
    served: falcon.App[Any, Any] = falcon.App(middleware=OnlyOurPage())
    secret = environ["CHAT_JWT_SECRET"]
    stack, cache = Stack(environ["CHAT_STACK"]), BlockingCache(environ["CHAT_REDIS_URL"])
    served.add_route(f"{BASE}/tokens", Tokens(secret))
    served.add_route(f"{BASE}/matches", Matches(secret, environ["CHAT_EDGE_URL"]))
    served.add_route(f"{BASE}/gateway-kills", GatewayKills(stack, cache))
    return served
