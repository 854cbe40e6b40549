"""What a campaign must have left, as rules over its evidence. Pure."""

from typing import NamedTuple
from uuid import UUID


class Violation(NamedTuple):
    """A promise that was not kept."""

    rule: str
    conversation: UUID | None
    detail: str
