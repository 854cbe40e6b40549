"""What an issuer of tokens publishes on the `sessions` exchange, as JSON."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

TOKEN_ID_CHARACTERS = 255


class Revoke(Struct, frozen=True, rename="camel", omit_defaults=True):
    """The body of sessions.revoke: a user, or one token by its `jti`. Exactly one of them."""

    user_id: UUID | None = None
    token_id: Annotated[str, Meta(min_length=1, max_length=TOKEN_ID_CHARACTERS)] | None = None
    revoked_at: Annotated[datetime, Meta(tz=True)] | None = None
    """Of a user: what was issued until then counts no more. None: until now."""

    def __post_init__(self) -> None:
        if (self.user_id is None) == (self.token_id is None):
            raise ValueError("give userId or tokenId, one of them")
