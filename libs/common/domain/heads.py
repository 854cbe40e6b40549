"""What the router's keys in Redis say about how far the logs have come (see `keys`). Pure."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

COMPLETE: Final = b"*"
"""Field of HEADS: all of the user's conversations are in the hash."""
LOADING: Final = b"?"
"""Field of HEADS: the token of the router that is loading it."""
WARM_VALUE: Final = b"1"
"""WARM's value while it holds; anything else is the token of a router that is about to set it."""


def heads_in(fields: Mapping[bytes, bytes]) -> dict[UUID, int]:
    """Conversation → head in HEADS(user)."""
    return {
        UUID(field.decode()): int(head)
        for field, head in fields.items()
        if field not in (COMPLETE, LOADING)
    }
