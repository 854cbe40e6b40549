"""That the user types, told as often as is of use. Pure: time is passed in, in seconds."""

from typing import Final
from uuid import UUID

TELL_S: Final = 3.0
"""TYPING_START is shown for 5 s: so it is told again before that, and not more often."""


class TypingSignals:
    """Ask it at every key."""

    def __init__(self) -> None:
        self._told_at: dict[UUID, float] = {}

    def is_news(self, conversation_id: UUID, is_typing: bool, now: float) -> bool:
        """Whether to send TYPING_START, or TYPING_STOP; it is taken for sent then."""
        told_at = self._told_at.get(conversation_id)
        if not is_typing:
            return self._told_at.pop(conversation_id, None) is not None
        if told_at is not None and now - told_at < TELL_S:
            return False
        self._told_at[conversation_id] = now
        return True

    def ended(self, conversation_id: UUID) -> None:
        """A message was sent, which ends typing by itself."""
        self._told_at.pop(conversation_id, None)
