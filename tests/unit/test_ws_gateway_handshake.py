"""What the opening handshake says about who is calling."""

import json
from typing import Any
from uuid import UUID

import jwt
import pytest

from libs.common.tokens import Secret, Verifier
from services.ws_gateway.handshake import HandshakeRefused, authenticate, check_path

NOW = 1_764_000_000.0
SECRET = "a secret of at least 32 characters"
VERIFIER = Verifier(Secret(SECRET), ("HS256",))
USER = UUID(int=0xA)


def token(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    payload = {"sub": str(USER), "exp": int(NOW) + 60} | claims
    return jwt.encode(payload, secret, algorithm=algorithm)


def unsigned() -> str:
    return jwt.encode({"sub": str(USER), "exp": int(NOW) + 60}, "", algorithm="none")


@pytest.mark.parametrize(
    ("authorization", "subprotocols"),
    [
        ([f"Bearer {token()}"], []),
        ([f"bearer  {token()}"], []),
        ([f"Bearer {token()}"], ["chat.v1"]),
        ([f"Bearer {token()}"], ["chat.v1", "bearer.nonsense"]),
        ([], ["chat.v1", f"bearer.{token()}"]),
        ([], [f"bearer.{token()}", "chat.v1"]),
    ],
)
def test_a_good_token_says_who(authorization: list[str], subprotocols: list[str]) -> None:
    caller = authenticate(authorization, subprotocols, VERIFIER, NOW)
    assert caller is not None
    assert (caller.user_id, caller.expires_at) == (USER, int(NOW) + 60)


@pytest.mark.parametrize("subprotocols", [[], ["chat.v1"], ["something", "else"]])
def test_without_a_token_connect_has_to_come(subprotocols: list[str]) -> None:
    assert authenticate([], subprotocols, VERIFIER, NOW) is None


@pytest.mark.parametrize(
    ("authorization", "subprotocols", "error"),
    [
        (["Bearer nonsense"], [], "TOKEN_INVALID"),
        (["Bearer "], [], "TOKEN_INVALID"),
        (["Basic YTpi"], [], "TOKEN_INVALID"),
        ([""], [], "TOKEN_INVALID"),
        ([f"Bearer {token()}", f"Bearer {token()}"], [], "TOKEN_INVALID"),
        ([], ["chat.v1", "bearer."], "TOKEN_INVALID"),
        ([], [f"bearer.{token()}", f"bearer.{token()}"], "TOKEN_INVALID"),
        ([f"Bearer {token('another secret of 32 characters!')}"], [], "TOKEN_INVALID"),
        ([f"Bearer {unsigned()}"], [], "TOKEN_INVALID"),
        ([f"Bearer {token(sub='nobody')}"], [], "TOKEN_INVALID"),
        ([f"Bearer {token(exp=int(NOW))}"], [], "TOKEN_EXPIRED"),
        ([], ["chat.v1", f"bearer.{token(exp=1)}"], "TOKEN_EXPIRED"),
    ],
)
def test_a_bad_token_is_a_401(
    authorization: list[str], subprotocols: list[str], error: str
) -> None:
    with pytest.raises(HandshakeRefused) as caught:
        authenticate(authorization, subprotocols, VERIFIER, NOW)
    assert (caught.value.status, caught.value.error) == (401, error)
    assert caught.value.headers()["WWW-Authenticate"] == "Bearer"
    assert json.loads(caught.value.body())["code"] == error


def test_the_query_is_not_looked_at() -> None:
    check_path(f"/api/chat/ws?token={token()}")


@pytest.mark.parametrize(
    "path", ["/", "/api/chat", "/api/chat/ws/", "/API/chat/ws", "//api/chat/ws"]
)
def test_elsewhere_is_404(path: str) -> None:
    with pytest.raises(HandshakeRefused) as caught:
        check_path(path)
    assert caught.value.status == 404


def test_unavailable_says_when_to_come_back() -> None:
    refused = HandshakeRefused("UNAVAILABLE")
    assert refused.status == 503
    assert int(refused.headers()["Retry-After"]) > 0
    assert refused.headers()["Content-Type"] == "application/problem+json"
