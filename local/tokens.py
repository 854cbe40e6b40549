"""Signs JWTs for development, as the service that owns the users would."""

import time
import uuid

import jwt

from local.failure import StackError

DAY_SECONDS = 24 * 3600


def sign(
    secret: str, user: str, scope: str | None = None, *, lasts_seconds: int = DAY_SECONDS
) -> str:
    """A token of `user`; raises StackError unless `user` is a UUID."""
    try:
        subject = str(uuid.UUID(user))
    except ValueError:
        raise StackError(
            f"{user!r} is not a UUID. For example: make token USER={uuid.uuid4()}"
        ) from None
    now = int(time.time())
    claims: dict[str, object] = {"sub": subject, "iat": now, "exp": now + lasts_seconds}
    if scope:
        claims["scope"] = scope
    return jwt.encode(claims, secret, algorithm="HS256")
