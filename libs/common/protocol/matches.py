"""What the match service publishes on the `matches` exchange, as JSON (DESIGN.md, section 6)."""

from uuid import UUID

from msgspec import Struct


class Match(Struct, frozen=True, rename="camel"):
    """The body of match.created and match.removed."""

    match_id: UUID
    user1_id: UUID
    user2_id: UUID
