"""Who is calling: JSON Web Tokens, HS256 with the deployment's secret."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import jwt

_ALGORITHMS: Final = ["HS256"]
_OPTIONS: Final[Any] = {"require": ["sub", "exp"], "verify_exp": False, "verify_iat": False}


class InvalidToken(Exception):
    """`error` is TOKEN_INVALID or TOKEN_EXPIRED, a constant of `protocol.errors`."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified token's subject."""

    user_id: UUID
    expires_at: int
    """Seconds since 1970 UTC."""
    is_service: bool
    """`scope: "service"`: one of our own services, not a user."""


def verify(token: str, secret: str, now: float) -> Caller:
    """The caller, by a token that is valid at `now` (seconds since 1970). Raises InvalidToken."""
    try:
        claims = jwt.decode(token, secret, algorithms=_ALGORITHMS, options=_OPTIONS)
        expires_at = int(claims["exp"])
        user_id = UUID(claims["sub"])
    except (jwt.InvalidTokenError, ValueError, TypeError, AttributeError, OverflowError):
        raise InvalidToken("TOKEN_INVALID") from None
    if now >= expires_at:
        raise InvalidToken("TOKEN_EXPIRED")
    return Caller(user_id, expires_at, claims.get("scope") == "service")
