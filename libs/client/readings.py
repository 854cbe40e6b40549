"""How far the user has read: told until it is acknowledged. Pure: time is passed in, in seconds."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from libs.client.answers import ANSWER_S

NOW: Final = 0.0
"""Earlier than any time that is passed in."""


@dataclass(slots=True)
class _Mark:
    up_to_seq: int = 0
    due: float | None = None
    """When to tell it; None: it is answered."""
    in_flight: int = 0
    """The `upToSeq` that waits for its answer; 0: none does."""
    known: int = 0
    """The `upToSeq` up to which the service has nothing left to read."""


class Readings:
    """Send what `take` gives, now and whenever `due_at` has come.

    An answer doesn't say what it answers, so of each conversation one is in flight at a time.
    """

    def __init__(self) -> None:
        self._marks: dict[UUID, _Mark] = {}

    def mark(self, conversation_id: UUID, up_to_seq: int) -> None:
        """The user has seen all up to here. What is known is not told again."""
        mark = self._marks.setdefault(conversation_id, _Mark())
        mark.up_to_seq = max(mark.up_to_seq, up_to_seq)
        if mark.due is None and up_to_seq > mark.known:
            mark.due = NOW

    def take(self, now: float) -> list[tuple[UUID, int]]:
        """The MARK_AS_READs to send now: conversation and `upToSeq`."""
        taken = []
        for conversation_id, mark in self._marks.items():
            if mark.due is not None and mark.due <= now:
                mark.due = now + ANSWER_S
                mark.in_flight = mark.in_flight or mark.up_to_seq
                taken.append((conversation_id, mark.in_flight))
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
            mark.in_flight = 0

    def answered(self, conversation_id: UUID, *, is_empty: bool) -> None:
        """MESSAGE_READ of this user; `is_empty`: without messages, so nothing is left to read.

        With messages it may be another device's, and then what was in flight may yet get lost:
        so it is told again when the user is seen to look at the same once more.
        """
        mark = self._marks.get(conversation_id)
        if mark is None or not mark.in_flight:
            return  # another device's
        if is_empty:
            mark.known = mark.in_flight
        mark.due = NOW if mark.in_flight < mark.up_to_seq else None
        mark.in_flight = 0

    def put_off(self, conversation_id: UUID, until: float) -> None:
        """An ERROR that passes (`retryAfterMs`)."""
        if (mark := self._marks.get(conversation_id)) is not None:
            mark.due, mark.in_flight = until, 0

    def refused(self, conversation_id: UUID) -> None:
        """An ERROR that a repetition won't mend."""
        self._marks.pop(conversation_id, None)
