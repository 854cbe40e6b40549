"""How far the user has read: told until it is acknowledged. Pure: time is passed in, in seconds."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from libs.client.answers import ANSWER_S

NOW: Final = 0.0
"""Earlier than any time that is passed in."""


@dataclass(slots=True)
class _Mark:
    up_to_seq: int
    due: float | None
    """When to tell it; None: it is known."""


class Readings:
    """Send what `take` gives, now and whenever `due_at` has come."""

    def __init__(self) -> None:
        self._marks: dict[UUID, _Mark] = {}

    def mark(self, conversation_id: UUID, up_to_seq: int) -> None:
        """The user has seen all up to here. What is no news is not told again."""
        mark = self._marks.get(conversation_id)
        if mark is None or mark.up_to_seq < up_to_seq:
            self._marks[conversation_id] = _Mark(up_to_seq, NOW)

    def take(self, now: float) -> list[tuple[UUID, int]]:
        """The MARK_AS_READs to send now: conversation and `upToSeq`."""
        taken = []
        for conversation_id, mark in self._marks.items():
            if mark.due is not None and mark.due <= now:
                mark.due = now + ANSWER_S
                taken.append((conversation_id, mark.up_to_seq))
        return taken

    @property
    def due_at(self) -> float | None:
        """When `take` may have something though nothing else has happened."""
        dues = (mark.due for mark in self._marks.values() if mark.due is not None)
        return min(dues, default=None)

    def land(self) -> None:
        """The connection ended: what has no answer yet is told again."""
        for mark in self._marks.values():
            mark.due = None if mark.due is None else NOW

    def answered(self, conversation_id: UUID) -> None:
        """MESSAGE_READ of this user."""
        self._put_off(conversation_id, None)

    def put_off(self, conversation_id: UUID, until: float) -> None:
        """An ERROR that passes (`retryAfterMs`)."""
        self._put_off(conversation_id, until)

    def refused(self, conversation_id: UUID) -> None:
        """An ERROR that a repetition won't mend."""
        self._marks.pop(conversation_id, None)

    def _put_off(self, conversation_id: UUID, due: float | None) -> None:
        if (mark := self._marks.get(conversation_id)) is not None:
            mark.due = due
